//! Runs a program for as long as standard input is open: when whoever holds the other end has ended, in whatever way,
//! the program is told to stop. So not even `kill -9` leaves an agent behind.

use std::{ffi::OsString, path::Path, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
};

/// The hidden subcommand that runs [`guard`].
pub const GUARD_COMMAND: &str = "guard";

const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Runs it; gives the exit code to end with.
pub(super) async fn guard(program: &Path, arguments: &[OsString]) -> std::io::Result<u8> {
    let mut child = Command::new(program).args(arguments).stdin(Stdio::null()).spawn()?;
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0_u8; 64];
    loop {
        tokio::select! {
            status = child.wait() => return Ok(status?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
            read = stdin.read(&mut buffer) => {
                if !matches!(read, Ok(1..)) {
                    break;
                }
            }
        }
    }
    stop(&mut child, STOP_WITHIN).await;
    Ok(0)
}

/// Tells a child to stop, and ends it if it does not.
pub(super) async fn stop(child: &mut Child, within: Duration) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && kill_process(pid, Signal::TERM).is_ok()
        && tokio::time::timeout(within, child.wait()).await.is_ok()
    {
        return;
    }
    if let Err(error) = child.kill().await {
        eprintln!("a program that does not stop cannot be ended either: {error}");
    }
}

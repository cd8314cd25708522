//! The guard between `emote dev` and its nats-server; see the parent module.

use std::{path::Path, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
};

/// The hidden subcommand that runs [`guard`].
pub const GUARD_COMMAND: &str = "nats-guard";

const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Runs the server until standard input closes, then stops it. Gives the exit code to end with.
pub async fn guard(server: &Path, config: &Path, pid_file: &Path, log: &Path) -> std::io::Result<u8> {
    // The server keeps this file open by its own name, and turns it over by size.
    let mut child = Command::new(server)
        .arg("-c")
        .arg(config)
        .arg("-P")
        .arg(pid_file)
        .arg("-l")
        .arg(log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
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
    stop(&mut child).await;
    Ok(0)
}

async fn stop(child: &mut Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && kill_process(pid, Signal::TERM).is_ok()
        && tokio::time::timeout(STOP_WITHIN, child.wait()).await.is_ok()
    {
        return;
    }
    if child.kill().await.is_err() {
        tracing::warn!("nats-server cannot be ended");
    }
}

/// Stops the server that an earlier start left behind, if its guard was killed too. Two servers on one store would
/// destroy it.
pub(super) async fn stop_left_over(pid_file: &Path) {
    let Some(pid) =
        std::fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok()).and_then(Pid::from_raw)
    else {
        return;
    };
    if !is_our_server(pid, pid_file).await {
        return;
    }
    tracing::info!(pid = pid.as_raw_nonzero().get(), "stopping a nats-server that an earlier start left behind");
    let deadline = tokio::time::Instant::now() + STOP_WITHIN;
    let mut signal = Signal::TERM;
    while kill_process(pid, signal).is_ok() && test_kill_process(pid).is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let waited = tokio::time::Instant::now();
        if waited > deadline {
            signal = Signal::KILL;
        }
        // What has ended but is not reaped by its parent still answers to signals.
        if waited > deadline + STOP_WITHIN || !is_our_server(pid, pid_file).await {
            break;
        }
    }
}

/// Whether the process is a nats-server started with this very pid file; a pid may long belong to another.
async fn is_our_server(pid: Pid, pid_file: &Path) -> bool {
    let pid = pid.as_raw_nonzero().get().to_string();
    let output = Command::new("ps").args(["-ww", "-p", &pid, "-o", "command="]).output().await;
    output.is_ok_and(|output| {
        let command = String::from_utf8_lossy(&output.stdout).into_owned();
        command.contains("nats-server") && pid_file.to_str().is_some_and(|pid_file| command.contains(pid_file))
    })
}

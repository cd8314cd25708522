//! One run of a program: started in a process group of its own, given its input, read within bounds, ended in time. However
//! that comes to its end, nothing of the group is left behind.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until, timeout},
};

use super::{
    super::program::{Ended, MAX_OUTPUT, MAX_SAID, Ran},
    launch::{Bounds, LAUNCH_COMMAND},
};
use crate::config::Secret;

/// What was written before the end is read within this time; what a program left behind may hold its pipes open.
const REST_WITHIN: Duration = Duration::from_millis(500);
/// Of a program's time, the part in which it is told to end before it is ended.
const GRACE: u32 = 8;
const MAX_GRACE: Duration = Duration::from_secs(2);

/// What is to be run.
pub(super) struct Order {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    /// All of it.
    pub(super) env: Vec<(String, Secret)>,
    pub(super) cwd: PathBuf,
    pub(super) bounds: Bounds,
    /// After this time it has ended.
    pub(super) within: Duration,
}

/// The processes of a run; what is left of them ends with this. It is dropped before the child is, which is reaped only
/// after it: until then the group's number is nobody else's.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // Where nobody is there, nothing needs to end.
            kill_process_group(pid, signal).ok();
        }
    }

    /// Waits until the first of them has ended, and leaves it to be reaped.
    async fn first_ended(&self) -> io::Result<()> {
        let Some(pid) = self.0 else { return Ok(()) };
        // Listened to before it is looked: no end is missed.
        let mut children = signal(SignalKind::child())?;
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while waitid(WaitId::Pid(pid), look)?.is_none() {
            children.recv().await;
        }
        Ok(())
    }

    fn end(&mut self) {
        self.signal(Signal::KILL);
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs it to its end. An error is that it could not be started.
pub(super) async fn run(order: Order, input: Vec<u8>) -> io::Result<Ran> {
    let began = Instant::now();
    let grace = (order.within / GRACE).min(MAX_GRACE);
    let (told_at, ended_at) =
        (began + order.within.saturating_sub(grace * 2), began + order.within.saturating_sub(grace));
    let mut child = start(&order)?;
    let mut group = Group::of(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut output, mut said) = (Vec::new(), Vec::new());
    // None where it has ended by itself.
    let ended = {
        let feed = async {
            if let Some(mut stdin) = stdin {
                // It may have closed it, and need not read it.
                stdin.write_all(&input).await.ok();
            }
        };
        let talk = async {
            let read = async {
                let is_flood = beginning_of(stdout, &mut output).await;
                if is_flood { Err(()) } else { Ok(()) }
            };
            let listen = async {
                end_of(stderr, &mut said).await;
                Ok(())
            };
            let feed = async {
                feed.await;
                Ok(())
            };
            tokio::try_join!(read, listen, feed).map(drop)
        };
        let mut talk = std::pin::pin!(talk);
        let mut talked = None;
        let ended = loop {
            tokio::select! {
                ended = group.first_ended() => {
                    ended?;
                    break None;
                }
                done = &mut talk, if talked.is_none() => {
                    talked = Some(done);
                    if done.is_err() {
                        break Some(Ended::Flooded);
                    }
                }
                () = sleep_until(told_at) => {
                    group.signal(Signal::TERM);
                    // Its own end is waited for, to let it put its things in order.
                    drop(tokio::time::timeout_at(ended_at, group.first_ended()).await);
                    break Some(Ended::Late(order.within));
                }
            }
        };
        group.end();
        match talked {
            None => match timeout(REST_WITHIN, &mut talk).await {
                Ok(Err(())) => Some(Ended::Flooded),
                Ok(Ok(())) | Err(_) => ended,
            },
            Some(_) => ended,
        }
    };
    let status = child.wait().await?;
    let ended = ended.unwrap_or_else(|| how(status));
    Ok(Ran { ended, output, said: String::from_utf8_lossy(&said).into_owned() })
}

fn start(order: &Order) -> io::Result<Child> {
    let mut command = Command::new(own_program()?);
    command
        .arg(LAUNCH_COMMAND)
        .args(order.bounds.to_args())
        .arg("--")
        .arg(&order.program)
        .args(&order.args)
        .env_clear()
        .envs(order.env.iter().map(|(name, value)| (name, value.expose())))
        .current_dir(&order.cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// This program, also where its file has been replaced by a newer one since it was started.
fn own_program() -> io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}

fn how(status: ExitStatus) -> Ended {
    match (status.code().and_then(|code| u32::try_from(code).ok()), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, Some(signal)) if is_asking(signal) => Ended::Stopped(format!("was told to end by signal {signal}")),
        (None, Some(signal)) => Ended::Killed(killed(signal)),
        (None, None) => Ended::Killed("ended in an unknown way".to_owned()),
    }
}

/// Whether it asks a program to end: where that was not this broker, the machine or a service goes down, and the job is as
/// good as before.
fn is_asking(signal: i32) -> bool {
    matches!(Signal::from_named_raw(signal), Some(Signal::TERM | Signal::INT | Signal::HUP))
}

fn killed(signal: i32) -> String {
    let name = Signal::from_named_raw(signal);
    let why = match name {
        Some(Signal::XCPU) => " (it computed for longer than `cpu` allows)",
        Some(Signal::KILL) => " (by the system, or it computed for longer than `cpu` allows)",
        Some(Signal::SEGV | Signal::ABORT | Signal::BUS) => " (a mistake in it, or no `memory` was left)",
        _ => "",
    };
    format!("was ended by signal {signal}{why}")
}

/// Reads into `all` up to the most that is read; says whether there was more.
async fn beginning_of(source: Option<impl AsyncRead + Unpin>, all: &mut Vec<u8>) -> bool {
    let Some(source) = source else { return false };
    let most = u64::try_from(MAX_OUTPUT).unwrap_or(u64::MAX);
    source.take(most.saturating_add(1)).read_to_end(all).await.ok();
    let is_flood = all.len() > MAX_OUTPUT;
    all.truncate(MAX_OUTPUT);
    is_flood
}

/// Reads all of it, and keeps the end.
async fn end_of(source: Option<impl AsyncRead + Unpin>, end: &mut Vec<u8>) {
    let Some(mut source) = source else { return };
    let mut chunk = vec![0; MAX_SAID];
    while let Ok(read @ 1..) = source.read(&mut chunk).await {
        end.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let over = end.len().saturating_sub(MAX_SAID);
        end.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state of a process as Linux has it: `Z` where it has ended and was not reaped.
    #[cfg(target_os = "linux")]
    fn state(pid: u32) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_group_is_ended_before_its_first_process_is_reaped() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "sleep 600 & echo $!; exit 7"]).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let (pid, mut group) = (child.id().unwrap(), Group::of(&child));
        let mut said = [0; 32];
        let read = child.stdout.take().unwrap().read(&mut said).await.unwrap();
        let left: u32 = std::str::from_utf8(&said[..read]).unwrap().trim().parse().unwrap();
        group.first_ended().await.unwrap();
        assert_eq!(state(pid), Some('Z'), "its number is still its own");
        assert!(state(left).is_some_and(|state| state != 'Z'), "what it left behind runs");
        group.end();
        let deadline = Instant::now() + Duration::from_secs(20);
        while state(left).is_some_and(|state| state != 'Z') {
            assert!(Instant::now() < deadline, "what it left behind runs on");
            tokio::task::yield_now().await;
        }
        assert_eq!(how(child.wait().await.unwrap()), Ended::Code(7));
        group.first_ended().await.unwrap();
    }

    #[test]
    fn a_signal_that_asks_is_no_mistake_of_the_program() {
        for signal in [1, 2, 15] {
            assert_eq!(
                how(ExitStatus::from_raw(signal)),
                Ended::Stopped(format!("was told to end by signal {signal}"))
            );
        }
        for signal in [6, 9, 11, 24] {
            assert!(matches!(how(ExitStatus::from_raw(signal)), Ended::Killed(_)), "{signal}");
        }
        // As wait(2) has it, an exit code stands in the second byte.
        assert_eq!(how(ExitStatus::from_raw(143 << 8)), Ended::Code(143));
    }
}

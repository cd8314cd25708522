//! Programs that do not outlive this one, however it ends.
//!
//! This program starts itself again, which asks the kernel for SIGKILL at its parent's death and then becomes the program
//! that is wanted. Each has a process group of its own, so that Ctrl-C reaches this program only.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// The hidden first argument; then come the parent's process id, the program and its arguments.
const BECOME: &str = "become";

/// Becomes another program if the command line says so, which ends only where that fails.
pub(crate) fn become_program() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != BECOME {
        return None;
    }
    let (parent, program) = (args.next()?, args.next()?);
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("asking to end with emote-chaos: {error}");
        return Some(ExitCode::FAILURE);
    }
    let lives = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().to_string());
    if lives.as_deref() != parent.to_str() {
        return Some(ExitCode::FAILURE);
    }
    let error = Command::new(&program).args(args).exec();
    eprintln!("{}: {error}", Path::new(&program).display());
    Some(ExitCode::FAILURE)
}

/// A running program; dropping it ends it.
pub(crate) struct Child {
    process: std::process::Child,
}

/// What is to be started, again and again.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// How it is called in words and in the name of its log.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// The folder of logs.
    pub(crate) logs: PathBuf,
}

impl Program {
    /// Starts it. What it prints is added to its log.
    pub(crate) fn start(&self) -> anyhow::Result<Child> {
        let path = self.logs.join(format!("{}.log", self.name));
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("opening the log {}", path.display()))?;
        let own = std::env::current_exe().context("finding this program itself")?;
        let mut command = Command::new(own);
        command.arg(BECOME).arg(std::process::id().to_string()).arg(&self.path).args(&self.args);
        command.stdin(Stdio::null()).stdout(log.try_clone().context("the log")?).stderr(log).process_group(0);
        let process = command.spawn().with_context(|| format!("starting {}", self.name))?;
        Ok(Child { process })
    }
}

impl Child {
    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Stops it where it is, or lets it go on.
    pub(crate) fn freeze(&self, frozen: bool) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, if frozen { Signal::STOP } else { Signal::CONT }).ok();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

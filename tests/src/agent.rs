//! An agent: the real program with its state folder.

use std::{path::PathBuf, process::Command};

use emote_agent::{
    socket::{Answer, Ask, call},
    spool::Spool,
};
use emote_proto::{Draft, Time};
use jiff::Timestamp;
use serde_json::Value;

use crate::{Process, programs::built, until};

/// Sources of what may change on any machine while a test runs.
pub const CHANGING: &str = "disk,network,accounts,power,peripherals,clock";

/// A running agent, or one that was killed and can be started again.
pub struct Agent {
    /// The serial number that it speaks under.
    pub serial: String,
    state: PathBuf,
    logs: PathBuf,
    server: String,
    env: Vec<(&'static str, String)>,
    process: Option<Process>,
}

impl Agent {
    /// One that keeps its state under `folder`. Not started.
    pub fn new(serial: &str, folder: &std::path::Path, logs: &std::path::Path, server: &str) -> Self {
        let state = folder.join(format!("agent-{serial}"));
        let (serial, logs, server) = (serial.to_owned(), logs.to_owned(), server.to_owned());
        Self { serial, state, logs, server, env: Vec::new(), process: None }
    }

    /// From its next start on it has this variable in its environment.
    pub fn env(&mut self, name: &'static str, value: &str) {
        self.env.push((name, value.to_owned()));
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Starts it and waits until it answers on its socket.
    pub async fn start(&mut self) {
        let mut command = Command::new(built().join("emote-agent"));
        command
            .args(["run", "--log-stderr", "--serial", &self.serial, "--server", &self.server, "--state-dir"])
            .arg(&self.state);
        command.args(["--disable", CHANGING]).envs(self.env.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start(&format!("agent-{}", self.serial), command, &self.logs));
        let socket = self.socket();
        until("the agent answers", || async { call(&socket, &Ask::Status {}).await.is_ok() }).await;
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Emits an event through the socket, as `emote-agent emit` does; the id once it is on the disk, nothing when the agent
    /// was killed meanwhile.
    pub async fn emit(&self, event: Value) -> Option<String> {
        let draft = Draft::from_value(event).unwrap();
        match call(&self.socket(), &Ask::Emit(Box::new(draft))).await {
            Ok(Answer::Id(id)) => Some(id.to_string()),
            Ok(other) => panic!("emit: {other:?}"),
            Err(_) => None,
        }
    }

    /// `emote-agent emit …`, the program; gives the id that it prints.
    pub async fn emit_by_program(&self, args: &[&str]) -> String {
        let state = self.state.display().to_string();
        let args = [&["emit", "--state-dir", &state], args].concat();
        let output = crate::run(&built().join("emote-agent"), &args).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What `emote-agent` prints of the running agent.
    pub async fn shows(&self, args: &[&str]) -> String {
        let state = self.state.display().to_string();
        let output = crate::run(&built().join("emote-agent"), &[args, &["--state-dir", &state]].concat()).await;
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// How many events wait in the spool; nothing while the agent does not answer.
    pub async fn waiting(&self) -> Option<u64> {
        match call(&self.socket(), &Ask::Status {}).await {
            Ok(Answer::Status(status)) => Some(status.spool.count),
            _ => None,
        }
    }

    /// Its spool, while it does not run.
    pub fn spool(&self) -> Spool {
        assert!(self.process.is_none(), "the agent runs");
        Spool::open(&self.state, 1 << 20, Time::from(Timestamp::now()), Box::new(|_| None)).unwrap().spool
    }

    fn socket(&self) -> PathBuf {
        self.state.join("agent.sock")
    }
}

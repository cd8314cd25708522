//! The agent: started as a machine would, with its JWT over TLS.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};
use emote_tests::Process;

use crate::{
    peers::write_private,
    server::{Auth, Server},
};

const DEADLINE: Duration = Duration::from_secs(20);

/// What every start needs.
pub(crate) struct Agents<'a> {
    pub(crate) program: &'a Path,
    pub(crate) more: &'a [String],
    pub(crate) server: &'a Server,
    pub(crate) folder: &'a Path,
}

/// The better way that the program knows.
pub(crate) async fn auth(program: &Path) -> Auth {
    let help = emote_tests::run(program, &["run", "--help"]).await;
    let knows = String::from_utf8_lossy(&help.stdout).contains(Auth::Jwt.option());
    if knows { Auth::Jwt } else { Auth::Token }
}

impl Agents<'_> {
    /// Starts one under its own serial number, and waits until its first event is stored: the process and how long it took
    /// from before its start to the stream's own time.
    pub(crate) async fn start(&self, serial: &str) -> anyhow::Result<(Process, Duration)> {
        let state = self.state(serial)?;
        let proof = state.join("proof");
        // The agent refuses credentials that others can read.
        write_private(&proof, &self.server.proof(serial)?)?;
        let mut command = Command::new(self.program);
        command.args(["run", "--serial", serial, "--server", &self.server.url(), "--state-dir"]).arg(&state);
        command.arg("--ca").arg(self.folder.join("ca.pem")).arg(self.server.auth.option()).arg(&proof).args(self.more);
        let begun = jiff::Timestamp::now().as_nanosecond();
        let mut process = Process::start(&format!("agent-{serial}"), command, self.folder);
        let waited = std::time::Instant::now();
        let stored = loop {
            if let Some(stored) = self.server.stored(serial, "agent.started").await {
                break stored;
            }
            if let Some(status) = process.ended() {
                bail!("the agent ended ({status}):\n{}", process.log());
            }
            if waited.elapsed() > DEADLINE {
                bail!("no event within {DEADLINE:?}:\n{}", process.log());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let took = stored - begun;
        Ok((process, Duration::from_nanos(u64::try_from(took).context("the clock was set back")?)))
    }

    fn state(&self, serial: &str) -> anyhow::Result<PathBuf> {
        use std::os::unix::fs::DirBuilderExt;
        let state = self.folder.join(format!("state-{serial}"));
        std::fs::DirBuilder::new().mode(0o700).create(&state)?;
        Ok(state)
    }
}

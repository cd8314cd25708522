//! The programs that are run, and how they are asked: through their own command lines, as anyone would.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use emote_proto::Event;
use serde_json::Value;
use tokio::process::Command;

/// How long a question may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Settings of Emote's in the environment that are meant for it here too. All others are for another broker.
const KEPT: [&str; 2] = ["EMOTE_TOOLS", "EMOTE_LOG"];

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// The broker and the admin's command line.
    Emote,
    /// The agent.
    Agent,
    /// This one, for its guard.
    Quickstart,
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// In `folder`, else beside this program.
    pub(super) fn find(folder: Option<&Path>) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("finding this program")?;
        let folder = folder.or(own.parent()).context("finding this program's folder")?.to_owned();
        let folder = std::path::absolute(&folder).context("the programs' folder")?;
        let this = Self { folder };
        for program in [Program::Emote, Program::Agent, Program::Quickstart] {
            let path = this.path(program);
            ensure!(path.is_file(), "{} is not there: run packaging/quickstart, which builds it", path.display());
        }
        Ok(this)
    }

    /// Where it is.
    pub(super) fn path(&self, program: Program) -> PathBuf {
        self.folder.join(match program {
            Program::Emote => "emote",
            Program::Agent => "emote-agent",
            Program::Quickstart => "emote-quickstart",
        })
    }

    /// A call of it, without what the environment says about another broker or agent. It ends with this program.
    pub(super) fn command(&self, program: Program) -> Command {
        let mut command = Command::new(self.path(program));
        command.stdin(Stdio::null()).kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("EMOTE_") && !KEPT.contains(&text.as_ref()) {
                command.env_remove(&name);
            }
        }
        command
    }

    /// The events of the last while, as `emote events` gives them.
    pub(super) async fn events(&self, server: &str, since: Duration, more: &[&str]) -> anyhow::Result<Vec<Event>> {
        let mut command = self.command(Program::Emote);
        let since = format!("{}s", since.as_secs());
        command.args(["events", "-o", "json", "--since", &since, "--server", server]).args(more);
        let lines = output(&mut command, "emote events").await?;
        let event = |line: &str| Event::parse(line.as_bytes()).with_context(|| format!("emote events gave {line}"));
        lines.lines().map(event).collect()
    }

    /// What is known of every node, as `emote nodes` gives it.
    pub(super) async fn nodes(&self, server: &str) -> anyhow::Result<Vec<Value>> {
        let mut command = self.command(Program::Emote);
        let lines = output(command.args(["nodes", "-o", "json", "--server", server]), "emote nodes").await?;
        let node = |line: &str| serde_json::from_str(line).with_context(|| format!("emote nodes gave {line}"));
        lines.lines().map(node).collect()
    }

    /// What an event set off, as `emote trace` gives it.
    pub(super) async fn trace(&self, server: &str, event: &str) -> anyhow::Result<Value> {
        let mut command = self.command(Program::Emote);
        let text = output(command.args(["trace", event, "-o", "json", "--server", server]), "emote trace").await?;
        serde_json::from_str(&text).with_context(|| format!("emote trace gave {text}"))
    }
}

/// What a call prints; its own words where it fails.
pub(super) async fn output(command: &mut Command, name: &str) -> anyhow::Result<String> {
    let output = tokio::time::timeout(TIMEOUT, command.output());
    let output = output.await.with_context(|| format!("{name} did not end within {} s", TIMEOUT.as_secs()))?;
    let output = output.with_context(|| format!("running {name}"))?;
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

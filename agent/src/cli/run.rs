//! `emote-agent run`.

use std::io::IsTerminal;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use super::keys::Keys;
use super::{Exit, Failure, Place};
use crate::settings::{Follow, Loaded, Places, Problem};
use crate::spool::SpoolError;
use crate::{RunError, crash};

const EXAMPLES: &str = "\
Examples:
  emote-agent run --server tls://nats.example.com
  emote-agent run --config /etc/emote-agent.toml
  emote-agent run --server nats://127.0.0.1:4222 --state-dir /tmp/agent --serial TEST1

A file holds the same keys, and a table for each source:
  server = [\"tls://a.example.com\", \"tls://b.example.com\"]
  heartbeat = \"5m\"
  [sources.disk]
  interval = \"2m\"
  debounce = \"5s\"
  [sources.accounts]
  enabled = false
and what shall be told of macOS's unified log, with at most so many events a minute (60):
  [unified_log.sudo]
  predicate = 'process == \"sudo\"'
  rate = 10

Every key: emote-agent config template --format toml. Changes of the file and of managed preferences are applied within a \
minute, at once after SIGHUP. Without a server the agent runs, keeps events, and connects once it is told of one.";

/// Observe this machine and send what happens, until SIGTERM
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) layers: LayerArgs,
}

/// All that the command line can say of settings.
#[derive(Debug, Args)]
pub(super) struct LayerArgs {
    #[command(flatten)]
    pub(super) place: Place,
    #[command(flatten)]
    keys: Keys<false>,
    /// Sources that shall not look; repeat or separate by commas
    #[arg(long, value_name = "SOURCE", env = "EMOTE_AGENT_DISABLE", value_delimiter = ',')]
    disable: Vec<String>,
}

impl LayerArgs {
    pub(super) fn places(&self) -> Places {
        let mut places = self.place.places();
        let Keys { flags, environment } = self.keys.clone();
        places.flags.values.extend(flags.values);
        places.environment.values.extend(environment.values);
        for source in &self.disable {
            places.flags.set(&format!("sources.{source}.enabled"), false.into());
        }
        places
    }
}

/// What whoever starts the agent must put right: flags, variables, and a file that was named and is not there.
fn refuse(places: &Places, loaded: &Loaded) -> Result<(), Failure> {
    let refused = loaded.problems.iter().filter(|problem| places.refuses(problem));
    let problems: Vec<String> = refused.map(|problem| Problem { used: None, ..problem.clone() }.to_string()).collect();
    if problems.is_empty() { Ok(()) } else { Err((Exit::Usage, anyhow::anyhow!(problems.join("\n")))) }
}

pub(super) async fn run(arguments: RunArgs) -> Result<(), Failure> {
    let nudge = Arc::new(Notify::new());
    let places = arguments.layers.places();
    let (follow, loaded) = Follow::new(places.clone(), Arc::clone(&nudge));
    refuse(&places, &loaded)?;
    crash::report_to(&loaded.settings.state_dir);
    let failed = |error: std::io::Error| (Exit::Failure, error.into());
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    // From a terminal that is closed, it means what it always did.
    if !std::io::stdin().is_terminal() {
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                nudge.notify_one();
            }
        });
    }
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    crate::run(loaded, follow, shutdown).await.map_err(|error| match error {
        RunError::Spool(SpoolError::AlreadyRunning(_)) => (Exit::AlreadyRunning, error.into()),
        RunError::NoSerial => (Exit::Usage, error.into()),
        error => (Exit::Failure, error.into()),
    })
}

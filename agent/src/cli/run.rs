//! `emote-agent run`.

use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Failure, Place};
use crate::settings::{Raw, Settings, SourceRaw};
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
  rate = 10";

/// Observe this machine and send what happens, until SIGTERM
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArgs {
    #[command(flatten)]
    place: Place,
    /// NATS server, tls:// or wss://, or on this machine nats://; repeat or separate by commas
    #[arg(long, value_name = "URL", env = "EMOTE_AGENT_SERVER")]
    server: Vec<String>,
    /// Serial number to speak under [default: the machine's own]
    #[arg(long, env = "EMOTE_AGENT_SERIAL")]
    serial: Option<String>,
    /// Between two heartbeats [default: 5m]
    #[arg(long, value_name = "DURATION", env = "EMOTE_AGENT_HEARTBEAT")]
    heartbeat: Option<String>,
    /// Between two looks of every source [default: each its own, see `emote-agent sources`]
    #[arg(long, value_name = "DURATION", env = "EMOTE_AGENT_POLL")]
    poll: Option<String>,
    /// Most that the spool may hold [default: 64MiB]
    #[arg(long, value_name = "SIZE", env = "EMOTE_AGENT_QUOTA")]
    quota: Option<String>,
    /// Sources that shall not look; repeat or separate by commas
    #[arg(long, value_name = "SOURCE", env = "EMOTE_AGENT_DISABLE", value_delimiter = ',')]
    disable: Vec<String>,
    /// Trust these roots (PEM) and no others
    #[arg(long, value_name = "FILE", env = "EMOTE_AGENT_CA")]
    ca: Option<PathBuf>,
    /// File with the token to connect with
    #[arg(long, value_name = "FILE", env = "EMOTE_AGENT_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// NATS credentials file (JWT and seed) to connect with
    #[arg(long, value_name = "FILE", env = "EMOTE_AGENT_CREDENTIALS")]
    credentials: Option<PathBuf>,
    /// How wss:// servers are reached: none, system or http://host:port [default: system on macOS]
    #[arg(long, value_name = "PROXY", env = "EMOTE_AGENT_PROXY")]
    proxy: Option<String>,
    /// Allow connections to other machines without TLS
    #[arg(long, env = "EMOTE_AGENT_INSECURE")]
    insecure: bool,
}

impl RunArgs {
    fn settings(self) -> Result<Settings, Failure> {
        let disabled = SourceRaw { enabled: Some(false), ..SourceRaw::default() };
        let flags = Raw {
            server: Some(self.server).filter(|server| !server.is_empty()),
            serial: self.serial,
            heartbeat: self.heartbeat,
            poll: self.poll,
            quota: self.quota,
            insecure: Some(true).filter(|_| self.insecure),
            ca: self.ca,
            token_file: self.token_file,
            credentials: self.credentials,
            proxy: self.proxy,
            sources: self.disable.into_iter().map(|name| (name, disabled.clone())).collect(),
            ..Raw::default()
        };
        Settings::check(flags.over(self.place.raw()?)).map_err(|error| (Exit::Usage, error.into()))
    }
}

pub(super) async fn run(arguments: RunArgs) -> Result<(), Failure> {
    let settings = arguments.settings()?;
    crash::report_to(&settings.state_dir);
    let failed = |error: std::io::Error| (Exit::Failure, error.into());
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    crate::run(settings, shutdown).await.map_err(|error| match error {
        RunError::Spool(SpoolError::AlreadyRunning(_)) => (Exit::AlreadyRunning, error.into()),
        RunError::NoSerial => (Exit::Usage, error.into()),
        error => (Exit::Failure, error.into()),
    })
}

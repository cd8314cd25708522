//! Options of every command that speaks to NATS.

use std::path::PathBuf;

use super::Output;
use crate::bus::{Bus, BusSettings};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerArgs {
    /// Address of NATS
    #[arg(
        long,
        short = 's',
        env = "EMOTE_SERVER",
        default_value = "nats://127.0.0.1:4222",
        value_name = "URL",
        help_heading = "NATS"
    )]
    server: String,
    /// Credentials file for NATS
    #[arg(long, env = "EMOTE_CREDS", value_name = "FILE", help_heading = "NATS")]
    creds: Option<PathBuf>,
    /// CA that signed the server's certificate; then no other is trusted
    #[arg(long, env = "EMOTE_CA", value_name = "FILE", help_heading = "NATS")]
    ca: Option<PathBuf>,
    /// Certificate to show to a server that wants one
    #[arg(long, env = "EMOTE_CERT", value_name = "FILE", requires = "key", help_heading = "NATS")]
    cert: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, env = "EMOTE_KEY", value_name = "FILE", requires = "cert", help_heading = "NATS")]
    key: Option<PathBuf>,
    /// Allow plain text to a server that is not on this machine
    #[arg(long, help_heading = "NATS")]
    insecure: bool,
}

/// Options of every command that shows what it asks NATS for.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Asking {
    /// What to print
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

impl Asking {
    pub(crate) async fn connect(&self) -> anyhow::Result<Bus> {
        self.server.connect().await
    }
}

impl ServerArgs {
    pub(crate) async fn connect(&self) -> anyhow::Result<Bus> {
        let settings = BusSettings {
            servers: self.server.split(',').map(|server| server.trim().to_owned()).collect(),
            name: "emote command line".to_owned(),
            credentials: self.creds.clone(),
            user: None,
            ca: self.ca.clone(),
            certificate: self.cert.clone().zip(self.key.clone()),
            insecure: self.insecure,
        };
        Ok(Bus::connect(&settings).await?)
    }
}

/// Says how far a long reading is, on a terminal, once it takes longer than people like to wait.
pub(crate) struct Progress {
    doing: &'static str,
    total: u64,
    began: std::time::Instant,
    shown: std::time::Instant,
    visible: bool,
}

impl Progress {
    pub(crate) fn new(doing: &'static str, total: u64) -> Self {
        let now = std::time::Instant::now();
        Self { doing, total, began: now, shown: now, visible: false }
    }

    pub(crate) fn at(&mut self, left: u64) {
        use std::io::IsTerminal;
        let long = self.began.elapsed().as_secs() >= 2 && self.shown.elapsed().as_millis() >= 200;
        if long && std::io::stderr().is_terminal() {
            let percent = (self.total.saturating_sub(left)) * 100 / self.total.max(1);
            anstream::eprint!("\r{} {percent} %", self.doing);
            self.shown = std::time::Instant::now();
            self.visible = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.visible {
            anstream::eprint!("\r\x1b[K");
        }
    }
}

//! Options of every command that speaks to NATS.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Output;
use crate::{
    bus::{Bus, BusSettings},
    config::{Folder, Report},
    identity::files,
};

/// Where NATS is where nothing says otherwise.
const HERE: &str = "nats://127.0.0.1:4222";

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServerArgs {
    /// Address of NATS [default: what the configuration folder says, else nats://127.0.0.1:4222]
    #[arg(long, short = 's', env = "EMOTE_SERVER", value_name = "URL", help_heading = "NATS")]
    server: Option<String>,
    /// Credentials file for NATS [default: the folder's nats/admin.creds, or what its emote.yaml says]
    #[arg(long, env = "EMOTE_CREDS", value_name = "FILE", help_heading = "NATS")]
    creds: Option<PathBuf>,
    /// CA that signed the server's certificate; then no other is trusted [default: what the folder says]
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
    /// The configuration folder [default: this one, where it has an emote.yaml]
    #[arg(long, short, env = "EMOTE_CONFIG", value_name = "DIR", help_heading = "NATS")]
    config: Option<PathBuf>,
}

/// Options of every command that shows what it asks NATS for.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Asking {
    /// What to print: table, or json, one value a line where there are several
    #[arg(long, short, value_enum, hide_possible_values = true, default_value_t)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

impl Asking {
    pub(crate) async fn connect(&self) -> anyhow::Result<Bus> {
        self.server.connect().await
    }

    /// The same; `folder` is the configuration folder where no option names one.
    pub(crate) async fn connect_by(&self, folder: &Path) -> anyhow::Result<Bus> {
        self.server.connect_by(Some(folder)).await
    }
}

impl ServerArgs {
    pub(crate) async fn connect(&self) -> anyhow::Result<Bus> {
        self.connect_by(None).await
    }

    /// The same; `folder` is the configuration folder where no option names one.
    pub(crate) async fn connect_by(&self, folder: Option<&Path>) -> anyhow::Result<Bus> {
        let settings = self.settings(folder)?;
        settings.are_of_the_streams()?;
        Ok(Bus::connect(&settings).await?)
    }

    /// The configuration folder, where there is one: as it was named, else this.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let here = || Path::new("emote.yaml").is_file().then(|| PathBuf::from("."));
        self.config.clone().or_else(here)
    }

    /// Options first, then what the folder says. Its user and password are for its own servers only.
    fn settings(&self, folder: Option<&Path>) -> anyhow::Result<BusSettings> {
        let folder = self.config.clone().or_else(|| folder.map(Path::to_owned)).or_else(|| self.folder());
        let mut settings = match folder {
            Some(folder) => self.of_folder(&folder)?,
            None => BusSettings::local(HERE, ""),
        };
        "emote command line".clone_into(&mut settings.name);
        if let Some(server) = &self.server {
            settings.servers = server.split(',').map(|server| server.trim().to_owned()).collect();
            settings.user = None;
            settings.token = None;
            settings.insecure = false;
        }
        settings.credentials = self.creds.clone().or(settings.credentials);
        settings.ca = self.ca.clone().or(settings.ca);
        settings.certificate = self.cert.clone().zip(self.key.clone()).or(settings.certificate);
        settings.insecure |= self.insecure;
        Ok(settings)
    }

    fn of_folder(&self, folder: &Path) -> anyhow::Result<BusSettings> {
        let settings = match Folder::settings(folder) {
            Ok(settings) => settings,
            // What is wrong in a folder that nobody named is of no concern where the options say all.
            Err(_) if self.config.is_none() && self.server.is_some() => return Ok(BusSettings::local(HERE, "")),
            Err(report) => return Err(Report::into(report)),
        };
        let mut settings = settings.nats.resolve(folder, "").context("emote.yaml: nats")?;
        let admin = folder.join(files::ADMIN);
        if admin.is_file() {
            settings.credentials = Some(admin);
        }
        Ok(settings)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &[&str]) -> BusSettings {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            server: ServerArgs,
        }
        let args = [&["emote"], args].concat();
        <Command as clap::Parser>::try_parse_from(args).unwrap().server.settings(None).unwrap()
    }

    #[test]
    fn options_come_before_the_folder_and_the_folder_before_what_is_usual() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().to_str().unwrap();
        let nats = "nats: {servers: [tls://n.example], credentials: b.creds, ca: ca.pem, user: u, password: p}\n";
        std::fs::write(temp.path().join("emote.yaml"), nats.replace("password: p", "password: \"${env:PATH}\""))
            .unwrap();
        let found = settings(&["--config", folder]);
        assert_eq!((found.servers, found.ca), (vec!["tls://n.example".to_owned()], Some(temp.path().join("ca.pem"))));
        assert_eq!((found.credentials, found.user.is_some()), (Some(temp.path().join("b.creds")), true));
        std::fs::create_dir(temp.path().join("nats")).unwrap();
        std::fs::write(temp.path().join("nats/admin.creds"), "").unwrap();
        let found = settings(&["--config", folder, "--server", "tls://a, tls://b", "--ca", "other.pem"]);
        assert_eq!((found.servers, found.ca), (vec!["tls://a".into(), "tls://b".into()], Some("other.pem".into())));
        assert_eq!((found.credentials, found.user), (Some(temp.path().join("nats/admin.creds")), None));
        let found = settings(&["--config", folder, "--creds", "mine.creds"]);
        assert_eq!(found.credentials, Some("mine.creds".into()));
        assert_eq!(settings(&[]).servers, [HERE]);
    }
}

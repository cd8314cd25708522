//! Options of every command that speaks to NATS.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{Output, folder::FolderArgs};
use crate::{
    bus::{Bus, BusSettings},
    config::{Folder, NatsSettings, Report},
    identity::files,
};

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
    #[command(flatten, next_help_heading = "NATS")]
    pub(crate) folder: FolderArgs,
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
    /// What that folder says, and nothing else.
    #[cfg(test)]
    pub(crate) fn of(folder: &Path) -> Self {
        let folder = FolderArgs::of(folder);
        Self { server: None, creds: None, ca: None, cert: None, key: None, insecure: false, folder }
    }

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
        self.folder.known().map(Path::to_owned)
    }

    /// Options first, then what the folder says.
    fn settings(&self, folder: Option<&Path>) -> anyhow::Result<BusSettings> {
        let folder = self.folder.named().or(folder).map(Path::to_owned).or_else(|| self.folder());
        let mut settings = match &folder {
            Some(folder) => self.of_folder(folder)?,
            None => NatsSettings::default(),
        };
        self.over(&mut settings)?;
        Ok(Folder::nats(&folder.unwrap_or_default(), &settings, "emote command line")?)
    }

    /// Puts what the options say in place of what `emote.yaml` does. Its user, password and token are for its own servers only.
    pub(crate) fn over(&self, settings: &mut NatsSettings) -> anyhow::Result<()> {
        if let Some(server) = &self.server {
            settings.servers = server.split(',').map(|server| server.trim().to_owned()).collect();
            (settings.user, settings.password, settings.token) = (None, None, None);
            settings.insecure = false;
        }
        // From here, and not from the folder.
        let here = |path: &PathBuf| std::path::absolute(path).with_context(|| path.display().to_string());
        if let Some(creds) = &self.creds {
            settings.credentials = Some(here(creds)?);
        }
        if let Some(ca) = &self.ca {
            settings.ca = Some(here(ca)?);
        }
        if let (Some(certificate), Some(key)) = (&self.cert, &self.key) {
            settings.certificate = Some((here(certificate)?, here(key)?));
        }
        settings.insecure |= self.insecure;
        Ok(())
    }

    fn of_folder(&self, folder: &Path) -> anyhow::Result<NatsSettings> {
        let mut settings = match Folder::settings(folder) {
            Ok(settings) => settings.nats,
            // What is wrong in a folder that nobody named is of no concern where the options say all.
            Err(_) if self.folder.named().is_none() && self.server.is_some() => return Ok(NatsSettings::default()),
            Err(report) => return Err(Report::into(report)),
        };
        let admin = Path::new(files::ADMIN);
        if folder.join(admin).is_file() {
            settings.credentials = Some(admin.to_owned());
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
        let here = |name: &str| Some(std::path::absolute(name).unwrap());
        assert_eq!((found.servers, found.ca), (vec!["tls://a".into(), "tls://b".into()], here("other.pem")));
        assert_eq!((found.credentials, found.user), (Some(temp.path().join("nats/admin.creds")), None));
        let found = settings(&["--config", folder, "--creds", "mine.creds"]);
        assert_eq!(found.credentials, here("mine.creds"));
        assert_eq!(settings(&[]).servers, ["nats://127.0.0.1:4222"]);
    }
}

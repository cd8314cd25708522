//! Where the quickstart keeps what it keeps, and the stand-ins that the configuration there names.
//!
//! ```text
//! DIR/emote/   the configuration that `emote init` wrote, with the broker's data below data/
//! DIR/agent/   the agent's spool and socket
//! DIR/logs/    what the programs said, of the last run
//! DIR/lock     keeps two quickstarts off one folder
//! ```
//! The story locks Macs. So it is played only where every MDM and the Slack of the configuration are on this machine.

use std::{
    fs::{File, TryLockError},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail, ensure};

use super::{
    Options,
    programs::{Program, Programs, output},
    tell::{tell, wait_for},
};
use crate::{
    scenario::Secrets,
    standins::{NanoMdm, Slack, StandIn, Vendor},
};

/// Where any free port of loopback is taken.
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// How long a broker of the run before may take to end.
const LEFT_OVER: Duration = Duration::from_secs(20);

/// Each run of the story locks two Macs, and there may be many runs in an hour.
const WIDE_BUDGET: &str = "# The quickstart may lock its Macs again and again.\nguard: {limit: 1000}\n";

/// The folder, chosen or temporary.
pub(super) struct Place {
    dir: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Place {
    /// What the options say; a temporary one for `--once`, else one in the user's state folder.
    pub(super) fn choose(options: &Options) -> anyhow::Result<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let (dir, temporary) = match &options.dir {
            Some(dir) => (dir.clone(), None),
            None if options.once => {
                let temporary = tempfile::Builder::new().prefix("emote-quickstart-").tempdir();
                let temporary = temporary.context("a temporary folder; or name one with --dir")?;
                (temporary.path().to_owned(), Some(temporary))
            }
            None => {
                let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
                let state = state.context("HOME is not set: name a folder with --dir")?;
                (state.join("emote/quickstart"), None)
            }
        };
        let dir = std::path::absolute(&dir).with_context(|| format!("--dir {}", dir.display()))?;
        private_folder(&dir)?;
        Ok(Self { dir, temporary })
    }

    /// The folder itself.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether any program said anything.
    pub(super) fn has_logs(&self) -> bool {
        std::fs::read_dir(logs(&self.dir)).is_ok_and(|mut files| files.next().is_some())
    }

    /// Keeps the folder, even if it is temporary, and says where the programs' output is.
    pub(super) fn keep(self) -> String {
        if let Some(temporary) = self.temporary {
            // The path is the same as before.
            drop(temporary.keep());
        }
        logs(&self.dir).display().to_string()
    }

    /// Removes the folder if it is temporary.
    pub(super) fn leave(self) {
        let Some(temporary) = self.temporary else { return };
        if let Err(error) = temporary.close() {
            tell(&format!("the temporary folder {} could not be removed: {error}", self.dir.display()));
        }
    }
}

/// The folder made ready, and the stand-ins running.
pub(super) struct Stage {
    /// The configuration folder.
    pub(super) config: PathBuf,
    /// The agent's state folder.
    pub(super) agent: PathBuf,
    /// Where the programs' output goes.
    pub(super) logs: PathBuf,
    /// What webhooks are signed with.
    pub(super) secrets: Secrets,
    /// In NanoMDM's place.
    pub(super) mdm: StandIn,
    /// In Slack's place.
    pub(super) slack: StandIn,
    _lock: File,
}

impl Stage {
    /// Writes the configuration where there is none yet, and starts the stand-ins where it says.
    pub(super) async fn set(programs: &Programs, dir: &Path) -> anyhow::Result<Self> {
        let lock = lock(&dir.join("lock"), "quickstart")?.with_context(|| {
            format!("another quickstart runs on {}: stop it, or name another folder with --dir", dir.display())
        })?;
        let config = dir.join("emote");
        private_folder(&logs(dir))?;
        if config.join("emote.yaml").exists() {
            tell(&format!("Configuration: {} (from an earlier run)", config.display()));
        } else {
            init(programs, dir, &config).await?;
            tell(&format!("Configuration: {} (written by emote init)", config.display()));
        }
        let secrets = Secrets::read(&config)?;
        let api_key = secrets.nanomdm_api_key.clone();
        let mdm = stand_in(NanoMdm { api_key }, mdm_address(&config)?).await.context("the MDM's stand-in")?;
        let slack = stand_in(Slack, slack_address(&config)?).await.context("Slack's stand-in")?;
        point_to(&config, &mdm, &slack)?;
        tell(&format!("Stand-ins: NanoMDM at {}, Slack at {}", mdm.url(), slack.url()));
        let stage = Self { logs: logs(dir), agent: dir.join("agent"), config, secrets, mdm, slack, _lock: lock };
        stage.wait_for_left_over().await?;
        Ok(stage)
    }

    /// The log target's file.
    pub(super) fn event_log(&self) -> PathBuf {
        self.config.join("data/events.jsonl")
    }

    /// A broker whose quickstart was killed ends by itself, a moment later.
    async fn wait_for_left_over(&self) -> anyhow::Result<()> {
        let data = self.config.join("data/lock");
        if !data.exists() {
            return Ok(());
        }
        let what = format!("an `emote dev` that runs on {} already; stop it", self.config.display());
        wait_for(&what, LEFT_OVER, async || Ok(lock(&data, "emote dev")?.map(drop))).await
    }
}

fn logs(dir: &Path) -> PathBuf {
    dir.join("logs")
}

/// `emote init`, as a whole or not at all.
async fn init(programs: &Programs, dir: &Path, config: &Path) -> anyhow::Result<()> {
    let fresh = tempfile::Builder::new().prefix(".init-").tempdir_in(dir).context("a folder for emote init")?;
    let written = fresh.path().join("emote");
    let mut command = programs.command(Program::Emote);
    output(command.arg("init").arg(&written), "emote init").await?;
    let path = written.join("targets/mdm-lock.yaml");
    let text = read(&path)?;
    write(&path, &text, &format!("{text}{WIDE_BUDGET}"), 0o644)?;
    std::fs::rename(&written, config).with_context(|| {
        format!("{} is there, but is no configuration folder: move it away, or name another --dir", config.display())
    })
}

/// At `wanted`, where an earlier run had it; where that is taken, anywhere.
async fn stand_in(vendor: impl Vendor + Clone, wanted: SocketAddr) -> std::io::Result<StandIn> {
    match StandIn::start_at(wanted, vendor.clone()).await {
        Ok(stand_in) => Ok(stand_in),
        Err(_) => StandIn::start_at(ANYWHERE, vendor).await,
    }
}

/// All targets that send commands to an MDM, by their files.
fn mdm_files(config: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let folder = config.join("targets");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = read(&path)?;
            if text.lines().any(is_of_kind_mdm) {
                found.push((path, text));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// However it is written: what is taken for one and is none stops the quickstart, what is overlooked locks a Mac.
fn is_of_kind_mdm(line: &str) -> bool {
    !line.starts_with('#') && line.contains("kind") && line.contains("mdm")
}

fn slack_file(config: &Path) -> PathBuf {
    config.join("secrets/slack-webhook")
}

/// Where an earlier run had the MDM. None of the targets may name one elsewhere.
fn mdm_address(config: &Path) -> anyhow::Result<SocketAddr> {
    let mut address = ANYWHERE;
    for (path, text) in mdm_files(config)? {
        let url = text.lines().find_map(url_line).with_context(|| format!("{}: no url", path.display()))?;
        address = on_this_machine(url).with_context(|| refusal(&path, "it locks Macs"))?;
    }
    Ok(address)
}

fn slack_address(config: &Path) -> anyhow::Result<SocketAddr> {
    let url = read(&slack_file(config))?;
    on_this_machine(url.trim()).with_context(|| refusal(&slack_file(config), "it posts messages"))
}

fn refusal(path: &Path, does: &str) -> String {
    format!(
        "{} names an address that is not on this machine. The quickstart plays only on its own stand-ins, since {does}: \
         name another folder with --dir",
        path.display()
    )
}

fn url_line(line: &str) -> Option<&str> {
    line.strip_prefix("url:").map(str::trim)
}

/// The address of `http://127.0.0.1:PORT/…`. The ports that `emote init` writes belong to nobody yet.
fn on_this_machine(url: &str) -> Option<SocketAddr> {
    let host = url.strip_prefix("http://")?.split('/').next()?;
    let address: SocketAddr = host.parse().ok()?;
    let from_init = matches!(address.port(), 9000 | 9001);
    address.ip().is_loopback().then_some(if from_init { ANYWHERE } else { address })
}

/// Writes the stand-ins' addresses into the configuration, where they are not there yet.
fn point_to(config: &Path, mdm: &StandIn, slack: &StandIn) -> anyhow::Result<()> {
    let line = format!("url: {}", mdm.url());
    for (path, text) in mdm_files(config)? {
        let lines = text.lines().map(|old| if url_line(old).is_some() { line.as_str() } else { old });
        write(&path, &text, &(lines.collect::<Vec<_>>().join("\n") + "\n"), 0o644)?;
    }
    let path = slack_file(config);
    write(&path, &read(&path)?, &format!("{}/services/T00000000/B00000000/stand-in", slack.url()), 0o600)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn write(path: &Path, old: &str, new: &str, mode: u32) -> anyhow::Result<()> {
    use std::io::Write;
    if old == new {
        return Ok(());
    }
    let file = File::options().write(true).create(true).truncate(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(new.as_bytes())).with_context(|| format!("writing {}", path.display()))
}

/// The lock, unless somebody else has it.
fn lock(path: &Path, whose: &str) -> anyhow::Result<Option<File>> {
    let file = File::options().write(true).create(true).truncate(false).open(path);
    let file = file.with_context(|| format!("{}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => bail!("the lock of {whose} at {}: {error}", path.display()),
    }
}

/// Makes a folder that others cannot write to.
fn private_folder(path: &Path) -> anyhow::Result<()> {
    let doing = || format!("the folder {}", path.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(doing)?;
    let mode = std::fs::metadata(path).with_context(doing)?.permissions().mode();
    ensure!(mode & 0o022 == 0, "others may write to {}: chmod go-w it, or name another --dir", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_played_where_any_target_sends_commands_elsewhere() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("targets")).unwrap();
        let target = |name: &str, text: &str| std::fs::write(temp.path().join("targets").join(name), text).unwrap();
        target("slack.yaml", "kind: slack\n");
        target("mdm.yaml", "kind: mdm\nurl: http://127.0.0.1:41234\n");
        target("mdm-lock.yaml", "kind: mdm\nurl: http://127.0.0.1:41234\n");
        assert_eq!(mdm_address(temp.path()).unwrap(), "127.0.0.1:41234".parse().unwrap());
        for (text, said) in [
            ("kind: mdm\nurl: https://mdm.example.com\n", "mdm-lock.yaml names an address that is not on this machine"),
            ("kind: 'mdm' # ours\nurl: https://mdm.example.com\n", "mdm-lock.yaml names an address"),
            ("{kind: mdm, url: https://mdm.example.com}\n", "mdm-lock.yaml: no url"),
        ] {
            target("mdm-lock.yaml", text);
            let told = mdm_address(temp.path()).unwrap_err().to_string();
            assert!(told.contains(said), "{text}: {told}");
        }
    }

    #[test]
    fn only_addresses_on_this_machine_are_played_on() {
        for (url, address) in [
            ("http://127.0.0.1:41234", Some("127.0.0.1:41234")),
            ("http://127.0.0.1:41234/services/x", Some("127.0.0.1:41234")),
            ("http://127.0.0.1:9000", Some("127.0.0.1:0")),
            ("https://mdm.example.com", None),
            ("http://192.0.2.7:9000", None),
            ("http://127.0.0.1.example.com:80", None),
            ("http://127.0.0.1:80@example.com", None),
            ("${env:MDM_URL}", None),
        ] {
            assert_eq!(on_this_machine(url), address.map(|address| address.parse().unwrap()), "{url}");
        }
    }
}

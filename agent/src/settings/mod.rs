//! Settings: defaults, under a TOML file, under managed preferences, under the environment, under flags.
//!
//! Each key is in [`keys`], once. What an administrator manages goes over the file on the machine; environment and flags
//! go over both, as only who starts the program can set them: they are for development. What is wrong in file or managed
//! preferences is never fatal: the key counts as not said there, and a [`Problem`] tells of it.

mod applied;
mod effective;
mod follow;
mod identity;
pub mod keys;
mod layer;
mod places;
mod problem;
pub mod profile;
mod proxy;
mod server;
pub mod template;
mod tree;
mod units;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::ServerAddr;

pub(crate) use applied::{Applied, SNAPSHOT};
pub use effective::{Effective, Row, Values, evaluate};
pub use follow::Follow;
pub use layer::Layer;
pub use places::{DEFAULT_FILE, Loaded, MANAGED_FILE, Places, check};
pub(crate) use problem::cut;
pub use problem::{Origin, Problem};
pub use proxy::{HttpProxy, Login, Proxy};
pub use server::name as server_name;
pub use tree::{DOMAIN, Tree};
pub use units::{parse_bytes, parse_duration};
pub use value::{Kind, Secret, Value};

use crate::gather::Gather;
use crate::platform::System;
use crate::sources::{self, Timing};
use emote_proto::Serial;
use emote_proto::enroll::EnrollmentToken;

/// Where the agent keeps its state when nothing else is said.
#[cfg(target_os = "macos")]
pub const DEFAULT_STATE_DIR: &str = "/var/db/io.emote.agent";
/// Where the agent keeps its state when nothing else is said.
#[cfg(not(target_os = "macos"))]
pub const DEFAULT_STATE_DIR: &str = "/var/lib/emote-agent";
/// The socket's name in the state folder.
pub const SOCKET_NAME: &str = "agent.sock";

/// Everything `run` needs, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// NATS servers, any of which will do. None: events wait.
    pub servers: Vec<ServerAddr>,
    /// Instead of the machine's own serial number.
    pub serial: Option<Serial>,
    /// Where spool and socket live.
    pub state_dir: PathBuf,
    /// Where `emit` and `status` are answered.
    pub socket: PathBuf,
    /// Between two `agent.heartbeat`.
    pub heartbeat: Duration,
    /// Most bytes the spool holds.
    pub quota: u64,
    /// Plain connections may leave this machine.
    pub insecure: bool,
    /// The only roots trusted, PEM: those in this file,
    pub ca: Option<PathBuf>,
    /// and these.
    pub ca_certificates: Option<String>,
    /// A file with a certificate, PEM, to show to the server.
    pub certificate: Option<PathBuf>,
    /// A file with its key, PEM; without it, that is in the certificate's file.
    pub key: Option<PathBuf>,
    /// A file with the token to connect with.
    pub token_file: Option<PathBuf>,
    /// A file with the NATS credentials (JWT and seed) to connect with.
    pub credentials: Option<PathBuf>,
    /// What lets this machine ask for a credential of its own.
    pub enrollment_token: Option<EnrollmentToken>,
    /// A file with that.
    pub enrollment_token_file: Option<PathBuf>,
    /// How connections to `wss://` servers leave the machine.
    pub proxy: Proxy,
    /// How often each enabled source looks.
    pub sources: BTreeMap<&'static str, Timing>,
    /// What is looked for in the unified log.
    pub unified_log: Vec<UnifiedLog>,
    /// The TOML file that is read, if it is there.
    pub file: PathBuf,
}

/// `[unified_log.NAME]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnifiedLog {
    /// In events.
    pub name: String,
    /// What `log stream --predicate` takes.
    pub predicate: String,
    /// Events a minute at most.
    pub rate: u32,
}

impl Settings {
    /// From values that were checked.
    pub fn of(values: &Values) -> Self {
        let state_dir = values.path("state_dir").unwrap_or_else(|| DEFAULT_STATE_DIR.into());
        Self {
            servers: values.texts("server").iter().filter_map(|text| text.parse().ok()).collect(),
            serial: values.text("serial").and_then(|text| text.parse().ok()),
            socket: values.path("socket").unwrap_or_else(|| state_dir.join(SOCKET_NAME)),
            state_dir,
            heartbeat: values.duration("heartbeat"),
            quota: values.size("quota"),
            insecure: values.flag("insecure"),
            ca: values.path("ca"),
            ca_certificates: values.text("ca_certificates").map(str::to_owned),
            certificate: values.path("certificate"),
            key: values.path("key"),
            token_file: values.path("token_file"),
            credentials: values.path("credentials"),
            enrollment_token: values.secret("enrollment_token").and_then(|text| text.parse().ok()),
            enrollment_token_file: values.path("enrollment_token_file"),
            proxy: values.text("proxy").and_then(|text| text.parse().ok()).unwrap_or_default(),
            sources: sources::names().into_iter().filter_map(|name| Some((name, timing(values, name)?))).gather(),
            unified_log: values.unified_log().into_iter().filter_map(|name| unified_log(values, name)).collect(),
            file: DEFAULT_FILE.into(),
        }
    }

    /// The servers' addresses without passwords, as one text.
    pub fn server_names(&self) -> String {
        self.servers.iter().map(server_name).collect::<Vec<_>>().join(",")
    }

    /// Whether they say as whom to connect: then no credential of this machine's own is used or asked for.
    pub fn say_who(&self) -> bool {
        let said = [&self.credentials, &self.token_file, &self.certificate].into_iter().any(Option::is_some);
        said || self.servers.iter().any(|server| server.username().is_some())
    }

    /// Where an administrator sets what is missing: Macs are managed, other machines have their file.
    pub(crate) fn place_to_set(&self) -> String {
        match System::HERE {
            System::Mac => format!("the profile that the MDM installs ({DOMAIN})"),
            _ => self.file.display().to_string(),
        }
    }

    /// What cannot change while it is in use.
    pub(crate) fn place(&self) -> (&Path, &Path, Option<&Serial>, u64) {
        (&self.state_dir, &self.socket, self.serial.as_ref(), self.quota)
    }

    /// Whether a connection must be encrypted: as soon as one server is not on this machine.
    pub fn needs_tls(&self) -> bool {
        !self.insecure && !self.servers.iter().all(|server| server::is_loopback(server.host()))
    }

    /// Whether connections leave this machine in the clear.
    pub fn is_exposed(&self) -> bool {
        self.insecure && self.servers.iter().any(server::is_exposed)
    }

    /// Of a file in which nothing is wrong.
    #[cfg(test)]
    pub(crate) fn of_toml(text: &str) -> Self {
        let (values, problems) = evaluate(&[Layer::new(Origin::File, Tree::from_toml(text).unwrap())]);
        assert_eq!(problems, []);
        Self::of(&values)
    }
}

/// `None` when it is not said what is looked for.
fn unified_log(values: &Values, name: &str) -> Option<UnifiedLog> {
    let key = |sub: &str| format!("{}.{name}.{sub}", keys::UNIFIED_LOG);
    let predicate = values.text(&key("predicate"))?.to_owned();
    Some(UnifiedLog { name: name.to_owned(), predicate, rate: values.count(&key("rate")) })
}

/// `None` when the source shall not look.
fn timing(values: &Values, name: &str) -> Option<Timing> {
    let key = |sub: &str| format!("sources.{name}.{sub}");
    let timing = Timing { interval: values.duration(&key("interval")), debounce: values.duration(&key("debounce")) };
    values.flag(&key("enabled")).then_some(timing)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a layer of flags over a file, both right.
    fn settings(flags: &str, file: &str) -> Settings {
        let layer = |origin, text| Layer::new(origin, Tree::from_toml(text).unwrap());
        let (values, problems) = evaluate(&[layer(Origin::Flag, flags), layer(Origin::File, file)]);
        assert_eq!(problems, []);
        Settings::of(&values)
    }

    #[test]
    fn the_smallest_file_is_a_server() {
        let settings = settings("", "server = 'tls://nats.example.com'");
        assert_eq!(settings.server_names(), "tls://nats.example.com:4222");
        assert!(settings.needs_tls() && !settings.is_exposed());
        assert_eq!(settings.socket, PathBuf::from(DEFAULT_STATE_DIR).join(SOCKET_NAME));
        assert_eq!(settings.sources.len(), sources::names().len());
        assert_eq!(settings.heartbeat, Duration::from_secs(300));
    }

    #[test]
    fn every_key_is_taken_and_flags_go_before_the_file() {
        let file = "
            server = ['nats://127.0.0.1:4222', 'nats://localhost']
            serial = 'C02'
            state_dir = '/x'
            heartbeat = '1m 30s'
            poll = '10s'
            quota = '2MiB'
            proxy = 'system'
            [sources.disk]
            enabled = false
            [sources.network]
            interval = '5s'
            debounce = '100ms'
            [unified_log.sudo]
            predicate = 'process == \"sudo\"'
        ";
        let settings = settings("serial = 'C03'", file);
        assert_eq!(settings.serial.as_ref().map(Serial::as_str), Some("C03"));
        assert_eq!((settings.heartbeat.as_secs(), settings.quota), (90, 2 << 20));
        assert_eq!(settings.socket, PathBuf::from("/x/agent.sock"));
        assert_eq!((&settings.proxy, settings.sources.get("disk")), (&Proxy::System, None));
        let timing = |interval, debounce| Timing {
            interval: Duration::from_secs(interval),
            debounce: Duration::from_millis(debounce),
        };
        assert_eq!(settings.sources["network"], timing(5, 100));
        assert_eq!(settings.sources["boot"], timing(10, 2_000));
        assert!(!settings.needs_tls());
        let sudo = UnifiedLog { name: "sudo".into(), predicate: "process == \"sudo\"".into(), rate: 60 };
        assert_eq!(settings.unified_log, [sudo]);
    }

    /// All that is wrong with a file, as one text.
    fn problems(toml: &str) -> String {
        let (_, problems) = evaluate(&[Layer::new(Origin::File, Tree::from_toml(toml).unwrap())]);
        problems.iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let told = problems(
            "server = 'nats://nats.example.com'
            serial = 'a.b'
            heartbeat = 'soon'
            poll = '1ms'
            quota = '1KiB'
            [sources.disc]
            enabled = true
            [unified_log.sudo]
            rate = 0",
        );
        for said in [
            "not encrypted",
            "serial: \"a.b\"",
            "heartbeat",
            "poll: \"1ms\" is too short",
            "quota",
            "sources.disc: there is no such source; expected one of boot, ",
            "unified_log.sudo.predicate",
            "unified_log.sudo.rate",
        ] {
            assert!(told.contains(said), "{said} in\n{told}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        for (toml, said) in [
            ("server = ['wss://a', 'tls://b']", "cannot be mixed"),
            ("server = 'tls://a'\nproxy = 'http://p:3128'", "only wss://"),
            ("server = 'wss://a'\nproxy = 'p:3128'", "proxy: expected none, system, "),
            ("server = 'wss://a'\ntoken_file = '/dev/null'\ncredentials = '/dev/null'", "one of them"),
        ] {
            assert!(problems(toml).contains(said), "{toml}: {}", problems(toml));
        }
    }

    #[test]
    fn a_wrong_key_is_told_with_its_place() {
        let told = problems("server = 'tls://a'\nhartbeat = '5m'\n");
        assert!(told.contains("hartbeat: ") && told.contains("line 2, column 1"), "{told}");
        let told = problems("[sources.disk]\ninterval = 5");
        assert!(told.contains("line 2, column 1"), "{told}");
    }

    #[test]
    fn plain_connections_off_this_machine_must_be_asked_for() {
        let settings = settings("", "server = 'nats://nats.example.com'\ninsecure = true");
        assert!(settings.is_exposed() && !settings.needs_tls());
        assert!(problems("server = 'ws://nats.example.com'").contains("not encrypted"));
        assert!(!Settings::of_toml("server = 'wss://nats.example.com/nats'\ninsecure = true").is_exposed());
    }
}

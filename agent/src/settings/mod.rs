//! Settings: defaults, under a TOML file, under the environment, under flags. [`Raw`] is what was written,
//! [`Settings`] what was checked; all problems are told at once.

mod proxy;
mod raw;
mod units;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;

pub use proxy::{HttpProxy, Login, Proxy};
pub use raw::{Raw, SourceRaw, UnifiedLogRaw};
pub use units::{parse_bytes, parse_duration};

use crate::serial::Serial;
use crate::sources::{self, Timing};

/// Where the agent keeps its state when nothing else is said.
#[cfg(target_os = "macos")]
pub const DEFAULT_STATE_DIR: &str = "/var/db/io.emote.agent";
/// Where the agent keeps its state when nothing else is said.
#[cfg(not(target_os = "macos"))]
pub const DEFAULT_STATE_DIR: &str = "/var/lib/emote-agent";
/// The socket's name in the state folder.
pub const SOCKET_NAME: &str = "agent.sock";

const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(300);
const DEFAULT_QUOTA: u64 = 64 << 20;
const SMALLEST_QUOTA: u64 = 1 << 20;
const SHORTEST: Duration = Duration::from_secs(1);
const DEFAULT_RATE: u32 = 60;
const HIGHEST_RATE: u32 = 6_000;
const LONGEST_PREDICATE: usize = 4_096;
const LONGEST_NAME: usize = 64;
const MOST_PREDICATES: usize = 8;

/// Everything `run` needs, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// NATS servers, any of which will do.
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
    /// The only roots trusted, PEM.
    pub ca: Option<PathBuf>,
    /// A file with the token to connect with.
    pub token_file: Option<PathBuf>,
    /// A file with the NATS credentials (JWT and seed) to connect with.
    pub credentials: Option<PathBuf>,
    /// How connections to `wss://` servers leave the machine.
    pub proxy: Proxy,
    /// How often each enabled source looks.
    pub sources: BTreeMap<&'static str, Timing>,
    /// What is looked for in the unified log.
    pub unified_log: Vec<UnifiedLog>,
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

/// What is wrong, each with the key to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(pub Vec<String>);

impl Settings {
    /// Checks what was written.
    pub fn check(mut raw: Raw) -> Result<Self, SettingsError> {
        let mut problems = Vec::new();
        let insecure = raw.insecure.unwrap_or(false);
        let servers = servers(&raw.server.clone().unwrap_or_default(), insecure, &mut problems);
        let serial = raw.serial.as_deref().and_then(|text| note("serial", text.parse(), &mut problems));
        let poll = raw.poll.as_deref().map(|poll| duration("poll", Some(poll), SHORTEST, &mut problems));
        let heartbeat = duration("heartbeat", raw.heartbeat.as_deref(), DEFAULT_HEARTBEAT, &mut problems);
        let quota = raw.quota.as_deref().and_then(|text| note("quota", parse_bytes(text), &mut problems));
        let quota = quota.unwrap_or(DEFAULT_QUOTA);
        if quota < SMALLEST_QUOTA {
            problems.push("quota: at least 1MiB".into());
        }
        for (key, path) in [("ca", &raw.ca), ("token_file", &raw.token_file), ("credentials", &raw.credentials)] {
            if let Some(Err(error)) = path.as_ref().map(std::fs::metadata) {
                problems
                    .push(format!("{key}: {}: {error}", path.as_deref().unwrap_or(std::path::Path::new("")).display()));
            }
        }
        if raw.token_file.is_some() && raw.credentials.is_some() {
            problems.push("credentials: there is a token_file too; one of them is enough".into());
        }
        let proxy = raw.proxy.as_deref().and_then(|text| note("proxy", text.parse(), &mut problems));
        let proxy = proxy.unwrap_or_default();
        if matches!(proxy, Proxy::Http(_)) && servers.iter().any(|server| server.scheme() != "wss") {
            problems.push("proxy: only wss:// servers are reached through a proxy".into());
        }
        let sources = timings(&raw.sources, poll, &mut problems);
        let unified_log = unified_log(std::mem::take(&mut raw.unified_log), &mut problems);
        if !problems.is_empty() {
            return Err(SettingsError(problems));
        }
        let socket = raw.socket_path();
        let state_dir = raw.state_dir.clone().unwrap_or_else(|| DEFAULT_STATE_DIR.into());
        let Raw { ca, token_file, credentials, .. } = raw;
        Ok(Self {
            servers,
            serial,
            state_dir,
            socket,
            heartbeat,
            quota,
            insecure,
            ca,
            token_file,
            credentials,
            proxy,
            sources,
            unified_log,
        })
    }

    /// The servers' addresses without passwords, as one text.
    pub fn server_names(&self) -> String {
        self.servers.iter().map(server_name).collect::<Vec<_>>().join(",")
    }

    /// Whether a connection must be encrypted: as soon as one server is not on this machine.
    pub fn needs_tls(&self) -> bool {
        !self.insecure && !self.servers.iter().all(|server| is_loopback(server.host()))
    }

    /// Whether connections leave this machine in the clear.
    pub fn is_exposed(&self) -> bool {
        let plain = |server: &ServerAddr| is_plain(server) && !is_loopback(server.host());
        self.insecure && self.servers.iter().any(plain)
    }
}

/// An address without password.
pub fn server_name(server: &ServerAddr) -> String {
    format!("{}://{}:{}", server.scheme(), server.host(), server.port())
}

fn servers(texts: &[String], insecure: bool, problems: &mut Vec<String>) -> Vec<ServerAddr> {
    let texts: Vec<&str> =
        texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|t| !t.is_empty()).collect();
    if texts.is_empty() {
        problems.push("server: say where NATS is, such as --server tls://nats.example.com".into());
    }
    let mut servers = Vec::new();
    for text in texts {
        match text.parse::<ServerAddr>() {
            Err(error) => {
                problems.push(format!("server: {text:?}: expected tls://, wss://, nats:// or ws:// ({error})"));
            }
            Ok(server) if is_plain(&server) && !insecure && !is_loopback(server.host()) => {
                problems.push(format!(
                    "server: {text:?} is not encrypted: use tls:// or wss://, or --insecure where the network itself is trusted"
                ));
            }
            Ok(server) => servers.push(server),
        }
    }
    if servers.iter().any(ServerAddr::is_websocket) && !servers.iter().all(ServerAddr::is_websocket) {
        problems.push("server: wss:// and ws:// cannot be mixed with tls:// and nats://".into());
    }
    servers
}

fn is_plain(server: &ServerAddr) -> bool {
    !["tls", "wss"].contains(&server.scheme())
}

fn is_loopback(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

fn timings(
    raw: &BTreeMap<String, SourceRaw>,
    poll: Option<Duration>,
    problems: &mut Vec<String>,
) -> BTreeMap<&'static str, Timing> {
    let names = sources::names();
    for unknown in raw.keys().filter(|name| !names.contains(&name.as_str())) {
        problems.push(format!("sources.{unknown}: no such source; expected one of {}", names.join(", ")));
    }
    let mut timings = BTreeMap::new();
    for source in sources::ALL {
        let name = source.name();
        let written = raw.get(name).cloned().unwrap_or_default();
        let usual = poll.unwrap_or(source.timing().interval);
        let interval = duration(&format!("sources.{name}.interval"), written.interval.as_deref(), usual, problems);
        let debounce = written.debounce.as_deref();
        let debounce =
            debounce.and_then(|text| note(&format!("sources.{name}.debounce"), parse_duration(text), problems));
        if written.enabled.unwrap_or(true) {
            timings.insert(name, Timing { interval, debounce: debounce.unwrap_or(source.timing().debounce) });
        }
    }
    timings
}

fn unified_log(raw: BTreeMap<String, UnifiedLogRaw>, problems: &mut Vec<String>) -> Vec<UnifiedLog> {
    if raw.len() > MOST_PREDICATES {
        problems.push(format!("unified_log: at most {MOST_PREDICATES}, each is a process of its own"));
    }
    let checked = raw.into_iter().map(|(name, UnifiedLogRaw { predicate, rate })| {
        let rate = rate.unwrap_or(DEFAULT_RATE);
        if name.len() > LONGEST_NAME {
            problems.push(format!("unified_log.{name}: a name of at most {LONGEST_NAME} bytes"));
        }
        if predicate.trim().is_empty() || predicate.contains('\0') || predicate.len() > LONGEST_PREDICATE {
            problems.push(format!("unified_log.{name}.predicate: write one of at most {LONGEST_PREDICATE} bytes"));
        }
        if !(1..=HIGHEST_RATE).contains(&rate) {
            problems.push(format!("unified_log.{name}.rate: from 1 to {HIGHEST_RATE} a minute"));
        }
        UnifiedLog { name, predicate, rate }
    });
    checked.collect()
}

fn duration(key: &str, text: Option<&str>, default: Duration, problems: &mut Vec<String>) -> Duration {
    let Some(duration) = text.and_then(|text| note(key, parse_duration(text), problems)) else { return default };
    if duration < SHORTEST {
        problems.push(format!("{key}: at least 1s"));
    }
    duration
}

fn note<T, E: std::fmt::Display>(key: &str, result: Result<T, E>, problems: &mut Vec<String>) -> Option<T> {
    result.map_err(|error| problems.push(format!("{key}: {error}"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(toml: &str) -> Result<Settings, SettingsError> {
        Settings::check(Raw::from_toml(toml).unwrap())
    }

    #[test]
    fn the_smallest_file_is_a_server() {
        let settings = check("server = 'tls://nats.example.com'").unwrap();
        assert_eq!(settings.server_names(), "tls://nats.example.com:4222");
        assert!(settings.needs_tls() && !settings.is_exposed());
        assert_eq!(settings.socket, PathBuf::from(DEFAULT_STATE_DIR).join(SOCKET_NAME));
        assert_eq!(settings.sources.len(), sources::names().len());
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
        let flags = Raw { serial: Some("C03".into()), ..Raw::default() };
        let settings = Settings::check(flags.over(Raw::from_toml(file).unwrap())).unwrap();
        assert_eq!(settings.serial.as_ref().map(Serial::as_str), Some("C03"));
        assert_eq!((settings.heartbeat.as_secs(), settings.quota), (90, 2 << 20));
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

    #[test]
    fn all_problems_are_told_at_once() {
        let error = check(
            "server = 'nats://nats.example.com,ftp://x'
            serial = 'a.b'
            heartbeat = 'soon'
            poll = '1ms'
            quota = '1KiB'
            ca = '/nowhere.pem'
            [sources.disc]
            enabled = true
            [unified_log.sudo]
            rate = 0",
        )
        .unwrap_err()
        .to_string();
        for said in [
            "not encrypted",
            "ftp",
            "serial: \"a.b\"",
            "heartbeat",
            "poll: at least",
            "quota",
            "/nowhere.pem",
            "sources.disc: no such source; expected one of boot, ",
            "unified_log.sudo.predicate",
            "unified_log.sudo.rate",
        ] {
            assert!(error.contains(said), "{said} in\n{error}");
        }
    }

    #[test]
    fn plain_connections_off_this_machine_must_be_asked_for() {
        let settings = check("server = 'nats://nats.example.com'\ninsecure = true").unwrap();
        assert!(settings.is_exposed() && !settings.needs_tls());
        assert!(check("server = 'ws://nats.example.com'").unwrap_err().to_string().contains("not encrypted"));
        assert!(!check("server = 'wss://nats.example.com/nats'\ninsecure = true").unwrap().is_exposed());
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        for (toml, said) in [
            ("server = ['wss://a', 'tls://b']", "cannot be mixed"),
            ("server = 'tls://a'\nproxy = 'http://p:3128'", "only wss://"),
            ("server = 'wss://a'\nproxy = 'p:3128'", "proxy: expected none, system, "),
            ("server = 'wss://a'\ntoken_file = '/dev/null'\ncredentials = '/dev/null'", "one of them"),
        ] {
            let error = check(toml).unwrap_err().to_string();
            assert!(error.contains(said), "{toml}: {error}");
        }
    }
}

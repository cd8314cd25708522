//! Every key of the settings, once. From here come the flags and variables of `run`, the templates, the manifest for
//! profile editors and the table of the documentation; a new key is one line here and one in [`super::Settings`]. Only the
//! keys of `unified_log.NAME` are known by what the layers say ([`of_unified_log`]).
//!
//! The name is the key of the file and of managed preferences; `--state-dir` and `EMOTE_AGENT_STATE_DIR` are made from it.

use std::borrow::Cow;
use std::time::Duration;

use super::DEFAULT_STATE_DIR;
use super::identity;
use super::proxy::Proxy;
use super::server;
use super::value::{Kind, Value};
use crate::sources;
use emote_proto::Serial;

/// One key.
#[derive(Debug, Clone)]
pub struct Key {
    /// With dots, such as `sources.disk.interval`.
    pub name: Cow<'static, str>,
    /// What may be written.
    pub kind: Kind,
    /// What is used when nothing is written.
    pub default: Fallback,
    /// One sentence, without a full stop.
    pub about: Cow<'static, str>,
    /// As one would write it after the flag.
    pub example: Cow<'static, str>,
    /// Its value may hold a secret or lead to one: it is in no event.
    pub secret: bool,
    check: Check,
}

/// What is used when nothing is written.
#[derive(Debug, Clone)]
pub enum Fallback {
    /// This, as one would write it.
    Is(Cow<'static, str>),
    /// Nothing, which means this.
    Means(&'static str),
}

/// What a value is checked against beside its kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context {
    /// Plain connections may leave this machine.
    pub insecure: bool,
    /// Some server is not one that a proxy leads to.
    pub past_proxies: bool,
}

type Check = fn(&Value, Context) -> Result<(), String>;

use Fallback::{Is, Means};

const SECOND: Duration = Duration::from_secs(1);

static KEYS: &[Key] = &[
    key(
        "server",
        Kind::Texts,
        Means("none, so events wait"),
        "NATS servers, tls:// or wss://, or on this machine nats://; any of them will do",
        "tls://nats.example.com",
    )
    .secret()
    .checked(server::check),
    key("serial", Kind::Text, Means("the machine's own"), "Serial number to speak under", "C02XL0GTJGH5")
        .checked(serial),
    key(
        "state_dir",
        Kind::Path,
        Is(Cow::Borrowed(DEFAULT_STATE_DIR)),
        "Folder of spool and socket",
        "/var/db/io.emote.agent",
    ),
    key(
        "socket",
        Kind::Path,
        Means(SOCKET_MEANS),
        "The local socket, for emit, status and others",
        "/var/run/emote-agent.sock",
    ),
    key("heartbeat", Kind::Duration(SECOND), Is(Cow::Borrowed("5m")), "Between two heartbeats", "1h"),
    key(
        "poll",
        Kind::Duration(SECOND),
        Means("each source its own"),
        "Between two looks of every source that has no interval of its own",
        "60s",
    ),
    key("quota", Kind::Size(1 << 20), Is(Cow::Borrowed("64MiB")), "Most that the spool may hold", "128MiB"),
    key("insecure", Kind::Flag, Is(Cow::Borrowed("false")), "Allow connections to other machines without TLS", "true"),
    key(
        "ca",
        Kind::File,
        Means("the system's"),
        "Trust these roots (PEM) and no others",
        "/Library/Application Support/Emote/ca.pem",
    ),
    key(
        "ca_certificates",
        Kind::Pem,
        Means("none"),
        "Trust these roots too, or alone: their text (PEM), for configuration profiles",
        identity::EXAMPLE_CERTIFICATE,
    )
    .checked(identity::certificates),
    key(
        "token_file",
        Kind::File,
        Means("none"),
        "File with the token to connect with",
        "/Library/Application Support/Emote/token",
    )
    .secret(),
    key(
        "credentials",
        Kind::File,
        Means("none"),
        "NATS credentials file (JWT and seed) to connect with, in place of a token",
        "/Library/Application Support/Emote/agent.creds",
    )
    .secret(),
    key(
        "certificate",
        Kind::File,
        Means("none"),
        "Certificate (PEM) to show to the server, with those between it and its root",
        "/Library/Application Support/Emote/agent.pem",
    ),
    key(
        "key",
        Kind::File,
        Means("in the certificate's file"),
        "Key of the certificate (PEM)",
        "/Library/Application Support/Emote/agent.key",
    )
    .secret(),
    key(
        "enrollment_token",
        Kind::Secret,
        Means("none"),
        "What lets this machine ask for a credential of its own; whoever reads it can ask too, so bound its use",
        identity::EXAMPLE_TOKEN,
    )
    .secret()
    .checked(identity::token),
    key(
        "enrollment_token_file",
        Kind::File,
        Means("none"),
        "File with that, in place of its text",
        "/Library/Application Support/Emote/enrollment-token",
    )
    .secret(),
    key(
        "proxy",
        Kind::Text,
        Means("system on macOS, else none"),
        "How wss:// servers are reached: none, system, http://HOST:PORT or http://USER:${file:/PATH}@HOST:PORT",
        "system",
    )
    .secret()
    .checked(proxy),
];

/// The table of what is looked for in the unified log: `unified_log.NAME`.
pub const UNIFIED_LOG: &str = "unified_log";
/// What that table is, for people.
pub const UNIFIED_LOG_ABOUT: &str =
    "Lines of macOS's unified log that become events; each name is a process of its own";
/// A name for examples.
pub const UNIFIED_LOG_EXAMPLE: &str = "sudo";
/// Names at most.
pub(super) const MOST_UNIFIED_LOG: usize = 8;
/// Bytes of a name at most.
pub(super) const LONGEST_NAME: usize = 64;
const HIGHEST_RATE: u32 = 6_000;

const SOCKET_MEANS: &str = "agent.sock in the state folder";

const fn key(name: &'static str, kind: Kind, default: Fallback, about: &'static str, example: &'static str) -> Key {
    let (name, about, example) = (Cow::Borrowed(name), Cow::Borrowed(about), Cow::Borrowed(example));
    Key { name, kind, default, about, example, secret: false, check: fine }
}

impl Key {
    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn checked(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// Reads and checks what a layer says; an error never holds the value of a secret-adjacent key.
    pub fn read(&self, written: &serde_json::Value, context: Context) -> Result<Value, String> {
        let value = self.kind.read(written);
        let value =
            value.map_err(|error| if self.secret { format!("expected {}", self.kind.words()) } else { error })?;
        (self.check)(&value, context).map(|()| value)
    }

    /// What is used when nothing is written.
    pub fn default_value(&self) -> Option<Value> {
        match &self.default {
            Is(text) => self.kind.read(&self.kind.json(text)).ok(),
            Means(_) => None,
        }
    }

    /// The default for people.
    pub fn default_text(&self) -> &str {
        match &self.default {
            Is(text) => text,
            Means(words) => words,
        }
    }

    /// The flag of `run` without dashes in front; keys of a table have none.
    pub fn flag(&self) -> Option<String> {
        (!self.name.contains('.')).then(|| self.name.replace('_', "-"))
    }

    /// The variable that goes before the files.
    pub fn variable(&self) -> String {
        format!("EMOTE_AGENT_{}", self.name.to_uppercase())
    }
}

/// The keys that are not of one source.
pub fn general() -> &'static [Key] {
    KEYS
}

/// Every key whose name is known beforehand, those of each source behind the general ones.
pub fn all() -> Vec<Key> {
    KEYS.iter().cloned().chain(sources::list().iter().flat_map(of_source)).collect()
}

fn of_source(source: &sources::About) -> [Key; 3] {
    let made = |sub: &str, kind, default: String, about: String, example: &'static str| Key {
        name: Cow::Owned(format!("sources.{}.{sub}", source.name)),
        kind,
        default: Is(Cow::Owned(default)),
        about: Cow::Owned(about),
        example: Cow::Borrowed(example),
        secret: false,
        check: fine,
    };
    let name = source.name;
    let (interval, debounce) = (text(source.timing.interval), text(source.timing.debounce));
    [
        made("enabled", Kind::Flag, "true".into(), format!("Whether the source {name} looks"), "false"),
        made("interval", Kind::Duration(SECOND), interval, format!("Between two looks of {name}"), "5m"),
        made(
            "debounce",
            Kind::Duration(Duration::ZERO),
            debounce,
            format!("From a hint to the look of {name}; more hints put it off, up to five times as long"),
            "5s",
        ),
    ]
}

/// Whether a name of the unified log's table can be one: it is part of keys, and in every event.
pub(super) fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && !name.contains('.')
}

/// What is said of one name that is looked for in the unified log.
pub fn of_unified_log(name: &str) -> [Key; 2] {
    let made = |sub: &str, kind, default, about: &'static str, example: &'static str, check: Check| Key {
        name: Cow::Owned(format!("{UNIFIED_LOG}.{name}.{sub}")),
        kind,
        default,
        about: Cow::Borrowed(about),
        example: Cow::Borrowed(example),
        secret: false,
        check,
    };
    let (rate, about) = (Kind::Count(HIGHEST_RATE), "Events a minute at most");
    [
        made(
            "predicate",
            Kind::Text,
            Means("none, and it must be said"),
            "What is looked for, in the words of the tool log's predicates",
            "process == \"sudo\"",
            predicate,
        ),
        made("rate", rate, Is(Cow::Borrowed("60")), about, "10", fine),
    ]
}

/// A duration as people write it.
fn text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let unit =
        [(3_600_000, "h"), (60_000, "m"), (1_000, "s")].into_iter().find(|(unit, _)| millis.is_multiple_of(*unit));
    let (unit, name) = unit.unwrap_or((1, "ms"));
    format!("{}{name}", millis / unit)
}

fn fine(_: &Value, _: Context) -> Result<(), String> {
    Ok(())
}

fn proxy(value: &Value, context: Context) -> Result<(), String> {
    let Value::Text(text) = value else { return Ok(()) };
    match text.parse()? {
        Proxy::Http(_) if context.past_proxies => Err("only wss:// servers are reached through a proxy".into()),
        _ => Ok(()),
    }
}

fn predicate(value: &Value, _: Context) -> Result<(), String> {
    let Value::Text(text) = value else { return Ok(()) };
    if text.trim().is_empty() || text.contains('\0') { Err("it is no predicate".into()) } else { Ok(()) }
}

fn serial(value: &Value, _: Context) -> Result<(), String> {
    let Value::Text(text) = value else { return Ok(()) };
    Serial::new(text.as_str()).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_and_every_example_is_right() {
        for key in all().into_iter().chain(of_unified_log(UNIFIED_LOG_EXAMPLE)) {
            if let Is(text) = &key.default {
                assert!(key.default_value().is_some(), "{}: {text}", key.name);
            }
            let read = key.read(&key.kind.json(&key.example), Context::default());
            assert!(read.is_ok(), "{}: {read:?}", key.name);
            assert!(!key.about.ends_with('.') && !key.about.contains("--") && !key.about.contains('|'), "{}", key.name);
        }
        assert!(SOCKET_MEANS.starts_with(crate::settings::SOCKET_NAME));
    }

    #[test]
    fn the_defaults_of_a_source_are_its_own() {
        for source in sources::list() {
            let [_, interval, debounce] = of_source(&source);
            assert_eq!(interval.default_value(), Some(Value::Duration(source.timing.interval)), "{}", source.name);
            assert_eq!(debounce.default_value(), Some(Value::Duration(source.timing.debounce)), "{}", source.name);
        }
    }
}

//! Settings as written: every key optional, nothing checked but its type.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::{DEFAULT_STATE_DIR, SOCKET_NAME, SettingsError};

/// The keys of the file, each also a flag of `run` and a variable `EMOTE_AGENT_…`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Raw {
    /// One address or several.
    #[serde(deserialize_with = "one_or_many")]
    pub server: Option<Vec<String>>,
    /// Instead of the machine's own.
    pub serial: Option<String>,
    /// Folder.
    pub state_dir: Option<PathBuf>,
    /// Path of the local socket.
    pub socket: Option<PathBuf>,
    /// Such as `5m`.
    pub heartbeat: Option<String>,
    /// Such as `60s`: for sources that the settings give no interval of their own.
    pub poll: Option<String>,
    /// Such as `64MiB`.
    pub quota: Option<String>,
    /// Plain connections may leave this machine.
    pub insecure: Option<bool>,
    /// PEM.
    pub ca: Option<PathBuf>,
    /// File.
    pub token_file: Option<PathBuf>,
    /// File.
    pub credentials: Option<PathBuf>,
    /// `none`, `system` or `http://host:port`.
    pub proxy: Option<String>,
    /// By name.
    pub sources: BTreeMap<String, SourceRaw>,
    /// By name.
    pub unified_log: BTreeMap<String, UnifiedLogRaw>,
}

/// `[sources.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceRaw {
    /// `true` unless said otherwise.
    pub enabled: Option<bool>,
    /// Such as `30s`: between two looks.
    pub interval: Option<String>,
    /// Such as `2s`: from a hint to the look.
    pub debounce: Option<String>,
}

/// `[unified_log.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnifiedLogRaw {
    /// What `log stream --predicate` takes.
    pub predicate: String,
    /// Events a minute at most; 60 unless said otherwise.
    pub rate: Option<u32>,
}

impl Raw {
    /// Reads a file's text; an error names line and column.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        toml::from_str(text).map_err(|error| SettingsError(vec![error.to_string().trim_end().to_owned()]))
    }

    /// Reads a file.
    pub fn from_file(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| SettingsError(vec![format!("{}: {error}", path.display())]))?;
        Self::from_toml(&text).map_err(|error| SettingsError(vec![format!("{}: {error}", path.display())]))
    }

    /// `self` where it says something, else `lower`.
    pub fn over(self, lower: Self) -> Self {
        let mut sources = lower.sources;
        for (name, source) in self.sources {
            let below = sources.remove(&name).unwrap_or_default();
            let merged = SourceRaw {
                enabled: source.enabled.or(below.enabled),
                interval: source.interval.or(below.interval),
                debounce: source.debounce.or(below.debounce),
            };
            sources.insert(name, merged);
        }
        let mut unified_log = lower.unified_log;
        unified_log.extend(self.unified_log);
        Self {
            server: self.server.or(lower.server),
            serial: self.serial.or(lower.serial),
            state_dir: self.state_dir.or(lower.state_dir),
            socket: self.socket.or(lower.socket),
            heartbeat: self.heartbeat.or(lower.heartbeat),
            poll: self.poll.or(lower.poll),
            quota: self.quota.or(lower.quota),
            insecure: self.insecure.or(lower.insecure),
            ca: self.ca.or(lower.ca),
            token_file: self.token_file.or(lower.token_file),
            credentials: self.credentials.or(lower.credentials),
            proxy: self.proxy.or(lower.proxy),
            sources,
            unified_log,
        }
    }

    /// Where the local socket is: all that `emit` and `status` need.
    pub fn socket_path(&self) -> PathBuf {
        let dir = || self.state_dir.clone().unwrap_or_else(|| DEFAULT_STATE_DIR.into());
        self.socket.clone().unwrap_or_else(|| dir().join(SOCKET_NAME))
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(Some(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_is_told_with_its_place() {
        let error = Raw::from_toml("server = 'tls://a'\nhartbeat = '5m'\n").unwrap_err().to_string();
        assert!(error.contains("line 2, column 1") && error.contains("unknown field `hartbeat`"), "{error}");
        let error = Raw::from_toml("[sources.disk]\ninterval = 5").unwrap_err().to_string();
        assert!(error.contains("line 2, column 12"), "{error}");
    }
}

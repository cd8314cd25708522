//! `emote.yaml`: where NATS is, what to listen on, where data goes. Every key may be left out.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Map, Value};

use super::{Problems, SecretRef, fields::Fields};
use crate::{
    bus::{BusSettings, StreamSettings},
    ingest::ListenSpec,
};

/// The content of `emote.yaml`, validated; secrets are still references.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where NATS is; `emote dev` brings its own.
    pub nats: NatsSettings,
    /// How the streams are kept.
    pub streams: StreamSettings,
    /// What the ingest listens on.
    pub ingest: ListenSpec,
    /// The data folder, relative to the configuration folder.
    pub data: PathBuf,
}

/// The `nats` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsSettings {
    /// Addresses of servers of one cluster.
    pub servers: Vec<String>,
    /// A credentials file.
    pub credentials: Option<PathBuf>,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<SecretRef>,
    /// CA of the servers' certificates, PEM.
    pub ca: Option<PathBuf>,
    /// Allow plain text off this machine.
    pub insecure: bool,
}

const HOUR: Duration = Duration::from_secs(3600);
const AGES: std::ops::RangeInclusive<Duration> = HOUR..=Duration::from_secs(3600 * 24 * 3660);

impl Default for Settings {
    fn default() -> Self {
        Self {
            nats: NatsSettings {
                servers: vec!["nats://127.0.0.1:4222".to_owned()],
                credentials: None,
                user: None,
                password: None,
                ca: None,
                insecure: false,
            },
            streams: StreamSettings::default(),
            ingest: ListenSpec {
                address: SocketAddr::from(([127, 0, 0, 1], 8480)),
                certificate: None,
                key: None,
                insecure: false,
            },
            data: PathBuf::from("data"),
        }
    }
}

impl Settings {
    /// Reads the file's content.
    pub fn read(map: &Map<String, Value>, problems: &mut Problems) -> Self {
        let mut settings = Self::default();
        let mut fields = Fields::new(map, problems);
        if let Some(data) = fields.text("data") {
            settings.data = PathBuf::from(data);
        }
        fields.object("nats", |fields| settings.nats.read(fields));
        fields.object("streams", |fields| read_streams(&mut settings.streams, fields));
        fields.object("ingest", |fields| read_listener(&mut settings.ingest, fields));
        fields.finish();
        settings
    }
}

impl NatsSettings {
    fn read(&mut self, fields: &mut Fields<'_>) {
        let servers = fields.list("servers", |fields, path, value| match value.as_str() {
            Some(server) if !server.is_empty() => Some(server.to_owned()),
            _ => {
                fields.problem(path, "expected an address such as tls://nats.example.com:4222");
                None
            }
        });
        if let Some(servers) = servers {
            if servers.is_empty() {
                fields.problem("servers", "name at least one server");
            }
            self.servers = servers;
        }
        self.credentials = fields.text("credentials").map(PathBuf::from);
        self.user = fields.text("user");
        self.password = fields.secret("password");
        self.ca = fields.text("ca").map(PathBuf::from);
        self.insecure = fields.flag("insecure").unwrap_or_default();
        if self.user.is_some() != self.password.is_some() {
            fields.problem("", "user and password go together");
        }
    }

    /// What the bus needs, with secrets. Relative paths are taken from `folder`.
    pub fn resolve(&self, folder: &Path, name: &str) -> Result<BusSettings, super::SecretError> {
        let user = match (&self.user, &self.password) {
            (Some(user), Some(password)) => Some((user.clone(), password.resolve(folder)?)),
            _ => None,
        };
        Ok(BusSettings {
            servers: self.servers.clone(),
            name: name.to_owned(),
            credentials: self.credentials.as_ref().map(|path| folder.join(path)),
            user,
            ca: self.ca.as_ref().map(|path| folder.join(path)),
            insecure: self.insecure,
        })
    }
}

fn read_listener(listener: &mut ListenSpec, fields: &mut Fields<'_>) {
    let address = fields.parsed("listen", |value| {
        let address = value.as_str().and_then(|text| text.parse::<SocketAddr>().ok());
        address.ok_or_else(|| "expected an address and port such as 0.0.0.0:8443".to_owned())
    });
    if let Some(address) = address {
        listener.address = address;
    }
    listener.certificate = fields.text("certificate").map(PathBuf::from);
    listener.key = fields.text("key").map(PathBuf::from);
    listener.insecure = fields.flag("insecure").unwrap_or_default();
    if listener.certificate.is_some() != listener.key.is_some() {
        fields.problem("", "certificate and key go together");
    }
    if listener.certificate.is_none() && !listener.address.ip().is_loopback() && !listener.insecure {
        fields.problem("listen", "off this machine webhooks need TLS: give certificate and key, or say insecure: true if something in front of emote does TLS");
    }
}

fn read_streams(streams: &mut StreamSettings, fields: &mut Fields<'_>) {
    if let Some(replicas) = fields.number("replicas", 1..=5) {
        streams.replicas = replicas as usize;
    }
    for (key, age) in [
        ("events_max_age", &mut streams.events_max_age),
        ("deliveries_max_age", &mut streams.deliveries_max_age),
        ("dead_max_age", &mut streams.dead_max_age),
    ] {
        if let Some(given) = fields.duration(key, AGES) {
            *age = given;
        }
    }
}

//! `emote.yaml`: where NATS is, what to listen on, where data goes. Every key may be left out.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use emote_proto::{Name, source};
use serde_json::{Map, Value};

use super::{IdentitySettings, Problems, Secret, SecretError, SecretRef, fields::Fields, shape::Form};
use crate::{
    archive::ArchiveSpec,
    bus::{BusSettings, StreamSettings},
    console::http::ConsoleSpec,
    ingest::Cidr,
    listen::ListenSpec,
    schema::discover::SchemaSettings,
    targets::Allowed,
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
    /// Proxies that webhooks come through, which are believed about whom they speak for.
    pub trusted_proxies: Vec<Cidr>,
    /// What health checks and metrics are given on; none where it is off.
    pub ops: Option<ListenSpec>,
    /// The console for people and the API; none where it is off.
    pub console: Option<ConsoleSpec>,
    /// How agents come to credentials; none where NATS does not ask them for any.
    pub identity: Option<IdentitySettings>,
    /// Where events are archived; none where they are not.
    pub archive: Option<ArchiveSpec>,
    /// Which programs targets may run here; none where nothing is said.
    pub exec: Allowed,
    /// Which schemas are discovered.
    pub schemas: SchemaSettings,
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
    /// A token, for servers that know one.
    pub token: Option<SecretRef>,
    /// CA of the servers' certificates, PEM.
    pub ca: Option<PathBuf>,
    /// Certificate and key for servers that want one, PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Allow plain text off this machine.
    pub insecure: bool,
}

const HOUR: Duration = Duration::from_secs(3600);
const AGES: std::ops::RangeInclusive<Duration> = HOUR..=Duration::from_secs(3600 * 24 * 3660);

impl Default for Settings {
    fn default() -> Self {
        Self {
            nats: NatsSettings::default(),
            streams: StreamSettings::default(),
            ingest: on_loopback(8480),
            trusted_proxies: Vec::new(),
            ops: Some(on_loopback(8481)),
            console: Some(ConsoleSpec::default()),
            identity: None,
            archive: None,
            exec: Allowed::default(),
            schemas: SchemaSettings::default(),
            data: PathBuf::from("data"),
        }
    }
}

impl Settings {
    /// Reads the file's content.
    pub fn read(map: &Map<String, Value>, problems: &mut Problems) -> Self {
        let mut fields = Fields::new(map, problems);
        let settings = Self::of(&mut fields);
        fields.finish();
        settings
    }

    /// Reads the file's fields.
    pub(crate) fn of(fields: &mut Fields<'_>) -> Self {
        let mut settings = Self::default();
        if let Some(data) = fields.text("data") {
            settings.data = PathBuf::from(data);
        }
        fields.object("nats", |fields| settings.nats.read(fields));
        fields.object("streams", |fields| read_streams(&mut settings.streams, fields));
        fields.object("ingest", |fields| {
            read_listener(&mut settings.ingest, fields, "webhooks need TLS");
            settings.trusted_proxies = read_proxies(fields);
        });
        fields.object("ops", |fields| read_ops(&mut settings.ops, fields));
        fields.object("console", |fields| super::console::read(&mut settings.console, fields));
        settings.identity = fields.object("identity", IdentitySettings::read).flatten();
        settings.archive = fields.object("archive", super::archive::read).flatten();
        settings.exec = fields.object("exec", Allowed::read).unwrap_or_default();
        settings.schemas = fields.object("schemas", read_schemas).unwrap_or_default();
        settings
    }
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            credentials: None,
            user: None,
            password: None,
            token: None,
            ca: None,
            certificate: None,
            insecure: false,
        }
    }
}

impl NatsSettings {
    /// Reads the section.
    pub(crate) fn read(&mut self, fields: &mut Fields<'_>) {
        self.insecure = fields.flag("insecure").unwrap_or_default();
        let insecure = self.insecure;
        let servers = fields.list_of("servers", Form::Text(&["nats://127.0.0.1:4222"]), |fields, path, value| {
            let server = value.as_str().unwrap_or_default();
            match crate::bus::check_address(server, insecure) {
                Ok(()) => Some(server.to_owned()),
                Err(problem) => {
                    fields.problem(path, problem);
                    None
                }
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
        self.token = fields.secret("token");
        self.ca = fields.text("ca").map(PathBuf::from);
        let (certificate, key) = (fields.text("certificate"), fields.text("key"));
        if certificate.is_some() != key.is_some() {
            fields.problem("", "certificate and key go together");
        }
        self.certificate = certificate.map(PathBuf::from).zip(key.map(PathBuf::from));
        if self.user.is_some() != self.password.is_some() {
            fields.problem("", "user and password go together");
        }
        if self.token.is_some() && (self.user.is_some() || self.credentials.is_some()) {
            fields.problem("token", "means nothing beside credentials or user: they say already who connects");
        }
    }

    /// What the bus needs, with secrets. Relative paths are taken from `folder`.
    pub fn resolve(&self, folder: &Path, name: &str) -> Result<BusSettings, SecretError> {
        self.resolve_with(folder, name, |secret| secret.resolve(folder))
    }

    /// The same, with what `secret` gives for references.
    pub(crate) fn resolve_with(
        &self,
        folder: &Path,
        name: &str,
        secret: impl Fn(&SecretRef) -> Result<Secret, SecretError>,
    ) -> Result<BusSettings, SecretError> {
        let user = match (&self.user, &self.password) {
            (Some(user), Some(password)) => Some((user.clone(), secret(password)?)),
            _ => None,
        };
        Ok(BusSettings {
            servers: self.servers.clone(),
            name: name.to_owned(),
            credentials: self.credentials.as_ref().map(|path| folder.join(path)),
            user,
            token: self.token.as_ref().map(&secret).transpose()?,
            ca: self.ca.as_ref().map(|path| folder.join(path)),
            certificate: self.certificate.as_ref().map(|(cert, key)| (folder.join(cert), folder.join(key))),
            insecure: self.insecure,
        })
    }
}

pub(super) fn on_loopback(port: u16) -> ListenSpec {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    ListenSpec { address, certificate: None, key: None, insecure: false }
}

/// What a `listen` may say for that.
pub(super) fn off() -> Form {
    Form::Either(vec![Form::Words(vec!["off"]), Form::Is(Value::Bool(false))])
}

/// Whether a `listen` says that nothing is to listen.
pub(super) fn is_off(value: &Value) -> bool {
    value.as_str() == Some("off") || value.as_bool() == Some(false)
}

/// `listen: off` for none.
fn read_ops(ops: &mut Option<ListenSpec>, fields: &mut Fields<'_>) {
    fields.holds("listen", off());
    if fields.value("listen").is_some_and(is_off) {
        *ops = None;
    }
    match ops {
        Some(listener) => read_listener(listener, fields, "health and metrics need TLS"),
        None => ["certificate", "key", "insecure"].iter().for_each(|key| {
            if fields.has(key) {
                fields.problem(key, "means nothing where listen is off");
            }
        }),
    }
}

pub(super) fn read_listener(listener: &mut ListenSpec, fields: &mut Fields<'_>, why: &str) {
    let address = fields.formed("listen", Form::Text(&["127.0.0.1:8480", "0.0.0.0:8443"]), |value| {
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
        fields.problem("listen", format!("off this machine {why}: give certificate and key, or say insecure: true if something in front of emote does TLS"));
    }
}

pub(super) fn read_proxies(fields: &mut Fields<'_>) -> Vec<Cidr> {
    let range = |fields: &mut Fields<'_>, path: &str, value: &Value| {
        let range = value.as_str().unwrap_or_default().parse::<Cidr>();
        range.map_err(|error| fields.problem(path, error)).ok()
    };
    fields.list_of("trusted_proxies", Form::Text(&["10.0.0.0/8"]), range).unwrap_or_default()
}

fn read_schemas(fields: &mut Fields<'_>) -> SchemaSettings {
    let discover = fields.flag("discover").unwrap_or_default();
    let report = fields.list_of("report", Form::Text(&["agent"]), |fields, path, value| {
        let name = value.as_str().and_then(|name| Name::new(name).ok()).filter(|name| name.as_str() != source::BROKER);
        if name.is_none() {
            fields.problem(path, "expected the name of a source whose events come by NATS, such as agent");
        }
        name
    });
    SchemaSettings { discover, report: report.unwrap_or_default() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> (Settings, Vec<String>) {
        let mut problems = Problems::default();
        let settings = Settings::read(value.as_object().unwrap(), &mut problems);
        let told = problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message));
        (settings, told.collect())
    }

    #[test]
    fn health_and_metrics_are_for_this_machine_unless_it_is_said() {
        let address = |value: Value| {
            let (settings, problems) = read(value);
            assert_eq!(problems, Vec::<String>::new());
            settings.ops.map(|ops| ops.address.to_string())
        };
        assert_eq!(address(json!({})).as_deref(), Some("127.0.0.1:8481"));
        assert_eq!(address(json!({"ops": {"listen": "[::1]:9"}})).as_deref(), Some("[::1]:9"));
        let open = json!({"ops": {"listen": "0.0.0.0:9", "insecure": true}});
        assert_eq!(address(open).as_deref(), Some("0.0.0.0:9"));
        assert_eq!(address(json!({"ops": {"listen": "off"}})), None);
        assert_eq!(address(json!({"ops": {"listen": false}})), None);
    }

    #[test]
    fn proxies_are_ranges_of_addresses() {
        let (settings, problems) = read(json!({"ingest": {"trusted_proxies": ["10.0.0.0/8", "::1"]}}));
        assert_eq!((settings.trusted_proxies.len(), problems), (2, Vec::new()));
        let (_, problems) = read(json!({"ingest": {"trusted_proxies": ["10.0.0.0/8", "nginx", 5]}}));
        let told = problems.iter().map(|told| told.split(':').next().unwrap_or_default());
        assert_eq!(told.collect::<Vec<_>>(), ["ingest.trusted_proxies[1]", "ingest.trusted_proxies[2]"]);
    }

    #[test]
    fn what_is_wrong_with_it_is_told_at_its_place() {
        for (ops, told) in [
            (json!({"listen": "0.0.0.0:9"}), "ops.listen: off this machine health and metrics need TLS"),
            (json!({"listen": "8481"}), "ops.listen: expected an address and port such as 0.0.0.0:8443"),
            (json!({"listen": "127.0.0.1:9", "key": "k"}), "ops: certificate and key go together"),
            (json!({"listen": "off", "insecure": true}), "ops.insecure: means nothing where listen is off"),
            (json!({"port": 9}), "ops.port: unknown"),
        ] {
            let (_, problems) = read(json!({"ops": ops}));
            assert!(problems.len() == 1 && problems[0].starts_with(told), "{problems:?}");
        }
    }
}

//! What `listen` of a source says: read, and with its files where they lie.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use emote_proto::Trust;
use serde_json::{Map, Value};

use crate::{
    config::{
        Problems,
        addresses::collide,
        fields::{Fields, expected},
        shape::Form,
    },
    listen::Files,
};

/// Sockets of one source.
pub(crate) const MAX_SOCKETS: usize = 16;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// RFC 5424 and what was before it; RFC 5426 over UDP, RFC 6587 over TCP, RFC 5425 over TLS.
    Syslog,
    /// GELF 1.1.
    Gelf,
}

impl Codec {
    /// The one that a notation's name is.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "syslog" => Some(Self::Syslog),
            "gelf" => Some(Self::Gelf),
            _ => None,
        }
    }

    /// What `listen` may say for it.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Syslog => "{transport: tls, address: \"0.0.0.0:6514\", certificate: logs.pem, key: logs.key}",
            Self::Gelf => "{transport: tls, address: \"0.0.0.0:12201\", certificate: logs.pem, key: logs.key}",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// A socket as the file says it: `{transport: tls, address: "0.0.0.0:6514", certificate, key, client_ca}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub(super) codec: Codec,
    pub(super) transport: Transport,
    address: SocketAddr,
    /// Of TLS alone; relative paths are taken from the configuration folder.
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// The same, with its files where they lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(super) codec: Codec,
    pub(super) transport: Transport,
    pub(super) address: SocketAddr,
    pub(super) files: Option<Files>,
}

impl Plan {
    /// Reads what stands at `listen`: a socket, or a list of them.
    pub(crate) fn read_all(listen: &Value, codec: Codec, problems: &mut Problems) -> Vec<Self> {
        let mut inner = Problems::default();
        let mut plans = Vec::new();
        match listen {
            Value::Array(list) if (1..=MAX_SOCKETS).contains(&list.len()) => {
                for (at, value) in list.iter().enumerate() {
                    let mut of_one = Problems::default();
                    plans.extend(Self::read(value, codec, &mut of_one));
                    problems.add_all(&format!("listen[{at}]"), of_one);
                }
            }
            Value::Array(_) => inner.add("", format!("from 1 to {MAX_SOCKETS} sockets")),
            value => plans.extend(Self::read(value, codec, &mut inner)),
        }
        problems.add_all("listen", inner);
        plans
    }

    fn read(value: &Value, codec: Codec, problems: &mut Problems) -> Option<Self> {
        let Value::Object(map) = value else {
            problems.add("", expected("an object such as {transport: tls, address: \"0.0.0.0:6514\"}", value));
            return None;
        };
        let map: &Map<String, Value> = map;
        let mut fields = Fields::new(map, problems);
        let plan = Self::of(&mut fields, codec);
        fields.finish();
        plan.filter(|_| problems.is_empty())
    }

    /// Reads the fields of one socket.
    pub(crate) fn of(fields: &mut Fields<'_>, codec: Codec) -> Option<Self> {
        let transport = fields.words("transport", &["tcp", "tls", "udp"]).map(|word| match word {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            _ => Transport::Tls,
        });
        let transport = fields.require("transport", transport, "transport: tls");
        let address: Option<SocketAddr> = fields.formed("address", Form::Text(&[]), |value| {
            let address = value.as_str().and_then(|text| text.parse().ok());
            address.ok_or_else(|| "expected an address and a port such as 0.0.0.0:6514 or \"[::]:6514\"".to_owned())
        });
        let address = fields.require("address", address, "address: 0.0.0.0:6514");
        let insecure = fields.flag("insecure").unwrap_or_default();
        let mut path = |key: &'static str| (key, fields.text(key).map(PathBuf::from));
        let files = ["certificate", "key", "client_ca"].map(&mut path);
        let (transport, address) = (transport?, address?);
        if transport == Transport::Tls {
            for (key, path) in &files[..2] {
                fields.require(key, path.as_ref(), "certificate: logs.pem, and key: logs.key, PEM files both");
            }
        } else {
            for (key, path) in &files {
                if path.is_some() {
                    fields.problem(key, "is for transport: tls");
                }
            }
            if !address.ip().is_loopback() && !insecure {
                fields.problem(
                    "address",
                    format!(
                        "{address} is no loopback address, and without TLS everyone on the way reads along and may speak as \
                         anybody: use transport: tls, or spell out `insecure: true`"
                    ),
                );
            }
        }
        let [certificate, key, client_ca] = files.map(|(_, path)| path);
        let (certificate, key) = (certificate.unwrap_or_default(), key.unwrap_or_default());
        Some(Self { codec, transport, address, certificate, key, client_ca })
    }

    /// How it is reached: `udp`, `tcp` or `tls`.
    pub(crate) fn transport(&self) -> &'static str {
        self.transport.word()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether both cannot listen at once: one port of TCP, or of UDP, at one address, or at all of its family and one of these.
    pub(crate) fn collides_with(&self, other: &Self) -> bool {
        let is_udp = |plan: &Self| plan.transport == Transport::Udp;
        is_udp(self) == is_udp(other) && collide(self.address, other.address)
    }

    /// Whether a listener of TCP at this address leaves it no place.
    pub(crate) fn collides_with_tcp(&self, address: SocketAddr) -> bool {
        self.transport != Transport::Udp && collide(self.address, address)
    }

    /// How far who sends is trusted.
    pub(crate) fn trust(&self) -> Trust {
        if self.client_ca.is_some() { Trust::Authenticated } else { Trust::Unverified }
    }

    pub(crate) fn in_folder(&self, folder: &Path) -> Socket {
        let files = (self.transport == Transport::Tls).then(|| Files {
            certificate: folder.join(&self.certificate),
            key: folder.join(&self.key),
            client_ca: self.client_ca.as_ref().map(|path| folder.join(path)),
            protocols: &[],
        });
        Socket { codec: self.codec, transport: self.transport, address: self.address, files }
    }
}

impl Socket {
    /// How people know it: `tls 0.0.0.0:6514`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.transport.word(), self.address)
    }

    /// Whether who connects has shown a certificate that was checked.
    pub(super) fn knows_clients(&self) -> bool {
        self.files.as_ref().is_some_and(|files| files.client_ca.is_some())
    }
}

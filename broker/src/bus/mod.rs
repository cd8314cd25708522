//! JetStream: the only place that names async-nats. Streams, chains, atomic batches, reading EVENTS, jobs for workers.
//! Nothing here decides anything; what to do about an error is for the caller, and every error says enough for that.

mod backlog;
mod batch;
mod chain;
mod clock;
mod events;
mod jobs;
mod kept;
mod service;
mod sets;
mod setup;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions,
    jetstream::{self, Context},
};

pub use backlog::{Backlog, StreamState};
pub use batch::{BatchAck, BatchError, Outgoing};
pub use chain::{Behind, Chain, Place};
pub use events::{EventMessage, RUN_ENTRIES, ReadError, Reader, Tail, TailStart};
pub use jobs::{Checkpoint, JobMessage, Jobs, SIGN_OF_LIFE, job_message, left_over_key, no_longer_held};
pub use kept::{DeadLetter, HeldJob};
pub use service::{Asked, Questions};
pub use sets::InForce;
pub use setup::StreamSettings;

use emote_proto::jwt::Claims;

use crate::{config::Secret, outage::Outage};

/// How long a request to JetStream may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait before the first attempt to connect again; it doubles.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
/// Longest wait between attempts. Nothing happens without NATS, and a handful of brokers that come at once hurt no server.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// How often it is said that attempts fail.
const UNREACHABLE_SAID_EVERY: Duration = Duration::from_secs(60);

/// Where NATS is and who we are there.
#[derive(Debug, Clone)]
pub struct BusSettings {
    /// `nats://`, `tls://`, `ws://` or `wss://` addresses, one or more of the same cluster.
    pub servers: Vec<String>,
    /// Name of this connection as `nats server report connections` shows it.
    pub name: String,
    /// A credentials file (JWT and seed).
    pub credentials: Option<PathBuf>,
    /// User and password.
    pub user: Option<(String, Secret)>,
    /// The CA that signed the servers' certificates, PEM.
    pub ca: Option<PathBuf>,
    /// Allow plain text to servers that are not on this machine.
    pub insecure: bool,
}

impl BusSettings {
    /// A server on this machine, without credentials.
    pub fn local(server: impl Into<String>, name: impl Into<String>) -> Self {
        let (servers, name) = (vec![server.into()], name.into());
        Self { servers, name, credentials: None, user: None, ca: None, insecure: false }
    }
}

/// Why the bus did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No server answered.
    #[error("NATS at {servers} cannot be reached ({reason}): is `emote dev`, or the NATS of yours, running there?")]
    Unreachable {
        /// The addresses tried.
        servers: String,
        /// What happened.
        reason: String,
    },
    /// The settings cannot work.
    #[error("{0}")]
    Settings(String),
    /// The server is there but lacks what Emote needs.
    #[error("{0}")]
    Unfit(String),
    /// JetStream did not answer in time, or the connection is away; the outcome is unknown.
    #[error("{doing}: no answer from JetStream ({reason})")]
    NoAnswer {
        /// What was tried.
        doing: &'static str,
        /// What happened.
        reason: String,
    },
    /// Nobody answers questions on this NATS.
    #[error("no broker is running on this NATS: start `emote dev` or `emote serve`")]
    NoBroker,
    /// JetStream said no.
    #[error("{doing}: JetStream refused it: {reason}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// Its words.
        reason: String,
    },
}

/// A connection to NATS with JetStream. Cheap to clone; all clones share the connection.
#[derive(Clone)]
pub struct Bus {
    client: Client,
    js: Context,
    user: Option<String>,
}

impl Bus {
    /// Connects once; an unreachable server is an error.
    pub async fn connect(settings: &BusSettings) -> Result<Self, BusError> {
        let options = options(settings)?;
        let unreachable = |reason: String| BusError::Unreachable { servers: settings.servers.join(", "), reason };
        let servers: Vec<async_nats::ServerAddr> = settings
            .servers
            .iter()
            .map(|server| {
                server.parse().map_err(|error| BusError::Settings(format!("nats server {server:?}: {error}")))
            })
            .collect::<Result<_, _>>()?;
        let client = options.connect(servers).await.map_err(|error| match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                BusError::Settings(format!("NATS at {} does not let us in: {error}", settings.servers.join(", ")))
            }
            _ => unreachable(error.to_string()),
        })?;
        let js = jetstream::context::ContextBuilder::new().timeout(REQUEST_TIMEOUT).ack_timeout(REQUEST_TIMEOUT);
        let js = js.build(client.clone());
        let user = settings.credentials.as_deref().and_then(user_name);
        Ok(Self { client, js, user })
    }

    /// The name of the user that the credentials are of.
    pub fn user_name(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Whether the connection stands at this moment.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Whether the server asks nobody who they are: then no event's source is more than a claim.
    pub fn takes_anyone(&self) -> bool {
        !self.client.server_info().auth_required
    }

    /// Sends what is buffered and closes.
    pub async fn close(&self) {
        if let Err(error) = self.client.drain().await {
            tracing::debug!(%error, "closing the connection to NATS");
        }
    }

    /// The server's version, as it says.
    pub fn server_version(&self) -> String {
        self.client.server_info().version
    }
}

fn options(settings: &BusSettings) -> Result<ConnectOptions, BusError> {
    if settings.servers.iter().any(|server| server.contains('@')) {
        let remedy = "a NATS address holds no user or password: give nats.user and nats.password, or credentials";
        return Err(BusError::Settings(remedy.to_owned()));
    }
    let plain_and_far = settings.servers.iter().find(|server| !is_secure(server) && !is_loopback(server));
    let unreachable = Mutex::new(Outage::said_every(UNREACHABLE_SAID_EVERY));
    let mut options = ConnectOptions::new()
        .name(&settings.name)
        .ping_interval(Duration::from_secs(25))
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(REQUEST_TIMEOUT))
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            log_event(&event, &mut unreachable.lock().unwrap_or_else(PoisonError::into_inner));
            std::future::ready(())
        });
    if let Some(server) = plain_and_far {
        if settings.insecure {
            tracing::warn!(%server, "insecure: true: events and credentials go over the network in the clear");
        } else {
            options = options.require_tls(true);
        }
    }
    if let Some(path) = &settings.credentials {
        let text = std::fs::read_to_string(path)
            .map_err(|error| BusError::Settings(format!("the credentials file {}: {error}", path.display())))?;
        options = options
            .credentials(&text)
            .map_err(|error| BusError::Settings(format!("the credentials file {}: {error}", path.display())))?;
    }
    if let Some((user, password)) = &settings.user {
        options = options.user_and_password(user.clone(), password.expose().to_owned());
    }
    if let Some(path) = &settings.ca {
        options = options.add_root_certificates(path.clone());
    }
    Ok(options)
}

/// [`RECONNECT_FIRST`] doubling to [`RECONNECT_MAX`], up to half of it less at random. `attempts` counts from 1.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1).min(12)).unwrap_or(12);
    let longest = RECONNECT_FIRST.saturating_mul(1 << doublings).min(RECONNECT_MAX);
    let mut byte = [0_u8; 1];
    let jitter = if getrandom::fill(&mut byte).is_ok() { f64::from(byte[0]) / 512.0 } else { 0.25 };
    longest.mul_f64(0.5 + jitter)
}

fn log_event(event: &async_nats::Event, unreachable: &mut Outage) {
    use async_nats::{ClientError, Event};
    match event {
        Event::Connected => {
            unreachable.worked();
            tracing::info!("connected to NATS");
        }
        Event::Disconnected => tracing::warn!("the connection to NATS is lost; reconnecting"),
        Event::SlowConsumer(id) => tracing::warn!(subscription = id, "NATS: messages dropped, a reader is too slow"),
        Event::ServerError(error) => tracing::warn!(%error, "NATS"),
        // Once for each round of attempts at all servers.
        Event::ClientError(ClientError::Other(error)) => match unreachable.failed(Instant::now()) {
            Some(failed) => tracing::warn!(failed, error, "NATS cannot be reached"),
            None => tracing::debug!(error, "NATS cannot be reached"),
        },
        Event::ClientError(error) => tracing::warn!(%error, "NATS client"),
        other => tracing::debug!(event = %other, "NATS"),
    }
}

/// The name in the JWT of a credentials file.
fn user_name(credentials: &Path) -> Option<String> {
    let text = std::fs::read_to_string(credentials).ok()?;
    let jwt = text.lines().map(str::trim).find_map(|line| Claims::unverified(line).ok())?;
    Some(jwt.name).filter(|name| !name.is_empty())
}

fn is_secure(server: &str) -> bool {
    server.starts_with("tls://") || server.starts_with("wss://")
}

/// Whether the address names this machine; a name that only begins like it does not.
fn is_loopback(server: &str) -> bool {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => rest.split(['/', ':']).next().unwrap_or(rest),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Eleven random bytes' worth of a name, for batches and inboxes.
fn random_name() -> String {
    let mut bytes = [0_u8; 11];
    if getrandom::fill(&mut bytes).is_err() {
        // Without randomness the clock still tells two names of one process apart.
        bytes[..8].copy_from_slice(&jiff::Timestamp::now().as_nanosecond().to_le_bytes()[..8]);
    }
    data_encoding::HEXLOWER.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_for_this_machine_only() {
        for (server, loopback) in [
            ("nats://127.0.0.1:4222", true),
            ("localhost:4222", true),
            ("nats://[::1]:4222", true),
            ("nats://localhost.example.com:4222", false),
            ("nats://nats.example.com", false),
            ("127.example.com", false),
        ] {
            assert_eq!(is_loopback(server), loopback, "{server}");
        }
        assert!(is_secure("tls://nats.example.com"));
    }

    #[test]
    fn reconnecting_slows_down_a_little_and_is_spread() {
        for (attempts, longest) in
            [(0, 100), (1, 100), (2, 200), (5, 1_600), (6, 2_000), (40, 2_000), (usize::MAX, 2_000)]
        {
            let longest = Duration::from_millis(longest);
            let delays: Vec<Duration> = (0..100).map(|_| reconnect_delay(attempts)).collect();
            assert!(delays.iter().all(|delay| *delay >= longest / 2 && *delay <= longest), "{attempts}: {delays:?}");
            assert!(delays.iter().any(|delay| *delay != delays[0]), "{attempts}: {delays:?}");
        }
    }
}

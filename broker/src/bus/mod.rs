//! JetStream: the only place that names async-nats. Streams, chains, atomic batches, reading EVENTS, jobs for workers.
//! Nothing here decides anything; what to do about an error is for the caller, and every error says enough for that.

mod account;
mod backlog;
mod batch;
mod chain;
mod clock;
mod credentials;
mod directory;
mod events;
mod identity;
mod jobs;
mod kept;
mod latest;
mod next;
mod options;
mod ordered;
mod outbound;
mod packages;
mod probe;
mod publish;
mod pull;
mod raw;
mod records;
mod schemas;
mod service;
mod sessions;
mod sets;
mod setup;
mod there;
mod trouble;
mod unreadable;
mod work;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{
    Client, ConnectErrorKind,
    jetstream::{self, Context},
};

pub use account::{Presence, Presences};
pub use backlog::{Backlog, StreamState};
pub use batch::{BatchAck, BatchError, Outgoing};
pub use chain::{Behind, Chain, Place};
pub use credentials::check_credentials;
pub use events::{EventMessage, RUN_ENTRIES, ReadError, Reader, Tail, TailStart};
pub use identity::{Enrollment, Enrollments, Heartbeats, Hints};
pub use jobs::{Checkpoint, JobMessage, Jobs, SIGN_OF_LIFE, job_message, left_over_key, no_longer_held};
pub use kept::{DeadLetter, HeldJob};
pub use next::{LastEvent, NextError};
pub use options::check_address;
pub(crate) use outbound::{Message, Outbound};
pub use packages::KeptPackage;
pub use probe::Probed;
pub use records::{Entry, Write, WriteError};
pub use service::{Asked, Questions};
pub use sessions::{Kept, SessionBucket};
pub use sets::InForce;
pub use setup::StreamSettings;
pub use work::{Task, Work};

use crate::config::Secret;

/// How long a request to JetStream may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
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
    /// A token, for servers that know one.
    pub token: Option<Secret>,
    /// The CA that signed the servers' certificates, PEM: then no other is trusted.
    pub ca: Option<PathBuf>,
    /// Certificate and key to show to servers that want one, PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Allow plain text to servers that are not on this machine.
    pub insecure: bool,
}

impl BusSettings {
    /// A server on this machine, without credentials.
    pub fn local(server: impl Into<String>, name: impl Into<String>) -> Self {
        let (servers, name) = (vec![server.into()], name.into());
        Self { servers, name, credentials: None, user: None, token: None, ca: None, certificate: None, insecure: false }
    }

    /// Refuses credentials of the system account, as far as they say so themselves: there are no streams there, and no
    /// request for one would be answered.
    pub fn are_of_the_streams(&self) -> Result<(), BusError> {
        match self.credentials.as_deref().filter(|path| credentials::is_of_system_account(path)) {
            None => Ok(()),
            Some(path) => Err(BusError::Settings(format!(
                "{} is of a user of NATS' system account, which has no streams: name credentials of the account that has \
                 them, such as nats/admin.creds for commands and nats/broker.creds for brokers",
                path.display()
            ))),
        }
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
    /// A server answered, but there is no safe connection to it.
    #[error("NATS at {servers}: {about} ({reason})")]
    Unsafe {
        /// The addresses tried.
        servers: String,
        /// What it means, and what to do.
        about: String,
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
    /// No broker has ever run on this NATS: what it would have made is not there.
    #[error("{}", trouble::NOT_BEGUN)]
    NotBegun,
    /// What is kept is not what was written there.
    #[error(
        "the record {key} of the bucket {bucket} is damaged ({reason}): put it right, or delete it (`nats kv del {bucket} {key}`)"
    )]
    Damaged {
        /// Where.
        bucket: &'static str,
        /// Which.
        key: String,
        /// Why.
        reason: String,
    },
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
    settings: Arc<BusSettings>,
    /// Whether the end of the connection is what was wanted.
    closes: Arc<AtomicBool>,
}

impl Bus {
    /// Connects once; an unreachable server is an error.
    pub async fn connect(settings: &BusSettings) -> Result<Self, BusError> {
        let servers = options::addresses(settings)?;
        let names = settings.servers.join(", ");
        let closes = Arc::new(AtomicBool::new(false));
        let options = options::options(settings, &servers, Arc::clone(&closes))?;
        let client = options.connect(servers).await.map_err(|error| {
            let reason = error.to_string();
            match (error.kind(), trouble::explain(&reason, settings.ca.as_deref())) {
                (ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation, _) => {
                    BusError::Settings(format!("NATS at {names} does not let us in: {reason}"))
                }
                (_, Some(about)) => BusError::Unsafe { servers: names, about, reason },
                _ => BusError::Unreachable { servers: names, reason },
            }
        })?;
        let js = jetstream::context::ContextBuilder::new().timeout(REQUEST_TIMEOUT).ack_timeout(REQUEST_TIMEOUT);
        let js = js.build(client.clone());
        let user = settings.credentials.as_deref().and_then(credentials::user_name);
        Ok(Self { client, js, user, settings: Arc::new(settings.clone()), closes })
    }

    /// How this connection was made.
    pub fn settings(&self) -> &BusSettings {
        &self.settings
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
        self.closes.store(true, Ordering::Relaxed);
        if let Err(error) = self.client.drain().await {
            tracing::debug!(%error, "closing the connection to NATS");
        }
    }

    /// The server's version, as it says.
    pub fn server_version(&self) -> String {
        self.client.server_info().version
    }
}

/// A name for batches and inboxes.
fn random_name() -> String {
    crate::random::name::<11>()
}

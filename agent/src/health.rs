//! What the agent knows of its own state, for `emote-agent status`. Nothing decides by it, but for the time that a
//! request for a credential says.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use emote_proto::Time;
use serde::{Deserialize, Serialize};

use crate::gather::Gather;
use crate::settings::{Loaded, Problem, Row, cut};
use crate::sources::Timing;
use crate::spool::Totals;

/// A full disk is tried again after this.
const DISK_PAUSE: Duration = Duration::from_secs(5);
/// Characters kept of what a server or a source says.
const MOST_SAID: usize = 400;

/// What `emote-agent status -o json` prints.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// The agent's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The serial number it speaks under.
    pub serial: String,
    /// When it was started.
    pub started: Option<Time>,
    /// The connection.
    pub uplink: UplinkStatus,
    /// What waits.
    pub spool: SpoolStatus,
    /// By name.
    pub sources: BTreeMap<String, SourceStatus>,
    /// What is wrong with the settings.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// The credential of its own.
    #[serde(default)]
    pub identity: IdentityStatus,
}

/// The credential of this machine's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityStatus {
    /// How it stands with it.
    pub standing: Standing,
    /// Of the key that is used, or asked for.
    pub public_key: Option<String>,
    /// What people compare.
    pub fingerprint: Option<String>,
    /// When the JWT ends that servers take.
    pub expires: Option<Time>,
    /// Whether another key is under way.
    pub changing_keys: bool,
    /// What is waited for, or why it is no.
    pub said: Option<String>,
    /// When it asks for a credential next, or tries again with the one that no server takes.
    #[serde(default)]
    pub asks_next: Option<Time>,
}

/// How it stands with a credential of one's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// There is none.
    #[default]
    None,
    /// The settings say as whom to connect.
    Settings,
    /// It was asked for, and is not there yet.
    Asking,
    /// Somebody has to approve it.
    Pending,
    /// A broker said no.
    Denied,
    /// It is there.
    Enrolled,
    /// It is there, and no server takes it.
    Refused,
}

impl Standing {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Settings => "as the settings say",
            Self::Asking => "asking to be enrolled",
            Self::Pending => "waiting to be approved",
            Self::Denied => "denied",
            Self::Enrolled => "enrolled",
            Self::Refused => "refused: no server takes it",
        }
    }
}

/// The connection to NATS.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UplinkStatus {
    /// Whether it stands.
    pub connected: bool,
    /// Where the agent connects to.
    pub servers: Vec<String>,
    /// Name and version of the server at the other end.
    pub server: Option<String>,
    /// When the stream last took events.
    pub last_ack: Option<Time>,
    /// The sequence in the stream of the last of them, when known.
    pub last_sequence: Option<u64>,
    /// What went wrong since then.
    pub last_error: Option<String>,
    /// How far this machine's clock is from a broker's.
    #[serde(default)]
    pub clock: Option<ClockStatus>,
    /// That somebody else writes under this serial number.
    #[serde(default)]
    pub conflict: Option<ConflictStatus>,
}

/// Somebody else wrote under this serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictStatus {
    /// When that was seen last.
    pub at: Time,
    /// The sequence that this machine's last event has.
    pub expected: u64,
    /// The one that the stream's last of this serial number has.
    pub found: u64,
    /// How often, since the agent was started.
    pub count: u64,
}

/// A broker's time less this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStatus {
    /// Milliseconds; positive: this machine's is behind.
    pub offset_ms: i64,
    /// Milliseconds by which that may be wrong.
    pub uncertainty_ms: i64,
}

/// Events that the stream has not confirmed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SpoolStatus {
    /// How many.
    pub count: u64,
    /// How large.
    pub bytes: u64,
    /// How large they may get.
    pub quota: u64,
    /// When the oldest happened.
    pub oldest: Option<Time>,
}

/// One source.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SourceStatus {
    /// When it last looked.
    pub observed: Option<Time>,
    /// Why it could not, the last time.
    pub error: Option<String>,
    /// How often it looks.
    #[serde(default)]
    pub timing: Option<Timing>,
}

/// What `emote-agent config show -o json` prints.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Config {
    /// Whether the running agent said so; else it is what an agent started like this would use.
    pub running: bool,
    /// Every key.
    pub values: Vec<Row>,
    /// What is wrong, and not used.
    pub problems: Vec<Problem>,
}

/// The shared record that [`Status`] is a copy of.
#[derive(Debug, Default)]
pub struct Health {
    status: Mutex<Status>,
    config: Mutex<Config>,
}

impl Config {
    /// Of what was loaded.
    pub fn of(loaded: &Loaded, running: bool) -> Self {
        Self { running, values: loaded.values.rows(), problems: loaded.problems.clone() }
    }
}

impl Health {
    /// A copy, with `totals` filled in.
    pub fn status(&self, totals: Totals) -> Status {
        let mut status = self.lock().clone();
        status.spool.count = totals.count;
        status.spool.bytes = totals.bytes;
        status.spool.oldest = totals.oldest.and_then(Time::from_millis);
        status
    }

    /// What is known from the start.
    pub(crate) fn begin(&self, status: Status) {
        let mut known = self.lock();
        let identity = std::mem::take(&mut known.identity);
        *known = Status { identity, ..status };
    }

    /// The settings in force.
    pub(crate) fn configured(&self, loaded: &Loaded) {
        self.lock().problems.clone_from(&loaded.problems);
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Config::of(loaded, true);
    }

    /// A copy of the settings in force.
    pub fn config(&self) -> Config {
        self.config.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_connected(&self, connected: bool, server: Option<String>) {
        let mut status = self.lock();
        status.uplink.connected = connected;
        status.uplink.server = server.map(|server| cut(&server, MOST_SAID));
    }

    pub(crate) fn connected(&self) -> bool {
        self.lock().uplink.connected
    }

    pub(crate) fn set_error(&self, error: Option<String>) {
        self.lock().uplink.last_error = error.map(|error| cut(&error, MOST_SAID));
    }

    pub(crate) fn clock(&self, clock: ClockStatus) {
        self.lock().uplink.clock = Some(clock);
    }

    /// A broker's time less this machine's, in milliseconds; 0 while it is not known.
    pub(crate) fn clock_offset(&self) -> i64 {
        self.lock().uplink.clock.map_or(0, |clock| clock.offset_ms)
    }

    pub(crate) fn identity(&self, identity: IdentityStatus) {
        let said = identity.said.map(|said| cut(&said, MOST_SAID));
        self.lock().identity = IdentityStatus { said, ..identity };
    }

    /// When this machine asks for its next credential.
    pub(crate) fn asks_next(&self, at: Option<Time>) {
        self.lock().identity.asks_next = at;
    }

    /// Somebody else wrote: how often by now.
    pub(crate) fn conflict(&self, at: Time, expected: u64, found: u64) {
        let mut status = self.lock();
        let count = status.uplink.conflict.map_or(0, |conflict| conflict.count).saturating_add(1);
        status.uplink.conflict = Some(ConflictStatus { at, expected, found, count });
    }

    /// What went wrong last.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.lock().uplink.last_error.clone()
    }

    pub(crate) fn acknowledged(&self, at: Time, sequence: u64) {
        let mut status = self.lock();
        status.uplink.last_ack = Some(at);
        status.uplink.last_sequence = Some(sequence).filter(|sequence| *sequence != crate::uplink::UNKNOWN);
        status.uplink.last_error = None;
    }

    pub(crate) fn observed(&self, source: &str, at: Time, error: Option<String>) {
        let mut status = self.lock();
        let entry = status.sources.entry(source.to_owned()).or_default();
        if error.is_none() {
            entry.observed = Some(at);
        }
        entry.error = error.map(|error| cut(&error, MOST_SAID));
    }

    /// When each source looked last, in milliseconds since 1970.
    pub(crate) fn observed_times(&self) -> BTreeMap<String, i64> {
        let status = self.lock();
        let looked =
            status.sources.iter().filter_map(|(name, source)| Some((name.clone(), source.observed?.as_millis())));
        looked.gather()
    }

    /// Says that the spool's disk failed, and gives it time.
    pub(crate) async fn disk_failed(&self, error: &impl std::fmt::Display) {
        tracing::error!(%error, "spool");
        self.set_error(Some(error.to_string()));
        tokio::time::sleep(DISK_PAUSE).await;
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

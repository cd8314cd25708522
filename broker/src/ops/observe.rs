//! Asks a broker and its NATS how they are. What NATS knows is asked for at most once a second, however many ask here.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use emote_proto::{Name, Time, stream};
use tokio::sync::Mutex;

use super::Watched;
use crate::{
    archive,
    bus::{Backlog, Bus, BusError, StreamState},
    core::{EMIT_TARGET, State, Tallied, Tally},
    deliver::TargetSnapshot,
    engine::Status,
    identity::{Counted, Counts},
    ingest::SourceCounts,
    intake::{folder::FolderReport, socket::SocketReport},
    poll::{self, PollReport},
};

/// What was found out stays good for this long.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// Whoever asks for readiness or metrics does not wait longer.
const WITHIN: Duration = Duration::from_secs(3);

/// All there is to tell.
#[derive(Debug)]
pub(super) struct Observed {
    /// When the process began.
    pub(super) started: Time,
    /// When it was looked.
    pub(super) now: Time,
    /// Whether NATS is connected.
    pub(super) connected: bool,
    /// What the core is doing; `None` before there is one.
    pub(super) engine: Option<Status>,
    /// For how long the core has heard nothing from the log.
    pub(super) silence: Option<Duration>,
    /// The last entry in the records.
    pub(super) position: u64,
    /// The rules in force.
    pub(super) rules: Vec<Name>,
    /// The targets in force, and the one that tells what the core has to say.
    pub(super) targets: Vec<Name>,
    /// What became of it all.
    pub(super) tallies: BTreeMap<Tallied, Tally>,
    /// What this process's targets are doing.
    pub(super) live: BTreeMap<Name, TargetSnapshot>,
    /// What became of webhooks.
    pub(super) sources: BTreeMap<String, SourceCounts>,
    /// Where sources listen by themselves.
    pub(super) sockets: Vec<(String, SocketReport)>,
    /// What is fetched.
    pub(super) polls: BTreeMap<(String, poll::Kind), PollReport>,
    /// Folders in which files are dropped.
    pub(super) folders: BTreeMap<String, FolderReport>,
    /// Webhooks to sources that there are not.
    pub(super) nowhere: u64,
    /// What became of agents that asked for credentials; none where this broker gives out none.
    pub(super) identity: Option<Counted>,
    /// What its archiver is doing; none where this broker has no archive.
    pub(super) archive: Option<archive::Status>,
    /// Nodes in the records.
    pub(super) nodes: Option<u64>,
    /// The last installs of the agent on them, by how far they are; nothing where none was ever ordered.
    pub(super) installs: BTreeMap<State, u64>,
    /// Bytes of the records.
    pub(super) store: Option<u64>,
    /// What NATS knows; `None` where it does not answer.
    pub(super) nats: Option<Arc<InNats>>,
}

/// What NATS knows.
#[derive(Debug, Default)]
pub(super) struct InNats {
    /// How full the streams are.
    pub(super) streams: BTreeMap<&'static str, StreamState>,
    /// What waits for targets.
    pub(super) backlogs: BTreeMap<Name, Backlog>,
    /// Held jobs by target; `None` where there are so many that counting them takes too long.
    pub(super) held: Option<BTreeMap<String, u64>>,
    /// Dead letters by target.
    pub(super) dead: BTreeMap<String, u64>,
    /// Entries of EVENTS behind the checkpoint.
    pub(super) behind: u64,
    /// Since when the first of them is there.
    pub(super) behind_since: Option<Time>,
    /// Entries of EVENTS that are not archived yet; none where nothing ever was.
    pub(super) archive: Option<Backlog>,
}

/// What was asked of NATS lately.
#[derive(Default)]
pub(super) struct Looks {
    streams: Kept<Result<(), String>>,
    all: Kept<Option<Arc<InNats>>>,
}

impl Looks {
    /// Whether the streams are there and answer, or what is the matter.
    pub(super) async fn streams(&self, bus: &Bus) -> Result<(), String> {
        if !bus.is_connected() {
            return Err("NATS is not connected: the connection is tried again".to_owned());
        }
        let ask = async {
            match tokio::time::timeout(WITHIN, bus.stream_states()).await {
                Ok(answered) => answered.map(drop).map_err(|error| error.to_string()),
                Err(_) => Err(format!("JetStream did not answer within {} s", WITHIN.as_secs())),
            }
        };
        self.streams.get(ask).await
    }

    async fn nats(&self, watched: &Watched) -> Option<Arc<InNats>> {
        if !watched.bus.is_connected() {
            return None;
        }
        let ask = async {
            match tokio::time::timeout(WITHIN, in_nats(watched)).await {
                Ok(Ok(found)) => Some(Arc::new(found)),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "looking for what NATS knows");
                    None
                }
                Err(_) => None,
            }
        };
        self.all.get(ask).await
    }
}

/// The last answer to a question, and when it was given.
struct Kept<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Kept<T> {
    /// The last answer while it is good, else that of `ask`; who comes meanwhile waits for it.
    async fn get(&self, ask: impl Future<Output = T>) -> T {
        let mut kept = self.0.lock().await;
        if let Some((at, answer)) = kept.as_ref()
            && at.elapsed() < GOOD_FOR
        {
            return answer.clone();
        }
        let answer = ask.await;
        *kept = Some((Instant::now(), answer.clone()));
        answer
    }
}

impl Observed {
    /// Before there is anything to watch.
    pub(super) fn of_nothing(started: Time) -> Self {
        Self {
            started,
            now: started,
            connected: false,
            engine: None,
            silence: None,
            position: 0,
            rules: Vec::new(),
            targets: Vec::new(),
            tallies: BTreeMap::new(),
            live: BTreeMap::new(),
            sources: BTreeMap::new(),
            sockets: Vec::new(),
            polls: BTreeMap::new(),
            folders: BTreeMap::new(),
            nowhere: 0,
            identity: None,
            archive: None,
            nodes: None,
            installs: BTreeMap::new(),
            store: None,
            nats: None,
        }
    }
}

/// Looks at all of it.
pub(super) async fn look(started: Time, watched: &Watched, looks: &Looks) -> Observed {
    let (rules, mut targets) = watched.configured();
    targets.extend(Name::new(EMIT_TARGET).ok());
    let nats = looks.nats(watched).await;
    let store = Arc::clone(&watched.store);
    let records = tokio::task::spawn_blocking(move || {
        let snapshot = store.snapshot().ok();
        let tallies = snapshot.as_ref().and_then(|snapshot| snapshot.tallies().ok());
        let nodes = snapshot.as_ref().and_then(|snapshot| snapshot.count_nodes().ok());
        let installs = snapshot.and_then(|snapshot| snapshot.count_deployments().ok());
        (tallies.unwrap_or_default(), nodes, installs.unwrap_or_default(), store.size())
    });
    let (tallies, nodes, installs, store) = records.await.unwrap_or_default();
    let status = watched.engine.status();
    Observed {
        started,
        now: jiff::Timestamp::now().into(),
        connected: watched.bus.is_connected(),
        silence: status.heard.map(|heard| heard.elapsed()),
        engine: Some(status),
        position: watched.store.position(),
        rules,
        targets,
        tallies: tallies.into_iter().collect(),
        live: watched.targets.snapshots(),
        sources: watched.sources.counts().by_source(),
        sockets: watched.sockets.reports(),
        polls: watched.polls.reports(),
        folders: watched.folders.reports(),
        nowhere: watched.sources.counts().nowhere(),
        identity: watched.identity.as_ref().map(Counts::counted),
        archive: watched.archive.as_ref().map(archive::Telling::status),
        nodes,
        installs,
        store,
        nats,
    }
}

async fn in_nats(watched: &Watched) -> Result<InNats, BusError> {
    let bus = &watched.bus;
    let held = tokio::time::timeout(WITHIN / 2, bus.held_by_target());
    let (checkpoint, backlogs, held, dead, archive) = tokio::try_join!(
        bus.checkpoint(watched.partition),
        bus.backlogs(),
        async { held.await.ok().transpose() },
        bus.dead_by_target(),
        bus.archive_backlog(),
    )?;
    // Looked at after the checkpoint, so that it is never in front of the log's end.
    let streams = bus.stream_states().await?;
    let last = streams.get(stream::EVENTS).map_or(0, |events| events.last);
    let done = checkpoint.map_or(0, |(checkpoint, _)| checkpoint.sequence);
    let behind = last.saturating_sub(done);
    let behind_since = if behind == 0 { None } else { bus.first_event_behind(done).await? };
    Ok(InNats { streams, backlogs, held, dead, behind, behind_since, archive })
}

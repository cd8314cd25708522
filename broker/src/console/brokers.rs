//! What each broker is doing, and what its records count: answers for `emote targets` and `emote rules stats`.

use std::collections::BTreeMap;

use emote_proto::{Name, Time, service};
use serde::{Deserialize, Serialize};

use crate::{
    bus::{Asked, Bus, BusError},
    core::{Records as _, Tallied, Tally},
    deliver::{LastError, Running, TargetSnapshot},
    engine::Role,
    intake::{folder::FolderReport, socket::SocketReport},
    ops::Watched,
    poll::{self, PollReport},
    store::{Store, StoreError},
};

/// Counts in one page at most, and bytes of them.
const PAGE: usize = 1_000;
const PAGE_BYTES: usize = 512 * 1024;
/// Where reports would be larger than this, errors are left out: an answer must fit into a message.
const REPORT_BYTES: usize = 768 * 1024;

/// A broker as of now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BrokerReport {
    /// A word that no other broker has; another one after each start.
    pub id: String,
    /// The machine's name.
    pub host: String,
    /// Its version.
    pub version: String,
    /// When it was started.
    pub started: Time,
    /// Its part.
    pub role: Role,
    /// The last entry of the log in its records.
    pub position: u64,
    /// Why it does not fold, where it is in trouble.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Its targets.
    pub targets: BTreeMap<Name, TargetReport>,
    /// Its sources.
    #[serde(default)]
    pub sources: BTreeMap<String, SourceReport>,
}

/// A source at one broker. Counts are since that broker was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SourceReport {
    /// Webhooks that were taken, and messages at sockets.
    pub taken: u64,
    /// Events that they became.
    pub events: u64,
    /// Those that were refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Times that the stream did not take events.
    pub not_published: u64,
    /// Since when it is told to be silent, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent: Option<Time>,
    /// What is fetched instead, or beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<PollReport>,
    /// What is fetched to find what webhooks have not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<PollReport>,
    /// Where it listens by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<SocketReport>,
    /// Where files are dropped for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderReport>,
}

/// A target at one broker. Counts are since that broker was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetReport {
    /// Whether jobs are worked on.
    pub state: Running,
    /// Attempts at jobs.
    pub attempts: u64,
    /// Those that succeeded.
    pub succeeded: u64,
    /// Those that were not the first at their job.
    pub retries: u64,
    /// Attempts under way.
    pub in_flight: usize,
    /// Jobs waiting for the end of another one of their node.
    pub parked: usize,
    /// All attempts together, in milliseconds.
    pub took_ms: u64,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

impl From<TargetSnapshot> for TargetReport {
    fn from(of: TargetSnapshot) -> Self {
        Self {
            state: of.state,
            attempts: of.attempts,
            succeeded: of.succeeded,
            retries: of.retries,
            in_flight: of.in_flight,
            parked: of.parked,
            took_ms: of.latency.sum_ms,
            last_error: of.last_error,
        }
    }
}

/// Asks for a page of counts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TalliesQuestion {
    /// Only those whose key comes after this one.
    #[serde(default)]
    pub after: String,
}

/// A page of counts, in order of their keys.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TalliesAnswer {
    /// [`Tallied::key`] and what was counted.
    pub tallies: Vec<(String, Tally)>,
    /// Whether there are more after the last.
    pub more: bool,
    /// What went wrong, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What each broker is doing; none where no broker runs.
pub async fn ask_brokers(bus: &Bus) -> Result<Vec<BrokerReport>, BusError> {
    let mut brokers: Vec<BrokerReport> = bus.ask_all(service::BROKERS).await?;
    brokers.sort_by(|one, other| one.started.cmp(&other.started).then_with(|| one.id.cmp(&other.id)));
    Ok(brokers)
}

/// Everything that this broker counts.
pub async fn ask_tallies(bus: &Bus, broker: &str) -> Result<BTreeMap<Tallied, Tally>, BusError> {
    let (mut tallies, mut after) = (BTreeMap::new(), String::new());
    loop {
        let answer: TalliesAnswer = bus.ask(service::tallies(broker), &TalliesQuestion { after }).await?;
        if let Some(reason) = answer.error {
            return Err(BusError::Refused { doing: "asking the broker for its counts", reason });
        }
        after = answer.tallies.last().map(|(key, _)| key.clone()).unwrap_or_default();
        tallies.extend(answer.tallies.into_iter().filter_map(|(key, tally)| Some((Tallied::from_key(&key)?, tally))));
        if !answer.more {
            return Ok(tallies);
        }
    }
}

pub(super) fn report(id: &str, started: Time, watched: &Watched) -> BrokerReport {
    let status = watched.engine.status();
    let mut targets: BTreeMap<Name, TargetReport> =
        watched.targets.snapshots().into_iter().map(|(name, snapshot)| (name, snapshot.into())).collect();
    if serde_json::to_vec(&targets).is_ok_and(|json| json.len() > REPORT_BYTES) {
        targets.values_mut().for_each(|target| target.last_error = None);
    }
    let mut sources = sources(watched);
    if serde_json::to_vec(&sources).is_ok_and(|json| json.len() > REPORT_BYTES / 4) {
        let polls = sources.values_mut().flat_map(|source| [&mut source.poll, &mut source.reconcile]);
        polls.flatten().for_each(|poll| poll.last_error = None);
        sources.values_mut().flat_map(|source| &mut source.sockets).for_each(|socket| socket.last_error = None);
        sources.values_mut().filter_map(|source| source.folder.as_mut()).for_each(|folder| folder.last_error = None);
    }
    BrokerReport {
        id: id.to_owned(),
        host: crate::hostname::own(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        role: status.role,
        position: watched.store.position(),
        trouble: status.trouble,
        targets,
        sources,
    }
}

fn sources(watched: &Watched) -> BTreeMap<String, SourceReport> {
    let counts = watched.sources.counts().by_source();
    let mut sources: BTreeMap<String, SourceReport> = counts
        .into_iter()
        .map(|(name, counts)| {
            let refused = counts.refused.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect();
            let (taken, events, not_published) = (counts.taken, counts.events, counts.not_published);
            (name, SourceReport { taken, events, refused, not_published, ..SourceReport::default() })
        })
        .collect();
    for ((name, kind), report) in watched.polls.reports() {
        let source = sources.entry(name).or_default();
        match kind {
            poll::Kind::Poll => source.poll = Some(report),
            poll::Kind::Reconcile => source.reconcile = Some(report),
        }
    }
    for (name, report) in watched.sockets.reports() {
        sources.entry(name).or_default().sockets.push(report);
    }
    for (name, report) in watched.folders.reports() {
        sources.entry(name).or_default().folder = Some(report);
    }
    if let Ok(records) = watched.store.snapshot() {
        for (name, source) in &mut sources {
            source.silent = records.heard(name).ok().flatten().and_then(|heard| heard.silent);
        }
    }
    sources
}

pub(super) async fn answer_tallies(store: &Store, asked: Asked) -> Result<(), BusError> {
    let question: TalliesQuestion = serde_json::from_slice(&asked.payload).unwrap_or_default();
    let answer = match page(store, &question.after) {
        Ok(answer) => answer,
        Err(error) => TalliesAnswer { error: Some(error.to_string()), ..TalliesAnswer::default() },
    };
    asked.answer(&answer).await
}

fn page(store: &Store, after: &str) -> Result<TalliesAnswer, StoreError> {
    let mut answer = TalliesAnswer::default();
    let mut bytes = 0;
    for (of, tally) in store.snapshot()?.tallies()? {
        let key = of.key();
        if key.as_str() <= after {
            continue;
        }
        bytes += key.len() + serde_json::to_vec(&tally).map_or(0, |json| json.len());
        answer.more = answer.tallies.len() == PAGE || (bytes > PAGE_BYTES && !answer.tallies.is_empty());
        if answer.more {
            break;
        }
        answer.tallies.push((key, tally));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Changes;

    #[test]
    fn pages_of_counts_come_to_all_of_them_once() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("s.redb")).unwrap();
        let tally = |n: u64| Tally { matched: n, last_error: Some("x".repeat(300)), ..Tally::default() };
        let all: BTreeMap<Tallied, Tally> = (0..3_000).map(|n| (Tallied::Rule(format!("r{n}")), tally(n))).collect();
        let changes = Changes { tallies: all.clone().into_iter().collect(), ..Changes::default() };
        store.commit(&changes, 1, Time::from_millis(0).unwrap()).unwrap();
        let (mut found, mut after, mut pages) = (BTreeMap::new(), String::new(), 0);
        loop {
            let answer = page(&store, &after).unwrap();
            assert!(serde_json::to_vec(&answer).unwrap().len() < 1 << 20);
            after = answer.tallies.last().map(|(key, _)| key.clone()).unwrap();
            found.extend(answer.tallies.into_iter().map(|(key, tally)| (Tallied::from_key(&key).unwrap(), tally)));
            pages += 1;
            if !answer.more {
                break;
            }
        }
        assert!(pages > 2 && found == all, "{pages} pages, {} counts", found.len());
    }
}

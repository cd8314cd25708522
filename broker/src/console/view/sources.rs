//! What is known of sources: from the rules in force, from the log, and from every broker that answers.

use std::collections::BTreeMap;

use emote_proto::{Name, Time};
use serde_json::{Value, json};

use super::in_force::{self, InForceNow, KnownSource};
use crate::{
    bus::Bus,
    console::{BrokerReport, SourceReport, ask_brokers},
    intake::{folder::FolderReport, socket::SocketReport},
    poll::PollReport,
};

/// Everything that was found out, at one time.
pub(crate) struct View {
    /// When.
    pub(crate) now: Time,
    brokers: Vec<BrokerReport>,
    in_force: InForceNow,
    heard: BTreeMap<Name, Time>,
}

/// A source.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: Name,
    pub(crate) preset: Option<String>,
    /// `webhook`, `poll`, `tls` …
    pub(crate) kind: String,
    /// `taking`, `polling`, `failing`, `silent` …
    pub(crate) state: String,
    /// When the log last had an event of it.
    pub(crate) heard: Option<Time>,
    pub(crate) silent: Option<Time>,
    pub(crate) silent_after_s: Option<u64>,
    /// Webhooks and messages taken, and events told at all brokers, since each was started.
    pub(crate) taken: u64,
    pub(crate) events: u64,
    pub(crate) refused: BTreeMap<String, u64>,
    pub(crate) polls: BTreeMap<&'static str, PollReport>,
    /// Where it listens by itself, at each broker.
    pub(crate) sockets: Vec<SocketReport>,
    pub(crate) folder: Option<FolderReport>,
    /// When all was last fetched.
    pub(crate) fetched: Option<Time>,
    pub(crate) last_error: Option<(Time, String)>,
}

impl View {
    /// Asks NATS and the brokers.
    pub(crate) async fn ask(bus: &Bus) -> Result<Self, anyhow::Error> {
        let in_force = in_force::ask(bus).await?;
        let brokers = ask_brokers(bus).await?;
        let mut heard = BTreeMap::new();
        for name in in_force.sources.keys() {
            let last = bus.last_event(&format!("events.{name}.>")).await?;
            heard.extend(last.map(|last| (name.clone(), last.received)));
        }
        Ok(Self { now: jiff::Timestamp::now().into(), brokers, in_force, heard })
    }

    /// Every source in force.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.in_force.sources.iter().map(|(name, known)| self.row(name, known)).collect()
    }

    fn row(&self, name: &Name, known: &KnownSource) -> Row {
        let reports: Vec<&SourceReport> =
            self.brokers.iter().filter_map(|broker| broker.sources.get(name.as_str())).collect();
        let mut refused = BTreeMap::new();
        for (reason, count) in reports.iter().flat_map(|report| &report.refused) {
            *refused.entry(reason.clone()).or_default() += count;
        }
        let mut polls = BTreeMap::new();
        for (key, of) in [("poll", poll as OfReport), ("reconcile", reconcile)] {
            // Of the broker that does it now, else of whoever did it last.
            let found = reports.iter().filter_map(|report| of(report));
            let now = found.max_by_key(|poll| (poll.state != "standing_by", poll.last_try));
            if let Some(poll) = now {
                let all = reports.iter().filter_map(|report| of(report));
                polls.insert(key, sum(poll, all));
            }
        }
        let silent = reports.iter().filter_map(|report| report.silent).max();
        let sockets: Vec<SocketReport> = reports.iter().flat_map(|report| report.sockets.iter().cloned()).collect();
        let folder = folder(&reports);
        let of_polls = polls.values().map(|poll: &PollReport| (poll.last_error_at, &poll.last_error));
        let of_sockets = sockets.iter().map(|socket| (socket.last_error_at, &socket.last_error));
        let of_folders = reports.iter().filter_map(|report| report.folder.as_ref());
        let of_folders = of_folders.map(|folder| (folder.last_error_at, &folder.last_error));
        let errors = of_polls.chain(of_sockets).chain(of_folders);
        let last_error = errors.filter_map(|(at, error)| Some((at?, error.clone()?))).max_by_key(|(at, _)| *at);
        Row {
            name: name.clone(),
            preset: known.preset.clone(),
            kind: known.kind.clone(),
            state: self.state(silent.is_some(), reports.len(), (&polls, &sockets, folder.as_ref())),
            heard: self.heard.get(name).copied(),
            silent,
            silent_after_s: known.silent_after.map(|after| after.as_secs()),
            taken: reports.iter().map(|report| report.taken).sum(),
            events: reports.iter().map(|report| report.events).sum::<u64>()
                + polls.values().map(|poll| poll.events).sum::<u64>()
                + folder.as_ref().map_or(0, |folder| folder.events),
            refused,
            folder,
            fetched: polls.values().filter_map(|poll| poll.last_success).max(),
            polls,
            sockets,
            last_error,
        }
    }

    fn state(
        &self,
        silent: bool,
        brokers: usize,
        (polls, sockets, folder): (&BTreeMap<&'static str, PollReport>, &[SocketReport], Option<&FolderReport>),
    ) -> String {
        let is_closed = |socket: &SocketReport| !socket.listens && socket.last_error.is_some();
        let mut failures = polls.values().map(|poll| poll.failures).chain(folder.map(|folder| folder.failures));
        let failing = failures.any(|failures| failures > 0) || sockets.iter().any(is_closed);
        let word = match () {
            () if self.brokers.is_empty() => "no broker",
            () if brokers == 0 => "not ready",
            () if failing => "failing",
            () if silent => "silent",
            () => {
                let states = polls.values().map(|poll| poll.state.as_str());
                states.chain(folder.map(|folder| folder.state.as_str())).next().unwrap_or("taking")
            }
        };
        word.replace('_', " ")
    }

    /// What should be known about the brokers, where not all is as it should be.
    pub(crate) fn note(&self) -> Option<String> {
        let none =
            "No broker runs on this NATS: nothing is taken and nothing is fetched. Start `emote dev` or `emote serve`.";
        self.brokers.is_empty().then(|| none.to_owned())
    }
}

type OfReport = fn(&SourceReport) -> Option<&PollReport>;

fn poll(report: &SourceReport) -> Option<&PollReport> {
    report.poll.as_ref()
}

fn reconcile(report: &SourceReport) -> Option<&PollReport> {
    report.reconcile.as_ref()
}

/// The folders of all brokers together: as the one that fails, else as one that has a folder.
fn folder(reports: &[&SourceReport]) -> Option<FolderReport> {
    let all = || reports.iter().filter_map(|report| report.folder.as_ref());
    let shown = all().max_by_key(|folder| (folder.failures > 0, folder.state == "watching"))?;
    Some(FolderReport {
        waiting: all().map(|folder| folder.waiting).sum(),
        files: all().map(|folder| folder.files).sum(),
        events: all().map(|folder| folder.events).sum(),
        refused: all().map(|folder| folder.refused).sum(),
        last_success: all().filter_map(|folder| folder.last_success).max(),
        ..shown.clone()
    })
}

/// As `now`, with the counts of `all`.
fn sum<'a>(now: &PollReport, all: impl Iterator<Item = &'a PollReport>) -> PollReport {
    let mut sum = PollReport { rounds: 0, failed: 0, pages: 0, items: 0, events: 0, refused: 0, ..now.clone() };
    for of in all {
        sum.rounds += of.rounds;
        sum.failed += of.failed;
        sum.pages += of.pages;
        sum.items += of.items;
        sum.events += of.events;
        sum.refused += of.refused;
        sum.last_success = sum.last_success.max(of.last_success);
    }
    sum
}

/// A source for programs.
pub(crate) fn json_of(row: &Row) -> Value {
    json!({
        "source": row.name,
        "preset": row.preset,
        "kind": row.kind,
        "state": row.state,
        "last_heard": row.heard,
        "silent_since": row.silent,
        "silent_after_s": row.silent_after_s,
        "taken": row.taken,
        "events": row.events,
        "refused": row.refused,
        "last_fetched": row.fetched,
        "polls": row.polls,
        "sockets": row.sockets,
        "folder": row.folder,
        "last_error": row.last_error.as_ref().map(|(at, reason)| json!({"at": at, "reason": reason})),
    })
}

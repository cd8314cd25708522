//! Of EVENTS: all that was acknowledged, nothing twice, each agent in its order.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Evidence, Finding, tally};

/// The keys of events that senders sent, as often as they are in the log.
fn keys(evidence: &Evidence) -> HashMap<&str, usize> {
    let entries = evidence.log.iter().filter(|entry| !entry.is_from_broker() && !entry.garbage);
    tally(entries.map(|entry| entry.text("/info/key")).filter(|key| !key.is_empty()))
}

pub(super) fn acknowledged_once(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("every event that was acknowledged is in EVENTS exactly once");
    let keys = keys(evidence);
    for sent in evidence.sent.iter().filter(|sent| sent.acknowledged) {
        let times = keys.get(sent.key.as_str()).copied().unwrap_or(0);
        finding.look(times == 1, || format!("the event {} is there {times} times", sent.key));
    }
    finding
}

pub(super) fn nothing_unsent(evidence: &Evidence) -> Finding {
    let mut finding =
        Finding::new("no event is there that nobody sent, and none that was not acknowledged is there twice");
    let sent: HashSet<&str> = evidence.sent.iter().map(|sent| sent.key.as_str()).collect();
    for (key, times) in keys(evidence) {
        finding.look(times == 1 && sent.contains(key), || format!("the event {key} is there {times} times"));
    }
    finding
}

pub(super) fn ids_once(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("no two entries of EVENTS have the same id, results included");
    let ids = evidence.log.iter().filter(|entry| !entry.garbage).map(|entry| entry.id.as_str());
    for (id, times) in tally(ids.filter(|id| !id.is_empty())) {
        finding.look(times == 1, || format!("the id {id} is there {times} times"));
    }
    finding
}

pub(super) fn agents_in_order(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("each agent's events are in EVENTS in the order in which they happened");
    let mut last: HashMap<&str, u64> = HashMap::new();
    for entry in evidence.log.iter().filter(|entry| entry.word(1) == "agent" && entry.word(3) == "chaos") {
        let n = entry.body.pointer("/info/n").and_then(Value::as_u64).unwrap_or(0);
        let before = last.insert(entry.word(2), n).unwrap_or(0);
        finding
            .look(n > before, || format!("{}: number {n} came after {before}, at {}", entry.word(2), entry.sequence));
    }
    finding
}

pub(super) fn folded_to_the_end(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("the checkpoint is at the end of EVENTS");
    let (last, at) = (evidence.log.last().map_or(0, |entry| entry.sequence), evidence.checkpoint);
    finding.look(at == last, || format!("the checkpoint is at {at}, EVENTS ends with {last}"));
    finding
}

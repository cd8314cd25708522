//! The proof: what was sent, what is in the streams and what the target saw, judged by pure functions. It shares no code
//! with the broker, whose word on what it did is never asked.

mod ends;
mod jobs;
mod log;
mod oracle;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::Value;

/// An event that somebody tried to send.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Its `info.key`.
    pub(crate) key: String,
    /// Whether whoever took it said that it is stored.
    pub(crate) acknowledged: bool,
}

/// An entry of EVENTS.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its place.
    pub(crate) sequence: u64,
    /// Its subject.
    pub(crate) subject: String,
    /// Its id: the body's, else the header's.
    pub(crate) id: String,
    /// Whether it was sent as garbage.
    pub(crate) garbage: bool,
    /// Its body; null where it is no JSON.
    pub(crate) body: Value,
}

/// A message of DELIVERIES.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Its place.
    pub(crate) sequence: u64,
    /// Its subject: `deliver.…` or `held.…`.
    pub(crate) subject: String,
    /// The job's id, as the header has it.
    pub(crate) id: String,
    /// Whether it was sent as garbage.
    pub(crate) garbage: bool,
}

/// A message of DEAD.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    /// Its subject.
    pub(crate) subject: String,
    /// The job's id, as the header has it.
    pub(crate) job: String,
}

/// A request as the target saw it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The target's name, from the path.
    pub(crate) target: String,
    /// Its `Idempotency-Key`.
    pub(crate) job: String,
    /// The event that its body names.
    pub(crate) event: String,
    /// How it was answered; 0: not at all.
    pub(crate) status: u16,
}

/// Everything that there is to judge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// What was sent.
    pub(crate) sent: Vec<Sent>,
    /// EVENTS, in order.
    pub(crate) log: Vec<Entry>,
    /// DELIVERIES without its checkpoint, in order.
    pub(crate) jobs: Vec<Job>,
    /// How far the core says it is.
    pub(crate) checkpoint: u64,
    /// DEAD, in order.
    pub(crate) dead: Vec<Letter>,
    /// What the target saw.
    pub(crate) requests: Vec<Request>,
}

/// What a check found.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    /// What must hold, in words.
    pub(crate) what: &'static str,
    /// How many things were looked at.
    pub(crate) count: usize,
    /// What does not hold.
    pub(crate) problems: Vec<String>,
}

impl Finding {
    fn new(what: &'static str) -> Self {
        Self { what, count: 0, problems: Vec::new() }
    }

    /// Looks at one thing; `problem` where it is not as it must be.
    fn look(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        self.count += 1;
        if !holds {
            self.problems.push(problem());
        }
    }
}

/// Every check there is, in the order of the table.
pub(crate) fn judge(evidence: &Evidence) -> Vec<Finding> {
    let demands = oracle::demands(&evidence.log);
    vec![
        log::acknowledged_once(evidence),
        log::nothing_unsent(evidence),
        log::ids_once(evidence),
        log::agents_in_order(evidence),
        jobs::demanded_once(evidence, &demands),
        jobs::nothing_undemanded(evidence, &demands),
        jobs::in_order(evidence, &demands),
        jobs::budget_held(evidence, &demands),
        ends::told_once(evidence, &demands),
        ends::reached(evidence, &demands),
        ends::letters(evidence, &demands),
        ends::requests_demanded(evidence, &demands),
        ends::garbage_told_once(evidence),
        log::folded_to_the_end(evidence),
    ]
}

/// How many requests repeated a job that the target had already accepted: what at least once allows.
pub(crate) fn repeated(evidence: &Evidence) -> usize {
    let mut accepted: HashMap<&str, usize> = HashMap::new();
    for request in evidence.requests.iter().filter(|request| is_success(request.status)) {
        *accepted.entry(&request.job).or_default() += 1;
    }
    accepted.values().map(|times| times - 1).sum()
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// How often each comes up.
fn tally<'a>(words: impl Iterator<Item = &'a str>) -> HashMap<&'a str, usize> {
    let mut times = HashMap::new();
    for word in words {
        *times.entry(word).or_default() += 1;
    }
    times
}

impl Entry {
    /// The part of its subject: 1 source, 2 node, 3 scope, 4 action.
    fn word(&self, place: usize) -> &str {
        self.subject.split('.').nth(place).unwrap_or_default()
    }

    fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn is_flag(&self, pointer: &str) -> bool {
        self.body.pointer(pointer) == Some(&Value::Bool(true))
    }

    fn is_from_broker(&self) -> bool {
        self.word(1) == "broker"
    }
}

//! What became of it all, counted from the log itself: for `emote rules stats`, `emote targets` and the metrics.

use emote_proto::{Event, Time, source};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest reason kept, in characters.
const MAX_ERROR: usize = 300;

/// Counts since the log began, of one rule or one target.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Events that a rule matched. A target matches nothing.
    pub matched: u64,
    /// Jobs given out, those held and released later included.
    pub jobs: u64,
    /// Jobs done.
    pub done: u64,
    /// Jobs given up.
    pub dead: u64,
    /// Jobs whose input asked for nothing.
    pub skipped: u64,
    /// Jobs that were held back.
    pub held: u64,
    /// Held jobs that somebody denied.
    pub denied: u64,
    /// Jobs refused: too old, or not trusted enough.
    pub refused: u64,
    /// Times that a rule was stopped because it would have gone on without end.
    pub loops_stopped: u64,
    /// When it last matched, or a job of it last ended.
    pub last: Option<Time>,
    /// When a rule last matched.
    pub last_matched: Option<Time>,
    /// Why a job was last given up.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Time>,
}

/// Whose tally it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tallied {
    /// A rule's.
    Rule(String),
    /// A target's.
    Target(String),
}

impl Tallied {
    /// As a store's key: `rule/lock-leavers`.
    pub fn key(&self) -> String {
        match self {
            Self::Rule(name) => format!("rule/{name}"),
            Self::Target(name) => format!("target/{name}"),
        }
    }

    /// From a store's key.
    pub fn from_key(key: &str) -> Option<Self> {
        match key.split_once('/')? {
            ("rule", name) => Some(Self::Rule(name.to_owned())),
            ("target", name) => Some(Self::Target(name.to_owned())),
            _ => None,
        }
    }
}

impl Tally {
    /// Counts a job's end, as its result event tells it.
    pub fn end(&mut self, event: &Event, received: Time) {
        self.last = Some(received);
        match (event.scope.as_str(), event.action.as_str()) {
            ("delivery", "dead") => {
                self.dead += 1;
                let reason = event.info_at(&["reason"]).and_then(Value::as_str).unwrap_or_default();
                self.last_error = Some(reason.chars().take(MAX_ERROR).collect());
                self.last_error_at = Some(received);
            }
            ("delivery", "skipped") => self.skipped += 1,
            ("delivery", "denied") => self.denied += 1,
            _ => self.done += 1,
        }
    }
}

/// The rule and the target whose job's end `event` tells, if it does.
pub(super) fn ended(event: &Event) -> Option<(Tallied, Tallied)> {
    let cause = event.cause.as_ref().filter(|_| event.source.as_str() == source::BROKER)?;
    // What the core itself says about a chain has the chain's cause, and ends no job.
    cause.job.as_ref()?;
    let own = matches!(event.scope.as_str(), "rule" | "guard" | "deploy") || event.action.as_str() == "rejected";
    (!own).then(|| (Tallied::Rule(cause.rule.clone()), Tallied::Target(cause.target.clone())))
}

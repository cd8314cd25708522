//! Target kinds: one file a kind, one line a kind in [`KINDS`].

use std::time::Duration;

use emote_proto::Token;
use serde_json::Value;

use crate::core::Job;

mod settings;
pub use settings::{Backoff, DeliverySettings, Retry};

/// How one attempt at a job ended: what to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done; this is what is reported.
    Done(Report),
    /// Not now: try again, after the given time where the other side named one.
    Retry {
        /// The other side's wish (`Retry-After`).
        after: Option<Duration>,
        /// Why, for the dead letter and the log; no secret in it.
        reason: String,
    },
    /// Trying again would not help.
    Never {
        /// Why, and what would help; no secret in it.
        reason: String,
    },
}

/// What a job's result event says: `{"scope":"communicate","action":"slack_post","info":{…}}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The event's scope.
    pub scope: Token,
    /// The event's action.
    pub action: Token,
    /// The event's info; the broker adds target, rule and attempts.
    pub info: Value,
}

/// A target, ready to act.
#[async_trait::async_trait]
pub trait Target: Send + Sync {
    /// Does what `job` asks. `input` is what the rule's input transform gave, or the event where the rule has none.
    /// Called again with the same job after a crash or a [`Outcome::Retry`].
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome;
}

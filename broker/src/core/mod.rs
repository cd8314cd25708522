//! The core: a fold over the log. `apply` takes one entry of EVENTS and gives the jobs it sets off; what it knows of
//! nodes it reads and writes through [`Overlay`]. No tokio, no async-nats, no redb, no clock in here: the same log gives
//! the same jobs, wherever it is folded.

mod claims;
mod fold;
mod job;
mod node;
mod rule;
mod state;

pub use fold::{Core, Entry, Rejection, open_entry};
pub use job::{Job, JobId};
pub use node::{Claim, Node};
pub use rule::{Fanout, Rule, RuleTarget};
pub use state::{Changes, DEDUPE_WINDOW_MILLIS, Memory, Overlay, Records, StateError};

/// The rule name that the core's own jobs carry; no configured rule may have it.
pub const CORE_RULE: &str = "core";
/// The target that publishes an event of the core's own; no configured target may have it.
pub const EMIT_TARGET: &str = "emit";

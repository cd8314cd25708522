//! The core: a fold over the log. `apply` takes one entry of EVENTS and gives the jobs it sets off; what it knows of
//! nodes it reads and writes through [`Overlay`]. No tokio, no async-nats, no redb, no clock in here: the same log gives
//! the same jobs, wherever it is folded.

mod budget;
mod claims;
mod deploy;
mod fold;
mod job;
mod layer;
mod memory;
mod node;
mod order;
mod policy;
mod replay;
mod rule;
mod silence;
mod state;
mod tally;
mod trust;
mod written;

pub use budget::{Budgets, MAX_LIMIT, MAX_WINDOW};
pub use deploy::{
    Deploying, Deployment, MAX_NODES, ORDERED, PACKAGE_SET, Package, Said, State, TIMER as DEPLOY_TIMER, is_at_least,
};
pub use fold::{Core, Entry, Parsed, Rejection, open_entry};
pub use job::{BridgeInput, Input, Job, JobId, Poison};
pub use layer::Layer;
pub use memory::Memory;
pub use node::{Claim, Node, View};
pub use order::{Letter, MAX_NAMED, Order, OrderError, is_hash};
pub use policy::{Guard, Policy};
pub use replay::{MAX_NAME, REPLAYED, Terms, may_be_replayed, replay_info, replay_of, replayed_id};
pub use rule::{Fanout, Rule, RuleBook, RuleTarget};
pub use silence::{Heard, SILENCE, TIMER};
pub use state::{Changes, DEDUPE_WINDOW_MILLIS, Known, Overlay, Records, StateError};
pub use tally::{Tallied, Tally};
pub use trust::{Believed, OWN_SOURCES};
pub use written::{Record, SharedEvent};

/// The rule name that the core's own jobs carry; no configured rule may have it.
pub const CORE_RULE: &str = "core";
/// The rule name of jobs that an order to install the agent came to; no configured rule may have it.
pub const DEPLOY_RULE: &str = "deploy";
/// The target that publishes an event of the core's own; no configured target may have it.
pub const EMIT_TARGET: &str = "emit";

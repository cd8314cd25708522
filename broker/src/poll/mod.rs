//! Sources that are fetched from: the vendor's API is asked for what happened, page by page, where no webhook tells it
//! (`poll`), or for what webhooks should have told (`reconcile`).
//!
//! ```text
//! request ─→ page ─ items (jq) ─→ each item ─ map (jq) ─→ drafts ─ those that are new ─→ EVENTS ─→ cursor ─→ EVENTS
//! ```
//!
//! **Where it stands is kept in the log.** Once a page's events are acknowledged, `events.<source>.-.source.polled` is
//! published with the cursor in it, as the next behind the last message of that subject: a broker that does not lead any
//! more, and does not know it, cannot take it back. What is read there at the start is where polling goes on, at whatever
//! broker. It is published when the cursor moves, and now and then as a sign of life.
//!
//! **Nothing is told twice.** Ids derive from the vendor's own, so that a page which is fetched again makes the same
//! events; those that the log has already are left out. What a crash leaves between a page and its cursor is fetched again.
//!
//! APIs that list what is there, and not what happened, give an object that does not change again and again, for longer
//! than ids are remembered. So what may be older than that is compared with the last event of its subject, which the log
//! keeps: an object is told when it differs from what was told of it last, by whatever broker, as long as EVENTS holds
//! that. It takes a subject of its own, which is why a map should name the object's device or user.
//!
//! **Security events** (RFC 8936, [`sets`]) have no pages and no cursor: what was not acknowledged comes again.
//!
//! Only the broker that leads polls, each source once at a time. Everything is bounded: pages, items and bytes of each,
//! and the time of a round; what is cut off goes on with the next round.

mod item;
mod log;
mod page;
mod poller;
mod record;
mod sets;
mod spec;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use item::OfLog;
pub(crate) use log::tell_new;
pub use log::{Last, Log, Next, OfBus};
pub(crate) use page::Poll;
pub(crate) use poller::pause;
pub use poller::{Pollers, Reach};
pub use spec::Plan;
pub use state::{PollReport, Polls};

/// The shortest time between two rounds, and the longest.
const SHORTEST: std::time::Duration = std::time::Duration::from_secs(1);
const LONGEST: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3600);
/// How often a source that is polled gives a sign of life in the log where nothing moves.
pub const SIGN_EVERY: std::time::Duration = std::time::Duration::from_secs(3600);

/// What is fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What happened.
    Poll,
    /// What webhooks should have told.
    Reconcile,
}

impl Kind {
    /// The key in a source's file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Reconcile => "reconcile",
        }
    }

    /// The action of the event that keeps where it stands.
    pub fn action(self) -> &'static str {
        match self {
            Self::Poll => "polled",
            Self::Reconcile => "reconciled",
        }
    }

    /// The action of the event that tells of trouble.
    pub fn failed(self) -> &'static str {
        match self {
            Self::Poll => "poll_failed",
            Self::Reconcile => "reconcile_failed",
        }
    }
}

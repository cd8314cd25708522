//! A SCIM 2.0 server (RFC 7643, 7644): identity providers provision users and groups here, and what changes is events.
//!
//! ```text
//! method, path, body ─ authorized ─→ Resource as it was → as it is ─ changes ─→ events ─ map ─ publish ─→ record ─→ 2xx
//! ```
//!
//! What was provisioned lies in the bucket `emote-scim`, the same for all brokers:
//!
//! | key | value |
//! |---|---|
//! | `<source>.user.<id>`, `<source>.group.<id>` | [`Record`]: when it was made and changed, and the resource without secrets |
//! | `<source>.username.<hash>`, `<source>.groupname.<hash>` | the id of the user of this userName, the group of this displayName, in lower case |
//!
//! The events are published first, then a record is written in place of the revision that they were derived from, with its
//! name in one atomic batch. Ids of events are derived from the resource's id, that revision and what changed: a client
//! that sends again after a crash between the two makes the same events. A new resource's id is derived from its name and
//! the revision of that name's record, so that what was deleted never comes back under its old id. Of two brokers that
//! change the same resource at the same moment, one begins anew: the events it had published stand, and come again if
//! they still hold. Passwords are neither kept nor published.
//!
//! A source may have a `map` of its own: it is given each event, and may change it or make none of it.

mod changes;
mod discovery;
mod error;
mod filter;
mod kind;
mod list;
mod normal;
mod patch;
mod path;
mod record;
mod rehearsal;
mod route;
mod serve;

use super::Refusal;

pub(super) use error::{ScimError, refused};
pub use record::Directory;
use record::Record;
pub(super) use rehearsal::rehearse;
pub(super) use serve::{Answer, Events, Failed, Served, Server};

/// RFC 7644, section 8.1.
pub(super) const MEDIA_TYPE: &str = "application/scim+json";

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use testing::Memory;

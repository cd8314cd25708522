//! A SCIM 2.0 server (RFC 7643, 7644): identity providers provision users and groups here, and what changes is events.
//!
//! ```text
//! method, path, body ─ authorized ─→ Resource as it was → as it is ─ changes ─→ events ─ map ─→ record ─ publish ─→ 2xx
//! ```
//!
//! What was provisioned lies in the bucket `emote-scim`, the same for all brokers:
//!
//! | key | value |
//! |---|---|
//! | `<source>.user.<id>`, `<source>.group.<id>` | [`Record`]: when it was made and changed, and the resource without secrets |
//! | `<source>.username.<hash>`, `<source>.groupname.<hash>` | the id of the user of this userName, the group of this displayName, in lower case |
//! | `UNTOLD.<source>.…` | events of a change that are not published yet ([`untold`]) |
//!
//! A change is written in place of the revision that it was made of: the record, its name and its events in one atomic
//! batch. Then the events are published, the client is answered, and they are taken out of the bucket. Of two brokers that
//! change the same resource at the same moment one is refused and begins anew with what the other has made of it: events
//! are those of changes that were made, each once. What a broker that ends in between leaves untold is told before the next
//! change of the resource, and within seconds by any broker that runs. Ids of events are derived from the resource's id,
//! the revision that was changed and what changed of it: whoever tells them tells the same events. A client that sends
//! again what it could not be told of is answered as the first time. A new resource's id is derived from its name and the
//! revision of that name's record, so that what was deleted never comes back under its old id. Passwords are neither kept
//! nor published.
//!
//! A source may have a `map` of its own: it is given each event, and may change it or make none of it.

mod changes;
mod discovery;
mod edit;
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
mod untold;

use super::Refusal;

pub(super) use error::{ScimError, refused};
pub use record::Directory;
use record::Record;
pub(super) use rehearsal::rehearse;
pub(super) use serve::{Answer, Events, Failed, Served, Server};
pub use untold::Untold;
pub(super) use untold::parts;

/// RFC 7644, section 8.1.
pub(super) const MEDIA_TYPE: &str = "application/scim+json";

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use testing::Memory;

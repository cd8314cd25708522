//! JSON Schemas: of events, and of the files that configure Emote.
//!
//! - [`files`]: what an editor needs to complete and check `emote.yaml` and its neighbours. It is written down from what
//!   the readers of those files ask for ([`crate::config::explore`]), so it says what they say. A new kind of target, or a
//!   new key of one, needs no line here.
//! - [`events`]: the vocabulary, one file a scope in `broker/schemas/events/`, and what of an event goes against it.
//! - [`infer`]: the schema that events have, from events; [`compat`]: what differs between two schemas, and for whom.
//! - [`discover`]: the schemas that the stream's events have, versioned, as the broker that leads sees them.
//!
//! Nothing here fetches anything: a schema refers to what is built in, or to itself.

pub mod compat;
pub mod discover;
pub mod events;
pub mod files;
pub mod infer;

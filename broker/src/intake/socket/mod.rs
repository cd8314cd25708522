//! Sources that listen on sockets of their own, for senders that speak syslog or GELF: over UDP, TCP or TLS.
//!
//! ```text
//! socket ─ framing ─→ message ─ decode ─→ JSON ─ map (jq) ─→ drafts ─ publish, again until it is acknowledged ─→ the next
//! ```
//!
//! Every broker listens. **Nobody is answered** in these protocols, so the stream's acknowledgement shows in what is read:
//! a connection is read on only once the stream has what it brought before, and its sender waits when the stream is away.
//! What was read at once of a connection and is not acknowledged is lost with the process. A datagram waits in a queue that is
//! bounded, and what finds no room is lost.
//!
//! **What is lost is told**: it is counted by reason, logged now and then, and told by an event `source.dropped`.
//!
//! A message is an event of its own, told apart by where and when it was read: two that say the same are two.

mod datagram;
mod dropped;
mod listeners;
mod message;
mod plan;
mod report;
mod stream;
mod take;
#[cfg(test)]
mod tests;

pub use listeners::Listeners;
pub use plan::{Codec, Plan};
pub(crate) use plan::{MAX_SOCKETS, Socket};
pub use report::{SocketReport, Sockets};
pub use take::Reach;

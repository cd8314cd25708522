//! The agent's package on its way to Macs: read from its bytes ([`package`]), kept in JetStream and copied by each broker to
//! its own disk ([`shelf`]), served to whoever asks ([`serve`]). What follows of it is the fold's ([`crate::core`]).
//!
//! Served without credentials: there is no secret in a package, and a Mac that has no agent yet has nothing to show. Only
//! what an administrator put there is served, under its version, and nothing is taken.

pub mod package;
mod range;
mod serve;
mod shelf;

pub use serve::{Deployed, router};
pub use shelf::{Packages, Shelf, ShelfError, Shelved};

/// Largest package, in bytes.
pub const MAX_PACKAGE: u64 = 256 << 20;

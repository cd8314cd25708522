//! The broker: what `emote` is made of. `main` only picks a subcommand.
//!
//! Direction of dependencies: `cli` → `run` → {`ingest`, `deliver`, `engine`, `archive`, `console`, `ops`} → `bus`; `core` knows nothing of
//! any of them. Only `bus` names async-nats, only `store` names redb.

#![forbid(unsafe_code)]

pub mod archive;
pub mod bus;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod console;
pub mod core;
pub mod deliver;
pub mod deploy;
pub mod engine;
mod form;
pub mod framing;
pub mod gelf;
mod hostname;
pub mod identity;
pub mod ingest;
pub mod intake;
pub mod jq;
pub mod jwks;
pub mod listen;
pub mod localnats;
mod loopback;
pub mod ops;
mod outage;
pub mod poll;
mod private;
mod random;
pub mod rate;
pub mod run;
pub mod schema;
mod ssf;
pub mod store;
pub mod syslog;
pub mod targets;
mod tasks;
#[cfg(test)]
mod testing;

/// Events are parsed on one thread and let go of on another: with the allocator of the system half of the time of a fold goes
/// to that, and there is none in Rust that does better.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

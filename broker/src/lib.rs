//! The broker: what `emote` is made of. `main` only picks a subcommand.
//!
//! Direction of dependencies: `cli` → `run` → {`ingest`, `deliver`, `engine`, `console`, `ops`} → `bus`; `core` knows nothing of
//! any of them. Only `bus` names async-nats, only `store` names redb.

pub mod bus;
pub mod cli;
pub mod config;
pub mod console;
pub mod core;
pub mod deliver;
pub mod engine;
pub mod ingest;
pub mod jq;
pub mod localnats;
pub mod ops;
mod outage;
pub mod run;
pub mod store;
pub mod targets;

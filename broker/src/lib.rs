//! The broker: what `emote` is made of. `main` only picks a subcommand.

pub mod bus;
pub mod config;
pub mod core;
pub mod deliver;
pub mod engine;
pub mod jq;
pub mod store;
pub mod targets;

//! The agent: sources → differ → spool → uplink.
//!
//! It executes nothing that comes from the network and opens no port, but for the moment in which it leads itself to a
//! proxy's tunnel (`uplink::proxy::relay`). Logic is pure and takes time as an argument; the modules that touch the system
//! ([`platform`], `sources::*::observe`, [`spool`], `uplink::{connect, publish}`, [`socket`]) are thin around it.

#![cfg_attr(not(target_os = "macos"), forbid(unsafe_code))]

pub mod cli;
pub mod crash;
mod credential;
mod doctor;
pub mod emit;
mod gather;
pub mod health;
pub mod identity;
mod journal;
mod lifecycle;
mod log;
pub mod platform;
mod recent;
mod run;
pub mod settings;
pub mod simulate;
pub mod socket;
pub mod sources;
pub mod spool;
mod unified_log;
pub mod uplink;
pub mod vocabulary;
mod watch;

pub use lifecycle::{VERSION, VERSION_MARK};
pub use run::{RunError, run};

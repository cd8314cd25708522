//! The quickstart, and the parts of it that tests use too: stand-ins for vendors and the webhooks that vendors send.
//!
//! Nothing here reaches into the broker or the agent: both are run as programs, and asked through their command lines.

#![forbid(unsafe_code)]

pub mod quickstart;
pub mod scenario;
pub mod standins;

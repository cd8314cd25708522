//! The quickstart, and the parts of it that tests use too: stand-ins for vendors and the webhooks that vendors send. And
//! what builds, signs and proves the agent's package.
//!
//! Nothing here reaches into the broker or the agent: both are run as programs, and asked through their command lines.

#![forbid(unsafe_code)]

pub mod cli;
pub mod pkg;
pub mod quickstart;
pub mod scenario;
pub mod standins;

//! The quickstart, and the parts of it that tests use too: stand-ins for vendors and the webhooks that vendors send. And
//! what builds, signs and proves the agent's package, and writes what an MDM deploys it with.
//!
//! Broker and agent are run as programs, and asked through their command lines; only [`mdm`] has the agent's library, for
//! its keys and what they may say.

#![forbid(unsafe_code)]

pub mod cli;
pub mod mdm;
pub mod pkg;
pub mod quickstart;
pub mod scenario;
pub mod standins;

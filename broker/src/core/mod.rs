//! The core: a fold over the log. No tokio, no async-nats, no redb, no clock in here.

mod job;

pub use job::{Job, JobId};

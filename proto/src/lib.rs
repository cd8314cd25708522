//! What travels: the event, its ids, subjects, and the names of streams, consumers, headers and buckets.
//!
//! Pure types and their wire forms. This crate does no I/O, reads no clock and draws no randomness: time and random
//! bytes are arguments. Both the agent and the broker stand on it, and neither knows the other.

#![forbid(unsafe_code)]

mod clock;
pub mod creds;
pub mod deploy;
pub mod enroll;
mod event;
mod id;
pub mod jwt;
mod names;
mod nkey;
mod node;
mod serial;
mod subject;
mod time;
mod token;

pub use clock::{ClockAnswer, MAX_CLOCK_WORD, clock_answer_subject};
pub use event::{Cause, Device, Draft, Event, EventError, Info, Link, Receipt, Replay, Trust, User};
pub use id::EventId;
pub use names::{bucket, consumer, header, limits, service, source, stream, subjects};
pub use node::{NodeError, NodeKey};
pub use serial::{Serial, SerialError};
pub use subject::{Filter, Subject, SubjectError};
pub use time::Time;
pub use token::{Name, Token, TokenError};

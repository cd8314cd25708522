//! `emote-agent simulate`: plays a seeded day of many Macs, for demonstrations, tests and load.
//!
//! [`life`] is pure: the same seed gives the same events, ids too. [`mod@play`] sends them as the agent's uplink does. It
//! keeps nothing but what the stream says: before a Mac's first word the stream is asked for its last, so that a second
//! run doubles nothing and one that was killed goes on where it was.

mod clock;
mod deliver;
mod life;
mod lines;
mod plan;
mod play;
mod random;
mod resume;
mod state;
mod stream;
mod tally;
#[cfg(test)]
mod tests;
mod who;

pub use clock::Speed;
pub use life::{Life, StepError, World};
pub use play::{PlayError, Show, Stage, play};
pub use tally::{Moment, Sums, Tally};

//! The scenario: three Macs, two people, the webhooks that vendors send about them, and what `emote init`'s rules are
//! expected to make of it. Builders and expectations are pure; [`Webhooks`] is the one thing that sends.
//!
//! All names are invented. A Mac's UDID is derived from its serial number, so that it is the same in every run on one
//! folder; vendors' event ids are different in every run, as they would be.

pub mod assets;
mod expect;
pub mod nanomdm;
pub mod okta;
mod send;
mod story;

use emote_proto::EventId;

pub use expect::{Expectation, Job, Observed, Outcome, Sight, verify};
pub use send::{Secrets, Sent, Webhooks, http_client};
pub use story::{Step, Story};

/// A Mac of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mac {
    /// Serial number.
    pub serial: String,
    /// The name that its asset record has.
    pub name: String,
    /// The user that its asset record has.
    pub owner: String,
}

impl Mac {
    /// What the MDM knows it by: derived from the serial number.
    pub fn udid(&self) -> String {
        EventId::derived(&["quickstart udid", &self.serial]).to_string().to_uppercase()
    }
}

/// A text that no other run has: ten hexadecimal digits.
pub fn run_id() -> String {
    let mut bytes = [0_u8; 5];
    if getrandom::fill(&mut bytes).is_err() {
        // Without randomness the clock still tells two runs apart.
        bytes.copy_from_slice(&jiff::Timestamp::now().as_nanosecond().to_le_bytes()[..5]);
    }
    data_encoding::HEXLOWER.encode(&bytes)
}

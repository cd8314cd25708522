//! Agents and their credentials in the words that people read them in: on the terminal and on pages.

use std::collections::BTreeMap;

use emote_proto::{Serial, Time};
use serde_json::{Value, json};

use super::words;
use crate::{
    bus::{Bus, BusError},
    console::ask_vouches,
    identity::{
        Vouch,
        record::{Asked, DeviceRecord, Shut, State, Word},
    },
};

/// Which agents somebody wants to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that wait for somebody's word, with their first key or another.
    Waiting,
    /// Those in this state.
    In(State),
}

impl Which {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Waiting).chain(State::ALL.map(Self::In))
    }

    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::In(state) => state.word(),
        }
    }

    /// The one that is written so.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::all().find(|which| which.word() == text)
    }

    /// Whether this is one of them.
    pub(crate) fn holds(self, device: &DeviceRecord) -> bool {
        match self {
            Self::Waiting => device.waits(),
            Self::In(state) => device.state == state,
        }
    }
}

/// What the MDM says of each; nothing where no broker tells.
pub(crate) struct Vouches(Option<BTreeMap<String, Vouch>>);

impl Vouches {
    /// Asks the brokers. That none answers is no error: who decides sees that nothing is known.
    pub(crate) async fn ask<'a>(bus: &Bus, of: impl IntoIterator<Item = &'a Serial>) -> Result<Self, BusError> {
        let serials: Vec<Serial> = of.into_iter().cloned().collect();
        match ask_vouches(bus, &serials).await {
            Ok(vouches) => Ok(Self(Some(vouches))),
            Err(BusError::NoBroker | BusError::NoAnswer { .. }) => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }

    /// Of this one.
    pub(crate) fn of(&self, serial: &Serial) -> Option<Vouch> {
        self.0.as_ref()?.get(serial.as_str()).copied()
    }

    /// For people.
    pub(crate) fn text(&self, serial: &Serial) -> String {
        self.of(serial).map_or_else(|| "no broker answers".to_owned(), |vouch| vouch.to_string())
    }
}

/// An agent for programs.
pub(crate) fn json_of(device: &DeviceRecord, vouches: &Vouches) -> Value {
    json!({"device": device, "mdm": vouches.of(&device.serial)})
}

/// `21d`, or `over`.
pub(crate) fn ends(end: Time, now: Time) -> String {
    if end <= now { "over".to_owned() } else { words::ago(now, end) }
}

/// What somebody should know who looks at a list.
pub(crate) fn remarks(device: &DeviceRecord, now: Time) -> String {
    let mut remarks = Vec::new();
    if device.waits() {
        remarks.push(if device.state == State::Pending { "waits for a word" } else { "another key asks" }.to_owned());
    }
    if device.asked.iter().any(|asked| asked.word == Some(Word::Approved)) {
        remarks.push("approved: gets it when it asks again".to_owned());
    }
    if device.rotate.is_some() {
        remarks.push("is to change its key".to_owned());
    }
    if device.shut.iter().any(|shut| shut.from <= now && shut.until > now && !shut.pushed) {
        remarks.push("NATS still lets it in".to_owned());
    }
    if device.duplicate.is_some() {
        remarks.push("two machines under this identity".to_owned());
    }
    remarks.join("; ")
}

/// What the key that asks is beside what its device has already.
pub(crate) fn beside(device: &DeviceRecord) -> String {
    let has_key = device.state != State::Pending;
    if has_key { format!("is {} with another key", device.state.word()) } else { String::new() }
}

/// What somebody said of a key that asked.
pub(crate) fn word(asked: &Asked) -> &'static str {
    match asked.word {
        None => "waits",
        Some(Word::Approved) => "approved",
        Some(Word::Denied) => "denied",
    }
}

/// Where a key is that is shut out, or will be.
pub(crate) fn shut(shut: &Shut, now: Time) -> String {
    match (shut.from > now, shut.until <= now, shut.pushed) {
        (_, true, _) => "over".to_owned(),
        (true, ..) => {
            format!("good until the new one is used, at the longest for {}", words::ago(now, shut.from))
        }
        (false, _, true) => "shut out, NATS knows".to_owned(),
        (false, _, false) => format!("shut out, but NATS lets it in for {} yet", ends(shut.until, now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_choose_is_read_as_it_is_written() {
        let words: Vec<&str> = Which::all().map(Which::word).collect();
        assert_eq!(words, ["waiting", "pending", "enrolled", "denied", "revoked"]);
        assert!(Which::all().all(|which| Which::parse(which.word()) == Some(which)));
        assert_eq!(Which::parse("Waiting"), None);
    }
}

//! What macOS tells, in its own numbers, read into signals. Pure, so that it is tested where there is no macOS; the calls
//! themselves are in `platform/macos`.

use std::collections::BTreeMap;

use emote_proto::Time;

use super::signals::{Meaning, Signal};

/// What each token of notify(3) stands for.
///
/// A notification arrives at a file descriptor as its token: 4 bytes, in network order (libnotify writes `htonl` of it,
/// and a pipe keeps 4 bytes together).
#[derive(Debug, Default)]
pub struct Tokens(BTreeMap<u32, Meaning>);

impl Tokens {
    /// Notes what `token` was registered for.
    pub fn insert(&mut self, token: u32, meaning: Meaning) {
        self.0.insert(token, meaning);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was read at `at`. Unknown tokens mean nothing.
    pub fn signals(&self, read: &[u8], at: Time) -> Vec<Signal> {
        let tokens = read.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes));
        tokens.filter_map(|token| Some(self.0.get(&token)?.signal(at))).collect()
    }
}

/// A message of the system's power manager (`IOKit/IOMessage.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// May it sleep? It waits for an answer.
    CanSleep,
    /// It is about to sleep, and waits to be told to go on.
    WillSleep,
    /// It has woken, and its devices are there.
    HasPoweredOn,
}

impl Power {
    /// `None` for what the agent has no use for.
    pub fn of(message: u32) -> Option<Self> {
        match message {
            0xE000_0270 => Some(Self::CanSleep),
            0xE000_0280 => Some(Self::WillSleep),
            0xE000_0300 => Some(Self::HasPoweredOn),
            _ => None,
        }
    }
}

/// Folders by the sources that their changes are for: one stream of FSEvents each, so that no path that comes back has to
/// be understood.
pub fn by_sources(
    folders: &[(&'static str, &'static [&'static str])],
) -> BTreeMap<&'static [&'static str], Vec<&'static str>> {
    let mut streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (folder, names) in folders {
        streams.entry(*names).or_default().push(*folder);
    }
    streams
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Happening;
    use proptest::prelude::*;

    #[test]
    fn a_token_is_four_bytes_in_network_order_and_an_unknown_one_means_nothing() {
        let at = Time::from_millis(7).unwrap();
        let mut tokens = Tokens::default();
        tokens.insert(1, Meaning::Look(&["disk"]));
        tokens.insert(0x0102, Meaning::Moment(Happening::ShutdownBegun));
        let signals = tokens.signals(&[0, 0, 1, 2, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0], at);
        let [Signal::Moment(moment), Signal::Look(names)] = &signals[..] else { panic!("{signals:?}") };
        assert_eq!((moment.what, moment.at, *names), (Happening::ShutdownBegun, at, &["disk"][..]));
        assert!(moment.hold.is_none() && tokens.signals(&[], at).is_empty());
    }

    #[test]
    fn only_three_messages_of_the_power_manager_matter() {
        for (message, power) in [
            (0xE000_0270, Some(Power::CanSleep)),
            (0xE000_0280, Some(Power::WillSleep)),
            (0xE000_0290, None),
            (0xE000_0300, Some(Power::HasPoweredOn)),
            (0xE000_0320, None),
        ] {
            assert_eq!(Power::of(message), power, "{message:x}");
        }
    }

    #[test]
    fn folders_for_the_same_sources_share_a_stream() {
        let streams = by_sources(&[("/a", &["apps"]), ("/b", &["profiles", "mdm"]), ("/c", &["apps"])]);
        assert_eq!(streams[&["apps"][..]], ["/a", "/c"]);
        assert_eq!((streams.len(), by_sources(&[]).len()), (2, 0));
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_upsets_it(read: Vec<u8>) {
            let mut tokens = Tokens::default();
            tokens.insert(0, Meaning::Look(&["disk"]));
            prop_assert!(tokens.signals(&read, Time::from_millis(0).unwrap()).len() <= read.len() / 4);
        }
    }
}

//! What is in flight, and what an answer to it means: the exactly-once protocol, pure.
//!
//! Every try carries the sequence that the last message of this serial number is expected to have, so the stream itself
//! refuses what it already has. One range of the spool, the *flight*, is tried until its outcome is known; it does not
//! change meanwhile, and [`Window::saved`] must be on the disk before each try, so that the try after a crash is the
//! same one. An earlier try whose outcome is not known is a *doubt*, since the time of the first such try.
//!
//! | answer | without a doubt | with a doubt |
//! |---|---|---|
//! | stored | take it off | the earlier try was lost: take it off |
//! | last is S > expected | somebody else wrote: adopt S, try again | young: try once more behind S, the same ids tell; old: it was the earlier try: take it off, adopt S |
//! | last is S < expected | purged: adopt S, try again | the same |
//! | duplicate | a message alone: take it off; several: one by one | it was the earlier try: take it off |
//! | none | a doubt begins | it stays |
//!
//! A fresh spool expects [`UNKNOWN`], which no stream has reached: its first try is always refused and brings the true
//! sequence, without a doubt whatever got lost. Anything that leaves the sequence open goes back to it.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::backoff;
use super::reply::Reply;

/// An expectation that is always refused, with the true sequence in the answer: the largest the server reads.
pub const UNKNOWN: u64 = i64::MAX as u64;
/// Most messages of one flight.
pub(super) const MAX_MESSAGES: usize = 100;
/// A doubt younger than this is settled by the ids, which the stream remembers for two minutes by default.
pub(super) const YOUNG_MS: i64 = 90_000;
/// A try counts as made when its flight was written, if that was within this.
const MOMENT_MS: i64 = 1_000;
/// Refusals in a row that are answered at once; then with a pause.
const PATIENCE: u32 = 3;

/// What must survive a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Where `expectation` holds: the servers' addresses.
    pub servers: String,
    /// The sequence of the last message of this serial number, or [`UNKNOWN`].
    pub expectation: u64,
    /// What is being tried.
    pub flight: Option<Flight>,
}

/// A range of the spool that is being tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// First key in the spool.
    pub first: u64,
    /// Last key in the spool; both are of heartbeats or neither.
    pub last: u64,
    /// Milliseconds since 1970 of the try whose outcome is not known, or of the try about to be made.
    pub tried_at: i64,
}

impl Default for Saved {
    fn default() -> Self {
        Self { servers: String::new(), expectation: UNKNOWN, flight: None }
    }
}

impl Saved {
    /// What is in flight.
    pub fn in_flight(&self) -> Option<RangeInclusive<u64>> {
        self.flight.as_ref().map(|flight| flight.first..=flight.last)
    }

    /// Other servers know nothing of what was told to these; where one stays, the others are of the same system.
    pub fn for_servers(self, servers: &str) -> Self {
        let stays = self.servers.split(',').any(|old| servers.split(',').any(|new| old == new));
        let before = if stays { self } else { Self::default() };
        Self { servers: servers.to_owned(), ..before }
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing before this time (milliseconds since 1970).
    Wait(i64),
    /// Choose a range of at most so many events behind the last one, and [`Window::begin`] it.
    Choose(usize),
    /// Save, then send this range with this expectation.
    Try {
        /// Of the spool.
        range: RangeInclusive<u64>,
        /// For the first message.
        expectation: u64,
    },
}

/// What an answer settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet.
    Open,
    /// The stream has this range: take it off.
    Stored(RangeInclusive<u64>),
    /// The stream will never take this one event: take it off and tell.
    Refused(u64),
}

/// The state of the protocol. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct Window {
    saved: Saved,
    doubt: Option<i64>,
    behind: Option<u64>,
    width: usize,
    batches: bool,
    failures: u32,
    refusals: u32,
    not_before: i64,
}

impl Window {
    /// Goes on where `saved` left off: whether its flight was stored is not known.
    pub fn restore(saved: Saved) -> Self {
        let doubt = saved.flight.as_ref().map(|flight| flight.tried_at);
        Self { saved, doubt, behind: None, width: MAX_MESSAGES, batches: true, failures: 0, refusals: 0, not_before: 0 }
    }

    /// What must be on the disk before a try.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }

    /// A new connection: no reason to wait any longer, and the server may be another.
    pub fn connected(&mut self, batches: bool) {
        self.batches = batches;
        (self.failures, self.refusals, self.not_before) = (0, 0, 0);
    }

    /// What to do at `now`. Before a try, [`Self::saved`] changes if it must.
    pub fn next(&mut self, now: i64) -> Step {
        // A clock set back must not make a wait longer than it was meant.
        let longest = i64::try_from(backoff::delay_ms(u32::MAX, u32::MAX)).unwrap_or(i64::MAX);
        self.not_before = self.not_before.min(now.saturating_add(longest));
        if now < self.not_before {
            return Step::Wait(self.not_before);
        }
        let Some(flight) = &mut self.saved.flight else {
            let alone = !self.batches || self.saved.expectation == UNKNOWN;
            return Step::Choose(if alone { 1 } else { self.width });
        };
        match self.doubt {
            // On the disk it may be a moment old: that is no reason to write it again.
            None if (0..MOMENT_MS).contains(&(now - flight.tried_at)) => {}
            None => flight.tried_at = now,
            // The stream may have forgotten the ids by now.
            Some(since) if !is_young(since, now) => self.behind = None,
            Some(_) => {}
        }
        Step::Try { range: flight.first..=flight.last, expectation: self.behind.unwrap_or(self.saved.expectation) }
    }

    /// Puts `range` in flight.
    pub fn begin(&mut self, range: &RangeInclusive<u64>, now: i64) {
        self.saved.flight = Some(Flight { first: *range.start(), last: *range.end(), tried_at: now });
        (self.doubt, self.behind) = (None, None);
    }

    /// A flight was begun and is on the disk, by whoever wrote its events: `saved` says which.
    pub(super) fn begun(&mut self, saved: Saved) {
        self.saved = saved;
        (self.doubt, self.behind) = (None, None);
    }

    /// The flight's events are not in the spool any more: nothing to send.
    pub fn vanished(&mut self) -> Verdict {
        // An earlier try may have stored them all the same.
        let expectation = if self.doubt.is_some() { UNKNOWN } else { self.saved.expectation };
        self.stored(expectation)
    }

    /// Takes in the answer to the last try. `random` spreads the waits.
    pub fn reply(&mut self, reply: &Reply, now: i64, random: u32) -> Verdict {
        let Some(flight) = self.saved.flight.clone() else { return Verdict::Open };
        let alone = flight.first == flight.last;
        match reply {
            Reply::Stored { sequence } => self.stored(*sequence),
            Reply::StoredFirst { sequence } => {
                self.batches = false;
                self.narrow();
                self.stored(*sequence)
            }
            Reply::WrongLast { last } => self.wrong_last(*last, &flight, now, random),
            Reply::Duplicate if alone || self.doubt.is_some() => self.stored(UNKNOWN),
            Reply::Duplicate => self.narrow(),
            Reply::TooLarge if alone => {
                let expectation = self.saved.expectation;
                self.stored(expectation);
                Verdict::Refused(flight.first)
            }
            Reply::TooLarge => self.narrow(),
            Reply::NoBatches if self.doubt.is_none() && !alone => {
                self.batches = false;
                self.narrow()
            }
            // A fleet that comes back at once: one event needs no batch, and the next flight is two again.
            Reply::Crowded if self.doubt.is_none() && !alone => self.narrow(),
            Reply::NoBatches | Reply::Crowded | Reply::Refused(_) => self.pause(now, random),
            Reply::Unknown(_) => {
                self.doubt.get_or_insert(flight.tried_at);
                self.behind = None;
                self.pause(now, random)
            }
        }
    }

    fn wrong_last(&mut self, last: u64, flight: &Flight, now: i64, random: u32) -> Verdict {
        let expected = self.saved.expectation;
        let young = self.doubt.is_some_and(|since| is_young(since, now));
        if last > expected && self.doubt.is_some() && !young {
            self.stored(last);
            return Verdict::Stored(flight.first..=flight.last);
        }
        if last > expected && young {
            self.behind = Some(last);
        } else {
            self.saved.expectation = last;
            (self.doubt, self.behind) = (None, None);
        }
        self.refusals += 1;
        if self.refusals > PATIENCE || last == expected { self.pause(now, random) } else { Verdict::Open }
    }

    fn stored(&mut self, expectation: u64) -> Verdict {
        let range = self.saved.in_flight();
        self.saved.expectation = expectation;
        self.saved.flight = None;
        (self.doubt, self.behind) = (None, None);
        (self.failures, self.refusals) = (0, 0);
        self.width = (self.width * 2).min(MAX_MESSAGES);
        range.map_or(Verdict::Open, Verdict::Stored)
    }

    /// One by one from here, until it goes well again.
    fn narrow(&mut self) -> Verdict {
        if let Some(flight) = &mut self.saved.flight {
            flight.last = flight.first;
        }
        (self.width, self.doubt, self.behind) = (1, None, None);
        Verdict::Open
    }

    fn pause(&mut self, now: i64, random: u32) -> Verdict {
        self.failures = self.failures.saturating_add(1);
        let delay = i64::try_from(backoff::delay_ms(self.failures, random)).unwrap_or(i64::MAX);
        self.not_before = now.saturating_add(delay);
        Verdict::Open
    }
}

fn is_young(since: i64, now: i64) -> bool {
    (0..YOUNG_MS).contains(&(now - since))
}

#[cfg(test)]
mod tests;

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
//! | last is S > expected | somebody else wrote: adopt S, try again | young: try once more behind S, the same ids tell; old: ask which sequence the last message of the flight's last subject has ([`Step::Ask`]) |
//! | last is S < expected | purged: adopt S, try again | the same |
//! | duplicate | a message alone: take it off; several: one by one | a message alone: take it off; several: ask whether the stream knows the last one's id ([`Step::AskKnown`]) |
//! | no batches | one by one | wait until it is old, then find the last sequence with the last message alone behind [`UNKNOWN`] |
//! | refused | several: forget the sequence, try again | try again |
//! | none | a doubt begins | it stays |
//!
//! That one of several is a duplicate does not tell that all are stored: where a server's disk becomes full within an atomic
//! batch, it refuses the batch and yet keeps its first messages (seen with nats-server 2.15.1). What is stored of a flight is
//! always its beginning. So if its last id is known, all of it is stored: take it off. If the last one is not and the next try
//! finds a duplicate all the same, only a part is: one by one, where each id tells. If that next try finds none, the ids
//! were forgotten meanwhile.
//!
//! An old doubt: had the earlier try been stored and nothing come after it, then the last message of this serial number is
//! the flight's last one. So its subject's last sequence is S, and between `expected` and S is room for the whole flight.
//! If both are so, it was the earlier try: take it off, adopt S. If not, somebody else wrote, and whether the earlier try is
//! below that nobody can tell: adopt S and try again, since twice is better than never (the ids are the same). That leaves
//! two ways to lose an event, both where the answer of a try is lost, the machine hears of it after more than [`YOUNG_MS`],
//! and the last message under its serial number is of the kind of the flight's last one: somebody else wrote it (only the
//! first time since the agent was started: then no old doubt is taken for stored any more), or it is the last one that a full
//! disk kept of the flight.
//!
//! [`Window::take_foreign`] tells that somebody else wrote: it is certain where S > expected without a doubt, where a try
//! behind S is stored although the ids are young, and where an old doubt is found not to be what it seems.
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
    /// Send nothing new, but ask what the last sequence of the subject of this range's last event is, and say so to
    /// [`Window::answered`].
    Ask(RangeInclusive<u64>),
    /// Send nothing new, but ask whether the stream knows the id of this range's last event, and say so to
    /// [`Window::known`].
    AskKnown(RangeInclusive<u64>),
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

/// Somebody else wrote under this serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// The sequence that the last message should have had.
    pub expected: u64,
    /// The one that it has.
    pub found: u64,
}

/// The state of the protocol. Times are milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct Window {
    saved: Saved,
    doubt: Option<i64>,
    behind: Option<u64>,
    question: Option<Question>,
    /// Whether the stream was asked for the id of the flight's last event just now and did not know it.
    strange: bool,
    foreign: Option<Foreign>,
    /// Whether there ever was a foreign one.
    shared: bool,
    width: usize,
    batches: bool,
    failures: u32,
    refusals: u32,
    not_before: i64,
}

/// What is asked before anything is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// Whether the last message, which has this sequence, can be the flight's: to settle an old doubt.
    Last(u64),
    /// Whether the stream knows the id of the flight's last event.
    Known,
}

impl Window {
    /// Goes on where `saved` left off: whether its flight was stored is not known.
    pub fn restore(saved: Saved) -> Self {
        let doubt = saved.flight.as_ref().map(|flight| flight.tried_at);
        Self {
            saved,
            doubt,
            behind: None,
            question: None,
            strange: false,
            foreign: None,
            shared: false,
            width: MAX_MESSAGES,
            batches: true,
            failures: 0,
            refusals: 0,
            not_before: 0,
        }
    }

    /// That somebody else wrote, once.
    pub fn take_foreign(&mut self) -> Option<Foreign> {
        self.foreign.take()
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
        match self.question {
            Some(Question::Last(_)) => return Step::Ask(flight.first..=flight.last),
            Some(Question::Known) => return Step::AskKnown(flight.first..=flight.last),
            None => {}
        }
        match self.doubt {
            // On the disk it may be a moment old: that is no reason to write it again.
            None if (0..MOMENT_MS).contains(&(now - flight.tried_at)) => {}
            None => flight.tried_at = now,
            Some(since) if !is_young(since, now) => {
                // The stream may have forgotten the ids by now.
                self.behind = None;
                if !self.batches && flight.first < flight.last {
                    return Step::Try { range: flight.last..=flight.last, expectation: UNKNOWN };
                }
            }
            Some(_) => {}
        }
        Step::Try { range: flight.first..=flight.last, expectation: self.behind.unwrap_or(self.saved.expectation) }
    }

    /// Puts `range` in flight.
    pub fn begin(&mut self, range: &RangeInclusive<u64>, now: i64) {
        self.saved.flight = Some(Flight { first: *range.start(), last: *range.end(), tried_at: now });
        self.is_sure();
    }

    /// A flight was begun and is on the disk, by whoever wrote its events: `saved` says which.
    pub(super) fn begun(&mut self, saved: Saved) {
        self.saved = saved;
        self.is_sure();
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
        let strange = std::mem::take(&mut self.strange);
        match reply {
            Reply::Stored { sequence } => {
                // The earlier try was lost, so what was behind it is not of it.
                if let Some(found) = self.behind {
                    self.somebody_else(found);
                }
                self.stored(*sequence)
            }
            Reply::StoredFirst { sequence } => {
                self.batches = false;
                self.narrow();
                self.stored(*sequence)
            }
            Reply::WrongLast { last } => self.wrong_last(*last, now, random),
            Reply::Duplicate if alone => self.stored(UNKNOWN),
            Reply::Duplicate if self.doubt.is_some() && !strange => {
                self.question = Some(Question::Known);
                Verdict::Open
            }
            Reply::Duplicate => self.part(),
            Reply::TooLarge if alone => {
                let expectation = self.saved.expectation;
                self.stored(expectation);
                Verdict::Refused(flight.first)
            }
            Reply::TooLarge => self.narrow(),
            Reply::NoBatches if !alone => self.no_batches(now, random),
            // A fleet that comes back at once: one event needs no batch, and the next flight is two again.
            Reply::Crowded if self.doubt.is_none() && !alone => self.narrow(),
            // Its first messages may be kept: nobody else is to be blamed for them.
            Reply::Refused(_) if self.doubt.is_none() && !alone => {
                self.saved.expectation = UNKNOWN;
                self.pause(now, random)
            }
            Reply::NoBatches | Reply::Crowded | Reply::Refused(_) => self.pause(now, random),
            Reply::Unknown(_) => {
                self.doubt.get_or_insert(flight.tried_at);
                self.behind = None;
                self.pause(now, random)
            }
        }
    }

    /// Takes in the answer to [`Step::Ask`]: `count` events were sent with the earlier try.
    pub fn answered(&mut self, count: usize, reply: &Reply, now: i64, random: u32) -> Verdict {
        let Some(Question::Last(found)) = self.question else { return Verdict::Open };
        let last = match reply {
            Reply::WrongLast { last } => *last,
            // It is asked with the event itself: the stream knows its id.
            Reply::Duplicate => return self.stored(UNKNOWN),
            _ => return self.pause(now, random),
        };
        let room = found.saturating_sub(self.saved.expectation);
        let fits = last == found && room >= u64::try_from(count).unwrap_or(u64::MAX);
        if fits && !self.shared {
            return self.stored(found);
        }
        if !fits {
            self.somebody_else(found);
        }
        self.adopt(found);
        Verdict::Open
    }

    /// Takes in the answer to [`Step::AskKnown`].
    pub fn known(&mut self, reply: &Reply, now: i64, random: u32) -> Verdict {
        match reply {
            Reply::Duplicate => self.stored(UNKNOWN),
            Reply::WrongLast { .. } => {
                (self.question, self.strange) = (None, true);
                Verdict::Open
            }
            Reply::NoBatches => self.no_batches(now, random),
            _ => self.pause(now, random),
        }
    }

    /// Instead of [`Self::answered`] or [`Self::known`]: the flight's last event is not in the spool any more.
    pub fn unanswerable(&mut self) -> Verdict {
        match self.question {
            Some(Question::Last(found)) => self.stored(found),
            _ => self.part(),
        }
    }

    fn is_sure(&mut self) {
        (self.doubt, self.behind, self.question, self.strange) = (None, None, None, false);
    }

    fn adopt(&mut self, last: u64) {
        self.saved.expectation = last;
        self.is_sure();
    }

    fn somebody_else(&mut self, found: u64) {
        (self.foreign, self.shared) = (Some(Foreign { expected: self.saved.expectation, found }), true);
    }

    fn wrong_last(&mut self, last: u64, now: i64, random: u32) -> Verdict {
        let expected = self.saved.expectation;
        let young = self.doubt.is_some_and(|since| is_young(since, now));
        if last > expected && self.doubt.is_some() && !young {
            self.question = Some(Question::Last(last));
        } else if last > expected && young {
            self.behind = Some(last);
        } else {
            if last > expected {
                self.somebody_else(last);
            }
            self.adopt(last);
        }
        self.refusals += 1;
        if self.refusals > PATIENCE || last == expected { self.pause(now, random) } else { Verdict::Open }
    }

    fn stored(&mut self, expectation: u64) -> Verdict {
        let range = self.saved.in_flight();
        self.saved.expectation = expectation;
        self.saved.flight = None;
        self.is_sure();
        (self.failures, self.refusals) = (0, 0);
        self.width = (self.width * 2).min(MAX_MESSAGES);
        range.map_or(Verdict::Open, Verdict::Stored)
    }

    fn no_batches(&mut self, now: i64, random: u32) -> Verdict {
        (self.batches, self.question) = (false, None);
        // A doubt about several is settled once it is old.
        if self.doubt.is_some() { self.pause(now, random) } else { self.narrow() }
    }

    /// Only the beginning of the flight is stored, behind whatever is.
    fn part(&mut self) -> Verdict {
        self.saved.expectation = UNKNOWN;
        self.narrow()
    }

    /// One by one from here, until it goes well again.
    fn narrow(&mut self) -> Verdict {
        if let Some(flight) = &mut self.saved.flight {
            flight.last = flight.first;
        }
        self.width = 1;
        self.is_sure();
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

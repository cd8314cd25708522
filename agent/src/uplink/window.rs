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
//! | last is S > expected | somebody else wrote: adopt S, try again | young: try once more behind S, the same ids tell; old: ask for the last sequence of the flight's last subject ([`Question::Last`]) |
//! | last is S < expected | purged: adopt S, try again | the same |
//! | duplicate | a message alone: take it off; several: one by one | a message alone: take it off; several: ask whether the last one's id is known ([`Question::Known`]) |
//! | no batches, or too many | one by one | wait until it is old, then ask for the last sequence ([`Question::Sequence`]) |
//! | no room | forget the sequence, try again later | the same |
//! | too large | a message alone: give it up; several: one by one | the same |
//! | refused | try again later | the same |
//! | none | a doubt begins | it stays |
//!
//! That one of several is a duplicate does not tell that all are stored: where its disk becomes full within an atomic batch, a
//! server refuses the batch, or does not answer, and yet keeps its first messages (seen with nats-server 2.15.1). What is
//! stored of a flight is always its beginning. So if its last id is known, all of it is stored: take it off. If the last one
//! is not and the next try finds a duplicate all the same, only a part is: one by one, where each id tells. If that next try
//! finds none, the ids were forgotten meanwhile. Where there was no room and the ids are forgotten, all of it is sent again.
//!
//! An old doubt: had the earlier try been stored and nothing come after it, then the last message of this serial number is
//! the flight's last one. So its subject's last sequence is S, and between `expected` and S is room for the whole flight.
//! If both are so, it was the earlier try: take it off, adopt S. If not, somebody else wrote, and whether the earlier try is
//! below that nobody can tell: adopt S and try again, since twice is better than never (the ids are the same). That leaves
//! two ways to lose an event, both where the answer of a try is lost, the machine hears of it after more than [`YOUNG_MS`],
//! and the last message under its serial number is of the kind of the flight's last one: somebody else wrote it (only the
//! first time since the agent was started: then no old doubt is taken for stored any more), or it is the last one that a full
//! disk kept of the flight, and the disk was not full any more at the next try.
//!
//! [`Window::take_foreign`] tells that somebody else wrote: it is certain where S > expected without a doubt, where a try
//! behind S is stored although the ids are young, and where an old doubt is found not to be what it seems, unless a full disk
//! kept a part.
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
    /// Send nothing new, but ask this with the last event that the spool has of this range, and say the answer to
    /// [`Window::answered`].
    Ask(Question, RangeInclusive<u64>),
    /// Save, then send this range with this expectation.
    Try {
        /// Of the spool.
        range: RangeInclusive<u64>,
        /// For the first message.
        expectation: u64,
    },
}

/// What is asked before anything is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Whether the stream knows the event's id.
    Known,
    /// Which sequence the last message of this serial number has.
    Sequence,
    /// Which sequence the last message of the event's subject has: where the last one of this serial number has this one, can
    /// it be the flight's? Asked with the last event of the range only.
    Last(u64),
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
    /// Whether the last answer was that no batch can be sent.
    blind: bool,
    foreign: Option<Foreign>,
    /// Whether there ever was a foreign one.
    shared: bool,
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
        Self {
            saved,
            doubt,
            behind: None,
            question: None,
            strange: false,
            blind: false,
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
        match self.doubt {
            // On the disk it may be a moment old: that is no reason to write it again.
            None if (0..MOMENT_MS).contains(&(now - flight.tried_at)) => {}
            None => flight.tried_at = now,
            Some(since) if !is_young(since, now) => {
                // The stream may have forgotten the ids by now.
                self.behind = None;
                if self.blind && flight.first < flight.last {
                    self.question.get_or_insert(Question::Sequence);
                }
            }
            Some(_) => {}
        }
        if let Some(question) = self.question {
            return Step::Ask(question, flight.first..=flight.last);
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
        self.blind = false;
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
            Reply::TooLarge => self.one_by_one(),
            Reply::NoBatches | Reply::Crowded if !alone => self.no_batch(reply, now, random),
            Reply::Full(_) if !alone => self.no_room(now, random),
            Reply::NoBatches | Reply::Crowded | Reply::Full(_) | Reply::Refused(_) => self.pause(now, random),
            Reply::Unknown(_) => {
                self.doubt.get_or_insert(flight.tried_at);
                self.behind = None;
                self.pause(now, random)
            }
        }
    }

    /// Takes in the answer to [`Step::Ask`]: `count` events were sent with the earlier try.
    pub fn answered(&mut self, count: usize, reply: &Reply, now: i64, random: u32) -> Verdict {
        let Some(question) = self.question else { return Verdict::Open };
        match (question, reply) {
            // It is asked with the event itself: the stream knows its id.
            (_, Reply::Duplicate) => return self.stored(UNKNOWN),
            (_, Reply::TooLarge) => return self.part(),
            (Question::Known, Reply::WrongLast { .. }) => (self.question, self.strange) = (None, true),
            (Question::Known, Reply::NoBatches | Reply::Crowded) => {
                self.question = None;
                return self.no_batch(reply, now, random);
            }
            (Question::Known, Reply::Full(_)) => return self.no_room(now, random),
            (Question::Sequence, Reply::WrongLast { last }) if *last > self.saved.expectation => {
                self.question = Some(Question::Last(*last));
            }
            (Question::Sequence, Reply::WrongLast { last }) => self.adopt(*last),
            (Question::Last(found), Reply::WrongLast { last }) => {
                let room = found.saturating_sub(self.saved.expectation);
                let fits = *last == found && room >= u64::try_from(count).unwrap_or(u64::MAX);
                if fits && !self.shared {
                    return self.stored(found);
                }
                if !fits {
                    self.somebody_else(found);
                }
                self.adopt(found);
            }
            _ => return self.pause(now, random),
        }
        Verdict::Open
    }

    /// Instead of [`Self::answered`]: the spool does not have the event that it must be asked with.
    pub fn unanswerable(&mut self) {
        match self.question {
            Some(Question::Last(found)) => self.adopt(found),
            _ => self.adopt(UNKNOWN),
        }
    }

    fn is_sure(&mut self) {
        (self.doubt, self.behind, self.question) = (None, None, None);
        (self.strange, self.blind) = (false, false);
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

    fn no_batch(&mut self, reply: &Reply, now: i64, random: u32) -> Verdict {
        self.batches &= *reply != Reply::NoBatches;
        self.blind = true;
        // A fleet that comes back at once: one event needs no batch, and the next flight is two again.
        if self.doubt.is_none() { self.narrow() } else { self.pause(now, random) }
    }

    /// The beginning may have been kept: nothing that is there now tells whether all of it is, and nobody else is to be
    /// blamed for it.
    fn no_room(&mut self, now: i64, random: u32) -> Verdict {
        (self.saved.expectation, self.behind) = (UNKNOWN, None);
        self.pause(now, random)
    }

    fn one_by_one(&mut self) -> Verdict {
        if self.doubt.is_some() { self.part() } else { self.narrow() }
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
mod model;
#[cfg(test)]
mod tests;

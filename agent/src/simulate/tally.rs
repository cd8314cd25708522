//! What a simulation has done so far, for the line that is shown while it runs and the sums at its end.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

/// Four for each doubling of a microsecond.
const BUCKETS: usize = 128;

/// Counts, shared.
#[derive(Debug)]
pub struct Tally {
    /// Moment of the day that is played, milliseconds since 1970.
    pub(super) clock: AtomicI64,
    pub(super) awake: AtomicU64,
    /// Macs that have something to say and were not let yet.
    pub(super) due: AtomicU64,
    pub(super) made: AtomicU64,
    pub(super) found: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) stored: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) asked_again: AtomicU64,
    /// Microseconds, since it was last asked for.
    worst_now: AtomicU64,
    worst: AtomicU64,
    latencies: [AtomicU64; BUCKETS],
    trouble: Mutex<Option<String>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            clock: AtomicI64::default(),
            awake: AtomicU64::default(),
            due: AtomicU64::default(),
            made: AtomicU64::default(),
            found: AtomicU64::default(),
            sent: AtomicU64::default(),
            stored: AtomicU64::default(),
            refused: AtomicU64::default(),
            asked_again: AtomicU64::default(),
            worst_now: AtomicU64::default(),
            worst: AtomicU64::default(),
            latencies: std::array::from_fn(|_| AtomicU64::default()),
            trouble: Mutex::default(),
        }
    }
}

/// The sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Events that happened on the Macs and passed `--only`.
    pub events: u64,
    /// Of those, found in the stream at the start, from an earlier run.
    pub found: u64,
    /// Sent, each try counted.
    pub sent: u64,
    /// Stored by this run.
    pub stored: u64,
    /// Refused by the stream for their size.
    pub refused: u64,
    /// Happened and neither stored, found nor refused: a second run sends them.
    pub waiting: u64,
    /// How often an answer was lost or surprising, and the stream was asked what it has.
    pub asked_again: u64,
    /// From sending to the stream's answer, in microseconds: half of the answers came within this.
    pub ack_p50_us: u64,
    /// Ninety-nine of a hundred.
    pub ack_p99_us: u64,
    /// The slowest.
    pub ack_worst_us: u64,
    /// What went wrong last, if anything did.
    pub trouble: Option<String>,
}

/// What is shown each second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Of the day that is played, milliseconds since 1970.
    pub clock: i64,
    /// Macs that are awake.
    pub awake: u64,
    /// Macs whose turn has come and who wait.
    pub due: u64,
    /// The slowest answer since the last moment, in microseconds.
    pub worst_us: u64,
}

impl Tally {
    /// As it is now.
    pub fn moment(&self) -> Moment {
        let worst_us = self.worst_now.swap(0, Relaxed);
        let (clock, awake) = (self.clock.load(Relaxed), self.awake.load(Relaxed));
        Moment { clock, awake, due: self.due.load(Relaxed), worst_us }
    }

    /// The sums so far.
    pub fn sums(&self) -> Sums {
        let [made, found, stored, refused] =
            [&self.made, &self.found, &self.stored, &self.refused].map(|count| count.load(Relaxed));
        Sums {
            events: made,
            found,
            sent: self.sent.load(Relaxed),
            stored,
            refused,
            waiting: made.saturating_sub(found + stored + refused),
            asked_again: self.asked_again.load(Relaxed),
            ack_p50_us: self.quantile(50),
            ack_p99_us: self.quantile(99),
            ack_worst_us: self.worst.load(Relaxed),
            trouble: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    pub(super) fn answered(&self, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.worst_now.fetch_max(micros, Relaxed);
        self.worst.fetch_max(micros, Relaxed);
        self.latencies[bucket(micros)].fetch_add(1, Relaxed);
    }

    pub(super) fn trouble(&self, trouble: impl Into<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble.into());
    }

    fn quantile(&self, percent: u64) -> u64 {
        let counts = self.latencies.each_ref().map(|count| count.load(Relaxed));
        let wanted = (counts.iter().sum::<u64>() * percent).div_ceil(100);
        let mut seen = 0;
        let place = counts.iter().position(|count| {
            seen += count;
            seen >= wanted && wanted > 0
        });
        place.map_or(0, |place| highest(place).min(self.worst.load(Relaxed)))
    }
}

/// Two bits behind the highest one.
fn bucket(micros: u64) -> usize {
    let (value, shift) = (micros.max(4), 61 - micros.max(4).leading_zeros());
    let place = u64::from(shift) * 4 + (value >> shift) - 4;
    usize::try_from(place).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The largest of a bucket.
fn highest(bucket: usize) -> u64 {
    let (shift, rest) = (bucket / 4, bucket as u64 % 4);
    ((rest + 5) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_close_together() {
        for micros in (0..5_000).chain([1 << 20, 59_999_999]) {
            let place = bucket(micros);
            assert!(highest(place) >= micros && highest(place) <= micros.max(4) * 5 / 4 + 1, "{micros} {place}");
            assert!(place == 0 || highest(place - 1) < micros);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn sums_add_up() {
        let tally = Tally::default();
        assert_eq!(tally.sums().ack_p99_us, 0);
        (1..=100).for_each(|millis| tally.answered(Duration::from_millis(millis)));
        let sums = tally.sums();
        assert!((50_000..65_000).contains(&sums.ack_p50_us), "{sums:?}");
        assert!((99_000..=100_000).contains(&sums.ack_p99_us), "{sums:?}");
        assert_eq!((sums.ack_worst_us, tally.moment().worst_us, tally.moment().worst_us), (100_000, 100_000, 0));
    }
}

//! A token bucket. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// One every `every`, up to `burst` at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time between two in the long run.
    pub every: Duration,
    /// So many at once; 1 or more.
    pub burst: u32,
}

/// Kept as the moment at which the bucket is full again: each token taken moves it on by [`Rate::every`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    rate: Rate,
    full_at: Option<Instant>,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, full_at: None }
    }

    /// How long until there is a token; zero where there is one.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let Some(full_at) = self.full_at else { return Duration::ZERO };
        let rest = self.rate.every.saturating_mul(self.rate.burst.saturating_sub(1));
        full_at.saturating_duration_since(now).saturating_sub(rest)
    }

    /// Takes a token, whether or not there is one: what is taken too early is waited for afterwards.
    pub(crate) fn take(&mut self, now: Instant) {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now));
        self.full_at = full_at.checked_add(self.rate.every).or(self.full_at);
    }

    /// Takes a token if there is one; says whether.
    pub(crate) fn try_take(&mut self, now: Instant) -> bool {
        let is_there = self.wait(now).is_zero();
        if is_there {
            self.take(now);
        }
        is_there
    }

    /// Gives a token back that was taken.
    pub(crate) fn give_back(&mut self) {
        self.full_at = self.full_at.and_then(|full_at| full_at.checked_sub(self.rate.every));
    }

    /// How long until all tokens are there.
    pub(crate) fn until_full(&self, now: Instant) -> Duration {
        self.full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVERY: Duration = Duration::from_millis(100);

    #[test]
    fn a_burst_then_one_at_a_time() {
        let begun = Instant::now();
        let mut bucket = Bucket::new(Rate { every: EVERY, burst: 3 });
        for _ in 0..3 {
            assert_eq!(bucket.wait(begun), Duration::ZERO);
            bucket.take(begun);
        }
        assert_eq!(bucket.wait(begun), EVERY);
        assert_eq!(bucket.wait(begun + EVERY), Duration::ZERO);
        bucket.take(begun + EVERY);
        assert_eq!(bucket.wait(begun + EVERY), EVERY);
        assert_eq!(bucket.wait(begun + EVERY * 100), Duration::ZERO);
    }

    #[test]
    fn what_is_given_back_was_never_taken() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Rate { every: EVERY, burst: 2 });
        bucket.give_back();
        assert!(bucket.try_take(now) && bucket.try_take(now) && !bucket.try_take(now));
        bucket.give_back();
        assert_eq!(bucket.until_full(now), EVERY);
        assert!(bucket.try_take(now) && !bucket.try_take(now));
        assert!(bucket.until_full(now + EVERY * 2).is_zero());
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_a_burst(burst in 1..10u32, steps in proptest::collection::vec(0..300u64, 1..200)) {
            let begun = Instant::now();
            let mut bucket = Bucket::new(Rate { every: EVERY, burst });
            let (mut now, mut taken) = (begun, 0_u32);
            for step in steps {
                now += Duration::from_millis(step);
                if bucket.wait(now).is_zero() {
                    bucket.take(now);
                    taken += 1;
                }
                let elapsed = u32::try_from((now - begun).as_millis() / EVERY.as_millis()).unwrap();
                prop_assert!(taken <= burst + elapsed, "{taken} in {elapsed} intervals");
                prop_assert!(bucket.wait(now) <= EVERY);
            }
        }
    }
}

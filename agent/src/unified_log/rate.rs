//! At most so many events a minute: a token bucket that holds one minute's worth. What is left out is counted, and said
//! a minute after the first. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
/// What one event costs: each millisecond brings as many of these as events are allowed a minute.
const COST: u64 = 60_000;

#[derive(Debug)]
pub(super) struct Rate {
    a_minute: u64,
    tokens: u64,
    /// Up to when the bucket was filled.
    filled: Instant,
    suppressed: usize,
    report_at: Option<Instant>,
}

impl Rate {
    pub(super) fn new(a_minute: u32, now: Instant) -> Self {
        let a_minute = u64::from(a_minute);
        Self { a_minute, tokens: a_minute * COST, filled: now, suppressed: 0, report_at: None }
    }

    /// Whether one more is allowed at `now`; it is counted either way.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled);
        let millis = u64::try_from(passed.min(MINUTE).as_millis()).unwrap_or(0);
        // Parts of a millisecond stay for the next time, but a bucket that is full gathers no more.
        self.filled = if passed < MINUTE { self.filled + Duration::from_millis(millis) } else { now };
        self.tokens = (self.tokens + millis * self.a_minute).min(self.a_minute * COST);
        let allowed = self.tokens >= COST;
        if allowed {
            self.tokens -= COST;
        } else {
            self.suppress(1, now);
        }
        allowed
    }

    /// So many were left out.
    pub(super) fn suppress(&mut self, count: usize, now: Instant) {
        self.suppressed += count;
        self.report_at.get_or_insert(now + MINUTE);
    }

    /// When [`Self::report`] has something to say.
    pub(super) fn report_at(&self) -> Option<Instant> {
        self.report_at
    }

    /// How many were left out, if it is time to say so.
    pub(super) fn report(&mut self, now: Instant) -> Option<usize> {
        self.report_at.take_if(|at| *at <= now)?;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_minutes_worth_at_once_then_as_it_comes_back_and_the_rest_is_said_once_a_minute() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut rate = Rate::new(2, begun);
        let taken: Vec<bool> = [0, 0, 0, 29, 30, 31, 200, 200, 200].map(|seconds| rate.take(at(seconds))).into();
        assert_eq!(taken, [true, true, false, false, true, false, true, true, false]);
        assert_eq!((rate.report_at(), rate.report(at(59))), (Some(at(60)), None));
        assert_eq!((rate.report(at(60)), rate.report(at(300)), rate.report_at()), (Some(4), None, None));
        rate.suppress(3, at(300));
        assert_eq!((rate.report_at(), rate.report(at(360))), (Some(at(360)), Some(3)));
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_sees_more_than_is_allowed(
            a_minute in 1_u32..100,
            gaps in prop::collection::vec(0_u64..5_000_000, 1..200),
        ) {
            let begun = Instant::now();
            let (mut rate, mut now, mut allowed, mut refused) = (Rate::new(a_minute, begun), begun, 0_u64, 0);
            for gap in gaps {
                now += Duration::from_micros(gap);
                if rate.take(now) { allowed += 1 } else { refused += 1 }
            }
            let passed = u64::try_from((now - begun).as_millis()).unwrap();
            prop_assert!(allowed <= u64::from(a_minute) + passed * u64::from(a_minute) / COST);
            prop_assert_eq!(rate.suppressed, refused);
        }
    }
}

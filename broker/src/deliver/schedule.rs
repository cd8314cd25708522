//! When a job is tried again, and when it is given up. Pure: attempts, age and chance are arguments.

use std::time::Duration;

use crate::targets::{Jitter, Retry};

/// Longest wait that the other side may ask for.
const MAX_ASKED: Duration = Duration::from_secs(3600);
/// A wait is never shorter, so that a job cannot spin.
const MIN_DELAY: Duration = Duration::from_millis(20);

/// What to do after an attempt that may be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait this long.
    After(Duration),
    /// No more; which limit says so.
    GiveUp(String),
}

/// After the `attempt`th try (from 1) of a job stored `age` ago: exponential, shortened by `chance` (from 0 to 1) where
/// the target has jitter, or what the other side asked for.
pub(super) fn next(retry: &Retry, attempt: u64, age: Duration, asked: Option<Duration>, chance: f64) -> Next {
    if attempt >= u64::from(retry.max_attempts) {
        return Next::GiveUp(format!("given up after {attempt} attempts"));
    }
    let doublings = u32::try_from((attempt - 1).min(31)).unwrap_or(31);
    let ceiling = retry.backoff.initial.saturating_mul(1_u32 << doublings).min(retry.backoff.max);
    let delay = match asked {
        Some(asked) => asked.min(MAX_ASKED),
        None if retry.jitter == Jitter::None => ceiling,
        None => ceiling.mul_f64(chance.clamp(0.0, 1.0)),
    };
    let delay = delay.max(MIN_DELAY);
    if age + delay > retry.max_age {
        return Next::GiveUp(format!("given up after {age:.0?}, {attempt} attempts"));
    }
    Next::After(delay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::DeliverySettings;
    use proptest::prelude::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let retry = DeliverySettings::default().retry;
        for (attempt, delay) in [(1, 1), (2, 2), (3, 4), (10, 512), (11, 900), (100, 900)] {
            assert_eq!(next(&retry, attempt, seconds(0), None, 1.0), Next::After(seconds(delay)), "attempt {attempt}");
        }
    }

    #[test]
    fn without_jitter_a_wait_is_whole() {
        let retry = Retry { jitter: Jitter::None, ..DeliverySettings::default().retry };
        assert_eq!(next(&retry, 3, seconds(0), None, 0.1), Next::After(seconds(4)));
    }

    #[test]
    fn the_other_sides_wish_is_honoured_within_reason() {
        let retry = DeliverySettings::default().retry;
        assert_eq!(next(&retry, 1, seconds(0), Some(seconds(30)), 0.1), Next::After(seconds(30)));
        assert_eq!(next(&retry, 1, seconds(0), Some(seconds(999_999)), 0.1), Next::After(seconds(3600)));
    }

    #[test]
    fn a_job_is_given_up_by_number_and_by_age() {
        let retry = DeliverySettings::default().retry;
        assert!(matches!(next(&retry, 185, seconds(0), None, 0.5), Next::GiveUp(_)));
        assert!(matches!(next(&retry, 2, seconds(24 * 3600), None, 0.5), Next::GiveUp(_)));
    }

    proptest! {
        #[test]
        fn no_wait_is_out_of_bounds(attempt in 1..u64::MAX, age in 0..200_000u64, asked in proptest::option::of(0..10_000u64), chance in -1.0..2.0f64) {
            let retry = DeliverySettings::default().retry;
            if let Next::After(delay) = next(&retry, attempt, seconds(age), asked.map(seconds), chance) {
                prop_assert!(delay >= MIN_DELAY && delay <= MAX_ASKED);
                prop_assert!(seconds(age) + delay <= retry.max_age && attempt < 185);
            }
        }
    }
}

//! When it is asked again, by what came of asking before. Pure. `random` is any number; a fleet is spread by it.

use std::time::Duration;

/// What came of a request to enrol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Somebody has to approve it, or the MDM to know the machine: again after so many seconds.
    Pending(u32),
    /// No.
    Denied,
    /// Not now: again after so many seconds.
    Unavailable(u32),
    /// Nobody answered.
    Silent,
    /// What came is no answer that can be used.
    Wrong,
    /// The server does not take the token.
    TokenRefused,
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// How long to wait after this outcome, the `times`th like it in a row (1 is the first).
pub(crate) fn after(outcome: Outcome, times: u32, random: u32) -> Duration {
    let told = |seconds: u32| u64::from(seconds).clamp(1, 3_600) * SECOND;
    let (least, spread) = match outcome {
        Outcome::Pending(seconds) => (told(seconds), told(seconds) / 4),
        Outcome::Unavailable(seconds) => (told(seconds), told(seconds)),
        Outcome::Silent => halves(doubled(10 * SECOND, times, 10 * MINUTE)),
        Outcome::Wrong => halves(doubled(MINUTE, times, HOUR)),
        Outcome::TokenRefused => halves(doubled(2 * MINUTE, times, HOUR)),
        Outcome::Denied => (doubled(HOUR, times, 24 * HOUR), HOUR / 2),
    };
    Duration::from_millis(least + spread * u64::from(random) / u64::from(u32::MAX))
}

/// How long to wait when no server takes this machine's own credential, the `times`th time in a row. Revoked or expired,
/// it will not be taken soon; but a server may have been without its accounts for a moment.
pub(crate) fn after_refusal(times: u32, random: u32) -> Duration {
    let (least, spread) = halves(doubled(10 * SECOND, times, HOUR));
    Duration::from_millis(least + spread * u64::from(random) / u64::from(u32::MAX))
}

fn doubled(first: u64, times: u32, longest: u64) -> u64 {
    first.saturating_mul(1 << times.saturating_sub(1).min(20)).min(longest)
}

fn halves(full: u64) -> (u64, u64) {
    (full / 2, full / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_outcome_has_its_wait() {
        for (outcome, times, shortest, longest) in [
            (Outcome::Pending(60), 1, 60, 75),
            (Outcome::Pending(60), 99, 60, 75),
            (Outcome::Pending(0), 1, 1, 1),
            (Outcome::Pending(u32::MAX), 1, 3_600, 4_500),
            (Outcome::Unavailable(30), 1, 30, 60),
            (Outcome::Silent, 1, 5, 10),
            (Outcome::Silent, 99, 300, 600),
            (Outcome::Wrong, 1, 30, 60),
            (Outcome::Denied, 1, 3_600, 5_400),
            (Outcome::Denied, 99, 86_400, 88_200),
            (Outcome::TokenRefused, 1, 60, 120),
        ] {
            let seconds = [0, u32::MAX].map(|random| after(outcome, times, random).as_secs());
            assert_eq!(seconds, [shortest, longest], "{outcome:?} {times}");
        }
        let seconds = [(1, 0), (1, u32::MAX), (99, 0)].map(|(times, random)| after_refusal(times, random).as_secs());
        assert_eq!(seconds, [5, 10, 1_800]);
    }

    proptest! {
        #[test]
        fn no_answer_makes_an_agent_ask_without_a_pause(seconds: u32, times: u32, random: u32) {
            use Outcome::*;
            for outcome in [Pending(seconds), Denied, Unavailable(seconds), Silent, Wrong, TokenRefused] {
                let wait = after(outcome, times, random);
                prop_assert!(wait >= Duration::from_secs(1) && wait <= Duration::from_secs(90_000));
            }
            prop_assert!(after_refusal(times, random) >= Duration::from_secs(5));
        }
    }
}

//! Leaves a target alone that fails again and again. Pure: the time is an argument.
//!
//! Closed, attempts go on. After [`BreakerSettings::failures`] in a row that are to be repeated it opens: no attempts for
//! a pause. Then one attempt decides: success closes it, failure doubles the pause. An answer of which a repetition would
//! not help says nothing about the target's health and changes nothing.

use std::time::{Duration, Instant};

use crate::targets::BreakerSettings;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    HalfOpen { pause: Duration },
}

/// How many attempts may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permit {
    /// As many as the target's settings allow.
    Any,
    /// One.
    One,
    /// None before then.
    NoneUntil(Instant),
}

pub(super) struct Breaker {
    settings: BreakerSettings,
    state: State,
}

impl Breaker {
    /// A closed one.
    pub(super) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed { failures: 0 } }
    }

    /// What may be done now.
    pub(super) fn permit(&mut self, now: Instant) -> Permit {
        match self.state {
            State::Closed { .. } => Permit::Any,
            State::HalfOpen { .. } => Permit::One,
            State::Open { until, .. } if now < until => Permit::NoneUntil(until),
            State::Open { pause, .. } => {
                self.state = State::HalfOpen { pause };
                Permit::One
            }
        }
    }

    /// Whether one attempt is to show how the target is.
    pub(super) fn is_probing(&self) -> bool {
        matches!(self.state, State::HalfOpen { .. })
    }

    /// An attempt succeeded.
    pub(super) fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// An attempt failed and is to be repeated, after `asked` where the other side named a time. Says whether it opened.
    pub(super) fn failed(&mut self, now: Instant, asked: Option<Duration>) -> bool {
        let pause = match self.state {
            _ if self.settings.failures == 0 => return false,
            // Begun before it opened.
            State::Open { .. } => return false,
            State::Closed { failures } if failures.saturating_add(1) < self.settings.failures => {
                self.state = State::Closed { failures: failures.saturating_add(1) };
                return false;
            }
            State::Closed { .. } => self.settings.pause,
            State::HalfOpen { pause } => pause.saturating_mul(2).min(self.settings.max_pause),
        };
        let wait = pause.max(asked.unwrap_or_default()).min(self.settings.max_pause);
        self.state = State::Open { until: now.checked_add(wait).unwrap_or(now), pause };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: BreakerSettings =
        BreakerSettings { failures: 3, pause: Duration::from_secs(10), max_pause: Duration::from_secs(35) };

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn it_opens_tries_once_and_doubles_its_pause() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(SETTINGS);
        assert!(!breaker.failed(now, None) && !breaker.failed(now, None));
        breaker.succeeded();
        assert!(!breaker.failed(now, None) && !breaker.failed(now, None));
        assert_eq!(breaker.permit(now), Permit::Any);
        assert!(breaker.failed(now, None));
        for pause in [10, 20, 35, 35] {
            assert_eq!(breaker.permit(now), Permit::NoneUntil(now + seconds(pause)));
            assert!(!breaker.failed(now, None), "what was begun before does not lengthen the pause");
            now += seconds(pause);
            assert_eq!(breaker.permit(now), Permit::One);
            assert!(breaker.failed(now, None));
        }
        now += seconds(35);
        assert_eq!(breaker.permit(now), Permit::One);
        breaker.succeeded();
        assert_eq!(breaker.permit(now), Permit::Any);
        assert!(!breaker.failed(now, None), "it counts anew");
    }

    #[test]
    fn the_other_sides_wish_lengthens_a_pause_up_to_the_longest() {
        for (asked, pause) in [(1, 10), (20, 20), (3600, 35)] {
            let now = Instant::now();
            let mut breaker = Breaker::new(BreakerSettings { failures: 1, ..SETTINGS });
            assert!(breaker.failed(now, Some(seconds(asked))));
            assert_eq!(breaker.permit(now), Permit::NoneUntil(now + seconds(pause)));
        }
    }

    proptest! {
        #[test]
        fn it_never_stays_shut_longer_than_the_longest_pause(steps in proptest::collection::vec((0..40u64, any::<bool>()), 1..200), failures in 0..5u32) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(BreakerSettings { failures, ..SETTINGS });
            for (step, success) in steps {
                now += seconds(step);
                match breaker.permit(now) {
                    Permit::NoneUntil(until) => prop_assert!(failures > 0 && until > now && until - now <= SETTINGS.max_pause),
                    Permit::Any | Permit::One if success => breaker.succeeded(),
                    Permit::Any | Permit::One => drop(breaker.failed(now, None)),
                }
            }
        }
    }
}

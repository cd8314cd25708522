//! When a source looks next. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::sources::Timing;

/// How often a hint may put a look off: until so many debounces after the first.
const PATIENCE: u32 = 5;

/// When one source looks next.
#[derive(Debug, Clone)]
pub(super) struct Due {
    timing: Timing,
    next: Instant,
    first_hint: Option<Instant>,
}

impl Due {
    /// At once.
    pub(super) fn new(timing: Timing, now: Instant) -> Self {
        Self { timing, next: now, first_hint: None }
    }

    /// When.
    pub(super) fn at(&self) -> Instant {
        self.next
    }

    /// Whether it may look at `now`: it is due, or nearly, so that one awakening serves several sources.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let slack = if self.first_hint.is_some() { Duration::ZERO } else { self.timing.interval / 10 };
        self.next <= now + slack
    }

    /// It looks now.
    pub(super) fn look(&mut self, now: Instant) {
        self.next = now + self.timing.interval;
        self.first_hint = None;
    }

    /// Something may have changed. Further hints put the look off while they come, but not for ever.
    pub(super) fn hint(&mut self, now: Instant) {
        let first = *self.first_hint.get_or_insert(now);
        let hinted = (now + self.timing.debounce).min(first + self.timing.debounce * PATIENCE);
        // A look that is due sooner anyway may come in the middle of it: it is put off too.
        self.next = hinted;
    }

    /// The machine slept for so long, in which the clock stood still: what should have been looked at meanwhile is now.
    pub(super) fn slept(&mut self, slept: Duration, now: Instant) {
        match self.next.checked_sub(slept).filter(|next| *next > now) {
            Some(next) => self.next = next,
            None => self.hint(now),
        }
    }
}

/// Tells how long the machine slept: one of its clocks goes on, the one that looks are due by stands still.
#[derive(Debug)]
pub(super) struct Slept {
    awake: Instant,
    running_ms: i64,
}

impl Slept {
    /// From now on; `running_ms` as in [`crate::platform::Clocks`].
    pub(super) fn new(now: Instant, running_ms: i64) -> Self {
        Self { awake: now, running_ms }
    }

    /// How long since it was asked last.
    pub(super) fn since(&mut self, now: Instant, running_ms: i64) -> Duration {
        let before = std::mem::replace(self, Self::new(now, running_ms));
        let all = u64::try_from(running_ms - before.running_ms).map_or(Duration::ZERO, Duration::from_millis);
        all.saturating_sub(now.saturating_duration_since(before.awake))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_are_waited_out_but_not_for_ever() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let mut due = Due::new(Timing { interval: Duration::from_secs(100), debounce: Duration::from_secs(2) }, begun);
        assert!(due.is_due(begun));
        due.look(begun);
        assert_eq!(due.at(), at(100));
        assert!(!due.is_due(at(89)) && due.is_due(at(90)), "nearly due is due");
        for (now, next) in [(10, 12), (11, 13), (13, 15), (18, 20), (19, 20), (20, 20)] {
            due.hint(at(now));
            assert_eq!(due.at(), at(next), "{now}");
            assert!(!due.is_due(at(next - 1)) && due.is_due(at(next)));
        }
        due.look(at(20));
        assert_eq!(due.at(), at(120));
        due.hint(at(30));
        assert_eq!(due.at(), at(32), "a new row of hints");
    }

    #[test]
    fn what_should_have_been_looked_at_while_the_machine_slept_is_after_it() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        for (slept, next) in [(0, 100), (30, 70), (89, 11), (90, 12), (4_000, 12), (u64::MAX, 12)] {
            let timing = Timing { interval: Duration::from_secs(100), debounce: Duration::from_secs(2) };
            let mut due = Due::new(timing, begun);
            due.look(begun);
            due.slept(Duration::from_secs(slept), at(10));
            assert_eq!(due.at(), at(next), "{slept}");
        }
        let mut slept = Slept::new(begun, 5_000);
        for (now, running_ms, seconds) in [(10, 15_000, 0), (20, 3_625_000, 3_600), (30, 3_635_000, 0), (40, 1_000, 0)]
        {
            assert_eq!(slept.since(at(now), running_ms), Duration::from_secs(seconds), "{now}");
        }
    }
}

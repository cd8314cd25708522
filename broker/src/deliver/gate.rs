//! Whether an attempt may begin now, and with how many jobs. Pure: the time is an argument.

use std::time::{Duration, Instant};

use super::breaker::{Breaker, Permit};
use crate::{
    rate::Bucket,
    targets::{Batch, DeliverySettings},
};

/// What may be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// An attempt may begin, with so many jobs at most.
    Open(usize),
    /// As many attempts as may be are under way.
    Full,
    /// None before then: attempts follow one another too fast.
    Slow(Instant),
    /// None before then: the target is left alone.
    Paused(Instant),
    /// None: another broker does it.
    StandingBy,
}

/// Keeps to a target's rate, health and concurrency.
pub(super) struct Gatekeeper {
    breaker: Breaker,
    bucket: Option<Bucket>,
    concurrency: usize,
    batch: Option<Batch>,
    burst: usize,
}

impl Gatekeeper {
    /// `batches` tells whether the target can take several jobs at once.
    pub(super) fn new(settings: &DeliverySettings, batches: bool) -> Self {
        Self {
            breaker: Breaker::new(settings.breaker),
            bucket: settings.rate.map(Bucket::new),
            concurrency: settings.concurrency.max(1),
            batch: settings.batch.filter(|_| batches),
            burst: settings.rate.map_or(usize::MAX, |rate| rate.burst.max(1) as usize),
        }
    }

    /// What may be done, with so many attempts under way.
    pub(super) fn gate(&mut self, leads: bool, under_way: usize, now: Instant) -> Gate {
        if !leads {
            return Gate::StandingBy;
        }
        let (attempts, jobs) = match self.breaker.permit(now) {
            Permit::NoneUntil(until) => return Gate::Paused(until),
            Permit::One => (1, 1),
            Permit::Any => (self.concurrency, self.batch.map_or(1, |batch| batch.max)),
        };
        if under_way >= attempts {
            return Gate::Full;
        }
        match self.bucket.as_ref().map(|bucket| bucket.wait(now)) {
            Some(wait) if !wait.is_zero() => Gate::Slow(now + wait),
            _ => Gate::Open(jobs),
        }
    }

    /// An attempt begins.
    pub(super) fn begins(&mut self, now: Instant) {
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
    }

    /// An attempt ended; the target asked to be left alone for so long. Gives the pause where it is left alone from now on.
    pub(super) fn ended(&mut self, succeeded: bool, asked: Option<Duration>, now: Instant) -> Option<Duration> {
        if succeeded {
            self.breaker.succeeded();
            return None;
        }
        match self.breaker.failed(now, asked).then(|| self.breaker.permit(now)) {
            Some(Permit::NoneUntil(until)) => Some(until.saturating_duration_since(now)),
            _ => None,
        }
    }

    /// How long the first job of an attempt waits for others.
    pub(super) fn batch_wait(&self) -> Duration {
        self.batch.map_or(Duration::ZERO, |batch| batch.wait)
    }

    /// Whether one attempt is to show how the target is.
    pub(super) fn is_probing(&self) -> bool {
        self.breaker.is_probing()
    }

    /// Jobs to be asked for at once: what is not begun soon would be given to others meanwhile.
    pub(super) fn at_once(&self) -> usize {
        if self.is_probing() {
            return 1;
        }
        let jobs = self.batch.map_or(1, |batch| batch.max.min(100));
        self.concurrency.min(self.burst).saturating_mul(jobs).min(500)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::{BreakerSettings, Rate};

    #[test]
    fn an_attempt_begins_only_as_rate_health_and_concurrency_allow() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let settings = DeliverySettings {
            concurrency: 3,
            rate: Some(Rate { every: second, burst: 2 }),
            breaker: BreakerSettings { failures: 1, pause: second * 10, max_pause: second * 10 },
            batch: Some(Batch { max: 7, wait: second }),
            ..DeliverySettings::default()
        };
        assert_eq!(Gatekeeper::new(&settings, false).gate(true, 0, now), Gate::Open(1));
        let mut keeper = Gatekeeper::new(&settings, true);
        assert_eq!(keeper.gate(false, 0, now), Gate::StandingBy);
        assert_eq!((keeper.gate(true, 2, now), keeper.gate(true, 3, now)), (Gate::Open(7), Gate::Full));
        assert_eq!(keeper.at_once(), 14);
        keeper.begins(now);
        keeper.begins(now);
        assert_eq!(keeper.gate(true, 0, now), Gate::Slow(now + second));
        assert_eq!(keeper.ended(false, None, now), Some(second * 10));
        assert_eq!(keeper.gate(true, 0, now + second * 9), Gate::Paused(now + second * 10));
        let later = now + second * 10;
        assert_eq!((keeper.gate(true, 1, later), keeper.gate(true, 0, later)), (Gate::Full, Gate::Open(1)));
        assert!(keeper.is_probing() && keeper.at_once() == 1);
        assert_eq!(keeper.ended(true, None, later), None);
        assert_eq!(keeper.gate(true, 2, later), Gate::Open(7));
    }
}

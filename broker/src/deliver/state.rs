//! What a target's workers are doing, for whoever asks: `emote targets` and metrics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use emote_proto::{Name, Time};
use serde::{Deserialize, Serialize};

/// Upper bounds of the latency buckets, in milliseconds; what takes longer is in no bucket but in the count.
pub const BUCKETS_MS: [u64; 16] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000];
/// Longest error shown, in characters.
const MAX_ERROR: usize = 300;

/// Whether jobs are worked on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Running {
    /// Jobs are done as they come.
    #[default]
    Running,
    /// It failed too often and is left alone; the backlog waits.
    Paused {
        /// When one attempt will be made.
        until: Time,
    },
    /// After a pause one attempt shows how it is.
    Probing,
    /// Its rate allows no attempt now.
    WaitingForRate {
        /// When it does.
        until: Time,
    },
    /// Another broker does it.
    StandingBy,
    /// It cannot be started; its jobs wait.
    NotReady {
        /// Why; no secret in it.
        reason: String,
    },
    /// It is not in the configuration any more: what is left for it is given up.
    Gone,
}

/// An error and when it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub at: Time,
    /// What, at most 300 characters.
    pub reason: String,
}

/// How long something took, each time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// All of it together, in milliseconds.
    pub sum_ms: u64,
    /// How often.
    pub count: u64,
    /// Those that took no longer than each of [`BUCKETS_MS`], each bucket holding those before it.
    pub buckets: [u64; BUCKETS_MS.len()],
}

/// A target as of now. Counts are since this process started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TargetSnapshot {
    /// Whether jobs are worked on.
    pub state: Running,
    /// Attempts at jobs; one of several jobs counts for each.
    pub attempts: u64,
    /// Those that succeeded.
    pub succeeded: u64,
    /// Those that did not.
    pub failed: u64,
    /// Those of the failed ones after which trying again would not help.
    pub never: u64,
    /// Those of all that were not the first at their job.
    pub retries: u64,
    /// Times that a job's end could not be stored at once.
    pub not_stored: u64,
    /// Jobs given up.
    pub dead: u64,
    /// The last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// Attempts under way.
    pub in_flight: usize,
    /// Jobs waiting for the end of another one of their node.
    pub parked: usize,
    /// How long attempts took.
    pub latency: Latency,
    /// How long it was from an event, by its own time, to the end of a job that was done.
    pub since_event: Latency,
}

/// A target's state, which its workers write and others read.
#[derive(Debug, Default)]
pub struct TargetState {
    snapshot: Mutex<TargetSnapshot>,
    /// When its worker last gave a sign of life.
    alive: Mutex<Option<Instant>>,
}

/// An attempt, for those who count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Noted<'a> {
    /// How long it took.
    pub(super) took: Duration,
    /// Whether it was not the first one at its job.
    pub(super) again: bool,
    /// Why it failed and when it began, where it did.
    pub(super) error: Option<(&'a str, Time)>,
    /// Whether trying again would not help.
    pub(super) never: bool,
}

impl Latency {
    fn add(&mut self, millis: u64) {
        self.sum_ms = self.sum_ms.saturating_add(millis);
        self.count = self.count.saturating_add(1);
        for (bucket, bound) in self.buckets.iter_mut().zip(BUCKETS_MS) {
            *bucket = bucket.saturating_add(u64::from(millis <= bound));
        }
    }
}

impl TargetState {
    /// As of now.
    pub fn snapshot(&self) -> TargetSnapshot {
        self.lock().clone()
    }

    /// Says whether jobs are worked on.
    pub fn set(&self, state: Running) {
        self.lock().state = state;
    }

    pub(super) fn working(&self, in_flight: usize, parked: usize) {
        let mut state = self.lock();
        (state.in_flight, state.parked) = (in_flight, parked);
    }

    pub(super) fn attempted(&self, Noted { took, again, error, never }: Noted<'_>) {
        let mut state = self.lock();
        state.attempts = state.attempts.saturating_add(1);
        state.retries = state.retries.saturating_add(u64::from(again));
        state.never = state.never.saturating_add(u64::from(never));
        state.latency.add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        match error {
            None => state.succeeded = state.succeeded.saturating_add(1),
            Some((reason, at)) => {
                state.failed = state.failed.saturating_add(1);
                state.last_error = Some(LastError { at, reason: reason.chars().take(MAX_ERROR).collect() });
            }
        }
    }

    /// A job was done so long after its event, in milliseconds; where the clocks differ that may be less than nothing.
    pub(super) fn done(&self, since_event: i64) {
        self.lock().since_event.add(u64::try_from(since_event).unwrap_or(0));
    }

    /// A job's end could not be stored and is tried again.
    pub(super) fn not_stored(&self) {
        let mut state = self.lock();
        state.not_stored = state.not_stored.saturating_add(1);
    }

    /// Its worker goes on.
    pub(super) fn alive(&self) {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// For how long its worker has given no sign of life, where it has one.
    fn silent_for(&self) -> Option<Duration> {
        let alive = *self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.filter(|_| !matches!(self.lock().state, Running::NotReady { .. })).map(|alive| alive.elapsed())
    }

    pub(super) fn gave_up(&self) {
        let mut state = self.lock();
        state.dead = state.dead.saturating_add(1);
    }

    fn lock(&self) -> MutexGuard<'_, TargetSnapshot> {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The targets of this process.
#[derive(Debug, Clone, Default)]
pub struct Targets(Arc<Mutex<BTreeMap<Name, Arc<TargetState>>>>);

impl Targets {
    /// All of them as of now.
    pub fn snapshots(&self) -> BTreeMap<Name, TargetSnapshot> {
        self.lock().iter().map(|(name, state)| (name.clone(), state.snapshot())).collect()
    }

    /// The state of this one; made where there is none.
    pub fn of(&self, name: &Name) -> Arc<TargetState> {
        Arc::clone(self.lock().entry(name.clone()).or_default())
    }

    /// Those whose workers have given no sign of life for longer than `limit`, which they do every few seconds.
    pub fn silent(&self, limit: Duration) -> Vec<Name> {
        let silent = |state: &TargetState| state.silent_for().is_some_and(|silent| silent > limit);
        self.lock().iter().filter(|(_, state)| silent(state)).map(|(name, _)| name.clone()).collect()
    }

    /// Keeps those for which `keep` says so.
    pub fn retain(&self, keep: impl Fn(&Name) -> bool) {
        self.lock().retain(|name, _| keep(name));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<TargetState>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_and_sorted_by_how_long_they_took() {
        let (targets, name) = (Targets::default(), Name::new("slack").unwrap());
        let state = targets.of(&name);
        let now = Time::from_millis(0).unwrap();
        let fine = Noted { took: Duration::from_millis(10), again: false, error: None, never: false };
        state.attempted(fine);
        let error = Some((&*"x".repeat(1000), now));
        state.attempted(Noted { took: Duration::from_secs(90), again: true, error, never: true });
        state.done(-3);
        state.done(8_000_000);
        state.set(Running::Paused { until: now });
        state.working(2, 3);
        let snapshot = targets.snapshots().remove(&name).unwrap();
        assert_eq!((snapshot.attempts, snapshot.succeeded, snapshot.failed), (2, 1, 1));
        assert_eq!((snapshot.retries, snapshot.never), (1, 1));
        assert_eq!((snapshot.since_event.count, snapshot.since_event.buckets), (2, [1; 16]));
        assert_eq!((snapshot.in_flight, snapshot.parked), (2, 3));
        assert_eq!((snapshot.latency.sum_ms, snapshot.latency.count), (90_010, 2));
        assert_eq!(snapshot.latency.buckets, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2]);
        assert_eq!(snapshot.last_error.as_ref().unwrap().reason.len(), MAX_ERROR);
        let json = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<TargetSnapshot>(&json).unwrap(), snapshot);
        assert!(targets.silent(Duration::ZERO).is_empty(), "it has no worker yet");
        state.alive();
        assert_eq!((targets.silent(Duration::ZERO), targets.silent(Duration::from_secs(60))), (vec![name], vec![]));
        state.set(Running::NotReady { reason: "no secret".to_owned() });
        assert!(targets.silent(Duration::ZERO).is_empty(), "it has none any more");
        targets.retain(|_| false);
        assert!(targets.snapshots().is_empty());
    }
}

//! What became of each attempt at a job, as far as this process knows: it is kept in memory until the job ends.
//!
//! The server counts how often it gave a job out. That is no count of attempts: it gives a job again when it hears nothing
//! of it, and a job may be given back without an attempt. What was given out to this process is known; what was given out
//! elsewhere, or before it started, may or may not have been an attempt and is told as unknown.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use emote_proto::Time;
use serde::Serialize;

use super::under_way::Key;

/// Jobs remembered; the oldest is forgotten first.
const JOBS: usize = 2_000;
/// Attempts kept of a job: the first ones and the last ones.
const FIRST: usize = 5;
const LAST: usize = 45;
/// Longest reason kept of an attempt, in characters.
const MAX_REASON: usize = 500;

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Try {
    /// When it began.
    pub(super) at: Time,
    /// `retry` or `never`.
    pub(super) outcome: &'static str,
    /// Why.
    pub(super) reason: String,
    /// How long it took, in milliseconds.
    pub(super) took_ms: u64,
}

/// The attempts at a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Past {
    /// How often it was given out elsewhere: at most so many attempts are not known.
    pub(super) unknown: u64,
    /// Attempts made here.
    pub(super) made: u64,
    first: Vec<Try>,
    last: VecDeque<Try>,
    delivered: u64,
}

impl Past {
    /// Attempts, at most: those made here and those that may have been made elsewhere.
    pub(super) fn attempts(&self) -> u64 {
        self.unknown.saturating_add(self.made)
    }

    /// The attempts that are kept, in their order.
    pub(super) fn tries(&self) -> Vec<&Try> {
        self.first.iter().chain(&self.last).collect()
    }

    /// It was given out for the `delivered`th time, to this process.
    fn seen(&mut self, delivered: u64) {
        if delivered > self.delivered {
            let elsewhere = delivered.saturating_sub(self.delivered).saturating_sub(1);
            self.unknown = self.unknown.saturating_add(elsewhere);
            self.delivered = delivered;
        }
    }

    fn tried(&mut self, attempt: Try) {
        self.made = self.made.saturating_add(1);
        let attempt = Try { reason: attempt.reason.chars().take(MAX_REASON).collect(), ..attempt };
        if self.first.len() < FIRST {
            self.first.push(attempt);
            return;
        }
        self.last.push_back(attempt);
        if self.last.len() > LAST {
            self.last.pop_front();
        }
    }
}

/// The attempts at the jobs of a target that have not ended.
#[derive(Default)]
pub struct Histories(Mutex<State>);

#[derive(Default)]
struct State {
    jobs: HashMap<Key, Past>,
    order: VecDeque<Key>,
}

impl Histories {
    /// A job was given to this process for the `delivered`th time of all.
    pub(super) fn seen(&self, key: Key, delivered: u64) {
        self.lock().of(key).seen(delivered);
    }

    /// Notes an attempt that did not succeed, at a job given out for the `delivered`th time.
    pub(super) fn tried(&self, key: Key, delivered: u64, attempt: Try) {
        let mut state = self.lock();
        let past = state.of(key);
        // It may have been forgotten since it was given out.
        past.seen(delivered);
        past.tried(attempt);
    }

    /// What is known; `delivered` tells where the job was forgotten.
    pub(super) fn of(&self, key: Key, delivered: u64) -> Past {
        let forgotten = || Past { unknown: delivered.saturating_sub(1), ..Past::default() };
        self.lock().jobs.get(&key).cloned().unwrap_or_else(forgotten)
    }

    /// The job has ended.
    pub(super) fn forget(&self, key: Key) {
        let mut state = self.lock();
        if state.jobs.remove(&key).is_some() {
            state.order.retain(|other| *other != key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(&mut self, key: Key) -> &mut Past {
        if !self.jobs.contains_key(&key) {
            self.order.push_back(key);
            if self.order.len() > JOBS
                && let Some(oldest) = self.order.pop_front()
            {
                self.jobs.remove(&oldest);
            }
        }
        self.jobs.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u64) -> Key {
        (n, Time::from_millis(0).unwrap())
    }

    fn attempt(n: u64) -> Try {
        Try { at: Time::from_millis(0).unwrap(), outcome: "retry", reason: n.to_string(), took_ms: n }
    }

    #[test]
    fn what_was_given_out_here_without_an_attempt_is_no_attempt() {
        let histories = Histories::default();
        for delivered in [1, 2, 3] {
            histories.seen(key(1), delivered);
        }
        histories.tried(key(1), 3, attempt(1));
        let past = histories.of(key(1), 3);
        assert_eq!((past.attempts(), past.unknown, past.made), (1, 0, 1));
        histories.seen(key(1), 6);
        assert_eq!(histories.of(key(1), 6).unknown, 2, "4 and 5 were given out elsewhere");
        histories.forget(key(1));
        assert_eq!(histories.of(key(1), 6).attempts(), 5);
    }

    #[test]
    fn the_first_and_the_last_are_kept_and_the_oldest_job_is_forgotten() {
        let histories = Histories::default();
        histories.seen(key(1), 1);
        for n in 0..100 {
            histories.tried(key(1), 1, attempt(n));
        }
        let past = histories.of(key(1), 1);
        let kept: Vec<u64> = past.tries().iter().map(|attempt| attempt.took_ms).collect();
        assert_eq!(kept, (0..5).chain(55..100).collect::<Vec<_>>());
        assert_eq!(past.attempts(), 100);
        for n in 2..3_000 {
            histories.seen(key(n), 1);
        }
        assert_eq!(histories.of(key(1), 7).unknown, 6);
        assert_eq!(histories.lock().jobs.len(), JOBS);
    }

    proptest! {
        #[test]
        fn attempts_are_never_more_than_the_server_gave_out(steps in proptest::collection::vec((1..4u64, any::<bool>()), 1..50)) {
            let (histories, mut delivered) = (Histories::default(), 0);
            for (step, tried) in steps {
                delivered += step;
                histories.seen(key(1), delivered);
                if tried {
                    histories.tried(key(1), delivered, attempt(1));
                }
                prop_assert!(histories.of(key(1), delivered).attempts() <= delivered);
            }
        }
    }
}

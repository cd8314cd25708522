//! Jobs being worked on by this process. The server gives a job again when it hears nothing of it, such as while the
//! connection is away or a worker is slow to come to it; it must be worked on neither twice at once nor again after its
//! end.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use emote_proto::Time;

/// Ended jobs remembered. Copies come within a time-out or two of the end.
const REMEMBERED: usize = 10_000;

/// A job's sequence in DELIVERIES and when it was stored: a stream that is deleted and made again counts from 1.
pub(super) type Key = (u64, Time);

/// Jobs by their place in DELIVERIES.
#[derive(Default)]
pub struct UnderWay(Mutex<State>);

#[derive(Default)]
struct State {
    working: HashSet<Key>,
    ended: HashSet<Key>,
    order: VecDeque<Key>,
}

/// Whose turn it is.
pub(super) enum Turn {
    /// To be worked on, until the guard is dropped.
    Ours(Guard),
    /// Being worked on already.
    UnderWay,
    /// Ended already.
    Ended,
}

/// Held while a job is worked on; dropping it, even in a panic, lets the job be given out again.
pub(super) struct Guard {
    under_way: Arc<UnderWay>,
    key: Key,
    ended: bool,
}

impl UnderWay {
    pub(super) fn begin(self: &Arc<Self>, key: Key) -> Turn {
        let mut state = self.lock();
        if state.ended.contains(&key) {
            return Turn::Ended;
        }
        if !state.working.insert(key) {
            return Turn::UnderWay;
        }
        Turn::Ours(Guard { under_way: Arc::clone(self), key, ended: false })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard {
    /// The job has ended: a copy of it needs nothing but an acknowledgement.
    pub(super) fn ended(&mut self) {
        self.ended = true;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut state = self.under_way.lock();
        state.working.remove(&self.key);
        if self.ended && state.ended.insert(self.key) {
            state.order.push_back(self.key);
            if state.order.len() > REMEMBERED
                && let Some(oldest) = state.order.pop_front()
            {
                state.ended.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        (7, Time::from_millis(0).unwrap())
    }

    fn turn(under_way: &Arc<UnderWay>) -> &'static str {
        match under_way.begin(key()) {
            Turn::Ours(_) => "ours",
            Turn::UnderWay => "under way",
            Turn::Ended => "ended",
        }
    }

    #[test]
    fn a_job_is_worked_on_once_at_a_time_and_not_after_its_end() {
        let under_way = Arc::new(UnderWay::default());
        let Turn::Ours(first) = under_way.begin(key()) else { panic!("nobody else works on it") };
        assert_eq!(turn(&under_way), "under way");
        drop(first);
        assert_eq!(turn(&under_way), "ours", "what did not end is given out again");
        let Turn::Ours(mut second) = under_way.begin(key()) else { panic!("nobody else works on it") };
        second.ended();
        drop(second);
        assert_eq!(turn(&under_way), "ended");
    }

    #[test]
    fn a_panic_lets_the_job_be_given_out_again() {
        let under_way = Arc::new(UnderWay::default());
        let in_panic = Arc::clone(&under_way);
        let panicked = std::thread::spawn(move || {
            let Turn::Ours(_guard) = in_panic.begin(key()) else { return };
            panic!("a target's mistake");
        });
        assert!(panicked.join().is_err());
        assert_eq!(turn(&under_way), "ours");
    }
}

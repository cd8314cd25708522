//! One round of looks, one after the other on a thread of its own.
//!
//! What is seen is taken as it comes; only what is seen for the first time waits for the others of its round, to be one
//! inventory. A look may never come back: a file server that went away holds whoever asks for its size. After a while the
//! round is given up: what had not its turn yet looks in the next one, and only the one that is stuck is waited for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::platform::Host;
use crate::sources::{Look, ObserveError, Watch};

/// Rounds that may go on at a time: a slow one holds up no other.
pub(super) const MOST: usize = 3;
/// How long a round may take. Tools have deadlines of their own.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// One look to be made.
pub(super) struct Turn {
    /// The place of the source.
    pub(super) index: usize,
    /// Of the snapshot that it compares with.
    pub(super) generation: u64,
    pub(super) source: &'static dyn Watch,
    pub(super) old: Option<Vec<u8>>,
}

/// What a look saw.
pub(super) struct Seen {
    pub(super) index: usize,
    pub(super) generation: u64,
    pub(super) result: Result<Look, ObserveError>,
}

/// A round that goes on.
pub(super) struct Round {
    waiting: Arc<Mutex<VecDeque<Turn>>>,
    seen: Vec<Seen>,
    /// The places of those that have not been heard of.
    pending: Vec<usize>,
    until: Instant,
}

/// What became of a round that was given up.
pub(super) struct Left {
    pub(super) seen: Vec<Seen>,
    /// Places whose turn had not come.
    pub(super) missed: Vec<usize>,
    /// The place that does not come back.
    pub(super) stuck: Vec<usize>,
}

impl Round {
    /// Begins, on a thread where looks may block. What is seen goes to `results`, which is bounded by the number of
    /// sources.
    pub(super) fn begin(turns: Vec<Turn>, host: Arc<dyn Host>, results: UnboundedSender<Seen>) -> Self {
        let pending = turns.iter().map(|turn| turn.index).collect();
        let waiting = Arc::new(Mutex::new(VecDeque::from(turns)));
        let queue = Arc::clone(&waiting);
        tokio::task::spawn_blocking(move || {
            while let Some(Turn { index, generation, source, old }) = pop(&queue) {
                let result = source.look(&*host, old.as_deref());
                // At the agent's end nobody waits any more.
                results.send(Seen { index, generation, result }).ok();
            }
        });
        Self { waiting, seen: Vec::new(), pending, until: Instant::now() + PATIENCE }
    }

    /// When it is to be given up.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Gives it up.
    pub(super) fn leave(mut self) -> Left {
        let missed: Vec<usize> = lock(&self.waiting).drain(..).map(|turn| turn.index).collect();
        let pending = std::mem::take(&mut self.pending).into_iter();
        let stuck = pending.filter(|index| !missed.contains(index)).collect();
        Left { seen: std::mem::take(&mut self.seen), missed, stuck }
    }
}

impl Drop for Round {
    /// Whoever gave it up, or was ended, wants no look that has not begun.
    fn drop(&mut self) {
        lock(&self.waiting).clear();
    }
}

/// Takes in what was seen, and returns what is to be written now.
pub(super) fn take(rounds: &mut Vec<Round>, seen: Seen) -> Vec<Seen> {
    let Some(at) = rounds.iter().position(|round| round.pending.contains(&seen.index)) else { return vec![seen] };
    let Some(round) = rounds.get_mut(at) else { return vec![seen] };
    round.pending.retain(|index| *index != seen.index);
    let waits = matches!(seen.result, Ok(Look::First { .. }));
    if round.pending.is_empty() {
        let mut all = std::mem::take(&mut round.seen);
        all.push(seen);
        rounds.remove(at);
        return all;
    }
    if waits {
        round.seen.push(seen);
        return Vec::new();
    }
    vec![seen]
}

fn pop(queue: &Mutex<VecDeque<Turn>>) -> Option<Turn> {
    lock(queue).pop_front()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use crate::platform::{Happening, System};
    use crate::sources::Timing;
    use emote_proto::Time;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Says that it has begun, and looks once it is told to: for the first time or as ever.
    struct Waits(Mutex<(Sender<()>, Receiver<()>)>, bool);

    impl Waits {
        fn leak(first: bool) -> (&'static Self, Receiver<()>, Sender<()>) {
            let ((begin, begun), (go, wait)) = (channel(), channel());
            (Box::leak(Box::new(Self(Mutex::new((begin, wait)), first))), begun, go)
        }
    }

    impl Watch for Waits {
        fn name(&self) -> &'static str {
            "waits"
        }
        fn about(&self) -> &'static str {
            ""
        }
        fn on(&self) -> &'static [System] {
            System::ALL
        }
        fn timing(&self) -> Timing {
            Timing { interval: Duration::ZERO, debounce: Duration::ZERO }
        }
        fn look(&self, _host: &dyn Host, _old: Option<&[u8]>) -> Result<Look, ObserveError> {
            let inside = self.0.lock().unwrap();
            inside.0.send(()).unwrap();
            inside.1.recv().unwrap();
            let first = Look::First { snapshot: Vec::new(), inventory: serde_json::Value::Null };
            Ok(if self.1 { first } else { Look::Same })
        }
        fn told(&self, _old: Option<&[u8]>, _what: Happening, _at: Time) -> Result<Look, ObserveError> {
            Ok(Look::Same)
        }
    }

    fn turn(index: usize, source: &'static Waits) -> Turn {
        Turn { index, generation: 0, source, old: None }
    }

    #[tokio::test]
    async fn a_look_that_does_not_come_back_holds_up_no_other() {
        let ((quick, _quick, go), (slow, begun, later), (last, _last, _never)) =
            (Waits::leak(false), Waits::leak(false), Waits::leak(false));
        let (sender, mut results) = tokio::sync::mpsc::unbounded_channel();
        let turns = vec![turn(0, quick), turn(1, slow), turn(2, last)];
        let mut rounds = vec![Round::begin(turns, Arc::new(Recorded::mac()), sender)];
        go.send(()).unwrap();
        assert_eq!(take(&mut rounds, results.recv().await.unwrap()).len(), 1, "it is written at once");
        begun.recv().unwrap();
        let left = rounds.remove(0).leave();
        assert_eq!((left.seen.len(), left.missed, left.stuck), (0, vec![2], vec![1]));
        later.send(()).unwrap();
        let late = take(&mut rounds, results.recv().await.unwrap());
        assert_eq!((late.len(), late[0].index), (1, 1), "it is taken when it comes");
    }

    #[tokio::test]
    async fn first_looks_of_a_round_are_one_result() {
        let ((one, _one, go), (two, _two, go_on)) = (Waits::leak(true), Waits::leak(true));
        let (sender, mut results) = tokio::sync::mpsc::unbounded_channel();
        let mut rounds = vec![Round::begin(vec![turn(0, one), turn(1, two)], Arc::new(Recorded::mac()), sender)];
        go.send(()).unwrap();
        assert!(take(&mut rounds, results.recv().await.unwrap()).is_empty());
        go_on.send(()).unwrap();
        assert_eq!(take(&mut rounds, results.recv().await.unwrap()).len(), 2);
        assert!(rounds.is_empty());
    }
}

//! Tasks that run for as long as the configuration wants them, each until the file that it was started with is another one.
//! One that ends by itself, such as in a panic, is started anew.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// Those that run, by what they are for.
pub(crate) struct Tasks<Key> {
    running: BTreeMap<Key, Running>,
    ended: Arc<Notify>,
}

/// Tells, when it is dropped, that a task has ended, and those who wait where nobody stopped it.
struct Tells {
    stop: CancellationToken,
    /// Set before anybody is woken: the task's own handle may say it a moment later.
    is_over: Arc<AtomicBool>,
    ended: Arc<Notify>,
}

impl Drop for Tells {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if !self.stop.is_cancelled() {
            self.ended.notify_one();
        }
    }
}

struct Running {
    /// The file when it was started.
    file: String,
    stop: CancellationToken,
    is_over: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl<Key> Default for Tasks<Key> {
    fn default() -> Self {
        Self { running: BTreeMap::new(), ended: Arc::default() }
    }
}

impl<Key: Ord + Clone + Debug> Tasks<Key> {
    /// Keeps to what is wanted, each with its file: stops what is not, or not with this file, and then has `start` start what
    /// does not run. Gives what is not wanted any more.
    pub(crate) async fn keep_to<T, Task: Future<Output = ()> + Send + 'static>(
        &mut self,
        wanted: BTreeMap<Key, (String, T)>,
        start: impl Fn(T, CancellationToken) -> Task,
    ) -> Vec<Key> {
        let is_as_wanted = |key: &Key, running: &Running| {
            !running.is_over.load(Ordering::Acquire) && wanted.get(key).is_some_and(|(file, _)| *file == running.file)
        };
        let old = self.running.iter().filter(|(key, running)| !is_as_wanted(key, running));
        let mut old: Vec<Key> = old.map(|(key, _)| key.clone()).collect();
        // All of them before any is started: what moves from one to another is free by then.
        self.stop_these(&old).await;
        old.retain(|key| !wanted.contains_key(key));
        for (key, (file, what)) in wanted {
            self.running.entry(key).or_insert_with(|| {
                let stop = CancellationToken::new();
                let is_over = Arc::<AtomicBool>::default();
                let tells = Tells { stop: stop.clone(), is_over: Arc::clone(&is_over), ended: Arc::clone(&self.ended) };
                let run = start(what, stop.clone());
                let task = tokio::spawn(async move {
                    let _tells = tells;
                    run.await;
                });
                Running { file, stop, is_over, task }
            });
        }
        old
    }

    /// Comes back when a task has ended that nobody stopped: [`Self::keep_to`] starts it anew.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Stops all of them.
    pub(crate) async fn stop(&mut self) {
        let all: Vec<Key> = self.running.keys().cloned().collect();
        self.stop_these(&all).await;
    }

    /// Stops these together: each may have something to end.
    async fn stop_these(&mut self, keys: &[Key]) {
        let stopping: Vec<_> = keys.iter().filter_map(|key| Some((key, self.running.remove(key)?))).collect();
        stopping.iter().for_each(|(_, running)| running.stop.cancel());
        for (key, running) in stopping {
            if let Err(error) = running.task.await {
                tracing::error!(%error, task = ?key, "a task ended badly");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn what_has_another_file_is_started_anew_and_what_is_not_wanted_stops() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Tasks::default();
        let start = |name: &'static str, stop: CancellationToken| {
            let log = Arc::clone(&log);
            log.lock().unwrap().push(format!("{name} starts"));
            async move {
                stop.cancelled().await;
                log.lock().unwrap().push(format!("{name} stops"));
            }
        };
        let wanted = |of: &[(&'static str, &'static str)]| {
            of.iter().map(|(key, file)| (*key, ((*file).to_owned(), *key))).collect::<BTreeMap<_, _>>()
        };
        let said = || std::mem::take(&mut *log.lock().unwrap());
        assert!(tasks.keep_to(wanted(&[("a", "1"), ("b", "1")]), start).await.is_empty());
        assert_eq!(said(), ["a starts", "b starts"]);
        assert!(tasks.keep_to(wanted(&[("a", "1"), ("b", "2")]), start).await.is_empty());
        assert_eq!(said(), ["b stops", "b starts"]);
        assert_eq!(tasks.keep_to(wanted(&[("a", "1")]), start).await, ["b"]);
        assert_eq!(said(), ["b stops"]);
        tasks.stop().await;
        assert_eq!(said(), ["a stops"]);
    }

    #[tokio::test]
    async fn what_ends_by_itself_is_told_of_and_started_anew_though_its_file_is_the_same() {
        let (mut tasks, starts) = (Tasks::default(), Mutex::new(0));
        let start = |panics: bool, stop: CancellationToken| {
            *starts.lock().unwrap() += 1;
            async move {
                assert!(!panics, "as a task may");
                stop.cancelled().await;
            }
        };
        let wanted = |panics| BTreeMap::from([("a", ("1".to_owned(), panics)), ("b", ("1".to_owned(), false))]);
        tasks.keep_to(wanted(true), start).await;
        tokio::time::timeout(Duration::from_secs(20), tasks.ended()).await.unwrap();
        tasks.keep_to(wanted(false), start).await;
        assert_eq!(*starts.lock().unwrap(), 3, "the one that goes on is left alone");
        tasks.keep_to(wanted(false), start).await;
        assert_eq!(*starts.lock().unwrap(), 3);
        tasks.stop().await;
        assert!(tasks.ended().now_or_never().is_none(), "what was stopped is not told of");
    }

    /// Whoever is told may look at once, on another thread than the one on which the task is still coming to its end.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_end_that_is_told_of_is_a_start_at_the_next_look() {
        const TIMES: usize = 300;
        let (mut tasks, starts) = (Tasks::default(), Mutex::new(0));
        let start = |(), _: CancellationToken| {
            *starts.lock().unwrap() += 1;
            async {}
        };
        for begun in 1..=TIMES {
            tasks.keep_to(BTreeMap::from([("a", ("1".to_owned(), ()))]), start).await;
            assert_eq!(*starts.lock().unwrap(), begun);
            tokio::time::timeout(Duration::from_secs(20), tasks.ended()).await.unwrap();
        }
        tasks.stop().await;
    }
}

//! Tasks that run for as long as the configuration wants them, each until the file that it was started with is another one.

use std::{collections::BTreeMap, fmt::Debug};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Those that run, by what they are for.
pub(crate) struct Tasks<Key> {
    running: BTreeMap<Key, Running>,
}

struct Running {
    /// The file when it was started.
    file: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl<Key> Default for Tasks<Key> {
    fn default() -> Self {
        Self { running: BTreeMap::new() }
    }
}

impl<Key: Ord + Clone + Debug> Tasks<Key> {
    /// Keeps to what is wanted, each with its file: stops what is not, or not with this file, and then has `start` start what
    /// does not run. Gives what is not wanted any more.
    pub(crate) async fn keep_to<T>(
        &mut self,
        wanted: BTreeMap<Key, (String, T)>,
        start: impl Fn(T, CancellationToken) -> JoinHandle<()>,
    ) -> Vec<Key> {
        let is_as_wanted = |key: &Key, file: &str| wanted.get(key).is_some_and(|(wanted, _)| wanted == file);
        let old = self.running.iter().filter(|(key, running)| !is_as_wanted(key, &running.file));
        let mut old: Vec<Key> = old.map(|(key, _)| key.clone()).collect();
        for key in &old {
            self.stop_one(key).await;
        }
        old.retain(|key| !wanted.contains_key(key));
        for (key, (file, what)) in wanted {
            self.running.entry(key).or_insert_with(|| {
                let stop = CancellationToken::new();
                let task = start(what, stop.clone());
                Running { file, stop, task }
            });
        }
        old
    }

    /// Stops all of them.
    pub(crate) async fn stop(&mut self) {
        let all: Vec<Key> = self.running.keys().cloned().collect();
        for key in all {
            self.stop_one(&key).await;
        }
    }

    async fn stop_one(&mut self, key: &Key) {
        let Some(running) = self.running.remove(key) else { return };
        running.stop.cancel();
        if let Err(error) = running.task.await {
            tracing::warn!(%error, task = ?key, "a task ended badly");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn what_has_another_file_is_started_anew_and_what_is_not_wanted_stops() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Tasks::default();
        let start = |name: &'static str, stop: CancellationToken| {
            let log = Arc::clone(&log);
            log.lock().unwrap().push(format!("{name} starts"));
            tokio::spawn(async move {
                stop.cancelled().await;
                log.lock().unwrap().push(format!("{name} stops"));
            })
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
}

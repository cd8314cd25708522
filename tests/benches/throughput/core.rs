//! The real engine, in this process, without workers: nothing takes the jobs away.

use std::{path::Path, sync::Arc, time::Duration};

use emote::{
    config::{Folder, Set},
    engine::{Engine, Library, Parts, Role, Status},
    store::Store,
};
use emote_proto::stream;
use tokio_util::sync::CancellationToken;

use crate::{
    RULES,
    log::Log,
    pattern,
    spent::{Moment, Spent},
};

/// Which events the rules are about: each event has one rule.
pub(crate) const MATCHING: &str = "bench";
/// No event has one.
pub(crate) const OTHERS: &str = "other";

/// Folds the whole log with an empty store and no checkpoint; how long that took once it led, and the size of a job.
pub(crate) async fn fold(log: &Log, scope: &str) -> (Spent, usize) {
    log.forget_jobs().await;
    let folder = tempfile::tempdir_in(log.folder.path()).unwrap();
    configure(folder.path(), &log.url, scope);
    let length = log.length().await;
    let engine = Running::start(log, folder.path());
    let began = engine.wait_for(|status| status.role == Role::Leading).await;
    let ended = engine.wait_for(|status| status.position >= length).await;
    engine.stop().await;
    let mut deliveries = log.js.get_stream(stream::DELIVERIES).await.unwrap();
    let state = deliveries.info().await.unwrap().state.clone();
    let jobs = state.messages.saturating_sub(1);
    assert_eq!(jobs, if scope == MATCHING { length } else { 0 }, "each event has one job, or none has");
    let size = usize::try_from(state.bytes).unwrap().checked_div(usize::try_from(jobs).unwrap());
    (ended - began, size.unwrap_or(0))
}

/// An engine at work.
pub(crate) struct Running {
    status: emote::engine::Shared,
    server: u32,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Starts it with the rules and the store of `folder`.
    pub(crate) fn start(log: &Log, folder: &Path) -> Self {
        let (store, _) = Store::open(&folder.join("store.redb")).unwrap();
        let library = Library::new(log.bus.clone(), folder.to_owned(), Folder::settings(folder).unwrap());
        let first = Some(Set::read(folder).unwrap());
        let parts = Parts { bus: log.bus.clone(), store: Arc::new(store), library, first, partition: 0 };
        let engine = Engine::new(parts);
        let (status, stop) = (engine.shared(), CancellationToken::new());
        let task = tokio::spawn(engine.run(stop.clone()));
        Self { status, server: log.server_id(), stop, task }
    }

    /// When this first held, to a millisecond.
    pub(crate) async fn wait_for(&self, holds: impl Fn(&Status) -> bool) -> Moment {
        loop {
            let status = self.status.status();
            if holds(&status) {
                return Moment::now(self.server);
            }
            assert!(status.trouble.is_none(), "the engine is in trouble: {:?}", status.trouble);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// A folder with a thousand rules.
pub(crate) fn configure(folder: &Path, nats: &str, scope: &str) {
    let write = |file: &str, text: &str| {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "emote.yaml",
        &format!("nats: {{servers: [\"{nats}\"]}}\ningest: {{listen: \"127.0.0.1:0\"}}\nops: {{listen: \"off\"}}\n"),
    );
    write("targets/log.yaml", "kind: log\npath: events.jsonl\n");
    for n in 0..RULES {
        let rule = format!("pattern: {}\ntargets: [log]\n", pattern(scope, n));
        write(&format!("rules/rule-{n:04}.yaml"), &rule);
    }
}

//! The sources and targets of the rules in force: started, replaced and stopped as the log says. One whose secrets
//! cannot be had is told and tried again; its jobs wait in the stream.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use emote_proto::Name;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    bus::Bus,
    core::{EMIT_TARGET, Policy},
    deliver::{Delivery, Inputs, UnderWay, Work},
    engine::Ruling,
    ingest::Sources,
    store::Store,
    targets::{DeliverySettings, Validated},
};

/// What could not be started is tried again this often.
const AGAIN_EVERY: Duration = Duration::from_secs(10);

/// What all workers share.
pub(super) struct Workers {
    bus: Bus,
    store: Arc<Store>,
    sources: Arc<Sources>,
    inputs: Arc<Inputs>,
    running: BTreeMap<Name, Worker>,
    /// Jobs under way, by target: they outlive a worker that is replaced.
    under_way: BTreeMap<Name, Arc<UnderWay>>,
    /// Whether it was found out once who may send webhooks.
    ready: watch::Sender<bool>,
}

struct Worker {
    /// The target's file when it was started.
    file: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Workers {
    pub(super) fn new(bus: Bus, store: Arc<Store>, sources: Arc<Sources>) -> Self {
        let (inputs, running, under_way) = (Arc::default(), BTreeMap::new(), BTreeMap::new());
        Self { bus, store, sources, inputs, running, under_way, ready: watch::Sender::new(false) }
    }

    /// Turns true once the sources of the rules in force are known.
    pub(super) fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Keeps to the rules in force until told to stop.
    pub(super) async fn run(
        mut self,
        mut rules: watch::Receiver<Option<Arc<Ruling>>>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let emit = Name::new(EMIT_TARGET)?;
        self.start(emit, Work::Emit, (DeliverySettings::default(), Policy::default()), String::new());
        let mut all_run = true;
        loop {
            let ruling = rules.borrow_and_update().clone();
            if let Some(ruling) = ruling {
                all_run = self.keep_to(&ruling).await;
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = rules.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(AGAIN_EVERY), if !all_run => {}
            }
        }
        let names: Vec<Name> = self.running.keys().cloned().collect();
        self.stop(names).await;
        Ok(())
    }

    /// Says whether everything runs.
    async fn keep_to(&mut self, ruling: &Ruling) -> bool {
        let mut sources = Vec::new();
        for (name, spec) in &ruling.folder.sources {
            match ruling.folder.resolve_source(name, spec) {
                Ok(source) => sources.push(source),
                Err(report) => tracing::warn!(source = %name, %report, "a source takes no webhooks yet"),
            }
        }
        let mut all_run = sources.len() == ruling.folder.sources.len();
        self.sources.replace(sources);
        self.ready.send_replace(true);
        let file_of = |name: &Name| ruling.set.text(&format!("targets/{name}.yaml")).unwrap_or_default().to_owned();
        let wanted: BTreeMap<&Name, &Validated> =
            ruling.folder.targets.iter().map(|target| (&target.name, target)).collect();
        let old = self.running.iter().filter(|(name, worker)| {
            name.as_str() != EMIT_TARGET && (!wanted.contains_key(name) || worker.file != file_of(name))
        });
        let old: Vec<Name> = old.map(|(name, _)| name.clone()).collect();
        self.stop(old).await;
        for (name, target) in wanted {
            if self.running.contains_key(name) {
                continue;
            }
            match ruling.folder.resolve_target(target) {
                Ok(ready) => {
                    self.start(
                        name.clone(),
                        Work::Target(Arc::from(ready)),
                        (target.delivery.clone(), target.policy.clone()),
                        file_of(name),
                    );
                }
                Err(report) => {
                    all_run = false;
                    tracing::warn!(target_name = %name, %report, "a target does not act yet; its jobs wait");
                }
            }
        }
        all_run
    }

    fn start(&mut self, target: Name, work: Work, (settings, policy): (DeliverySettings, Policy), file: String) {
        let delivery = Delivery {
            bus: self.bus.clone(),
            store: Arc::clone(&self.store),
            target: target.clone(),
            work,
            settings,
            policy,
            inputs: Arc::clone(&self.inputs),
            under_way: Arc::clone(self.under_way.entry(target.clone()).or_default()),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(delivery.run(stop.clone()));
        self.running.insert(target, Worker { file, stop, task });
    }

    /// Stops these together: each may have attempts to end.
    async fn stop(&mut self, names: Vec<Name>) {
        let stopping: Vec<Worker> = names.iter().filter_map(|name| self.running.remove(name)).collect();
        for worker in &stopping {
            worker.stop.cancel();
        }
        for worker in stopping {
            if let Err(error) = worker.task.await {
                tracing::warn!(%error, "a target's worker ended badly");
            }
        }
    }
}

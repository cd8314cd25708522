//! The sources and targets of the rules in force: started, replaced and stopped as the log says. One whose secrets
//! cannot be had is told and tried again; its jobs wait in the stream.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use emote_proto::Name;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    bus::Bus,
    core::{EMIT_TARGET, Policy},
    deliver::{Delivery, Inputs, Memory, Running, Targets, Work},
    engine::Ruling,
    ingest::Sources,
    intake::{
        folder::{Folders, Watchers},
        socket::{self, Listeners, Sockets},
    },
    poll::{OfBus, Pollers, Polls, Reach},
    store::Store,
    targets::{DeliverySettings, Validated},
};

/// What could not be started is tried again this often.
const AGAIN_EVERY: Duration = Duration::from_secs(10);

/// After a change of rules, and then every so often, the leading broker looks for targets that are there no more.
const SWEEP_AFTER: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Maps of what sockets brought that run at once.
const MAX_MAPS: usize = 8;

/// What all workers share.
pub(super) struct Workers {
    bus: Bus,
    store: Arc<Store>,
    sources: Arc<Sources>,
    pollers: Pollers,
    listeners: Listeners,
    watchers: Watchers,
    inputs: Arc<Inputs>,
    running: BTreeMap<Name, Worker>,
    /// What is known of jobs, by target: it outlives a worker that is replaced.
    memories: BTreeMap<Name, Memory>,
    targets: Targets,
    /// Whether this broker is the one that folds.
    leads: watch::Receiver<bool>,
    /// Whether it was found out once who may send webhooks.
    ready: watch::Sender<bool>,
}

struct Worker {
    /// The target's file when it was started; none where the target is there no more.
    file: Option<String>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// How jobs are brought to a target, and what it asks of them.
#[derive(Default)]
struct Settings {
    delivery: DeliverySettings,
    policy: Policy,
}

impl Workers {
    pub(super) fn new(
        (bus, broker): (Bus, String),
        store: Arc<Store>,
        sources: Arc<Sources>,
        leads: watch::Receiver<bool>,
    ) -> Self {
        let (inputs, running, memories) = (Arc::default(), BTreeMap::new(), BTreeMap::new());
        let (targets, ready) = (Targets::default(), watch::Sender::new(false));
        let log = Arc::new(OfBus { bus: bus.clone(), store: Arc::clone(&store) });
        let watchers = Watchers::new(Arc::<OfBus>::clone(&log));
        let pollers = Pollers::new(Reach { log, leads: leads.clone() });
        let listeners = Listeners::new(socket::Reach {
            publisher: Arc::new(bus.clone()),
            aliases: Arc::clone(&store) as _,
            sources: Arc::clone(&sources),
            broker,
            maps: Arc::new(Semaphore::new(MAX_MAPS)),
        });
        Self { bus, store, sources, pollers, listeners, watchers, inputs, running, memories, targets, leads, ready }
    }

    /// What the targets are doing; it changes as they do.
    pub(super) fn targets(&self) -> Targets {
        self.targets.clone()
    }

    /// How sources that are polled are doing; it changes as they do.
    pub(super) fn polls(&self) -> Polls {
        self.pollers.polls()
    }

    /// How the sockets of sources are doing; it changes as they do.
    pub(super) fn sockets(&self) -> Sockets {
        self.listeners.sockets()
    }

    /// How the folders of sources are doing; it changes as they do.
    pub(super) fn folders(&self) -> Folders {
        self.watchers.folders()
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
        self.start(emit, Work::Emit, Settings::default(), None);
        let (mut all_run, mut sweep_at) = (true, None);
        loop {
            let ruling = rules.borrow_and_update().clone();
            if let Some(ruling) = &ruling {
                all_run = self.keep_to(ruling).await;
                sweep_at.get_or_insert_with(|| Instant::now() + SWEEP_AFTER);
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = rules.changed() => {
                    if changed.is_err() { break }
                    sweep_at = None;
                }
                () = tokio::time::sleep(AGAIN_EVERY), if !all_run => {}
                () = self.an_ended() => {}
                () = tokio::time::sleep_until(sweep_at.unwrap_or_else(Instant::now)), if sweep_at.is_some() => {
                    sweep_at = Some(Instant::now() + self.sweep(ruling.as_deref()).await);
                }
            }
        }
        tokio::join!(self.pollers.stop(), self.listeners.stop(), self.watchers.stop());
        let names: Vec<Name> = self.running.keys().cloned().collect();
        self.stop(names).await;
        Ok(())
    }

    /// Comes back some time after something has ended that was to go on taking events.
    async fn an_ended(&self) {
        tokio::select! {
            () = self.pollers.ended() => {}
            () = self.listeners.ended() => {}
            () = self.watchers.ended() => {}
        }
        tokio::time::sleep(AGAIN_EVERY).await;
    }

    /// Says whether everything runs.
    async fn keep_to(&mut self, ruling: &Ruling) -> bool {
        let (mut sources, mut others) = (Vec::new(), Vec::new());
        for (name, spec) in &ruling.folder.sources {
            match ruling.folder.resolve_source(name, spec) {
                Ok(source) => {
                    let source = Arc::new(source);
                    let made_of = ruling.set.source(name, source.is_held());
                    others.push((Arc::clone(&source), made_of));
                    sources.push(source);
                }
                Err(report) => tracing::warn!(source = %name, %report, "a source takes nothing yet"),
            }
        }
        let mut all_run = sources.len() == ruling.folder.sources.len();
        self.sources.replace(sources);
        self.pollers.keep_to(&others).await;
        self.listeners.keep_to(&others).await;
        self.watchers.keep_to(&others).await;
        self.ready.send_replace(true);
        let file_of = |name: &Name| ruling.set.text(&format!("targets/{name}.yaml")).unwrap_or_default().to_owned();
        let wanted: BTreeMap<&Name, &Validated> =
            ruling.folder.targets.iter().map(|target| (&target.name, target)).collect();
        let is_gone = |worker: &Worker, name: &Name| worker.file.is_none() && !wanted.contains_key(name);
        let old = self.running.iter().filter(|(name, worker)| {
            name.as_str() != EMIT_TARGET
                && !is_gone(worker, name)
                && (!wanted.contains_key(name) || worker.file != Some(file_of(name)))
        });
        let old: Vec<Name> = old.map(|(name, _)| name.clone()).collect();
        self.stop(old).await;
        self.targets.retain(|name| wanted.contains_key(name) || self.running.contains_key(name));
        for (name, target) in wanted {
            if self.running.contains_key(name) {
                continue;
            }
            match ruling.folder.resolve_target(target) {
                Ok(ready) => {
                    let settings = Settings { delivery: target.delivery.clone(), policy: target.policy.clone() };
                    self.start(name.clone(), Work::Target(Arc::from(ready)), settings, Some(file_of(name)));
                }
                Err(report) => {
                    all_run = false;
                    self.targets.of(name).set(Running::NotReady { reason: report.to_string() });
                    tracing::warn!(target_name = %name, %report, "a target does not act yet; its jobs wait");
                }
            }
        }
        all_run
    }

    fn start(&mut self, target: Name, work: Work, settings: Settings, file: Option<String>) {
        // One broker alone can keep to a rate, and only the one that folds knows which targets there are.
        let alone = settings.delivery.rate.is_some() || matches!(work, Work::Gone);
        let delivery = Delivery {
            bus: self.bus.clone(),
            store: Arc::clone(&self.store),
            target: target.clone(),
            work,
            settings: settings.delivery,
            policy: settings.policy,
            inputs: Arc::clone(&self.inputs),
            memory: self.memories.entry(target.clone()).or_default().clone(),
            state: self.targets.of(&target),
            leads: alone.then(|| self.leads.clone()),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(delivery.run(stop.clone()));
        self.running.insert(target, Worker { file, stop, task });
    }

    /// Has the jobs of targets that are in the configuration no more given up, and forgets those that have none. Gives the
    /// time until the next look.
    async fn sweep(&mut self, ruling: Option<&Ruling>) -> Duration {
        let Some(ruling) = ruling.filter(|_| *self.leads.borrow()) else { return SWEEP_AFTER };
        let found = match self.bus.targets_with_jobs().await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "looking for targets that are gone");
                return SWEEP_AFTER;
            }
        };
        let is_wanted = |name: &Name| {
            name.as_str() == EMIT_TARGET || ruling.folder.targets.iter().any(|target| target.name == *name)
        };
        let mut busy = false;
        for (name, jobs) in found.into_iter().filter(|(name, _)| !is_wanted(name)) {
            busy |= jobs > 0;
            match (jobs, self.running.contains_key(&name)) {
                (0, running) => {
                    if running {
                        self.stop(vec![name.clone()]).await;
                    }
                    self.forget(&name).await;
                }
                (_, true) => {}
                (_, false) => {
                    tracing::warn!(target_name = %name, jobs, "jobs for a target that is not in the configuration any more are given up");
                    self.start(name, Work::Gone, Settings::default(), None);
                }
            }
        }
        if busy { SWEEP_AFTER } else { SWEEP_EVERY }
    }

    async fn forget(&mut self, name: &Name) {
        self.memories.remove(name);
        self.targets.retain(|other| other != name);
        match self.bus.forget_target(name).await {
            Ok(true) => tracing::info!(target_name = %name, "a target that is gone and its jobs are forgotten"),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "forgetting a target"),
        }
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

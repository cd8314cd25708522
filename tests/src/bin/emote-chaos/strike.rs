//! Carries out the plan.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{task::JoinSet, time::Instant};

use crate::{fault::Kind, garbage, plan::Planned, programs::Service, stage::Stage};

/// What was done, and what could not be.
#[derive(Default)]
pub(crate) struct Struck {
    /// How often, by kind.
    pub(crate) done: BTreeMap<Kind, u64>,
    /// Faults whose turn had not come when the time was over: one server is in trouble at a time.
    pub(crate) left_out: u64,
    /// Faults that could not be carried out, and why.
    pub(crate) failed: Vec<String>,
}

/// Shared with whoever shows the progress.
pub(crate) type Record = Arc<Mutex<Struck>>;

/// Carries out each fault at its time; returns when the last one has ended.
pub(crate) async fn strike(stage: &Arc<Stage>, plan: Vec<Planned>, record: &Record) {
    let began = Instant::now();
    let mut faults = JoinSet::new();
    for planned in plan {
        tokio::time::sleep_until(began + planned.at).await;
        if stage.senders.over.load(std::sync::atomic::Ordering::Relaxed) {
            break;
        }
        let (stage, record) = (Arc::clone(stage), Arc::clone(record));
        faults.spawn(async move {
            let ended = stage.suffer(&planned).await;
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            match ended {
                Ok(true) => *record.done.entry(planned.kind).or_default() += 1,
                Ok(false) => record.left_out += 1,
                Err(error) => record.failed.push(format!("{planned}: {error:#}")),
            }
        });
    }
    while faults.join_next().await.is_some() {}
}

impl Stage {
    /// Whether it was carried out: what waits for its turn is not any more once the time is over.
    async fn suffer(&self, planned: &Planned) -> anyhow::Result<bool> {
        let _alone = match planned.kind {
            Kind::NatsKill | Kind::DiskFull => Some(self.nats.trouble.lock().await),
            _ => None,
        };
        if self.senders.over.load(std::sync::atomic::Ordering::Relaxed) {
            return Ok(false);
        }
        self.suffer_now(planned).await.map(|()| true)
    }

    async fn suffer_now(&self, planned: &Planned) -> anyhow::Result<()> {
        let mut random = StdRng::seed_from_u64(planned.seed);
        let (whom, lasts) = (planned.whom, planned.lasts);
        let broker = &self.brokers[whom % self.brokers.len()];
        let agent = &self.agents[whom % self.agents.len()];
        let client = self.client(whom);
        match planned.kind {
            Kind::BrokerKill => broker.kill(lasts, || Ok(())).await,
            Kind::BrokerFreeze => {
                broker.freeze(lasts).await;
                Ok(())
            }
            Kind::CorruptStore => {
                let store = self.folder.join(format!("{}/data/store.redb", broker.program.name));
                broker.kill(lasts, || damage(&store, &mut random)).await
            }
            Kind::AgentKill => agent.kill(lasts, || Ok(())).await,
            Kind::NatsKill => self.nats.kill(whom, lasts, &self.streams).await,
            Kind::Cut => {
                client.cut();
                Ok(())
            }
            Kind::Part => {
                client.part(lasts).await;
                Ok(())
            }
            Kind::Hold => {
                client.hold(lasts).await;
                Ok(())
            }
            Kind::DiskFull => self.nats.fill(lasts, &self.streams).await,
            Kind::Duplicates => {
                let count = self.senders.again(random.random_range(5..40)).await;
                self.senders.ledger.sent_again(count);
                Ok(())
            }
            Kind::Garbage => {
                let count = garbage::send(&self.senders, &mut random).await;
                self.senders.ledger.sent_garbage(count);
                Ok(())
            }
        }
    }

    /// A broker or an agent, brokers as often as agents.
    fn client(&self, whom: usize) -> &Service {
        let services = if whom.is_multiple_of(2) { &self.brokers } else { &self.agents };
        &services[whom / 2 % services.len()]
    }
}

/// Overwrites parts of a store, cuts it short, or takes it away.
fn damage(store: &Path, random: &mut StdRng) -> anyhow::Result<()> {
    let doing = || format!("damaging {}", store.display());
    let Ok(mut bytes) = std::fs::read(store) else { return Ok(()) };
    match random.random_range(0..10) {
        0 => return std::fs::remove_file(store).with_context(doing),
        1 => bytes.truncate(bytes.len() / 3),
        2 => bytes.clear(),
        3 => bytes.iter_mut().take(320).for_each(|byte| *byte = random.random()),
        _ => {
            for _ in 0..random.random_range(1..30) {
                let from = random.random_range(0..bytes.len().max(1));
                let length = random.random_range(1..4_096);
                bytes.iter_mut().skip(from).take(length).for_each(|byte| *byte = random.random());
            }
        }
    }
    std::fs::write(store, bytes).with_context(doing)
}

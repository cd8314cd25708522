//! Takes a target's jobs as its settings and its health allow, and starts attempts at them.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use emote_proto::{EventId, Time};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{MissedTickBehavior, interval, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Delivery, Running, Work,
    attempt::Attempted,
    gate::{Gate, Gatekeeper},
    parking::Parking,
    under_way::{Guard, Turn},
};
use crate::{
    bus::{BusError, JobMessage, Jobs, SIGN_OF_LIFE},
    core::{Job, Records},
};

/// A longer wait is made without a request at the server, so that what comes waits there.
const HOLD: Duration = Duration::from_secs(1);
/// How often the store is asked for ends that other brokers told.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A job for which there is no space comes again after this time.
const NO_SPACE: Duration = Duration::from_secs(1);
/// What is given back unused comes again after this time.
const GIVE_BACK: Duration = Duration::from_millis(50);
/// On stopping, attempts under way may take this long to end.
const FINISH_WITHIN: Duration = Duration::from_secs(3);
/// A batch is full when its jobs are this many bytes.
const BATCH_BYTES: usize = 4 << 20;
/// The end of a job may not be known any more when what waits for it is older than this.
const MAX_WAIT_IN_ORDER: i64 = 40 * 3600 * 1000;

/// A job that is this process's to do.
pub(super) struct Taken {
    pub(super) message: JobMessage,
    pub(super) job: Job,
    pub(super) guard: Guard,
}

/// Jobs that will be done in one attempt.
#[derive(Default)]
struct Gathered {
    jobs: Vec<Taken>,
    bytes: usize,
    since: Option<Instant>,
}

pub(super) struct Worker {
    delivery: Arc<Delivery>,
    gatekeeper: Gatekeeper,
    parking: Parking<Taken>,
    ready: VecDeque<Taken>,
    gathered: Gathered,
    attempts: JoinSet<Attempted>,
    jobs: Option<Jobs>,
    leads: Option<watch::Receiver<bool>>,
}

impl Worker {
    pub(super) fn new(delivery: Arc<Delivery>) -> Self {
        let batches = matches!(&delivery.work, Work::Target(target) if target.batches());
        Self {
            gatekeeper: Gatekeeper::new(&delivery.settings, batches),
            parking: Parking::new(),
            ready: VecDeque::new(),
            gathered: Gathered::default(),
            attempts: JoinSet::new(),
            jobs: None,
            leads: delivery.leads.clone(),
            delivery,
        }
    }

    pub(super) fn target(&self) -> &emote_proto::Name {
        &self.delivery.target
    }

    /// Works until told to stop, or until jobs cannot be read; then it can be called again.
    pub(super) async fn work(&mut self, shutdown: &CancellationToken) -> Result<(), BusError> {
        let (mut signs, mut looks) = (interval(SIGN_OF_LIFE), interval(LOOK_EVERY));
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.jobs = None;
        while !shutdown.is_cancelled() {
            let now = Instant::now();
            let leads = self.leads.as_ref().is_none_or(|leads| *leads.borrow());
            let gate = self.gatekeeper.gate(leads, self.attempts.len(), now);
            self.show(gate);
            if let Gate::Open(most) = gate
                && self.start(most, now, shutdown)
            {
                continue;
            }
            self.open_or_close(gate, now).await?;
            let taking = matches!(gate, Gate::Open(_));
            let wake = match gate {
                Gate::Open(_) => self.gathered.since.map(|since| since + self.gatekeeper.batch_wait()),
                Gate::Full | Gate::StandingBy => None,
                Gate::Slow(until) | Gate::Paused(until) => Some(until),
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(ended) = self.attempts.join_next() => self.note(ended),
                message = next(&mut self.jobs), if taking => self.take(message?, shutdown),
                () = sleep_until(wake.unwrap_or(now).into()), if wake.is_some() => {}
                () = changed(&mut self.leads) => {}
                _ = looks.tick(), if self.parking.len() > 0 => self.look_for_ends(),
                _ = signs.tick() => self.say_still_at_it().await,
            }
        }
        Ok(())
    }

    /// Ends what is under way; what has not begun is given back.
    pub(super) async fn stop(mut self) {
        if let Some(jobs) = self.jobs.take() {
            jobs.give_back(GIVE_BACK).await;
        }
        self.give_back().await;
        let finish = async { while self.attempts.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH_WITHIN, finish).await.is_err() {
            tracing::info!(target_name = %self.delivery.target, "attempts under way are left; their jobs come again");
        }
        self.delivery.state.working(0, 0);
    }

    /// Lets others have what has not begun.
    async fn give_back(&mut self) {
        let gathered = std::mem::take(&mut self.gathered).jobs;
        let waiting = self.parking.clear().into_iter().chain(self.ready.drain(..)).chain(gathered);
        for taken in waiting.collect::<Vec<_>>() {
            if let Err(error) = taken.message.again_after(GIVE_BACK).await {
                tracing::debug!(%error, "giving jobs back");
                break;
            }
        }
    }

    /// Starts an attempt with what is there, if that is enough.
    fn start(&mut self, most: usize, now: Instant, shutdown: &CancellationToken) -> bool {
        while self.gathered.jobs.len() < most
            && let Some(taken) = self.ready.pop_front()
        {
            self.gathered.add(taken, now);
        }
        let Some(since) = self.gathered.since else { return false };
        let full = self.gathered.jobs.len() >= most || self.gathered.bytes >= BATCH_BYTES;
        if !full && now < since + self.gatekeeper.batch_wait() {
            return false;
        }
        let mut jobs = std::mem::take(&mut self.gathered).jobs;
        if jobs.len() > most {
            let rest = jobs.split_off(most);
            rest.into_iter().rev().for_each(|taken| self.ready.push_front(taken));
        }
        self.gatekeeper.begins(now);
        self.attempts.spawn(Arc::clone(&self.delivery).attempt(jobs, shutdown.clone()));
        true
    }

    /// Keeps a request for jobs at the server only while they can be done soon.
    async fn open_or_close(&mut self, gate: Gate, now: Instant) -> Result<(), BusError> {
        let soon = match gate {
            Gate::Open(_) if self.jobs.is_none() => {
                self.jobs = Some(self.delivery.bus.jobs(&self.delivery.target, self.gatekeeper.at_once()).await?);
                return Ok(());
            }
            Gate::Open(_) => true,
            // What a probe shows decides what becomes of the others.
            Gate::Full => !self.gatekeeper.is_probing(),
            Gate::Slow(until) => until.saturating_duration_since(now) <= HOLD,
            Gate::Paused(_) | Gate::StandingBy => false,
        };
        if gate == Gate::StandingBy {
            self.give_back().await;
        }
        if !soon && let Some(jobs) = self.jobs.take() {
            jobs.give_back(GIVE_BACK).await;
        }
        Ok(())
    }

    /// A job has come: it is to be done, waits for another one, or is no job.
    fn take(&mut self, message: JobMessage, shutdown: &CancellationToken) {
        let key = (message.sequence, message.stored);
        let delivery = Arc::clone(&self.delivery);
        delivery.memory.histories.seen(key, message.attempt);
        let mut guard = match delivery.memory.under_way.begin(key) {
            Turn::Ours(guard) => guard,
            Turn::UnderWay => return,
            // A copy that was given out while the job was being ended.
            Turn::Ended => {
                self.attempts.spawn(async move {
                    drop(message.done().await);
                    Attempted::default()
                });
                return;
            }
        };
        let job = match serde_json::from_slice::<Job>(message.payload()) {
            Ok(job) => job,
            Err(error) => {
                let (reason, shutdown) = (error.to_string(), shutdown.clone());
                self.attempts.spawn(async move {
                    if delivery.refuse(&message, &reason, &shutdown).await {
                        guard.ended();
                    }
                    Attempted::default()
                });
                return;
            }
        };
        self.place(Taken { message, job, guard });
    }

    fn place(&mut self, taken: Taken) {
        let Some(after) = self.waits_for(&taken) else { return self.ready.push_back(taken) };
        if let Err(taken) = self.parking.park(after, taken) {
            self.attempts.spawn(async move {
                drop(taken.message.again_after(NO_SPACE).await);
                Attempted::default()
            });
        }
    }

    /// The end that must be known before this job may begin.
    fn waits_for(&self, taken: &Taken) -> Option<EventId> {
        let after = taken.job.after.filter(|_| !matches!(self.delivery.work, Work::Emit))?;
        let age = Time::from(jiff::Timestamp::now()).millis_since(taken.message.stored);
        let known = age > MAX_WAIT_IN_ORDER || self.parking.knows(&after) || self.delivery.is_told(&[after])[0];
        (!known).then_some(after)
    }

    /// An attempt is over.
    fn note(&mut self, ended: Result<Attempted, JoinError>) {
        let attempted = match ended {
            Ok(attempted) => attempted,
            // A panic in a target is taken for a failure; this one is ours. Its job comes again.
            Err(error) => {
                tracing::error!(target_name = %self.delivery.target, %error, "an attempt at a job ended badly");
                return;
            }
        };
        for id in attempted.ended {
            self.ready.extend(self.parking.ended(id));
        }
        let pause =
            attempted.succeeded.and_then(|succeeded| self.gatekeeper.ended(succeeded, attempted.asked, Instant::now()));
        if let Some(pause) = pause {
            tracing::warn!(target_name = %self.delivery.target, ?pause, "it fails again and again and is left alone; its jobs wait");
        }
    }

    fn look_for_ends(&mut self) {
        let awaited = self.parking.awaited();
        let told = self.delivery.is_told(&awaited);
        for (id, _) in awaited.into_iter().zip(told).filter(|(_, told)| *told) {
            self.ready.extend(self.parking.ended(id));
        }
    }

    /// What waits here must not be given to others meanwhile.
    async fn say_still_at_it(&self) {
        for taken in self.parking.iter().chain(&self.ready).chain(&self.gathered.jobs) {
            taken.message.still_at_it().await;
        }
    }

    fn show(&self, gate: Gate) {
        let state = &self.delivery.state;
        state.working(self.attempts.len(), self.parking.len());
        state.alive();
        state.set(match gate {
            _ if matches!(self.delivery.work, Work::Gone) => Running::Gone,
            Gate::StandingBy => Running::StandingBy,
            Gate::Paused(until) => Running::Paused { until: on_the_clock(until) },
            Gate::Slow(until) => Running::WaitingForRate { until: on_the_clock(until) },
            Gate::Open(_) | Gate::Full if self.gatekeeper.is_probing() => Running::Probing,
            Gate::Open(_) | Gate::Full => Running::Running,
        });
    }
}

fn on_the_clock(at: Instant) -> Time {
    let wait = i64::try_from(at.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(i64::MAX);
    let now = Time::from(jiff::Timestamp::now());
    Time::from_millis(now.as_millis().saturating_add(wait)).unwrap_or(now)
}

impl Gathered {
    fn add(&mut self, taken: Taken, now: Instant) {
        self.bytes = self.bytes.saturating_add(taken.message.payload().len());
        self.since.get_or_insert(now);
        self.jobs.push(taken);
    }
}

async fn next(jobs: &mut Option<Jobs>) -> Result<JobMessage, BusError> {
    match jobs {
        Some(jobs) => jobs.next().await,
        None => std::future::pending().await,
    }
}

/// Ends when it changes who leads.
async fn changed(leads: &mut Option<watch::Receiver<bool>>) {
    let known = match leads {
        Some(leads) => leads.changed().await.is_ok(),
        None => false,
    };
    if !known {
        std::future::pending::<()>().await;
    }
}

impl Delivery {
    /// For each of these results, whether it is in the log.
    pub(super) fn is_told(&self, ids: &[EventId]) -> Vec<bool> {
        let snapshot = self.store.snapshot().inspect_err(|error| tracing::warn!(%error, "looking for a result"));
        let Ok(records) = snapshot else { return vec![false; ids.len()] };
        ids.iter().map(|id| records.seen(id).is_ok_and(|seen| seen.is_some())).collect()
    }
}

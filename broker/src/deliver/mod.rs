//! Jobs to targets: one durable consumer a target, workers that try, retry, give up and report.
//!
//! A job ends with three steps in this order: the effect, its result event stored, the job acknowledged. A crash between
//! two of them repeats the job under the same id; the result event has the id of the job's end, so it is stored once,
//! and a repeated job whose result is already in the log is not done again.

mod input;
mod result;
mod schedule;
mod under_way;

use std::{sync::Arc, time::Duration};

use emote_proto::{Event, Name, Time, limits};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{Bus, BusError, JobMessage, SIGN_OF_LIFE},
    core::{Job, Policy, Records},
    store::Store,
    targets::{DeliverySettings, Outcome, Target},
};

pub use input::{Inputs, check_program};
use schedule::Next;
use under_way::Turn;
pub use under_way::UnderWay;

const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Longest reason in a dead letter, in characters.
const MAX_REASON: usize = 8_000;
/// How long an input transform may take.
const RENDER_WITHIN: Duration = Duration::from_secs(5);
/// On shutdown, attempts under way may take this long to end.
const FINISH_WITHIN: Duration = Duration::from_secs(3);

/// What a worker does with a job.
#[derive(Clone)]
pub enum Work {
    /// Has a target act.
    Target(Arc<dyn Target>),
    /// Publishes the job's event itself: what the core has to say.
    Emit,
}

/// Everything a target's workers share.
pub struct Delivery {
    /// Where jobs come from and results go.
    pub bus: Bus,
    /// Tells which results are in the log already.
    pub store: Arc<Store>,
    /// The target's name.
    pub target: Name,
    /// What to do.
    pub work: Work,
    /// How often, how long, how many at once.
    pub settings: DeliverySettings,
    /// What the target asks of whatever is to be done.
    pub policy: Policy,
    /// Compiled input transforms.
    pub inputs: Arc<Inputs>,
    /// Stream sequences of the jobs being worked on.
    pub under_way: Arc<UnderWay>,
}

impl Delivery {
    /// Works on the target's jobs until told to stop. Trouble with NATS is said and waited out.
    pub async fn run(self, shutdown: CancellationToken) {
        let this = Arc::new(self);
        let mut attempts = JoinSet::new();
        let mut pause = PAUSE;
        while !shutdown.is_cancelled() {
            match this.work_through(&mut attempts, &shutdown, &mut pause).await {
                Ok(()) => break,
                Err(error) => tracing::warn!(target_name = %this.target, %error, "jobs cannot be read; trying again"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                () = shutdown.cancelled() => {}
            }
        }
        let finish = async { while attempts.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH_WITHIN, finish).await.is_err() {
            tracing::info!(target_name = %this.target, "attempts under way are left; their jobs come again");
        }
    }

    async fn work_through(
        self: &Arc<Self>,
        attempts: &mut JoinSet<()>,
        shutdown: &CancellationToken,
        pause: &mut Duration,
    ) -> Result<(), BusError> {
        let concurrency = self.settings.concurrency.max(1);
        let mut jobs = self.bus.jobs(&self.target, concurrency).await?;
        loop {
            while attempts.len() >= concurrency {
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    ended = attempts.join_next() => self.look_at(ended),
                }
            }
            let message = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                message = jobs.next() => message?,
            };
            while let Some(ended) = attempts.try_join_next() {
                self.look_at(Some(ended));
            }
            *pause = PAUSE;
            let (this, shutdown) = (Arc::clone(self), shutdown.clone());
            let attempt = async move {
                match this.under_way.begin((message.sequence, message.stored)) {
                    Turn::Ours(mut turn) => {
                        if this.attempt(&message, &shutdown).await {
                            turn.ended();
                        }
                    }
                    Turn::UnderWay => {}
                    // A copy that was given out while the job was being ended.
                    Turn::Ended => drop(message.done().await),
                }
            };
            attempts.spawn(attempt);
        }
    }

    /// A panic in a target is our mistake; its job comes again.
    fn look_at(&self, ended: Option<Result<(), tokio::task::JoinError>>) {
        if let Some(Err(error)) = ended
            && error.is_panic()
        {
            tracing::error!(target_name = %self.target, %error, "an attempt at a job panicked");
        }
    }

    /// Works on one job. Says whether the job has ended; else it comes again.
    async fn attempt(&self, message: &JobMessage, shutdown: &CancellationToken) -> bool {
        let work = async {
            match serde_json::from_slice::<Job>(message.payload()) {
                Ok(job) => self.end(&job, message, shutdown).await,
                Err(error) => self.refuse(message, &error.to_string()).await,
            }
        };
        let mut work = std::pin::pin!(work);
        let mut signs = tokio::time::interval(SIGN_OF_LIFE);
        signs.reset();
        let ended = loop {
            tokio::select! {
                ended = &mut work => break ended,
                _ = signs.tick() => message.still_at_it().await,
            }
        };
        ended.unwrap_or_else(|error| {
            tracing::warn!(target_name = %self.target, %error, "a job's end could not be told; it comes again");
            false
        })
    }

    /// One attempt at a job, and what follows from it.
    async fn end(&self, job: &Job, message: &JobMessage, shutdown: &CancellationToken) -> Result<bool, BusError> {
        if message.attempt > 1 && self.is_reported(job) {
            return message.done().await.map(|()| true);
        }
        let now = Time::from(jiff::Timestamp::now());
        if let Some(reason) = self.too_old(job, now) {
            return self.bury(job, None, &reason, message, now, shutdown).await;
        }
        let input = match &self.work {
            Work::Emit => return self.say(job, message, shutdown).await,
            Work::Target(_) => self.render(job).await,
        };
        let outcome = match (&self.work, &input) {
            (Work::Target(target), Ok(Some(input))) => self.try_once(target.as_ref(), job, input).await,
            (_, Ok(None)) => return self.report(job, result::skipped(job), message, shutdown).await,
            (_, Err(reason)) => Outcome::Never { reason: reason.clone() },
            (Work::Emit, _) => return Ok(false),
        };
        let input = input.ok().flatten();
        let now = Time::from(jiff::Timestamp::now());
        let age = Duration::from_millis(u64::try_from(now.millis_since(message.stored)).unwrap_or(0));
        match outcome {
            Outcome::Done(report) => {
                self.report(job, result::done(job, &report, message.attempt, now), message, shutdown).await
            }
            Outcome::Retry { after, reason } => {
                match schedule::next(&self.settings.retry, message.attempt, age, after, jitter()) {
                    Next::After(delay) => {
                        tracing::info!(target_name = %self.target, job = %job.id, attempt = message.attempt, ?delay, reason, "will try again");
                        message.again_after(delay).await.map(|()| false)
                    }
                    Next::GiveUp(limit) => {
                        self.bury(job, input, &format!("{reason} ({limit})"), message, now, shutdown).await
                    }
                }
            }
            Outcome::Never { reason } => self.bury(job, input, &reason, message, now, shutdown).await,
        }
    }

    /// Why the job comes too late, if it does: its event is older than the target acts upon, and nobody let it through.
    fn too_old(&self, job: &Job, now: Time) -> Option<String> {
        let max_age = self.policy.max_age.filter(|_| job.ordered_by.is_none())?;
        let age = now.millis_since(job.event.time);
        (age > max_age).then(|| {
            format!("the event is {} s old: {} acts on none older than {} s", age / 1000, job.target, max_age / 1000)
        })
    }

    /// Publishes what the core has to say. An entry that could not be folded is kept first.
    async fn say(&self, job: &Job, message: &JobMessage, shutdown: &CancellationToken) -> Result<bool, BusError> {
        if let Some(poison) = &job.poison {
            let letter = json!({"reason": poison.reason, "poison": poison, "stored": message.stored});
            let letter = serde_json::to_vec(&letter).unwrap_or_default();
            self.insist("storing a dead letter", shutdown, || {
                self.bus.bury(&job.rule, &job.rule, job.id.as_str(), job.id.as_str(), letter.clone())
            })
            .await?;
        }
        self.emit(&job.event, message, shutdown).await
    }

    /// The rule's input, on a thread of its own: a jq program may take as long as it likes, or never end.
    async fn render(&self, job: &Job) -> Result<Option<Value>, String> {
        if job.input.is_none() {
            return self.inputs.render(job);
        }
        let (inputs, job) = (Arc::clone(&self.inputs), job.clone());
        let rule = job.rule.clone();
        match tokio::time::timeout(RENDER_WITHIN, tokio::task::spawn_blocking(move || inputs.render(&job))).await {
            Ok(Ok(rendered)) => rendered,
            Ok(Err(error)) => Err(format!("the input of rule {rule} failed: {error}")),
            Err(_) => Err(format!("the input of rule {rule} did not end within {RENDER_WITHIN:?}")),
        }
    }

    async fn try_once(&self, target: &dyn Target, job: &Job, input: &Value) -> Outcome {
        let limit = self.settings.timeout;
        match tokio::time::timeout(limit, target.deliver(job, input)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Retry { after: None, reason: format!("no answer within {limit:?}") },
        }
    }

    /// Gives a job up: dead letter first, then the event that tells, then the acknowledgement.
    async fn bury(
        &self,
        job: &Job,
        input: Option<Value>,
        reason: &str,
        message: &JobMessage,
        now: Time,
        shutdown: &CancellationToken,
    ) -> Result<bool, BusError> {
        // A program's complaint may repeat the value it complains of, which may be as long as an event.
        let reason: String = reason.chars().take(MAX_REASON).collect();
        tracing::warn!(target_name = %self.target, job = %job.id, attempts = message.attempt, reason, "a job is given up");
        let letter = |input: Option<&Value>| {
            let letter = json!({"job": job, "input": input, "attempts": message.attempt, "reason": reason, "stored": message.stored, "at": now});
            serde_json::to_vec(&letter).unwrap_or_default()
        };
        // An input may be larger than a message; it can be made again from the job.
        let letter =
            Some(letter(input.as_ref())).filter(|whole| whole.len() <= limits::MAX_JOB).unwrap_or_else(|| letter(None));
        // One that was given out again may die once more.
        let burial = format!("{}#{}", job.id, job.redriven);
        self.insist("storing a dead letter", shutdown, || {
            self.bus.bury(&job.target, &job.rule, job.id.as_str(), &burial, letter.clone())
        })
        .await?;
        self.report(job, result::dead(job, &reason, message.attempt, now), message, shutdown).await
    }

    /// A message that is no job: somebody wrote into `deliver.…` by hand.
    async fn refuse(&self, message: &JobMessage, reason: &str) -> Result<bool, BusError> {
        tracing::warn!(target_name = %self.target, subject = message.subject(), reason, "not a job");
        let rule = message.subject().rsplit('.').next().and_then(|rule| Name::new(rule).ok());
        let rule = rule.unwrap_or_else(|| self.target.clone());
        let id = format!("{}/{}/{}", message.subject(), message.stored, message.sequence);
        let body: String = String::from_utf8_lossy(message.payload()).chars().take(64 * 1024).collect();
        let letter = json!({"reason": format!("not a job: {reason}"), "body": body});
        self.bus.bury(&self.target, &rule, &id, &id, serde_json::to_vec(&letter).unwrap_or_default()).await?;
        message.done().await.map(|()| true)
    }

    async fn report(
        &self,
        job: &Job,
        event: Event,
        message: &JobMessage,
        shutdown: &CancellationToken,
    ) -> Result<bool, BusError> {
        tracing::debug!(target_name = %self.target, job = %job.id, scope = %event.scope, action = %event.action, "job ended");
        self.emit(&event, message, shutdown).await
    }

    async fn emit(&self, event: &Event, message: &JobMessage, shutdown: &CancellationToken) -> Result<bool, BusError> {
        let subject = match event.subject() {
            Ok(subject) => subject,
            // A node key that no subject can hold: the event is still told, about no node.
            Err(_) => emote_proto::Subject {
                source: event.source.clone(),
                node: None,
                scope: event.scope.clone(),
                action: event.action.clone(),
            },
        };
        let body = event.to_json();
        self.insist("storing a result", shutdown, || {
            self.bus.publish_events(vec![(subject.clone(), event.id, body.clone())])
        })
        .await?;
        message.done().await.map(|()| true)
    }

    /// Repeats what must not be given up: the effect has happened, and without its result it would happen again.
    async fn insist<F>(
        &self,
        doing: &'static str,
        shutdown: &CancellationToken,
        mut step: impl FnMut() -> F,
    ) -> Result<(), BusError>
    where
        F: Future<Output = Result<(), BusError>>,
    {
        let mut pause = PAUSE;
        loop {
            match step().await {
                Err(error) if !shutdown.is_cancelled() => {
                    tracing::warn!(target_name = %self.target, %error, "{doing}: trying again");
                }
                ended => return ended,
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
                () = shutdown.cancelled() => {}
            }
        }
    }

    fn is_reported(&self, job: &Job) -> bool {
        let id = if matches!(self.work, Work::Emit) { job.event.id } else { job.result_id() };
        let seen = self.store.snapshot().map_err(|error| error.to_string());
        let seen = seen.and_then(|records| records.seen(&id).map_err(|error| error.to_string()));
        seen.unwrap_or_else(|error| {
            tracing::warn!(error, "looking for a result");
            None
        })
        .is_some()
    }
}

/// A number from 0 to 1.
fn jitter() -> f64 {
    let mut bytes = [0_u8; 2];
    if getrandom::fill(&mut bytes).is_ok() { f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX) } else { 0.5 }
}

//! One attempt: at one job, or at several together where the target takes batches.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use emote_proto::{EventId, Time};
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Delivery, Work, history::Try, result, state::Noted, worker::Taken};
use crate::{
    bus::{BusError, JobMessage, SIGN_OF_LIFE},
    core::Job,
    targets::{Outcome, Target},
};

/// How long an input transform may take.
const RENDER_WITHIN: Duration = Duration::from_secs(5);
/// Jobs of a batch that are made ready, or ended, at once.
const AT_ONCE: usize = 32;

/// What came of an attempt.
#[derive(Debug, Default)]
pub(super) struct Attempted {
    /// The results of the jobs that ended by it.
    pub(super) ended: Vec<EventId>,
    /// Whether the target did something; `None` where that was not found out.
    pub(super) succeeded: Option<bool>,
    /// How long the target wants to be left alone.
    pub(super) asked: Option<Duration>,
}

/// A job before its attempt.
enum Ready {
    /// The target is to act on this input.
    Input(Value),
    /// It has ended (or could not be ended, and comes again).
    Over(bool),
}

impl Delivery {
    pub(super) async fn attempt(self: Arc<Self>, mut jobs: Vec<Taken>, shutdown: CancellationToken) -> Attempted {
        let (over, attempted) = {
            let mut work = std::pin::pin!(self.work(&jobs, &shutdown));
            let mut signs = tokio::time::interval(SIGN_OF_LIFE);
            signs.reset();
            loop {
                tokio::select! {
                    done = &mut work => break done,
                    _ = signs.tick() => for taken in &jobs { taken.message.still_at_it().await },
                }
            }
        };
        let mut ended = Vec::new();
        for (taken, _) in jobs.iter_mut().zip(over).filter(|(_, over)| *over) {
            taken.guard.ended();
            self.memory.histories.forget(key(&taken.message));
            ended.push(self.told_by(&taken.job));
        }
        Attempted { ended, ..attempted }
    }

    /// The event that tells the end of a job.
    fn told_by(&self, job: &Job) -> EventId {
        if matches!(self.work, Work::Emit) { job.event.id } else { job.result_id() }
    }

    /// For each job, whether it has ended.
    async fn work(&self, jobs: &[Taken], shutdown: &CancellationToken) -> (Vec<bool>, Attempted) {
        let mut prepared = Vec::with_capacity(jobs.len());
        for taken in jobs {
            prepared.push(async {
                let ready = self.prepare(&taken.job, &taken.message, shutdown).await;
                ready.unwrap_or_else(|error| Ready::Over(self.comes_again(&error)))
            });
        }
        let ready: Vec<Ready> = stream::iter(prepared).buffered(AT_ONCE).collect().await;
        let (mut inputs, mut to_do) = (Vec::new(), Vec::new());
        let mut over = vec![false; jobs.len()];
        for (index, ready) in ready.into_iter().enumerate() {
            match ready {
                Ready::Over(ended) => over[index] = ended,
                Ready::Input(input) => {
                    to_do.push(index);
                    inputs.push(input);
                }
            }
        }
        let Work::Target(target) = &self.work else { return (over, Attempted::default()) };
        if to_do.is_empty() {
            return (over, Attempted::default());
        }
        let asked: Vec<(&Job, &Value)> = to_do.iter().map(|index| &jobs[*index].job).zip(&inputs).collect();
        let (at, began) = (now(), Instant::now());
        let outcomes = self.act(target.as_ref(), &asked).await;
        let took = began.elapsed();
        let attempted = health(&outcomes);
        let mut ends = Vec::with_capacity(to_do.len());
        for ((index, input), outcome) in to_do.iter().zip(&inputs).zip(outcomes) {
            let Taken { job, message, .. } = &jobs[*index];
            self.note(message, &outcome, at, took);
            ends.push(async move {
                let ended = self.conclude(job, Some(input), message, outcome, shutdown).await;
                ended.unwrap_or_else(|error| self.comes_again(&error))
            });
        }
        let ends: Vec<bool> = stream::iter(ends).buffered(AT_ONCE).collect().await;
        for (index, ended) in to_do.into_iter().zip(ends) {
            over[index] = ended;
        }
        (over, attempted)
    }

    /// What there is to do before the target is asked, which may end the job.
    async fn prepare(&self, job: &Job, message: &JobMessage, shutdown: &CancellationToken) -> Result<Ready, BusError> {
        if self.is_told(&[self.told_by(job)])[0] {
            return message.done().await.map(|()| Ready::Over(true));
        }
        match &self.work {
            Work::Emit => return self.speak(job, message, shutdown).await.map(Ready::Over),
            Work::Gone => {
                let reason = format!(
                    "the target {} is not in the configuration any more: put it back, then `emote dead redrive`",
                    self.target
                );
                return self.bury(job, None, &reason, message, shutdown).await.map(Ready::Over);
            }
            Work::Target(_) => {}
        }
        if let Some(reason) = self.too_old(job, now()) {
            return self.bury(job, None, &reason, message, shutdown).await.map(Ready::Over);
        }
        let (at, began) = (now(), Instant::now());
        match self.render(job).await {
            Ok(Some(input)) => Ok(Ready::Input(input)),
            Ok(None) => self.report(job, result::skipped(job), message, shutdown).await.map(Ready::Over),
            Err(reason) => {
                let outcome = Outcome::Never { reason };
                self.note(message, &outcome, at, began.elapsed());
                self.conclude(job, None, message, outcome, shutdown).await.map(Ready::Over)
            }
        }
    }

    /// Why news this old is not acted upon; whoever let the job through knows how old it is.
    fn too_old(&self, job: &Job, now: Time) -> Option<String> {
        let limit = self.policy.max_age.filter(|_| job.ordered_by.is_none())?;
        let age = now.millis_since(job.event.time);
        let length = |millis: i64| Duration::from_millis(millis.unsigned_abs());
        (age > limit).then(|| {
            format!("the event is {:.0?} old: {} acts on news of {:?} at most", length(age), self.target, length(limit))
        })
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

    /// Has the target act once; an outcome for each job, whatever it does.
    async fn act(&self, target: &dyn Target, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let limit = self.settings.timeout;
        let deliver = async {
            match jobs {
                [(job, input)] if self.settings.batch.is_none() => vec![target.deliver(job, input).await],
                _ => target.deliver_batch(jobs).await,
            }
        };
        let all = |reason: String| vec![Outcome::Retry { after: None, reason }; jobs.len()];
        match tokio::time::timeout(limit, AssertUnwindSafe(deliver).catch_unwind()).await {
            Ok(Ok(outcomes)) if outcomes.len() == jobs.len() => outcomes,
            Ok(Ok(outcomes)) => {
                all(format!("{} outcomes of {} jobs; this is a mistake in emote", outcomes.len(), jobs.len()))
            }
            Ok(Err(_)) => {
                tracing::error!(target_name = %self.target, "a target panicked");
                all("the target panicked; this is a mistake in emote".to_owned())
            }
            Err(_) => all(format!("no answer within {limit:?}")),
        }
    }

    /// Remembers and shows what an attempt came to.
    fn note(&self, message: &JobMessage, outcome: &Outcome, at: Time, took: Duration) {
        let again = self.memory.histories.of(key(message), message.attempt).attempts() > 0;
        let noted = Noted { took, again, error: None, never: false };
        let (outcome, reason) = match outcome {
            Outcome::Done(_) => return self.state.attempted(noted),
            Outcome::Retry { reason, .. } => ("retry", reason),
            Outcome::Never { reason } => ("never", reason),
        };
        self.state.attempted(Noted { error: Some((reason, at)), never: outcome == "never", ..noted });
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.memory.histories.tried(
            key(message),
            message.attempt,
            Try { at, outcome, reason: reason.clone(), took_ms },
        );
    }

    fn comes_again(&self, error: &BusError) -> bool {
        tracing::warn!(target_name = %self.target, %error, "a job's end could not be told; it comes again");
        false
    }
}

/// What outcomes say of the target's health.
fn health(outcomes: &[Outcome]) -> Attempted {
    let asked = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Retry { after, .. } => *after,
        _ => None,
    });
    let succeeded = if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Done(_))) {
        Some(true)
    } else {
        outcomes.iter().any(|outcome| matches!(outcome, Outcome::Retry { .. })).then_some(false)
    };
    Attempted { ended: Vec::new(), succeeded, asked: asked.max() }
}

pub(super) fn key(message: &JobMessage) -> super::under_way::Key {
    (message.sequence, message.stored)
}

pub(super) fn now() -> Time {
    jiff::Timestamp::now().into()
}

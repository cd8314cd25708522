//! How a job ends, or comes again: the result event, the dead letter, the acknowledgement.

use std::time::Duration;

use emote_proto::{Event, Name, Subject};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    Delivery, PAUSE, PAUSE_MAX,
    attempt::{key, now},
    letter::{self, Letter},
    result,
    schedule::{self, Next},
};
use crate::{
    bus::{BusError, JobMessage},
    core::Job,
    random,
    targets::Outcome,
};

impl Delivery {
    /// What follows from an attempt's outcome. Says whether the job has ended; else it comes again.
    pub(super) async fn conclude(
        &self,
        job: &Job,
        input: Option<&Value>,
        message: &JobMessage,
        outcome: Outcome,
        shutdown: &CancellationToken,
    ) -> Result<bool, BusError> {
        let attempts = self.memory.histories.of(key(message), message.attempt).attempts();
        let now = now();
        match outcome {
            Outcome::Done(report) => {
                // The end is told last: where it is in the log, all before it is.
                let told = result::told(job, &report, now);
                self.publish(&told, shutdown).await?;
                let event = result::done(job, &report, attempts.saturating_add(1), now);
                let ended = self.report(job, event, message, shutdown).await?;
                self.state.done(now.millis_since(job.event.time));
                Ok(ended)
            }
            Outcome::Never { reason } => self.bury(job, input, &reason, message, shutdown).await,
            Outcome::Retry { after, reason } => {
                let age = Duration::from_millis(u64::try_from(now.millis_since(message.stored)).unwrap_or(0));
                match schedule::next(&self.settings.retry, attempts.max(1), age, after, random::chance()) {
                    Next::After(delay) => {
                        tracing::info!(target_name = %self.target, job = %job.id, attempts, ?delay, reason, "will try again");
                        message.again_after(delay).await.map(|()| false)
                    }
                    Next::GiveUp(limit) => {
                        self.bury(job, input, &format!("{reason} ({limit})"), message, shutdown).await
                    }
                }
            }
        }
    }

    /// Gives a job up: dead letter first, then the event that tells, then the acknowledgement.
    pub(super) async fn bury(
        &self,
        job: &Job,
        input: Option<&Value>,
        reason: &str,
        message: &JobMessage,
        shutdown: &CancellationToken,
    ) -> Result<bool, BusError> {
        // A program's complaint may repeat the value it complains of, which may be as long as an event.
        let reason: String = reason.chars().take(letter::MAX_REASON).collect();
        let past = self.memory.histories.of(key(message), message.attempt);
        let (attempts, now) = (past.attempts(), now());
        tracing::warn!(target_name = %self.target, job = %job.id, attempts, reason, "a job is given up");
        let letter = Letter::new(job, input, &past, &reason, (message.stored, now)).to_json();
        self.insist("storing a dead letter", shutdown, || {
            self.bus.bury(&job.target, &job.rule, (job.id.as_str(), job.redriven), letter.clone())
        })
        .await?;
        self.state.gave_up();
        self.report(job, result::dead(job, &reason, attempts, now), message, shutdown).await
    }

    /// Says what the core has to say. What could not be folded is kept first.
    pub(super) async fn speak(
        &self,
        job: &Job,
        message: &JobMessage,
        shutdown: &CancellationToken,
    ) -> Result<bool, BusError> {
        if let Some(poison) = &job.poison {
            let letter = letter::of_poison(job, poison, now());
            self.insist("storing a dead letter", shutdown, || {
                let core = self.core();
                let letter = letter.clone();
                async move { self.bus.bury(&core, &core, (job.id.as_str(), job.redriven), letter).await }
            })
            .await?;
        }
        self.emit(&job.event, message, shutdown).await
    }

    /// The name under which the core's own dead letters are.
    fn core(&self) -> Name {
        Name::new("core").unwrap_or_else(|_| self.target.clone())
    }

    /// A message that is no job: somebody wrote into `deliver.…` by hand. Says whether it is done with.
    pub(super) async fn refuse(&self, message: &JobMessage, reason: &str, shutdown: &CancellationToken) -> bool {
        tracing::warn!(target_name = %self.target, subject = message.subject(), reason, "not a job");
        let rule = message.subject().rsplit('.').next().and_then(|rule| Name::new(rule).ok());
        let rule = rule.unwrap_or_else(|| self.target.clone());
        let id = format!("{}/{}/{}", message.subject(), message.stored, message.sequence);
        let body: String = String::from_utf8_lossy(message.payload()).chars().take(64 * 1024).collect();
        let letter = json!({"reason": format!("not a job: {reason}"), "body": body});
        let letter = serde_json::to_vec(&letter).unwrap_or_default();
        let stored = self
            .insist("storing a dead letter", shutdown, || self.bus.bury(&self.target, &rule, (&id, 0), letter.clone()));
        let done = async {
            stored.await?;
            message.done().await
        };
        done.await.is_ok()
    }

    pub(super) async fn report(
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
        self.publish(std::slice::from_ref(event), shutdown).await?;
        message.done().await.map(|()| true)
    }

    async fn publish(&self, events: &[Event], shutdown: &CancellationToken) -> Result<(), BusError> {
        if events.is_empty() {
            return Ok(());
        }
        let messages: Vec<_> =
            events.iter().map(|event| (subject(event), event.id, bytes::Bytes::from(event.to_json()))).collect();
        self.insist("storing a result", shutdown, || self.bus.publish_events(messages.clone())).await
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
                    self.state.not_stored();
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
}

fn subject(event: &Event) -> Subject {
    // A node key that no subject can hold: the event is still told, about no node.
    event.subject().unwrap_or_else(|_| Subject {
        source: event.source.clone(),
        node: None,
        scope: event.scope.clone(),
        action: event.action.clone(),
    })
}

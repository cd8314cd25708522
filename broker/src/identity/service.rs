//! Answers Macs that ask for a credential. What is answered was stored before it is said: registry, then event, then
//! answer. A crash between any two leaves a Mac that asks again and is given the same.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use emote_proto::{
    Name, Time,
    enroll::{EnrollAnswer, EnrollError, EnrollRequest, MAX_MESSAGE, TokenId, UserKey},
};
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    Counts, Policy, Registry, Vouch,
    admit::{Answer, Ask, Decision, Terms, decide},
    jwt::AccountKey,
    limits::{Rates, Told},
    mint,
    record::Issued,
    tell::{Tidings, key_info},
};
use crate::{
    bus::{BusError, Enrollment, WriteError},
    core::Records,
    store::Store,
};

/// Macs that are answered at once.
const AT_ONCE: usize = 32;
/// Others that change the same records come first at most so often; then the Mac is asked to come again.
const MAX_TRIES: usize = 32;
/// A refusal is told once in this time of the same key.
const DENIED_TOLD_EVERY: Duration = Duration::from_secs(3600);
/// Longest name of an agent's version, in characters.
const MAX_AGENT: usize = 40;

/// Answers Macs.
pub(super) struct Service {
    pub(super) registry: Registry,
    pub(super) store: Arc<Store>,
    pub(super) signer: Arc<AccountKey>,
    pub(super) policy: Policy,
    pub(super) lifetime: Duration,
    pub(super) mdm: Vec<Name>,
    pub(super) counts: Counts,
    pub(super) rates: Mutex<Rates>,
    pub(super) told: Mutex<Told<(String, String, String)>>,
    pub(super) tells: Mutex<Rates>,
    /// One decides after the other: they write the same token's record, and only other brokers are to be in the way.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// Why a Mac cannot be answered now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("the records cannot be read: {0}")]
    Store(#[from] crate::store::StoreError),
    #[error("the records cannot be read: {0}")]
    State(#[from] crate::core::StateError),
    #[error("signing: {0}")]
    Sign(#[from] super::jwt::SignError),
    #[error("others ask for the same")]
    Busy,
}

impl Service {
    /// Answers until told to stop.
    pub(super) async fn run(self: Arc<Self>, shutdown: CancellationToken) -> Result<(), BusError> {
        let mut enrollments = self.registry.bus().enrollments().await?;
        let (places, mut answers) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
            while answers.try_join_next().is_some() {}
            let enrollment = tokio::select! {
                () = shutdown.cancelled() => break,
                enrollment = enrollments.next() => enrollment,
            };
            let Some(enrollment) = enrollment else { break };
            let service = Arc::clone(&self);
            answers.spawn(async move {
                service.answer(enrollment).await;
                drop(place);
            });
        }
        while answers.join_next().await.is_some() {}
        Ok(())
    }

    async fn answer(&self, enrollment: Enrollment) {
        let now = Time::from(jiff::Timestamp::now());
        let (answer, outcome) = self.examine(&enrollment, now).await;
        self.counts.enrollment(outcome);
        let Ok(json) = serde_json::to_vec(&answer) else { return };
        if let Err(error) = enrollment.answer(json).await {
            tracing::debug!(%error, "a Mac was not answered; it asks again");
        }
    }

    /// What has nothing to do with the registry: rate, size, shape, signature, time.
    async fn examine(&self, enrollment: &Enrollment, now: Time) -> (EnrollAnswer, &'static str) {
        let token = &enrollment.token;
        let allowed = self.rates.lock().unwrap_or_else(PoisonError::into_inner).allow(token, Instant::now());
        if !allowed {
            return (unavailable("too many ask with this token at once", 60), "limited");
        }
        if enrollment.payload.len() > MAX_MESSAGE {
            return (denied("the request is too large"), "malformed");
        }
        let request: EnrollRequest = match serde_json::from_slice(&enrollment.payload) {
            Ok(request) => request,
            Err(error) => return (denied(&format!("the request is not understood: {error}")), "malformed"),
        };
        match request.verify(token, now) {
            Ok(()) => {}
            Err(error @ EnrollError::Time(_)) => return (unavailable(&error.to_string(), 300), "wrong_time"),
            Err(error) => {
                self.tell_denied(token, &request, "forged", &error.to_string(), now).await;
                return (denied(&error.to_string()), "forged");
            }
        }
        match self.judge(token, &request, now).await {
            Ok(answered) => answered,
            Err(trouble) => {
                tracing::warn!(serial = %request.serial, %trouble, "a Mac that asks for a credential cannot be answered now");
                (unavailable("the broker has trouble with NATS", 30), "unavailable")
            }
        }
    }

    async fn judge(
        &self,
        token: &TokenId,
        request: &EnrollRequest,
        now: Time,
    ) -> Result<(EnrollAnswer, &'static str), Trouble> {
        let ask = Ask {
            token: token.clone(),
            serial: request.serial.clone(),
            key: request.public_key.clone(),
            agent: request.agent.chars().filter(|char| !char.is_control()).take(MAX_AGENT).collect(),
        };
        for _ in 0..MAX_TRIES {
            let decision = match self.decide(&ask, now).await {
                Ok(decision) => decision,
                Err(Trouble::Busy) => continue,
                Err(trouble) => return Err(trouble),
            };
            return self.tell(&ask, request, decision.answer, now).await;
        }
        Err(Trouble::Busy)
    }

    /// Decides and stores what was decided. [`Trouble::Busy`] where somebody else was quicker.
    async fn decide(&self, ask: &Ask, now: Time) -> Result<Decision, Trouble> {
        let _turn = self.turn.lock().await;
        let token = self.registry.token(&ask.token).await?;
        let device = self.registry.device(&ask.serial).await?;
        let node = self.store.snapshot()?.node(ask.serial.as_str())?;
        let terms = Terms {
            policy: self.policy,
            lifetime: i64::try_from(self.lifetime.as_millis()).unwrap_or(i64::MAX),
            vouch: Vouch::of(node.as_deref(), &self.mdm),
            now,
        };
        let decision = decide(ask, token.record.as_ref(), device.record.as_ref(), &terms);
        let stored = self.registry.write((&device, decision.device.as_ref()), (&token, decision.token.as_ref()));
        match stored.await {
            Ok(()) => Ok(decision),
            Err(WriteError::Overtaken) => Err(Trouble::Busy),
            Err(WriteError::Bus(error)) => Err(error.into()),
        }
    }

    /// Tells of it, then gives the answer.
    async fn tell(
        &self,
        ask: &Ask,
        request: &EnrollRequest,
        answer: Answer,
        now: Time,
    ) -> Result<(EnrollAnswer, &'static str), Trouble> {
        match answer {
            Answer::Enrolled(issued) => {
                if !issued.told {
                    self.tell_enrolled(ask, &issued).await?;
                }
                Ok((EnrollAnswer::Enrolled { jwt: mint::device(&self.signer, &ask.serial, &issued)? }, "enrolled"))
            }
            Answer::Waits(asked, waiting) => {
                if !asked.told {
                    let mut info = self.info(ask);
                    info["waits_for"] = json!(waiting.to_string());
                    let tidings = Tidings::of(&ask.serial, "enrollment_requested", asked.at, info);
                    let at = asked.at.to_string();
                    tidings.known_by(&[ask.key.as_str(), &at]).tell(self.registry.bus()).await?;
                    self.note_told(ask).await?;
                }
                let (reason, retry_after) = (waiting.to_string(), waiting.retry_after());
                Ok((EnrollAnswer::Pending { reason, retry_after }, "pending"))
            }
            Answer::Denied(reason) => {
                let reason = reason.to_string();
                self.tell_denied(&ask.token, request, "denied", &reason, now).await;
                Ok((EnrollAnswer::Denied { reason }, "denied"))
            }
        }
    }

    async fn tell_enrolled(&self, ask: &Ask, issued: &Issued) -> Result<(), Trouble> {
        let mut info = self.info(ask);
        info["expires"] = json!(issued.expires);
        info["again"] = json!(issued.issued != issued.since);
        let at = issued.issued.to_string();
        let tidings = Tidings::of(&ask.serial, "enrolled", issued.issued, info);
        tidings.known_by(&[issued.key.as_str(), &at]).tell(self.registry.bus()).await?;
        tracing::info!(serial = %ask.serial, token = %ask.token, "a Mac has a credential now");
        self.note_told(ask).await
    }

    /// Notes that the events about this key are stored.
    async fn note_told(&self, ask: &Ask) -> Result<(), Trouble> {
        let change = self.registry.change_device(&ask.serial, |device| {
            let Some(mut device) = device.cloned() else { return ((), None) };
            for asked in device.asked.iter_mut().filter(|asked| asked.key == ask.key) {
                asked.told = true;
            }
            for key in device.key.iter_mut().filter(|key| key.key == ask.key) {
                key.told = true;
            }
            ((), Some(device))
        });
        Ok(change.await?)
    }

    /// Tells of a refusal, now and then. It is no secret that it could not be told.
    async fn tell_denied(&self, token: &TokenId, request: &EnrollRequest, what: &str, reason: &str, now: Time) {
        let key: &UserKey = &request.public_key;
        let known = (request.serial.to_string(), key.to_string(), reason.to_owned());
        let is_news = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.is_news(known, DENIED_TOLD_EVERY, Instant::now())
        };
        let may_tell = || self.tells.lock().unwrap_or_else(PoisonError::into_inner).allow(token, Instant::now());
        if !is_news || !may_tell() {
            return;
        }
        let mut info = key_info(key);
        info["token"] = json!(token);
        info["reason"] = json!(reason);
        let hour = (now.as_millis() / (3600 * 1000)).to_string();
        let tidings = Tidings::of(&request.serial, "enrollment_denied", now, info);
        let tidings = tidings.known_by(&[what, key.as_str(), token.as_str(), reason, &hour]);
        if let Err(error) = tidings.tell(self.registry.bus()).await {
            tracing::warn!(%error, serial = %request.serial, reason, "a refusal was not stored as an event");
        }
        tracing::info!(serial = %request.serial, %token, reason, "a Mac gets no credential");
    }

    fn info(&self, ask: &Ask) -> serde_json::Value {
        let mut info = key_info(&ask.key);
        info["token"] = json!(ask.token);
        info["agent"] = json!(ask.agent);
        info["policy"] = json!(self.policy);
        info
    }
}

fn denied(reason: &str) -> EnrollAnswer {
    EnrollAnswer::Denied { reason: reason.to_owned() }
}

fn unavailable(reason: &str, retry_after: u32) -> EnrollAnswer {
    EnrollAnswer::Unavailable { reason: reason.to_owned(), retry_after }
}

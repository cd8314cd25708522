//! Questions over NATS: request and reply, JSON both ways. The broker answers what only its store knows; whoever may
//! reach `emote.api.>` may ask. It is answered in inboxes only: the broker may publish anywhere, and lends that to nobody.

use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt;
use serde::{Serialize, de::DeserializeOwned};

use tokio::time::{Instant, timeout_at};

use super::{Bus, BusError};
use crate::outage::Outage;

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Every broker has answered by then, or does not.
const ALL_WITHIN: Duration = Duration::from_secs(1);
/// Once one has answered, the others do within this time of each other.
const QUIET: Duration = Duration::from_millis(250);
/// Where answers go.
const INBOXES: &str = "_INBOX.";
/// Who asks for an answer elsewhere is told of no more often than that.
const ELSEWHERE_SAID_EVERY: Duration = Duration::from_secs(60);

/// A question waiting for its answer.
pub struct Asked {
    bus: Bus,
    reply: async_nats::Subject,
    /// The subject it came under.
    pub subject: String,
    /// Its JSON.
    pub payload: bytes::Bytes,
}

impl Asked {
    /// Answers it.
    pub async fn answer(self, answer: &impl Serialize) -> Result<(), BusError> {
        let doing = "answering a question";
        let json =
            serde_json::to_vec(answer).map_err(|error| BusError::Refused { doing, reason: error.to_string() })?;
        let sent = self.bus.client.publish(self.reply, json.into()).await;
        sent.map_err(|error| BusError::NoAnswer { doing, reason: error.to_string() })
    }
}

/// Questions as they come.
pub struct Questions {
    bus: Bus,
    subscriber: Subscriber,
    /// Of those who want the answer elsewhere.
    elsewhere: Outage,
}

impl Questions {
    fn new(bus: &Bus, subscriber: Subscriber) -> Self {
        Self { bus: bus.clone(), subscriber, elsewhere: Outage::said_every(ELSEWHERE_SAID_EVERY) }
    }

    /// The next question; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Asked> {
        loop {
            let message = self.subscriber.next().await?;
            let Some(reply) = message.reply else { continue };
            if reply.starts_with(INBOXES) {
                let subject = message.subject.to_string();
                return Some(Asked { bus: self.bus.clone(), reply, subject, payload: message.payload });
            }
            if let Some(times) = self.elsewhere.failed(std::time::Instant::now()) {
                tracing::warn!(%reply, subject = %message.subject, times, "a question is not answered outside of _INBOX.>");
            }
        }
    }
}

impl Bus {
    /// Takes questions under `subject`; each goes to one of the brokers that take them.
    pub async fn questions(&self, subject: &'static str) -> Result<Questions, BusError> {
        let subscribed = self.client.queue_subscribe(subject, "emote".to_owned()).await;
        Ok(Questions::new(self, subscribed.map_err(not_taken)?))
    }

    /// Takes questions under `subject`; each goes to every broker that takes them.
    pub async fn questions_to_all(&self, subject: impl Into<String>) -> Result<Questions, BusError> {
        let subscribed = self.client.subscribe(subject.into()).await;
        Ok(Questions::new(self, subscribed.map_err(not_taken)?))
    }

    /// Asks the brokers.
    pub async fn ask<A: DeserializeOwned>(
        &self,
        subject: impl Into<String>,
        question: &impl Serialize,
    ) -> Result<A, BusError> {
        let doing = "asking the broker";
        let refused = |reason: String| BusError::Refused { doing, reason };
        let json = serde_json::to_vec(question).map_err(|error| refused(error.to_string()))?;
        let request = async_nats::Request::new().payload(json.into()).timeout(Some(ANSWER_WITHIN));
        let reply = self.client.send_request(subject.into(), request).await.map_err(|error| {
            use async_nats::client::RequestErrorKind as Kind;
            match error.kind() {
                Kind::NoResponders => BusError::NoBroker,
                _ => BusError::NoAnswer { doing, reason: error.to_string() },
            }
        })?;
        serde_json::from_slice(&reply.payload).map_err(|error| refused(error.to_string()))
    }

    /// Asks every broker; gives the answers that come within a second, none where no broker runs.
    pub async fn ask_all<A: DeserializeOwned>(&self, subject: &'static str) -> Result<Vec<A>, BusError> {
        let no_answer = |reason: String| BusError::NoAnswer { doing: "asking the brokers", reason };
        let inbox = self.client.new_inbox();
        let mut replies = self.client.subscribe(inbox.clone()).await.map_err(|error| no_answer(error.to_string()))?;
        let sent = self.client.publish_with_reply(subject, inbox, "{}".into()).await;
        sent.map_err(|error| no_answer(error.to_string()))?;
        let (mut answers, until) = (Vec::new(), Instant::now() + ALL_WITHIN);
        loop {
            let wait = if answers.is_empty() { until } else { until.min(Instant::now() + QUIET) };
            match timeout_at(wait, replies.next()).await {
                Ok(Some(reply)) if reply.status == Some(async_nats::StatusCode::NO_RESPONDERS) => return Ok(answers),
                // What a broker of another version says in other words is left out.
                Ok(Some(reply)) => answers.extend(serde_json::from_slice(&reply.payload).ok()),
                Ok(None) | Err(_) => return Ok(answers),
            }
        }
    }
}

fn not_taken(error: async_nats::SubscribeError) -> BusError {
    BusError::Refused { doing: "taking questions", reason: error.to_string() }
}

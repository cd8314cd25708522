//! Questions over NATS: request and reply, JSON both ways. The broker answers what only its store knows; whoever may
//! reach `emote.api.>` may ask.

use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt;
use serde::{Serialize, de::DeserializeOwned};

use super::{Bus, BusError};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

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
}

impl Questions {
    /// The next question; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Asked> {
        loop {
            let message = self.subscriber.next().await?;
            if let Some(reply) = message.reply {
                let subject = message.subject.to_string();
                return Some(Asked { bus: self.bus.clone(), reply, subject, payload: message.payload });
            }
        }
    }
}

impl Bus {
    /// Takes questions under `subject`; each goes to one of the brokers that take them.
    pub async fn questions(&self, subject: &'static str) -> Result<Questions, BusError> {
        let subscribed = self.client.queue_subscribe(subject, "emote".to_owned()).await;
        let refused = |error: async_nats::SubscribeError| BusError::Refused {
            doing: "taking questions",
            reason: error.to_string(),
        };
        Ok(Questions { bus: self.clone(), subscriber: subscribed.map_err(refused)? })
    }

    /// Asks the brokers.
    pub async fn ask<A: DeserializeOwned>(
        &self,
        subject: &'static str,
        question: &impl Serialize,
    ) -> Result<A, BusError> {
        let doing = "asking the broker";
        let refused = |reason: String| BusError::Refused { doing, reason };
        let json = serde_json::to_vec(question).map_err(|error| refused(error.to_string()))?;
        let request = async_nats::Request::new().payload(json.into()).timeout(Some(ANSWER_WITHIN));
        let reply = self.client.send_request(subject, request).await.map_err(|error| {
            use async_nats::client::RequestErrorKind as Kind;
            match error.kind() {
                Kind::NoResponders => {
                    refused("no broker is running on this NATS: start `emote dev` or `emote serve`".to_owned())
                }
                _ => BusError::NoAnswer { doing, reason: error.to_string() },
            }
        })?;
        serde_json::from_slice(&reply.payload).map_err(|error| refused(error.to_string()))
    }
}

//! The bucket `emote-identity`, and those who ask for a credential. What stands in the bucket is for the caller to know.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use async_nats::{
    Subscriber,
    jetstream::stream::{Config, LastRawMessageErrorKind},
};
use bytes::Bytes;
use emote_proto::{Serial, bucket, enroll::TokenId, header, stream, subjects};
use futures_util::StreamExt;

use super::{
    Bus, BusError,
    kept::no_answer,
    records::{self, Entry, Records, Write, WriteError},
};
use crate::outage::Outage;

/// How often it is said that somebody wants an answer elsewhere.
const ELSEWHERE_SAID_EVERY: Duration = Duration::from_secs(60);

/// What begins the subjects that the server makes of the reply subjects of other accounts. No client may publish with one.
const OF_ANOTHER_ACCOUNT: &str = "_R_.";

/// The bucket, of which several keys may be written at once.
pub(super) fn bucket_config(replicas: usize) -> Config {
    records::bucket_config(bucket::IDENTITY, "Emote: enrolment tokens, and devices with their keys", 8, replicas)
}

const REGISTRY: Records = Records { bucket: bucket::IDENTITY, what: "reading or writing the registry of agents" };

impl Bus {
    /// The record of this key.
    pub async fn identity_entry(&self, key: &str) -> Result<Option<Entry>, BusError> {
        self.record(REGISTRY, key).await
    }

    /// All records whose keys begin with `<kind>.`, by the rest of their keys.
    pub async fn identity_entries(&self, kind: &str) -> Result<BTreeMap<String, Entry>, BusError> {
        self.records(REGISTRY, kind).await
    }

    /// Writes all of these, or none.
    pub async fn write_identity(&self, writes: &[Write]) -> Result<(), WriteError> {
        self.write_records(REGISTRY, writes).await.map(drop)
    }

    /// Records as they are published to be written; whether they were, is not said.
    pub async fn identity_hints(&self) -> Result<Hints, BusError> {
        let failed = no_answer("watching the registry of agents");
        Ok(Hints(self.client.subscribe(records::subject(bucket::IDENTITY, ">")).await.map_err(|error| failed(&error))?))
    }

    /// Macs that ask for a credential, each at one of the brokers.
    pub async fn enrollments(&self) -> Result<Enrollments, BusError> {
        let failed = no_answer("listening for enrolments");
        let subscribed = self.client.queue_subscribe(subjects::ENROLL, "emote".to_owned()).await;
        // The server knows of it before anybody is told that this broker is there.
        self.client.flush().await.map_err(|error| failed(&error))?;
        let (bus, elsewhere) = (self.clone(), Outage::said_every(ELSEWHERE_SAID_EVERY));
        Ok(Enrollments { bus, subscriber: subscribed.map_err(|error| failed(&error))?, elsewhere })
    }

    /// Tells an agent something about its credential, if it listens.
    pub async fn tell_agent(&self, serial: &Serial, notice: Vec<u8>) -> Result<(), BusError> {
        let failed = no_answer("telling an agent about its credential");
        let sent = self.client.publish(subjects::identity(serial.as_str()), notice.into()).await;
        sent.map_err(|error| failed(&error))
    }

    /// Serial numbers whose agents' heartbeats are heard.
    pub async fn heartbeats(&self) -> Result<Heartbeats, BusError> {
        let failed = no_answer("listening for heartbeats");
        Ok(Heartbeats(self.client.subscribe(subjects::HEARTBEATS).await.map_err(|error| failed(&error))?))
    }

    /// The id of the last event under this subject.
    pub async fn last_event_id(&self, subject: &str) -> Result<Option<String>, BusError> {
        let failed = no_answer("looking for an event");
        let events = self.js.get_stream_no_info(stream::EVENTS).await.map_err(|error| failed(&error))?;
        match events.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(message.headers.get(header::MSG_ID).map(ToString::to_string)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }
}

/// Records as they are about to be written.
pub struct Hints(Subscriber);

impl Hints {
    /// The next one's value; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Bytes> {
        Some(self.0.next().await?.payload)
    }
}

/// Heartbeats as they come.
pub struct Heartbeats(Subscriber);

impl Heartbeats {
    /// Whose the next one is; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Serial> {
        loop {
            let message = self.0.next().await?;
            if let Some(serial) = message.subject.split('.').nth(2).and_then(|serial| Serial::new(serial).ok()) {
                return Some(serial);
            }
        }
    }
}

/// Macs that ask, as they come.
pub struct Enrollments {
    bus: Bus,
    subscriber: Subscriber,
    /// Of those who want the answer elsewhere.
    elsewhere: Outage,
}

/// A Mac that asks.
pub struct Enrollment {
    bus: Bus,
    reply: String,
    /// With which token: NATS lets only its holder publish there.
    pub token: TokenId,
    /// What it says.
    pub payload: Bytes,
}

impl Enrollments {
    /// The next one; `None` when the connection is closed. Who wants the answer elsewhere than with those who ask with
    /// this token is not answered: NATS does not check where an answer goes, and the broker may publish everywhere.
    pub async fn next(&mut self) -> Option<Enrollment> {
        loop {
            let message = self.subscriber.next().await?;
            let token = message.subject.strip_prefix("enroll.").and_then(|token| TokenId::new(token).ok());
            let (Some(token), Some(reply)) = (token, message.reply) else { continue };
            if answers_to(&token, &reply) {
                let (bus, reply) = (self.bus.clone(), reply.to_string());
                return Some(Enrollment { bus, reply, token, payload: message.payload });
            }
            if let Some(times) = self.elsewhere.failed(Instant::now()) {
                tracing::warn!(%token, times, "who asks for a credential wants the answer sent elsewhere: not answered");
            }
        }
    }
}

/// Whether an answer there is read by those who ask with this token, and by nobody else.
fn answers_to(token: &TokenId, reply: &str) -> bool {
    let inbox = format!("{}.", subjects::enroll_inbox(token));
    let is_plain = !reply.contains(['*', '>', ' ']) && !reply.ends_with('.') && !reply.contains("..");
    is_plain && (reply.starts_with(&inbox) || reply.starts_with(OF_ANOTHER_ACCOUNT))
}

impl Enrollment {
    /// Answers it.
    pub async fn answer(self, answer: Vec<u8>) -> Result<(), BusError> {
        let failed = no_answer("answering a Mac that asks for a credential");
        self.bus.client.publish(self.reply, answer.into()).await.map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_to_those_who_asked_and_nowhere_else() {
        let token = TokenId::new("fleet2026").unwrap();
        for (reply, answered) in [
            ("_ENROLL.fleet2026.aB3.1", true),
            ("_R_.xYz.1", true),
            ("_ENROLL.fleet2026", false),
            ("_ENROLL.fleet2026.", false),
            ("_ENROLL.fleet2027.aB3", false),
            ("_ENROLL.fleet2026.*", false),
            ("_ENROLL.fleet2026..a", false),
            ("_INBOX.C02.identity", false),
            ("events.agent.C02.device.enroll", false),
            ("$KV.emote-identity.device.C02", false),
            ("checkpoint.0", false),
        ] {
            assert_eq!(answers_to(&token, reply), answered, "{reply}");
        }
    }
}

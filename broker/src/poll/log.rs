//! What polling needs of the rest of the broker: the log, and what is known from it.

use bytes::Bytes;
use emote_proto::{EventId, Subject, Time};
use serde_json::Value;

use crate::{
    bus::{Bus, NextError},
    core::Records,
    ingest::{Aliases, Publish, PublishError},
    store::Store,
};

/// The last message of a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Last {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the stream stored it.
    pub received: Time,
    /// Its `info`; null where it has none or is no event.
    pub info: Value,
}

/// What became of a message that was to be the next of its subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is stored, with this sequence.
    Stored(u64),
    /// Somebody else wrote there first.
    Overtaken,
}

/// Where polling stands, and where its events go.
#[async_trait::async_trait]
pub trait Log: Publish + Aliases {
    /// The last message under `subject`.
    async fn last(&self, subject: &Subject) -> Result<Option<Last>, PublishError>;

    /// Publishes a message that must be the next of its subject behind `last`, 0 for the first.
    async fn publish_next(&self, subject: &Subject, id: EventId, json: Bytes, last: u64) -> Result<Next, PublishError>;

    /// Waits until what the log has now is known; says whether it is.
    async fn caught_up(&self) -> bool;

    /// Whether an event of this id was told, as far back as ids are remembered.
    fn has(&self, id: EventId) -> bool;

    /// The id of the last event under `subject`.
    async fn last_id(&self, subject: &Subject) -> Result<Option<EventId>, PublishError>;

    /// What is known of a node, as rules see it.
    fn node(&self, key: &str) -> Value;
}

/// Events that are published at once.
const PUBLISHED_AT_ONCE: usize = 500;

/// Publishes those of the events that were not told before; how many these are.
pub(crate) async fn tell_new(log: &dyn Log, events: Vec<(Subject, EventId, Bytes)>) -> Result<u64, PublishError> {
    let new: Vec<_> = events.into_iter().filter(|(_, id, _)| !log.has(*id)).collect();
    for chunk in new.chunks(PUBLISHED_AT_ONCE) {
        log.publish(chunk.to_vec()).await?;
    }
    Ok(new.len() as u64)
}

/// How long what the log has may take to be known.
const KNOWN_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(50);

/// The log itself, and the records of it.
pub struct OfBus {
    /// Where EVENTS is.
    pub bus: Bus,
    /// What is known from it.
    pub store: std::sync::Arc<Store>,
}

#[async_trait::async_trait]
impl Publish for OfBus {
    async fn publish(&self, events: Vec<(Subject, EventId, Bytes)>) -> Result<(), PublishError> {
        self.bus.publish(events).await
    }
}

impl Aliases for OfBus {
    fn serial_of(&self, udid: &str, trust: emote_proto::Trust) -> Option<String> {
        self.store.serial_of(udid, trust)
    }
}

#[async_trait::async_trait]
impl Log for OfBus {
    async fn last(&self, subject: &Subject) -> Result<Option<Last>, PublishError> {
        let last = self.bus.last_event(&subject.to_string()).await;
        let last = last.map_err(|error| PublishError::Unavailable(error.to_string()))?;
        Ok(last.map(|last| {
            let event: Value = serde_json::from_slice(&last.payload).unwrap_or_default();
            let info = event.get("info").cloned().unwrap_or_default();
            Last { sequence: last.sequence, received: last.received, info }
        }))
    }

    async fn publish_next(&self, subject: &Subject, id: EventId, json: Bytes, last: u64) -> Result<Next, PublishError> {
        match self.bus.publish_next_event(subject, id, json, last).await {
            Ok(sequence) => Ok(Next::Stored(sequence)),
            Err(NextError::Overtaken) => Ok(Next::Overtaken),
            Err(NextError::Bus(error)) => Err(error.into()),
        }
    }

    async fn caught_up(&self) -> bool {
        // The last that is there: what was deleted or has expired behind it will never be known.
        let Ok(last) = self.bus.last_event("events.>").await else { return false };
        let last = last.map_or(0, |last| last.sequence);
        let known = async {
            while self.store.position() < last {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(KNOWN_WITHIN, known).await.is_ok()
    }

    fn has(&self, id: EventId) -> bool {
        let seen = self.store.snapshot().ok().and_then(|records| records.seen(&id).ok());
        seen.flatten().is_some()
    }

    async fn last_id(&self, subject: &Subject) -> Result<Option<EventId>, PublishError> {
        let last = self.bus.last_event_id(&subject.to_string()).await?;
        Ok(last.and_then(|id| id.parse().ok()))
    }

    fn node(&self, key: &str) -> Value {
        let node = self.store.snapshot().ok().and_then(|records| records.node(key).ok()).flatten();
        node.map_or(Value::Null, |node| node.view().to_value())
    }
}

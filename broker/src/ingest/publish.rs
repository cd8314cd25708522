//! What ingest needs of the rest of the broker: the stream, and the nodes' other names.

use bytes::Bytes;
use emote_proto::{EventId, Subject, Trust};

use crate::{
    bus::{Bus, BusError},
    core::Records,
    store::Store,
};

/// Why events were not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The stream is away or did not acknowledge in time: sending again may work, and doubles nothing.
    #[error("the event stream cannot be reached: {0}")]
    Unavailable(String),
    /// The server takes no message as large as this.
    #[error("an event is larger than the server takes: {0}")]
    TooLarge(String),
    /// The server refused for good, such as for want of a permission.
    #[error("the server refused the events: {0}")]
    Refused(String),
}

/// An event as it is published: its subject, its id, its JSON.
pub type Ready = (Subject, EventId, Bytes);

/// Where events go.
#[async_trait::async_trait]
pub trait Publish: Send + Sync {
    /// Publishes each event's JSON under its subject, with its id as `Nats-Msg-Id`. Returns once the stream has
    /// acknowledged all of them. After an error some may have been stored: their ids make a repeat harmless.
    async fn publish(&self, events: Vec<Ready>) -> Result<(), PublishError>;
}

/// What is known of nodes by other names than their serial number.
pub trait Aliases: Send + Sync {
    /// The serial number of the device with this UDID, as far as an event that is believed as `trust` may follow it.
    fn serial_of(&self, udid: &str, trust: Trust) -> Option<String>;
}

/// Knows no aliases: events that name a UDID only stay under it.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAliases;

impl Aliases for NoAliases {
    fn serial_of(&self, _: &str, _: Trust) -> Option<String> {
        None
    }
}

#[async_trait::async_trait]
impl Publish for Bus {
    async fn publish(&self, events: Vec<(Subject, EventId, Bytes)>) -> Result<(), PublishError> {
        self.publish_events(events).await.map_err(PublishError::from)
    }
}

impl From<BusError> for PublishError {
    fn from(error: BusError) -> Self {
        match error {
            BusError::NoAnswer { .. } | BusError::Unreachable { .. } => Self::Unavailable(error.to_string()),
            error => Self::Refused(error.to_string()),
        }
    }
}

impl Aliases for Store {
    fn serial_of(&self, udid: &str, trust: Trust) -> Option<String> {
        let found = self.snapshot().map_err(|error| error.to_string());
        let found = found.and_then(|records| records.serial_for(udid, trust).map_err(|error| error.to_string()));
        found.unwrap_or_else(|error| {
            // The event goes under its UDID, and the core joins it.
            tracing::warn!(error, "looking for a serial number");
            None
        })
    }
}

//! Publishing into EVENTS: every event is stored under its own subject, once, or it is an error.
//!
//! The stream takes a message whose id it had within the last two minutes for a repeated one, whoever sent that and under
//! whatever subject. So a device that knows the id of an event to come (of what its own event sets off, say) could publish
//! under it first, and the event would be missing. Hence a message that counts as repeated is looked at, and where it is
//! another source's, the event is published under another id; the one in its body is what the core knows it by. (The node
//! may differ: an event that came under a Mac's UDID comes again under its serial number, once that is known.)

use std::future::IntoFuture;

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        context::{PublishError, PublishErrorKind as Kind},
        publish::PublishAck,
        stream::RawMessageErrorKind,
    },
};
use bytes::Bytes;
use emote_proto::{EventId, Name, Subject, header, stream};
use futures_util::future::try_join_all;

use super::{Bus, BusError, random_name};

impl Bus {
    /// Publishes events and waits until the stream has stored each. An event that the stream already has is stored.
    pub async fn publish_events(&self, events: Vec<(Subject, EventId, Bytes)>) -> Result<(), BusError> {
        if !self.is_connected() {
            return Err(no_answer("not connected"));
        }
        let mut acks = Vec::with_capacity(events.len());
        for (subject, id, payload) in &events {
            acks.push(self.send(subject, &id.to_string(), payload).await?);
        }
        let acks = try_join_all(acks).await.map_err(not_stored)?;
        for ((subject, id, payload), ack) in events.iter().zip(acks) {
            if ack.duplicate && !self.is_of(&subject.source, ack.sequence).await? {
                tracing::warn!(event = %id, sequence = ack.sequence, "another message bears this event's id: it is published under another one");
                self.send(subject, &random_name(), payload).await?.await.map_err(not_stored)?;
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        subject: &Subject,
        id: &str,
        payload: &Bytes,
    ) -> Result<impl Future<Output = Result<PublishAck, PublishError>> + use<>, BusError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::MSG_ID, id);
        let sent = self.js.publish_with_headers(subject.to_string(), headers, payload.clone());
        Ok(sent.await.map_err(no_answer)?.into_future())
    }

    /// Whether the message at `sequence` of EVENTS is of this source. One that is gone is not.
    async fn is_of(&self, source: &Name, sequence: u64) -> Result<bool, BusError> {
        let events = self.js.get_stream_no_info(stream::EVENTS).await.map_err(no_answer)?;
        match events.get_raw_message(sequence).await {
            Ok(message) => Ok(message.subject.split('.').nth(1) == Some(source.as_str())),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(false),
            Err(error) => Err(no_answer(error)),
        }
    }
}

pub(super) fn no_answer(reason: impl ToString) -> BusError {
    BusError::NoAnswer { doing: "storing events", reason: reason.to_string() }
}

pub(super) fn not_stored(error: PublishError) -> BusError {
    match error.kind() {
        Kind::TimedOut | Kind::BrokenPipe | Kind::StreamNotFound => no_answer(error),
        _ if lacks_room(&error) => no_answer(error),
        _ => BusError::Refused { doing: "storing events", reason: error.to_string() },
    }
}

/// Whether the server refuses for want of room, which passes: its storage or the account's is full, or no peer is fit.
fn lacks_room(error: &PublishError) -> bool {
    const CODES: [u64; 6] = [10002, 10005, 10008, 10023, 10047, 10077];
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(refusal) = cause.downcast_ref::<jetstream::Error>() {
            return CODES.contains(&refusal.error_code().0);
        }
        source = cause.source();
    }
    false
}

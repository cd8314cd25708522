//! The last event under a subject, and one that must be the next behind it: what must not be written twice by two brokers.

use async_nats::{
    HeaderMap,
    jetstream::{context::PublishErrorKind as Kind, stream::LastRawMessageErrorKind},
};
use bytes::Bytes;
use emote_proto::{EventId, Subject, Time, header, stream};

use super::{
    Bus, BusError, ReadError,
    events::time,
    publish::{no_answer, not_stored},
    raw::first_behind,
};

/// The last event under a subject.
#[derive(Debug, Clone)]
pub struct LastEvent {
    /// Its sequence in EVENTS.
    pub sequence: u64,
    /// When it was stored.
    pub received: Time,
    /// Its subject.
    pub subject: String,
    /// Its body.
    pub payload: Bytes,
}

/// Why an event is not the next of its subject.
#[derive(Debug, thiserror::Error)]
pub enum NextError {
    /// There is another one.
    #[error("another event was stored before it")]
    Overtaken,
    /// It was not stored, or that is not known.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl Bus {
    /// The last event under `subject`, in which there may be wildcards.
    pub async fn last_event(&self, subject: &str) -> Result<Option<LastEvent>, BusError> {
        let events = self.js.get_stream_no_info(stream::EVENTS).await.map_err(no_answer)?;
        match events.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(LastEvent {
                sequence: message.sequence,
                received: time(message.time.unix_timestamp_nanos()),
                subject: message.subject.to_string(),
                payload: message.payload,
            })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(no_answer(error)),
        }
    }

    /// The sequence of the first entry of EVENTS behind `position`.
    pub async fn next_event(&self, position: u64) -> Result<Option<u64>, BusError> {
        let next = first_behind(&self.client, stream::EVENTS, &[], position).await;
        Ok(next.map_err(|failed| no_answer(ReadError::from(failed)))?.map(|message| message.seq))
    }

    /// Publishes an event that must be the next of its subject behind `last`, 0 for the first; its sequence.
    pub async fn publish_next_event(
        &self,
        subject: &Subject,
        id: EventId,
        payload: Bytes,
        last: u64,
    ) -> Result<u64, NextError> {
        if !self.is_connected() {
            return Err(no_answer("not connected").into());
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::MSG_ID, id.to_string().as_str());
        headers.insert(async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, last.to_string().as_str());
        let sent = self.js.publish_with_headers(subject.to_string(), headers, payload).await.map_err(no_answer)?;
        match sent.await {
            Ok(ack) => Ok(ack.sequence),
            Err(error) if error.kind() == Kind::WrongLastSequence => Err(NextError::Overtaken),
            Err(error) => Err(not_stored(error).into()),
        }
    }
}

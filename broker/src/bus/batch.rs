//! Atomic batch publish (NATS ADR-50): all of it is stored, or none.
//!
//! async-nats has the header names' counterparts in its stream configuration only, so the protocol is spoken here: every
//! message but the last is published without a reply, the last one asks for the commit.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use emote_proto::header;
use serde::Deserialize;

use super::{Bus, random_name};

const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
const WRONG_LAST_SEQUENCE: u64 = 10071;
const WRONG_LAST_MSG_ID: u64 = 10070;

/// A message to be published.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Subject.
    pub subject: String,
    /// Headers, in order.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub payload: Bytes,
}

/// The server's word that a batch is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchAck {
    /// Stream sequence of the last message.
    pub sequence: u64,
}

/// Why a batch was not, or may not be, stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Nothing is stored: the expected last sequence was not the last.
    #[error("the last sequence is {last}, not the one expected")]
    WrongLastSequence {
        /// What it is.
        last: u64,
    },
    /// Refused for another reason. Where the reason is want of room its first messages may be stored all the same: see
    /// [`Bus::behind`].
    #[error("refused ({code}): {text}")]
    Refused {
        /// JetStream's err_code.
        code: u64,
        /// Its words.
        text: String,
    },
    /// It is not known whether it is stored.
    #[error("no answer: {0}")]
    Unknown(String),
}

impl BatchError {
    /// Whether somebody else has written where this was to go.
    pub fn is_overtaken(&self) -> bool {
        matches!(self, Self::WrongLastSequence { .. } | Self::Refused { code: WRONG_LAST_MSG_ID, .. })
    }
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    seq: u64,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl Bus {
    /// Publishes `messages` (1 to [`emote_proto::limits::MAX_BATCH`]) as one atomic batch.
    pub async fn publish_batch(&self, messages: &[Outgoing]) -> Result<BatchAck, BatchError> {
        let Some((last, rest)) = messages.split_last() else {
            return Err(BatchError::Refused { code: 0, text: "an empty batch".to_owned() });
        };
        let batch = random_name();
        let unknown = |error: &dyn std::fmt::Display| BatchError::Unknown(error.to_string());
        for (index, message) in rest.iter().enumerate() {
            let headers = headers(message, &batch, index + 1, false);
            let sent = self.client.publish_with_headers(message.subject.clone(), headers, message.payload.clone());
            sent.await.map_err(|error| unknown(&error))?;
        }
        let request = async_nats::Request::new()
            .headers(headers(last, &batch, messages.len(), true))
            .payload(last.payload.clone())
            .timeout(Some(COMMIT_TIMEOUT));
        let reply = self.client.send_request(last.subject.clone(), request).await.map_err(|error| unknown(&error))?;
        answer(&reply.payload)
    }
}

fn headers(message: &Outgoing, batch: &str, sequence: usize, commit: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        headers.insert(*name, value.as_str());
    }
    headers.insert(header::BATCH_ID, batch);
    headers.insert(header::BATCH_SEQUENCE, sequence.to_string());
    if commit {
        headers.insert(header::BATCH_COMMIT, "1");
    }
    headers
}

pub(super) fn answer(payload: &[u8]) -> Result<BatchAck, BatchError> {
    let reply: Reply = serde_json::from_slice(payload).map_err(|error| BatchError::Unknown(error.to_string()))?;
    match reply.error {
        None => Ok(BatchAck { sequence: reply.seq }),
        Some(error) if error.err_code == WRONG_LAST_SEQUENCE => {
            let last = error.description.rsplit(' ').next().and_then(|last| last.parse().ok()).unwrap_or(0);
            Err(BatchError::WrongLastSequence { last })
        }
        Some(error) => Err(BatchError::Refused { code: error.err_code, text: error.description }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(answer(br#"{"stream":"S","seq":7,"batch":"b","count":3}"#), Ok(BatchAck { sequence: 7 }));
        let wrong =
            br#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 42"},"stream":"S","seq":0}"#;
        assert_eq!(answer(wrong), Err(BatchError::WrongLastSequence { last: 42 }));
        let refused = answer(br#"{"error":{"code":400,"err_code":10176,"description":"batch incomplete"}}"#);
        assert_eq!(refused, Err(BatchError::Refused { code: 10176, text: "batch incomplete".to_owned() }));
        assert!(matches!(answer(b"what"), Err(BatchError::Unknown(_))));
    }
}

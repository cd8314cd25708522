//! What the stream's answer to a try means. Pure: bytes in, [`Reply`] out.
//!
//! Shapes and codes as nats-server 2.15 sends them (ADR-50, ADR-51; `server/errors.json`).

use serde::Deserialize;

/// The outcome of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// All of it is in the stream; `sequence` is that of its last message.
    Stored {
        /// In the stream.
        sequence: u64,
    },
    /// Only the first message is: the server is too old for batches and took it for a plain one.
    StoredFirst {
        /// In the stream.
        sequence: u64,
    },
    /// A message with one of these ids was there already.
    Duplicate,
    /// Nothing was stored: the last message of this serial number has another sequence.
    WrongLast {
        /// Which one; 0 when there is none.
        last: u64,
    },
    /// Nothing was stored, now or ever: too large for the stream or its server.
    TooLarge,
    /// Nothing was stored: the stream does not take atomic batches.
    NoBatches,
    /// Nothing was stored: too many others have batches open. A message alone needs none.
    Crowded,
    /// The server has no room: nothing was stored, or the beginning of a batch.
    Full(String),
    /// Nothing was stored; later it may be.
    Refused(String),
    /// No answer: it may have been stored or not.
    Unknown(String),
}

impl Reply {
    /// What people are told of it, where it is not how things should go.
    pub(crate) fn trouble(&self) -> Option<String> {
        match self {
            Self::Full(why) | Self::Refused(why) | Self::Unknown(why) => Some(why.clone()),
            Self::NoBatches => {
                Some("EVENTS does not allow atomic batches (allow_atomic): sending one by one".to_owned())
            }
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: Option<Failure>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

const WRONG_LAST_SEQUENCE: u64 = 10071;
const WRONG_LAST_SEQUENCE_CONSTANT: u64 = 10164;
const DUPLICATE_IN_BATCH: u64 = 10201;
const MESSAGE_TOO_LARGE: u64 = 10054;
const HEADERS_TOO_LARGE: u64 = 10097;
const BATCHES_DISABLED: u64 = 10174;
const TOO_MANY_BATCHES: u64 = 10210;
/// Insufficient resources, memory, storage, the store failed, a batch of which a message could not be kept.
const NO_ROOM: [u64; 5] = [10023, 10028, 10047, 10077, 10176];

/// The answer to a plain message or to the last one of a batch.
pub(super) fn to_commit(payload: &[u8]) -> Reply {
    match serde_json::from_slice::<Answer>(payload) {
        Ok(Answer { error: Some(failure), .. }) => refusal(&failure),
        Ok(Answer { duplicate: true, .. }) => Reply::Duplicate,
        Ok(Answer { seq, .. }) if seq > 0 => Reply::Stored { sequence: seq },
        _ => Reply::Unknown(format!("not a stream's answer: {}", String::from_utf8_lossy(payload))),
    }
}

/// The answer to the first message of a batch: empty when the batch was begun, else why it was not.
pub(super) fn to_first(payload: &[u8]) -> Result<(), Reply> {
    if payload.is_empty() {
        return Ok(());
    }
    Err(match to_commit(payload) {
        Reply::Stored { sequence } => Reply::StoredFirst { sequence },
        other => other,
    })
}

fn refusal(failure: &Failure) -> Reply {
    match failure.err_code {
        WRONG_LAST_SEQUENCE => match failure.description.rsplit(' ').next().and_then(|last| last.parse().ok()) {
            Some(last) => Reply::WrongLast { last },
            None => Reply::Refused(failure.description.clone()),
        },
        // In a cluster, while another message of the same subject is being stored: no sequence is given.
        WRONG_LAST_SEQUENCE_CONSTANT => Reply::Refused(failure.description.clone()),
        DUPLICATE_IN_BATCH => Reply::Duplicate,
        MESSAGE_TOO_LARGE | HEADERS_TOO_LARGE => Reply::TooLarge,
        BATCHES_DISABLED => Reply::NoBatches,
        TOO_MANY_BATCHES => Reply::Crowded,
        code if NO_ROOM.contains(&code) => Reply::Full(format!("{} ({code})", failure.description)),
        code => Reply::Refused(format!("{} ({code})", failure.description)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_answers_are_understood() {
        let error = |code: u64, text: &str| {
            format!(r#"{{"error":{{"code":400,"err_code":{code},"description":"{text}"}},"stream":"EVENTS","seq":0}}"#)
        };
        for (answer, reply) in [
            (r#"{"stream":"EVENTS","seq":7,"batch":"b1","count":5}"#.to_owned(), Reply::Stored { sequence: 7 }),
            (r#"{"stream":"EVENTS","seq":1}"#.to_owned(), Reply::Stored { sequence: 1 }),
            (r#"{"stream":"EVENTS","seq":9,"duplicate": true}"#.to_owned(), Reply::Duplicate),
            (error(10071, "wrong last sequence: 12"), Reply::WrongLast { last: 12 }),
            (error(10071, "wrong last sequence: 0"), Reply::WrongLast { last: 0 }),
            (error(10201, "atomic publish batch contains duplicate message id"), Reply::Duplicate),
            (error(10054, "message size exceeds maximum allowed"), Reply::TooLarge),
            (error(10174, "atomic publish is disabled"), Reply::NoBatches),
            (error(10210, "atomic publish too many inflight"), Reply::Crowded),
            (
                error(10176, "atomic publish batch is incomplete"),
                Reply::Full("atomic publish batch is incomplete (10176)".into()),
            ),
            (error(10077, "no space left on device"), Reply::Full("no space left on device (10077)".into())),
            (error(10013, "bad request"), Reply::Refused("bad request (10013)".into())),
        ] {
            assert_eq!(to_commit(answer.as_bytes()), reply, "{answer}");
        }
    }

    #[test]
    fn what_is_no_answer_leaves_the_outcome_open() {
        for payload in ["", "+ACK", "{}", "[]", "\u{0}"] {
            assert!(matches!(to_commit(payload.as_bytes()), Reply::Unknown(_)), "{payload}");
        }
    }

    #[test]
    fn a_batch_begins_with_an_empty_answer() {
        assert_eq!(to_first(b""), Ok(()));
        assert_eq!(to_first(br#"{"stream":"EVENTS","seq":3}"#), Err(Reply::StoredFirst { sequence: 3 }));
    }
}

//! The bucket of sessions: who is signed in at the console, known to all brokers. What is in an entry, and how long it is
//! good, is for the console to say; here it ends at the latest after [`MAX_AGE`].
//!
//! Reading asks the leader of the bucket's stream: what was ended at one broker has ended at all of them.

use std::time::Duration;

use async_nats::jetstream::{
    kv,
    stream::{LastRawMessageErrorKind, Stream},
};
use emote_proto::bucket;

use super::{Bus, BusError};

/// No entry is older.
const MAX_AGE: Duration = Duration::from_secs(12 * 3600);
/// How long the mark of an entry that is gone is kept.
const MARKS: Duration = Duration::from_secs(60);
/// The largest entry.
const MAX_ENTRY: i32 = 16 * 1024;
/// The bucket's size; what would go beyond it is refused.
const MAX_BYTES: i64 = 64 * 1024 * 1024;

/// The bucket.
#[derive(Clone)]
pub struct SessionBucket {
    bucket: kv::Store,
    stream: Stream<()>,
}

/// An entry, and what tells it from what it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its bytes.
    pub value: Vec<u8>,
    /// Its revision.
    pub revision: u64,
}

impl Bus {
    /// The bucket of sessions, made where there is none, with so many copies.
    pub async fn sessions(&self, replicas: usize) -> Result<SessionBucket, BusError> {
        let config = kv::Config {
            bucket: bucket::SESSIONS.to_owned(),
            description: "Emote: who is signed in at the console".to_owned(),
            history: 1,
            max_age: MAX_AGE,
            max_value_size: MAX_ENTRY,
            max_bytes: MAX_BYTES,
            num_replicas: replicas,
            limit_markers: Some(MARKS),
            ..kv::Config::default()
        };
        let bucket = self.js.create_or_update_key_value(config).await;
        let bucket = bucket.map_err(|error| BusError::Refused {
            doing: "creating the bucket of sessions",
            reason: format!("{}: {error}", bucket::SESSIONS),
        })?;
        let stream = self.js.get_stream_no_info(format!("KV_{}", bucket::SESSIONS)).await;
        Ok(SessionBucket { bucket, stream: stream.map_err(|error| no_answer(&error))? })
    }
}

impl SessionBucket {
    /// The entry of this key.
    pub async fn find(&self, key: &str) -> Result<Option<Kept>, BusError> {
        let subject = format!("$KV.{}.{key}", bucket::SESSIONS);
        match self.stream.get_last_raw_message_by_subject(&subject).await {
            // Marks of what is gone have a header and no body; an entry has a body.
            Ok(message) if message.payload.is_empty() => Ok(None),
            Ok(message) => Ok(Some(Kept { value: message.payload.to_vec(), revision: message.sequence })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(no_answer(&error)),
        }
    }

    /// Writes an entry under a key that has none, good for so long at most; whether it had none.
    pub async fn create(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<bool, BusError> {
        match self.bucket.create_with_ttl(key, value.into(), ttl).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(no_answer(&error)),
        }
    }

    /// Writes an entry in place of the one of this revision (0: none); whether it still was that one.
    pub async fn replace(&self, key: &str, value: Vec<u8>, revision: u64) -> Result<bool, BusError> {
        match self.bucket.update(key, value.into(), revision).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(false),
            Err(error) => Err(no_answer(&error)),
        }
    }

    /// Takes an entry out: of several who try, one is given it.
    pub async fn take(&self, key: &str) -> Result<Option<Vec<u8>>, BusError> {
        let Some(kept) = self.find(key).await? else { return Ok(None) };
        match self.bucket.purge_expect_revision_with_ttl(key, kept.revision, MARKS).await {
            Ok(()) => Ok(Some(kept.value)),
            // Somebody was quicker, or nothing is known: then it is not given.
            Err(error) if self.find(key).await?.is_none() => {
                tracing::debug!(%error, "an entry of the sessions was taken meanwhile");
                Ok(None)
            }
            Err(error) => Err(no_answer(&error)),
        }
    }

    /// Takes an entry out; one that is not there is fine.
    pub async fn remove(&self, key: &str) -> Result<(), BusError> {
        self.bucket.purge_with_ttl(key, MARKS).await.map_err(|error| no_answer(&error))
    }
}

fn no_answer(error: &dyn std::fmt::Display) -> BusError {
    BusError::NoAnswer { doing: "asking for sessions", reason: error.to_string() }
}

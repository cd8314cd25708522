//! Buckets of records of which several are written at once, or none: key-value buckets as NATS has them, on a stream that
//! takes atomic batches. What stands in a record is for the caller to know; an empty one is gone.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream::stream::{Config, DiscardPolicy, LastRawMessageErrorKind, RetentionPolicy, StorageType};
use bytes::Bytes;
use emote_proto::header;

use super::{BatchError, Bus, BusError, Outgoing, kept::no_answer, ordered::Stored};

/// Which bucket, and what it is called in errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Records {
    pub(super) bucket: &'static str,
    pub(super) what: &'static str,
}

/// What a record of a bucket was, and of which revision.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its revision; expected of it when it is written again.
    pub revision: u64,
    /// Its value; empty where it was taken out.
    pub value: Bytes,
}

/// A record to be written, if it is still of this revision (0: if it was never there).
#[derive(Debug, Clone)]
pub struct Write {
    /// Its key.
    pub key: String,
    /// The revision that it replaces.
    pub expected: u64,
    /// Its value; empty takes it out.
    pub value: Vec<u8>,
}

/// Why records were not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else wrote one of them meanwhile; none is written.
    #[error("the records changed meanwhile")]
    Overtaken,
    /// It is not known, or JetStream refused.
    #[error(transparent)]
    Bus(#[from] BusError),
}

pub(super) fn subject(bucket: &str, key: &str) -> String {
    format!("$KV.{bucket}.{key}")
}

fn stream_name(bucket: &str) -> String {
    format!("KV_{bucket}")
}

/// A bucket as a stream: as NATS' own key-value buckets are, but that several keys may be written at once.
pub(super) fn bucket_config(bucket: &str, description: &str, history: i64, replicas: usize) -> Config {
    Config {
        name: stream_name(bucket),
        description: Some(description.to_owned()),
        subjects: vec![subject(bucket, ">")],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: replicas,
        max_messages_per_subject: history,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        allow_atomic_publish: true,
        ..Config::default()
    }
}

impl Bus {
    /// The record of this key. Asked of the stream's leader: it is what the next write is judged by.
    pub(super) async fn record(&self, records: Records, key: &str) -> Result<Option<Entry>, BusError> {
        let failed = no_answer(records.what);
        let stream = self.js.get_stream_no_info(stream_name(records.bucket)).await.map_err(|error| failed(&error))?;
        match stream.get_last_raw_message_by_subject(&subject(records.bucket, key)).await {
            Ok(message) => Ok(Some(Entry { revision: message.sequence, value: message.payload })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// All records whose keys begin with `<prefix>.`, by the rest of their keys.
    pub(super) async fn records(&self, records: Records, prefix: &str) -> Result<BTreeMap<String, Entry>, BusError> {
        self.records_under(records, subject(records.bucket, &format!("{prefix}."))).await
    }

    /// All records by their keys.
    pub(super) async fn all_records(&self, records: Records) -> Result<BTreeMap<String, Entry>, BusError> {
        self.records_under(records, subject(records.bucket, "")).await
    }

    /// The keys of all that were ever written and not forgotten.
    pub(super) async fn record_keys(&self, records: Records) -> Result<BTreeSet<String>, BusError> {
        let prefix = subject(records.bucket, "");
        let key = |message: Stored| message.subject.strip_prefix(&prefix).map(str::to_owned);
        let keys = self.headers_of_each(&stream_name(records.bucket), format!("{prefix}>"), key).await?;
        Ok(keys.into_iter().collect())
    }

    async fn records_under(&self, records: Records, prefix: String) -> Result<BTreeMap<String, Entry>, BusError> {
        let entry = |message: Stored| {
            let key = message.subject.strip_prefix(&prefix)?.to_owned();
            Some((key, Entry { revision: message.sequence, value: message.payload }))
        };
        let entries = self.last_of_each(&stream_name(records.bucket), format!("{prefix}>"), entry).await?;
        Ok(entries.into_iter().collect())
    }

    /// Takes records out whose keys begin with `<prefix>.`, those up to this revision. Nothing of them stays: what is
    /// written there next expects 0.
    pub(super) async fn forget_records(&self, records: Records, prefix: &str, revision: u64) -> Result<(), BusError> {
        let failed = no_answer(records.what);
        let stream = self.js.get_stream_no_info(stream_name(records.bucket)).await.map_err(|error| failed(&error))?;
        let filter = subject(records.bucket, &format!("{prefix}.>"));
        // Up to, and not with.
        let purged = stream.purge().filter(filter).sequence(revision.saturating_add(1)).await;
        purged.map(drop).map_err(|error| failed(&error))
    }

    /// Writes all of these, or none. Gives the revision of the last.
    pub(super) async fn write_records(&self, records: Records, writes: &[Write]) -> Result<u64, WriteError> {
        let message = |write: &Write| {
            let mut headers = vec![(header::EXPECTED_LAST_SUBJECT_SEQUENCE, write.expected.to_string())];
            if write.value.is_empty() {
                headers.push((header::KV_OPERATION, "DEL".to_owned()));
            }
            let payload = write.value.clone().into();
            Outgoing { subject: subject(records.bucket, &write.key), headers, payload }
        };
        let messages: Vec<Outgoing> = writes.iter().map(message).collect();
        let doing = records.what;
        match self.publish_batch(&messages).await {
            Ok(ack) => Ok(ack.sequence),
            Err(error) if error.is_overtaken() => Err(WriteError::Overtaken),
            Err(BatchError::Unknown(reason)) => Err(BusError::NoAnswer { doing, reason }.into()),
            Err(error) => Err(BusError::Refused { doing, reason: error.to_string() }.into()),
        }
    }
}

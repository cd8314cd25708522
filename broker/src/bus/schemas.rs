//! The bucket `emote-schemas`: the schemas that events have. What stands in a record is for [`crate::schema`] to know.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream::stream::Config;
use emote_proto::bucket;

use super::{
    Bus, BusError,
    records::{self, Entry, Records, Write, WriteError},
};

const SCHEMAS: Records = Records { bucket: bucket::SCHEMAS, what: "reading or writing discovered schemas" };

/// Most bytes of the bucket, which the server sets aside of what its account may store. A record is a few KiB; whoever
/// makes up kinds of events cannot fill the disk with them.
const MAX_BYTES: i64 = 32 * 1024 * 1024;

/// Of each record the latest alone is kept: it has its versions in it.
pub(super) fn bucket_config(replicas: usize) -> Config {
    let config = records::bucket_config(bucket::SCHEMAS, "Emote: the schemas that events have", 1, replicas);
    Config { max_bytes: MAX_BYTES, ..config }
}

impl Bus {
    /// The record of this kind of event.
    pub async fn schema(&self, key: &str) -> Result<Option<Entry>, BusError> {
        self.record(SCHEMAS, key).await
    }

    /// All records by their keys.
    pub async fn schemas(&self) -> Result<BTreeMap<String, Entry>, BusError> {
        self.all_records(SCHEMAS).await
    }

    /// The keys of all records, without reading these.
    pub async fn schema_keys(&self) -> Result<BTreeSet<String>, BusError> {
        self.record_keys(SCHEMAS).await
    }

    /// Writes all of these, or none. Gives the revision of the last.
    pub async fn write_schemas(&self, writes: &[Write]) -> Result<u64, WriteError> {
        self.write_records(SCHEMAS, writes).await
    }
}

//! The bucket `emote-schemas`: the schemas that events have. What stands in a record is for [`crate::schema`] to know.

use std::collections::BTreeMap;

use async_nats::jetstream::stream::Config;
use emote_proto::bucket;

use super::{
    Bus, BusError,
    records::{self, Entry, Records, Write, WriteError},
};

const SCHEMAS: Records = Records { bucket: bucket::SCHEMAS, what: "reading or writing discovered schemas" };

/// Of each record the latest alone is kept: it has its versions in it.
pub(super) fn bucket_config(replicas: usize) -> Config {
    records::bucket_config(bucket::SCHEMAS, "Emote: the schemas that events have", 1, replicas)
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

    /// Writes all of these, or none. Gives the revision of the last.
    pub async fn write_schemas(&self, writes: &[Write]) -> Result<u64, WriteError> {
        self.write_records(SCHEMAS, writes).await
    }
}

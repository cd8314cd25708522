//! The bucket `emote-scim`: users and groups as SCIM clients have provisioned them. What stands in a record is for
//! [`crate::ingest`] to know.

use std::collections::BTreeMap;

use async_nats::jetstream::stream::Config;
use emote_proto::bucket;

use super::{
    Bus, BusError,
    records::{self, Entry, Records, Write, WriteError},
};

const DIRECTORY: Records = Records { bucket: bucket::SCIM, what: "reading or writing provisioned users and groups" };

/// Of each record the latest alone is kept: what a client deletes is gone.
pub(super) fn bucket_config(replicas: usize) -> Config {
    records::bucket_config(bucket::SCIM, "Emote: users and groups that SCIM clients provision", 1, replicas)
}

impl Bus {
    /// The record of this key; an empty one was taken out.
    pub async fn provisioned(&self, key: &str) -> Result<Option<Entry>, BusError> {
        self.record(DIRECTORY, key).await
    }

    /// All records whose keys begin with `<prefix>.`, by the rest of their keys.
    pub async fn all_provisioned(&self, prefix: &str) -> Result<BTreeMap<String, Entry>, BusError> {
        self.records(DIRECTORY, prefix).await
    }

    /// Writes all of these, or none. Gives the revision of the last.
    pub async fn write_provisioned(&self, writes: &[Write]) -> Result<u64, WriteError> {
        self.write_records(DIRECTORY, writes).await
    }

    /// Takes records out for good whose keys begin with `<prefix>.`, those up to this revision.
    pub async fn forget_provisioned(&self, prefix: &str, revision: u64) -> Result<(), BusError> {
        self.forget_records(DIRECTORY, prefix, revision).await
    }
}

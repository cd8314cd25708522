//! Where users and groups are kept, and how they are written there.

use std::collections::BTreeMap;

use emote_proto::{Name, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::kind::Kind;
use crate::bus::{Bus, BusError, Entry, Write, WriteError};

/// A user or group as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) created: Time,
    pub(super) modified: Time,
    pub(super) resource: Map<String, Value>,
}

/// The bucket of users and groups.
#[async_trait::async_trait]
pub trait Directory: Send + Sync {
    /// The record of this key; an empty one was taken out.
    async fn get(&self, key: &str) -> Result<Option<Entry>, BusError>;

    /// All records whose keys begin with `<prefix>.`, by the rest of their keys.
    async fn all(&self, prefix: &str) -> Result<BTreeMap<String, Entry>, BusError>;

    /// Writes all of these, or none. Gives the revision of the last.
    async fn write(&self, writes: &[Write]) -> Result<u64, WriteError>;

    /// Takes records out for good whose keys begin with `<prefix>.`, those up to this revision.
    async fn forget(&self, prefix: &str, revision: u64) -> Result<(), BusError>;
}

#[async_trait::async_trait]
impl Directory for Bus {
    async fn get(&self, key: &str) -> Result<Option<Entry>, BusError> {
        self.provisioned(key).await
    }

    async fn all(&self, prefix: &str) -> Result<BTreeMap<String, Entry>, BusError> {
        self.all_provisioned(prefix).await
    }

    async fn write(&self, writes: &[Write]) -> Result<u64, WriteError> {
        self.write_provisioned(writes).await
    }

    async fn forget(&self, prefix: &str, revision: u64) -> Result<(), BusError> {
        self.forget_provisioned(prefix, revision).await
    }
}

/// Where all of a kind are.
pub(super) fn prefix(source: &Name, kind: Kind) -> String {
    format!("{source}.{}", kind.word())
}

/// Where a resource is; none where this cannot be an id.
pub(super) fn key(source: &Name, kind: Kind, id: &str) -> Option<String> {
    let is_id = (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_id.then(|| format!("{}.{id}", prefix(source, kind)))
}

/// Where it is noted whose name this is.
pub(super) fn name_key(source: &Name, kind: Kind, name: &str) -> String {
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(name));
    format!("{}name.{hash}", prefix(source, kind))
}

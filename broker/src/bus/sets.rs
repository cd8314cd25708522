//! Sets of rules in the bucket `emote-config`: each stored once under its hash, and which is in force since when.
//!
//! | key | value |
//! |---|---|
//! | `set.<hash>` | `{"bytes":…,"parts":…}`, written last |
//! | `set.<hash>.<n>` | the set's JSON, cut into parts of 512 KiB, from 0 |
//! | `current` | [`InForce`]; its history says which set was in force at which place of the log |

use async_nats::jetstream::kv;
use emote_proto::{EventId, Time, bucket};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::{Bus, BusError, trouble::is_not_there};

const PART: usize = 512 * 1024;
const MAX_PARTS: usize = 256;
const CURRENT: &str = "current";

/// Which set is in force from where on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// The set's hash.
    pub hash: String,
    /// The entry of EVENTS behind which it is in force; 0: from the beginning.
    pub sequence: u64,
    /// The identity of the EVENTS stream that the sequence is of.
    pub stream: String,
    /// The event that applied it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// When it came into force.
    pub since: Time,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    bytes: usize,
    parts: usize,
}

const DOING: &str = "reading or writing the stored rules";

fn no_answer(error: impl std::fmt::Display) -> BusError {
    BusError::NoAnswer { doing: DOING, reason: error.to_string() }
}

fn refused(reason: String) -> BusError {
    BusError::Refused { doing: DOING, reason }
}

impl Bus {
    async fn bucket(&self) -> Result<kv::Store, BusError> {
        self.js
            .get_key_value(bucket::CONFIG)
            .await
            .map_err(|error| if is_not_there(&error) { BusError::NotBegun } else { no_answer(error) })
    }

    /// Stores a set's JSON under its hash; one that is there already is left alone.
    pub async fn store_set(&self, hash: &str, json: &[u8]) -> Result<(), BusError> {
        let bucket = self.bucket().await?;
        if bucket.get(format!("set.{hash}")).await.map_err(no_answer)?.is_some() {
            return Ok(());
        }
        let parts = json.chunks(PART);
        let manifest = Manifest { bytes: json.len(), parts: parts.len() };
        for (n, part) in parts.enumerate() {
            bucket.put(format!("set.{hash}.{n}"), part.to_vec().into()).await.map_err(no_answer)?;
        }
        let manifest = serde_json::to_vec(&manifest).unwrap_or_default();
        bucket.put(format!("set.{hash}"), manifest.into()).await.map_err(no_answer)?;
        Ok(())
    }

    /// The JSON of the set of this hash; whether it is what the hash says is for the caller to check.
    pub async fn load_set(&self, hash: &str) -> Result<Option<Vec<u8>>, BusError> {
        let bucket = self.bucket().await?;
        let Some(manifest) = bucket.get(format!("set.{hash}")).await.map_err(no_answer)? else { return Ok(None) };
        let manifest: Manifest =
            serde_json::from_slice(&manifest).map_err(|error| refused(format!("set.{hash}: {error}")))?;
        let mut json = Vec::new();
        for n in 0..manifest.parts.min(MAX_PARTS) {
            let part = bucket.get(format!("set.{hash}.{n}")).await.map_err(no_answer)?;
            json.extend_from_slice(&part.ok_or_else(|| refused(format!("set.{hash}.{n} is missing")))?);
        }
        Ok(Some(json))
    }

    /// Which set is in force.
    pub async fn in_force(&self) -> Result<Option<InForce>, BusError> {
        let found = self.bucket().await?.get(CURRENT).await.map_err(no_answer)?;
        found
            .map(|json| serde_json::from_slice(&json).map_err(|error| refused(format!("{CURRENT}: {error}"))))
            .transpose()
    }

    /// Notes which set is in force; what is noted already stays as it is.
    pub async fn put_in_force(&self, now: &InForce) -> Result<(), BusError> {
        let noted = self.in_force().await?;
        if noted.is_some_and(|noted| noted.stream == now.stream && noted.sequence >= now.sequence) {
            return Ok(());
        }
        let json = serde_json::to_vec(now).unwrap_or_default();
        self.bucket().await?.put(CURRENT, json.into()).await.map_err(no_answer)?;
        Ok(())
    }

    /// Notes the first set of all. Gives the one that is first in the end: another broker may have been quicker.
    pub async fn begin_with(&self, first: &InForce) -> Result<InForce, BusError> {
        let json = serde_json::to_vec(first).unwrap_or_default();
        match self.bucket().await?.create(CURRENT, json.into()).await {
            Ok(_) => Ok(first.clone()),
            Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => {
                self.in_force().await?.ok_or_else(|| refused(format!("{CURRENT} came and went")))
            }
            Err(error) => Err(no_answer(error)),
        }
    }

    /// What was in force when, the oldest first, as far as it is still known.
    pub async fn sets_over_time(&self) -> Result<Vec<InForce>, BusError> {
        let bucket = self.bucket().await?;
        let mut history = bucket.history(CURRENT).await.map_err(no_answer)?;
        let mut all = Vec::new();
        while let Some(entry) = history.next().await {
            let entry = entry.map_err(no_answer)?;
            if let Ok(in_force) = serde_json::from_slice(&entry.value) {
                all.push(in_force);
            }
        }
        Ok(all)
    }
}

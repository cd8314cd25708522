//! Reading the store: everything as of one log position.

use std::collections::BTreeSet;

use emote_proto::{EventId, Time};
use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata};

use super::{ALIASES, LAST_JOBS, META, NODES, OWNERS, SEEN, StoreError, TALLIES};
use crate::core::{Budgets, Node, Records, StateError, Tallied, Tally};

/// Records as of one position.
pub struct Snapshot {
    read: ReadTransaction,
}

impl Snapshot {
    pub(super) fn new(read: ReadTransaction) -> Self {
        Self { read }
    }

    /// Up to `limit` nodes whose key comes after `after`, in order of their keys.
    pub fn nodes(&self, after: &str, limit: usize) -> Result<Vec<Node>, StoreError> {
        let nodes = self.read.open_table(NODES)?;
        let mut page = Vec::new();
        for entry in nodes.range::<&str>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))?.take(limit) {
            let (key, value) = entry?;
            page.push(decode(key.value(), value.value())?);
        }
        Ok(page)
    }

    fn get_node(&self, key: &str) -> Result<Option<Node>, StoreError> {
        let nodes = self.read.open_table(NODES)?;
        nodes.get(key)?.map(|value| decode(key, value.value())).transpose()
    }

    fn get_serial(&self, udid: &str) -> Result<Option<String>, StoreError> {
        Ok(self.read.open_table(ALIASES)?.get(udid)?.map(|serial| serial.value().to_owned()))
    }

    fn get_devices(&self, user: &str) -> Result<BTreeSet<String>, StoreError> {
        let owners = self.read.open_table(OWNERS)?;
        let mut devices = BTreeSet::new();
        for entry in owners.range((user, "")..)? {
            let (key, _) = entry?;
            let (owner, device) = key.value();
            if owner != user {
                break;
            }
            devices.insert(device.to_owned());
        }
        Ok(devices)
    }

    fn get_seen(&self, id: &EventId) -> Result<Option<Time>, StoreError> {
        let millis = self.read.open_table(SEEN)?.get(id.as_bytes())?.map(|at| at.value());
        Ok(millis.and_then(Time::from_millis))
    }

    fn get_last_job(&self, target: &str, node: &str) -> Result<Option<EventId>, StoreError> {
        let last_jobs = self.read.open_table(LAST_JOBS)?;
        Ok(last_jobs.get((target, node))?.map(|id| EventId::from_bytes(*id.value())))
    }

    fn get_tally(&self, of: &Tallied) -> Result<Tally, StoreError> {
        let key = of.key();
        let tallies = self.read.open_table(TALLIES)?;
        let tally = tallies.get(key.as_str())?.map(|value| decode(&key, value.value())).transpose()?;
        Ok(tally.unwrap_or_default())
    }

    fn get_budgets(&self) -> Result<Budgets, StoreError> {
        let meta = self.read.open_table(META)?;
        let budgets = meta.get("budgets")?.map(|json| decode("budgets", json.value().as_bytes())).transpose()?;
        Ok(budgets.unwrap_or_default())
    }

    /// Every tally.
    pub fn tallies(&self) -> Result<Vec<(Tallied, Tally)>, StoreError> {
        let tallies = self.read.open_table(TALLIES)?;
        let mut all = Vec::new();
        for entry in tallies.iter()? {
            let (key, value) = entry?;
            if let Some(of) = Tallied::from_key(key.value()) {
                all.push((of, decode(key.value(), value.value())?));
            }
        }
        Ok(all)
    }

    /// How many nodes there are.
    pub fn count_nodes(&self) -> Result<u64, StoreError> {
        Ok(self.read.open_table(NODES)?.len()?)
    }
}

fn state_error(error: StoreError) -> StateError {
    StateError(error.to_string())
}

impl Records for Snapshot {
    fn node(&self, key: &str) -> Result<Option<Node>, StateError> {
        self.get_node(key).map_err(state_error)
    }

    fn serial_of(&self, udid: &str) -> Result<Option<String>, StateError> {
        self.get_serial(udid).map_err(state_error)
    }

    fn devices_of(&self, user: &str) -> Result<BTreeSet<String>, StateError> {
        self.get_devices(user).map_err(state_error)
    }

    fn seen(&self, id: &EventId) -> Result<Option<Time>, StateError> {
        self.get_seen(id).map_err(state_error)
    }

    fn last_job(&self, target: &str, node: &str) -> Result<Option<EventId>, StateError> {
        self.get_last_job(target, node).map_err(state_error)
    }

    fn tally(&self, of: &Tallied) -> Result<Tally, StateError> {
        self.get_tally(of).map_err(state_error)
    }

    fn budgets(&self) -> Result<Budgets, StateError> {
        self.get_budgets().map_err(state_error)
    }
}

fn decode<T: serde::de::DeserializeOwned>(key: &str, json: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(json).map_err(|_| StoreError::Damaged(key.to_owned()))
}

//! Installs of the agent, one a node, and which of them will be overdue when.

use std::collections::BTreeMap;

use emote_proto::Time;
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::{Snapshot, StoreError, encode, snapshot::decode};
use crate::core::{Deployment, State};

pub(super) const DEPLOYMENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("deployments");
const DUE: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("due");

pub(super) fn prepare(write: &WriteTransaction) -> Result<(), StoreError> {
    write.open_table(DEPLOYMENTS)?;
    write.open_table(DUE)?;
    Ok(())
}

pub(super) fn clear(write: &WriteTransaction) -> Result<(), StoreError> {
    write.open_table(DEPLOYMENTS)?.retain(|_, _| false)?;
    write.open_table(DUE)?.retain(|_, ()| false)?;
    Ok(())
}

/// Writes what changed, and keeps what is due true to it.
pub(super) fn write(
    write: &WriteTransaction,
    changes: &BTreeMap<String, Option<Deployment>>,
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let (mut deployments, mut dues) = (write.open_table(DEPLOYMENTS)?, write.open_table(DUE)?);
    for (key, deployment) in changes {
        let before = deployments.get(key.as_str())?.map(|json| decode::<Deployment>(key, json.value())).transpose()?;
        if let Some(due) = before.and_then(|before| before.due) {
            dues.remove((due.as_millis(), key.as_str()))?;
        }
        match deployment {
            Some(deployment) => {
                deployments.insert(key.as_str(), encode(deployment).as_slice())?;
                if let Some(due) = deployment.due {
                    dues.insert((due.as_millis(), key.as_str()), ())?;
                }
            }
            None => drop(deployments.remove(key.as_str())?),
        }
    }
    Ok(())
}

impl Snapshot {
    /// Up to `limit` installs that were to be proven by `now`, those first that were to be first.
    pub fn due_deployments(&self, now: Time, limit: usize) -> Result<Vec<Deployment>, StoreError> {
        let (dues, deployments) = (self.open(DUE)?, self.open(DEPLOYMENTS)?);
        let mut found = Vec::new();
        for entry in dues.range(..(now.as_millis().saturating_add(1), ""))?.take(limit) {
            let (key, _) = entry?;
            let (_, node) = key.value();
            if let Some(json) = deployments.get(node)? {
                found.push(decode(node, json.value())?);
            }
        }
        Ok(found)
    }

    /// How many installs are how far.
    pub fn count_deployments(&self) -> Result<BTreeMap<State, u64>, StoreError> {
        /// Of a record no more is read than is counted.
        #[derive(serde::Deserialize)]
        struct HowFar {
            state: State,
        }
        let mut counts = BTreeMap::new();
        for entry in self.open(DEPLOYMENTS)?.iter()? {
            let (key, json) = entry?;
            let HowFar { state } = decode(key.value(), json.value())?;
            *counts.entry(state).or_default() += 1;
        }
        Ok(counts)
    }

    /// Up to `limit` installs on nodes whose key comes after `after`, in order of their keys.
    pub fn deployments(&self, after: &str, limit: usize) -> Result<Vec<Deployment>, StoreError> {
        let deployments = self.open(DEPLOYMENTS)?;
        let after = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        let mut page = Vec::new();
        for entry in deployments.range::<&str>(after)?.take(limit) {
            let (key, json) = entry?;
            page.push(decode(key.value(), json.value())?);
        }
        Ok(page)
    }
}

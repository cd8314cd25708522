//! Records in memory, for what is folded without a store.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use emote_proto::{EventId, Time};

use super::{Budgets, Changes, Deployment, Heard, Node, Package, Records, StateError, Tallied, Tally};

/// Records in memory: for tests and for folding a log without a store.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Memory {
    nodes: BTreeMap<String, Arc<Node>>,
    aliases: BTreeMap<String, String>,
    claimed_aliases: BTreeMap<String, String>,
    owners: BTreeSet<(String, String)>,
    seen: BTreeMap<EventId, Time>,
    last_jobs: BTreeMap<(String, String), EventId>,
    tallies: BTreeMap<Tallied, Tally>,
    heard: BTreeMap<String, Heard>,
    budgets: Budgets,
    package: Option<Package>,
    deployments: BTreeMap<String, Deployment>,
}

impl Memory {
    /// Takes the changes of a run.
    pub fn apply(&mut self, changes: Changes) {
        for (key, node) in changes.nodes {
            match node {
                Some(node) => self.nodes.insert(key, node),
                None => self.nodes.remove(&key),
            };
        }
        self.aliases.extend(changes.aliases);
        self.claimed_aliases.extend(changes.claimed_aliases);
        for (pair, owns) in changes.owners {
            if owns {
                self.owners.insert(pair)
            } else {
                self.owners.remove(&pair)
            };
        }
        self.seen.extend(changes.seen);
        self.last_jobs.extend(changes.last_jobs);
        self.tallies.extend(changes.tallies);
        self.heard.extend(changes.heard);
        self.package = changes.package.or(self.package.take());
        for (key, deployment) in changes.deployments {
            match deployment {
                Some(deployment) => self.deployments.insert(key, deployment),
                None => self.deployments.remove(&key),
            };
        }
        self.budgets = changes.budgets.unwrap_or(std::mem::take(&mut self.budgets));
    }
}

impl Records for Memory {
    fn node(&self, key: &str) -> Result<Option<Arc<Node>>, StateError> {
        Ok(self.nodes.get(key).cloned())
    }

    fn serial_of(&self, udid: &str) -> Result<Option<String>, StateError> {
        Ok(self.aliases.get(udid).cloned())
    }

    fn claimed_serial_of(&self, udid: &str) -> Result<Option<String>, StateError> {
        Ok(self.claimed_aliases.get(udid).cloned())
    }

    fn devices_of(&self, user: &str) -> Result<BTreeSet<String>, StateError> {
        Ok(self.owners.iter().filter(|(owner, _)| owner == user).map(|(_, key)| key.clone()).collect())
    }

    fn seen(&self, id: &EventId) -> Result<Option<Time>, StateError> {
        Ok(self.seen.get(id).copied())
    }

    fn last_job(&self, target: &str, node: &str) -> Result<Option<EventId>, StateError> {
        Ok(self.last_jobs.get(&(target.to_owned(), node.to_owned())).copied())
    }

    fn tally(&self, of: &Tallied) -> Result<Tally, StateError> {
        Ok(self.tallies.get(of).cloned().unwrap_or_default())
    }

    fn heard(&self, source: &str) -> Result<Option<Heard>, StateError> {
        Ok(self.heard.get(source).copied())
    }

    fn package(&self) -> Result<Option<Package>, StateError> {
        Ok(self.package.clone())
    }

    fn deployment(&self, key: &str) -> Result<Option<Deployment>, StateError> {
        Ok(self.deployments.get(key).cloned())
    }

    fn budgets(&self) -> Result<Budgets, StateError> {
        Ok(self.budgets.clone())
    }
}

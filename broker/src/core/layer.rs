//! Records as they will be once changes are stored.

use std::{collections::BTreeSet, sync::Arc};

use emote_proto::{EventId, Time};

use super::{Budgets, Changes, Deployment, Heard, Node, Package, Records, StateError, Tallied, Tally};

/// Records with changes on top that are not stored yet.
#[derive(Clone, Copy)]
pub struct Layer<'a> {
    /// What is stored.
    pub base: &'a dyn Records,
    /// What is to be stored.
    pub changes: &'a Changes,
}

impl Layer<'_> {
    /// The serial number behind a UDID, as events say that were proven, or `claimed` by unverified ones.
    pub(super) fn alias(&self, udid: &str, claimed: bool) -> Result<Option<String>, StateError> {
        let changed = if claimed { &self.changes.claimed_aliases } else { &self.changes.aliases };
        match changed.get(udid) {
            Some(serial) => Ok(Some(serial.clone())),
            None if claimed => self.base.claimed_serial_of(udid),
            None => self.base.serial_of(udid),
        }
    }
}

impl Records for Layer<'_> {
    fn node(&self, key: &str) -> Result<Option<Arc<Node>>, StateError> {
        self.changes.nodes.get(key).map_or_else(|| self.base.node(key), |node| Ok(node.clone()))
    }

    fn serial_of(&self, udid: &str) -> Result<Option<String>, StateError> {
        self.alias(udid, false)
    }

    fn claimed_serial_of(&self, udid: &str) -> Result<Option<String>, StateError> {
        self.alias(udid, true)
    }

    fn devices_of(&self, user: &str) -> Result<BTreeSet<String>, StateError> {
        let mut devices = self.base.devices_of(user)?;
        for ((owner, key), owns) in &self.changes.owners {
            if owner == user {
                if *owns {
                    devices.insert(key.clone())
                } else {
                    devices.remove(key)
                };
            }
        }
        Ok(devices)
    }

    fn seen(&self, id: &EventId) -> Result<Option<Time>, StateError> {
        self.changes.seen.get(id).map_or_else(|| self.base.seen(id), |first| Ok(Some(*first)))
    }

    fn last_job(&self, target: &str, node: &str) -> Result<Option<EventId>, StateError> {
        let last = self.changes.last_jobs.get(&(target.to_owned(), node.to_owned()));
        last.map_or_else(|| self.base.last_job(target, node), |last| Ok(Some(*last)))
    }

    fn tally(&self, of: &Tallied) -> Result<Tally, StateError> {
        self.changes.tallies.get(of).map_or_else(|| self.base.tally(of), |tally| Ok(tally.clone()))
    }

    fn heard(&self, source: &str) -> Result<Option<Heard>, StateError> {
        self.changes.heard.get(source).map_or_else(|| self.base.heard(source), |heard| Ok(Some(*heard)))
    }

    fn budgets(&self) -> Result<Budgets, StateError> {
        self.changes.budgets.clone().map_or_else(|| self.base.budgets(), Ok)
    }

    fn package(&self) -> Result<Option<Package>, StateError> {
        self.changes.package.clone().map_or_else(|| self.base.package(), |package| Ok(Some(package)))
    }

    fn deployment(&self, key: &str) -> Result<Option<Deployment>, StateError> {
        self.changes.deployments.get(key).map_or_else(|| self.base.deployment(key), |known| Ok(known.clone()))
    }
}

//! What the fold remembers, behind a trait: [`Records`] is what is stored, [`Overlay`] the changes of a run on top of
//! it, [`Changes`] what a store then writes in one transaction together with the log position.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use emote_proto::{EventId, Name, Time, Trust};
use foldhash::HashMap;

use super::{Budgets, Deployment, Guard, Heard, Layer, Node, Package, Tallied, Tally};

/// An event that comes again within this time is the same event; what vendors retry for longer is not known.
pub const DEDUPE_WINDOW_MILLIS: i64 = 48 * 3600 * 1000;

/// The store could not be read. The fold stops at this entry and is begun again from the last position.
#[derive(Debug, thiserror::Error)]
#[error("the store cannot be read: {0}")]
pub struct StateError(pub String);

/// Stored records, as of one log position.
pub trait Records: Sync {
    /// The node of this serial number or UDID key.
    fn node(&self, key: &str) -> Result<Option<Arc<Node>>, StateError>;
    /// The serial number behind a UDID, as events that were proven say.
    fn serial_of(&self, udid: &str) -> Result<Option<String>, StateError>;
    /// The serial number behind a UDID, as unverified events say: such ones alone may follow it.
    fn claimed_serial_of(&self, udid: &str) -> Result<Option<String>, StateError>;
    /// The serial number that an event which is believed as `trust` may follow.
    fn serial_for(&self, udid: &str, trust: Trust) -> Result<Option<String>, StateError> {
        match self.serial_of(udid)? {
            None if trust == Trust::Unverified => self.claimed_serial_of(udid),
            proven => Ok(proven),
        }
    }
    /// Keys of the nodes that `user` owns, in order.
    fn devices_of(&self, user: &str) -> Result<BTreeSet<String>, StateError>;
    /// When an event of this id was received, if that is still known.
    fn seen(&self, id: &EventId) -> Result<Option<Time>, StateError>;
    /// The result event of the last job that was given to `target` for `node`, where the target keeps order.
    fn last_job(&self, target: &str, node: &str) -> Result<Option<EventId>, StateError>;
    /// What became of a rule's or a target's jobs.
    fn tally(&self, of: &Tallied) -> Result<Tally, StateError>;
    /// When a source was last heard, where it is waited for.
    fn heard(&self, source: &str) -> Result<Option<Heard>, StateError>;
    /// What destructive targets have spent.
    fn budgets(&self) -> Result<Budgets, StateError>;
    /// The package that is deployed.
    fn package(&self) -> Result<Option<Package>, StateError>;
    /// The last install of the agent on the node of this key.
    fn deployment(&self, key: &str) -> Result<Option<Deployment>, StateError>;
}

/// What a run of entries changed; `None` removes.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Changes {
    /// Nodes by key.
    pub nodes: HashMap<String, Option<Arc<Node>>>,
    /// Serial number by UDID, where that was proven.
    pub aliases: BTreeMap<String, String>,
    /// Serial number by UDID, as unverified events say.
    pub claimed_aliases: BTreeMap<String, String>,
    /// (user, node key) → owns it.
    pub owners: BTreeMap<(String, String), bool>,
    /// Event ids and when they were received.
    pub seen: HashMap<EventId, Time>,
    /// (target, node key) → the result event of the last job given out.
    pub last_jobs: BTreeMap<(String, String), EventId>,
    /// Tallies as they are now.
    pub tallies: HashMap<Tallied, Tally>,
    /// When sources were last heard, where that changed.
    pub heard: BTreeMap<String, Heard>,
    /// The package that is deployed, where that changed.
    pub package: Option<Package>,
    /// Installs of the agent by node key; `None` removes.
    pub deployments: BTreeMap<String, Option<Deployment>>,
    /// The hash of the set of rules that is in force from the next entry on, where that changed.
    pub config: Option<String>,
    /// What destructive targets have spent, where that changed.
    pub budgets: Option<Budgets>,
    /// The DELIVERIES that has the jobs of all this, by its creation time, and its last sequence.
    pub deliveries: Option<(String, u64)>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// How many records they touch, by and large.
    pub fn len(&self) -> usize {
        self.nodes.len() + self.seen.len() + self.owners.len() + self.last_jobs.len() + self.deployments.len()
    }
}

/// Nodes and tallies that are as they are stored, kept in memory so that they need not be read again. Nothing is in here that
/// is among changes which are not stored.
#[derive(Debug, Default)]
pub struct Known {
    nodes: HashMap<String, Arc<Node>>,
    tallies: HashMap<Tallied, Tally>,
}

impl Known {
    /// So many nodes are kept; then all are let go of.
    const MAX_NODES: usize = 8_192;

    /// Takes over what has been stored, but for what `newer` changes has changed since: that is not as it is stored.
    pub fn learn(&mut self, stored: Changes, newer: &Changes) {
        if self.nodes.len() + stored.nodes.len() > Self::MAX_NODES {
            self.nodes.clear();
        }
        let nodes = stored.nodes.into_iter().filter(|(key, _)| !newer.nodes.contains_key(key));
        for (key, node) in nodes {
            match node {
                Some(node) if self.nodes.len() < Self::MAX_NODES => self.nodes.insert(key, node),
                _ => self.nodes.remove(&key),
            };
        }
        // As many as there are rules and targets.
        self.tallies.extend(stored.tallies.into_iter().filter(|(of, _)| !newer.tallies.contains_key(of)));
    }
}

/// Records with the changes of the current run, or of some runs, on top.
pub struct Overlay<'a> {
    base: &'a dyn Records,
    known: Known,
    changes: Changes,
    spent: u64,
}

impl<'a> Overlay<'a> {
    /// No changes yet.
    pub fn new(base: &'a dyn Records) -> Self {
        Self::resume(base, Known::default(), Changes::default())
    }

    /// On top of `changes` that are not stored yet; `known` is of `base`, and has nothing that is in `changes`.
    pub fn resume(base: &'a dyn Records, known: Known, changes: Changes) -> Self {
        Self { base, known, changes, spent: 0 }
    }

    /// What the run changed.
    pub fn into_changes(self) -> Changes {
        self.changes
    }

    /// What [`Overlay::resume`] takes.
    pub fn into_parts(self) -> (Known, Changes) {
        (self.known, self.changes)
    }

    fn layer(&self) -> Layer<'_> {
        Layer { base: self.base, changes: &self.changes }
    }

    /// What destructive targets have spent.
    pub fn budgets(&self) -> Result<Budgets, StateError> {
        self.layer().budgets()
    }

    /// How often something was spent since this began.
    pub fn times_spent(&self) -> u64 {
        self.spent
    }

    /// The checkpoint knows better what is spent.
    pub fn set_budgets(&mut self, budgets: Budgets) {
        self.changes.budgets = Some(budgets);
    }

    /// See [`Budgets::spend`].
    pub fn spend(
        &mut self,
        (rule, target): (&Name, &Name),
        guard: &Guard,
        now: Time,
    ) -> Result<Result<(), String>, StateError> {
        let mut budgets = self.budgets()?;
        let spent = budgets.spend(rule, target, guard, now);
        if spent.is_ok() {
            self.changes.budgets = Some(budgets);
            self.spent += 1;
        }
        Ok(spent)
    }

    /// See [`Records::heard`].
    pub fn heard(&self, source: &str) -> Result<Option<Heard>, StateError> {
        self.layer().heard(source)
    }

    /// Notes when a source was last heard.
    pub fn put_heard(&mut self, source: &str, heard: Heard) {
        match self.changes.heard.get_mut(source) {
            Some(known) => *known = heard,
            None => drop(self.changes.heard.insert(source.to_owned(), heard)),
        }
    }

    /// See [`Records::package`].
    pub fn package(&self) -> Result<Option<Package>, StateError> {
        self.layer().package()
    }

    /// From now on this package is deployed.
    pub fn put_package(&mut self, package: Package) {
        self.changes.package = Some(package);
    }

    /// See [`Records::deployment`].
    pub fn deployment(&self, key: &str) -> Result<Option<Deployment>, StateError> {
        self.layer().deployment(key)
    }

    /// Notes how far an install of the agent is.
    pub fn put_deployment(&mut self, deployment: Deployment) {
        self.changes.deployments.insert(deployment.key().to_owned(), Some(deployment));
    }

    /// Takes out what is noted under a key.
    pub fn take_deployment(&mut self, key: &str) -> Result<Option<Deployment>, StateError> {
        let found = self.deployment(key)?;
        if found.is_some() {
            self.changes.deployments.insert(key.to_owned(), None);
        }
        Ok(found)
    }

    /// From the next entry on the set of rules of this hash is in force.
    pub fn put_config(&mut self, hash: &str) {
        self.changes.config = Some(hash.to_owned());
    }

    /// Notes that the job whose end `result` will tell is the last of `node` for `target`; gives what was the last.
    pub fn follow(&mut self, target: &str, node: &str, result: EventId) -> Result<Option<EventId>, StateError> {
        let before = self.layer().last_job(target, node)?;
        self.changes.last_jobs.insert((target.to_owned(), node.to_owned()), result);
        Ok(before)
    }

    /// Counts something.
    pub fn count(&mut self, of: &Tallied, what: impl FnOnce(&mut Tally)) -> Result<(), StateError> {
        if let Some(tally) = self.changes.tallies.get_mut(of) {
            what(tally);
            return Ok(());
        }
        let mut tally = match self.known.tallies.remove(of) {
            Some(tally) => tally,
            None => self.base.tally(of)?,
        };
        what(&mut tally);
        self.changes.tallies.insert(of.clone(), tally);
        Ok(())
    }

    /// See [`Records::node`].
    pub fn node(&self, key: &str) -> Result<Option<Arc<Node>>, StateError> {
        match self.changes.nodes.get(key) {
            Some(node) => Ok(node.clone()),
            None => match self.known.nodes.get(key) {
                Some(node) => Ok(Some(Arc::clone(node))),
                None => self.base.node(key),
            },
        }
    }

    /// Changes a node, which is made where there is none, and keeps the owner index true to it, where the change may be one
    /// of its owner.
    pub fn update_node(
        &mut self,
        (key, first_seen): (&str, Time),
        may_change_owner: bool,
        change: impl FnOnce(&mut Node),
    ) -> Result<Arc<Node>, StateError> {
        let changed = &mut self.changes.nodes;
        if !changed.contains_key(key) {
            let node = match self.known.nodes.remove(key) {
                Some(node) => Some(node),
                None => self.base.node(key)?,
            };
            changed.insert(key.to_owned(), node);
        }
        // It was put there just now; the key is not made anew for nothing.
        let place =
            if let Some(place) = changed.get_mut(key) { place } else { changed.entry(key.to_owned()).or_default() };
        let node = place.get_or_insert_with(|| Arc::new(Node::new(key, first_seen)));
        if !may_change_owner {
            let before = cfg!(debug_assertions).then(|| node.owner().map(str::to_owned));
            change(Arc::make_mut(node));
            debug_assert!(before.is_none_or(|before| before.as_deref() == node.owner()), "the owner of {key} changed");
            return Ok(Arc::clone(node));
        }
        let before = node.owner().map(str::to_owned);
        change(Arc::make_mut(node));
        let after = node.owner();
        if before.as_deref() != after {
            if let Some(user) = after {
                self.changes.owners.insert((user.to_owned(), key.to_owned()), true);
            }
            if let Some(user) = before {
                self.changes.owners.insert((user, key.to_owned()), false);
            }
        }
        Ok(Arc::clone(node))
    }

    /// Removes a node, and what it owned up to with it.
    pub fn take_node(&mut self, key: &str) -> Result<Option<Arc<Node>>, StateError> {
        let node = self.node(key)?;
        if let Some(node) = &node {
            if let Some(user) = node.owner() {
                self.changes.owners.insert((user.to_owned(), key.to_owned()), false);
            }
            self.known.nodes.remove(key);
            self.changes.nodes.insert(key.to_owned(), None);
        }
        Ok(node)
    }

    /// See [`Records::serial_for`].
    pub fn serial_for(&self, udid: &str, trust: Trust) -> Result<Option<String>, StateError> {
        self.layer().serial_for(udid, trust)
    }

    /// Notes that `udid` is `serial`, as an event says that is believed as `trust`.
    pub fn put_alias(&mut self, udid: &str, serial: &str, trust: Trust) -> Result<(), StateError> {
        let claimed = trust == Trust::Unverified;
        if self.layer().alias(udid, claimed)?.as_deref() != Some(serial) {
            let changes = &mut self.changes;
            let aliases = if claimed { &mut changes.claimed_aliases } else { &mut changes.aliases };
            aliases.insert(udid.to_owned(), serial.to_owned());
        }
        Ok(())
    }

    /// See [`Records::devices_of`].
    pub fn devices_of(&self, user: &str) -> Result<BTreeSet<String>, StateError> {
        self.layer().devices_of(user)
    }

    /// Whether an event of this id was received within the dedupe window before `received`; if not, it is now.
    pub fn seen_before(&mut self, id: EventId, received: Time) -> Result<bool, StateError> {
        let first = self.layer().seen(&id)?;
        let seen = first.is_some_and(|first| received.millis_since(first) <= DEDUPE_WINDOW_MILLIS);
        if !seen {
            self.changes.seen.insert(id, received);
        }
        Ok(seen)
    }
}

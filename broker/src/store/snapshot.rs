//! Reading the store: everything as of one log position.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use emote_proto::{EventId, Time};
use redb::{Key, ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, Value};

use super::{
    ALIASES, CLAIMED_ALIASES, HEARD, LAST_JOBS, META, NODES, OWNERS, StoreError, TALLIES,
    deployments::DEPLOYMENTS,
    seen::{self, Id, NEWEST, Pending, RUNS},
};
use crate::core::{Budgets, Deployment, Heard, Node, Package, Records, StateError, Tallied, Tally};

/// Records as of one position.
pub struct Snapshot {
    read: ReadTransaction,
    pending: Pending,
    /// The commit that it shows; read when first asked for.
    position: OnceLock<u64>,
    /// Opened when first asked for: every event asks for most of them.
    nodes: Table<&'static str, &'static [u8]>,
    aliases: Table<&'static str, &'static str>,
    claimed_aliases: Table<&'static str, &'static str>,
    owners: Table<(&'static str, &'static str), ()>,
    runs: Table<(u64, &'static Id), &'static [u8]>,
    /// The runs there are, in the order they were made.
    all_runs: OnceLock<Vec<u64>>,
    last_jobs: Table<(&'static str, &'static str), &'static [u8; 16]>,
    tallies: Table<&'static str, &'static [u8]>,
    heard: Table<&'static str, &'static [u8]>,
    deployments: Table<&'static str, &'static [u8]>,
}

struct Table<K: Key + 'static, V: Value + 'static>(OnceLock<ReadOnlyTable<K, V>>);

impl<K: Key + 'static, V: Value + 'static> Table<K, V> {
    const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn of(
        &self,
        read: &ReadTransaction,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<&ReadOnlyTable<K, V>, StoreError> {
        if let Some(table) = self.0.get() {
            return Ok(table);
        }
        let table = read.open_table(definition)?;
        Ok(self.0.get_or_init(|| table))
    }
}

impl Snapshot {
    pub(super) fn new(read: ReadTransaction, pending: Pending) -> Self {
        Self {
            read,
            pending,
            position: OnceLock::new(),
            nodes: Table::new(),
            aliases: Table::new(),
            claimed_aliases: Table::new(),
            owners: Table::new(),
            runs: Table::new(),
            all_runs: OnceLock::new(),
            last_jobs: Table::new(),
            tallies: Table::new(),
            heard: Table::new(),
            deployments: Table::new(),
        }
    }

    /// Up to `limit` nodes whose key comes after `after`, in order of their keys.
    pub fn nodes(&self, after: &str, limit: usize) -> Result<Vec<Node>, StoreError> {
        let nodes = self.nodes.of(&self.read, NODES)?;
        let mut page = Vec::new();
        for entry in nodes.range::<&str>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))?.take(limit) {
            let (key, value) = entry?;
            page.push(decode(key.value(), value.value())?);
        }
        Ok(page)
    }

    fn get_node(&self, key: &str) -> Result<Option<Arc<Node>>, StoreError> {
        let nodes = self.nodes.of(&self.read, NODES)?;
        nodes.get(key)?.map(|value| decode(key, value.value()).map(Arc::new)).transpose()
    }

    fn get_serial(&self, udid: &str) -> Result<Option<String>, StoreError> {
        Ok(self.aliases.of(&self.read, ALIASES)?.get(udid)?.map(|serial| serial.value().to_owned()))
    }

    fn get_claimed_serial(&self, udid: &str) -> Result<Option<String>, StoreError> {
        let aliases = self.claimed_aliases.of(&self.read, CLAIMED_ALIASES)?;
        Ok(aliases.get(udid)?.map(|serial| serial.value().to_owned()))
    }

    fn get_devices(&self, user: &str) -> Result<BTreeSet<String>, StoreError> {
        let owners = self.owners.of(&self.read, OWNERS)?;
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
        if let Some(millis) = self.pending.get(id, self.position()?) {
            return Ok(Time::from_millis(millis));
        }
        if !self.pending.may_be_in_a_run(id) {
            return Ok(None);
        }
        let runs = self.runs.of(&self.read, RUNS)?;
        // What came again is in a later one, too.
        for run in self.all_runs()?.iter().rev() {
            if let Some(millis) = seen::find(runs, *run, id)? {
                return Ok(Time::from_millis(millis));
            }
        }
        Ok(None)
    }

    fn all_runs(&self) -> Result<&[u64], StoreError> {
        if let Some(runs) = self.all_runs.get() {
            return Ok(runs);
        }
        let newest = self.read.open_table(NEWEST)?;
        let runs: Vec<u64> = newest.iter()?.map(|run| run.map(|(run, _)| run.value())).collect::<Result<_, _>>()?;
        Ok(self.all_runs.get_or_init(|| runs))
    }

    fn position(&self) -> Result<u64, StoreError> {
        if let Some(position) = self.position.get() {
            return Ok(*position);
        }
        let meta = self.read.open_table(META)?;
        let position = meta.get("position")?.and_then(|text| text.value().parse().ok()).unwrap_or(0);
        Ok(*self.position.get_or_init(|| position))
    }

    fn get_last_job(&self, target: &str, node: &str) -> Result<Option<EventId>, StoreError> {
        let last_jobs = self.last_jobs.of(&self.read, LAST_JOBS)?;
        Ok(last_jobs.get((target, node))?.map(|id| EventId::from_bytes(*id.value())))
    }

    fn get_heard(&self, source: &str) -> Result<Option<Heard>, StoreError> {
        let found = self.heard.of(&self.read, HEARD)?.get(source)?;
        found.map(|json| decode(source, json.value())).transpose()
    }

    fn get_tally(&self, of: &Tallied) -> Result<Tally, StoreError> {
        let key = of.key();
        let tallies = self.tallies.of(&self.read, TALLIES)?;
        let tally = tallies.get(key.as_str())?.map(|value| decode(&key, value.value())).transpose()?;
        Ok(tally.unwrap_or_default())
    }

    fn get_budgets(&self) -> Result<Budgets, StoreError> {
        let meta = self.read.open_table(META)?;
        let budgets = meta.get("budgets")?.map(|json| decode("budgets", json.value().as_bytes())).transpose()?;
        Ok(budgets.unwrap_or_default())
    }

    fn get_deployment(&self, key: &str) -> Result<Option<Deployment>, StoreError> {
        let found = self.deployments.of(&self.read, DEPLOYMENTS)?.get(key)?;
        found.map(|json| decode(key, json.value())).transpose()
    }

    /// A table that few ask for.
    pub(super) fn open<K: Key + 'static, V: Value + 'static>(
        &self,
        definition: TableDefinition<'_, K, V>,
    ) -> Result<ReadOnlyTable<K, V>, StoreError> {
        Ok(self.read.open_table(definition)?)
    }

    fn get_package(&self) -> Result<Option<Package>, StoreError> {
        let meta = self.read.open_table(META)?;
        meta.get("package")?.map(|json| decode("package", json.value().as_bytes())).transpose()
    }

    /// Every tally.
    pub fn tallies(&self) -> Result<Vec<(Tallied, Tally)>, StoreError> {
        let tallies = self.tallies.of(&self.read, TALLIES)?;
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
        Ok(self.nodes.of(&self.read, NODES)?.len()?)
    }
}

fn state_error(error: StoreError) -> StateError {
    StateError(error.to_string())
}

impl Records for Snapshot {
    fn node(&self, key: &str) -> Result<Option<Arc<Node>>, StateError> {
        self.get_node(key).map_err(state_error)
    }

    fn serial_of(&self, udid: &str) -> Result<Option<String>, StateError> {
        self.get_serial(udid).map_err(state_error)
    }

    fn claimed_serial_of(&self, udid: &str) -> Result<Option<String>, StateError> {
        self.get_claimed_serial(udid).map_err(state_error)
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

    fn heard(&self, source: &str) -> Result<Option<Heard>, StateError> {
        self.get_heard(source).map_err(state_error)
    }

    fn package(&self) -> Result<Option<Package>, StateError> {
        self.get_package().map_err(state_error)
    }

    fn deployment(&self, key: &str) -> Result<Option<Deployment>, StateError> {
        self.get_deployment(key).map_err(state_error)
    }

    fn budgets(&self) -> Result<Budgets, StateError> {
        self.get_budgets().map_err(state_error)
    }
}

pub(super) fn decode<T: serde::de::DeserializeOwned>(key: &str, json: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(json).map_err(|_| StoreError::Damaged(key.to_owned()))
}

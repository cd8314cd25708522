//! The core's records on disk: one redb file, a cache of the log that can be rebuilt from it.
//!
//! # The file
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `"format"`, `"stream"`, `"position"`, `"config"`, `"broker"`, `"budgets"`, `"deliveries"`, `"package"` | 5; identity of EVENTS (its creation time); sequence of the last entry folded; hash of the rules in force after it; this broker's own id; JSON [`Budgets`](crate::core::Budgets); creation time and last sequence of the DELIVERIES that has the jobs of all that was folded, `<ns>/<sequence>`; JSON [`Package`] |
//! | `nodes` | serial number, or UDID where only that is known | JSON [`Node`](crate::core::Node) |
//! | `aliases` | UDID | serial number, as events that were proven say |
//! | `claimed_aliases` | UDID | serial number, as unverified events say |
//! | `owners` | (user id, node key) | nothing |
//! | `arrivals` | (sequence that a commit led to, part) | ids of events that came with it, 16 bytes each, and when they were received: ms since 1970, 8 bytes, big endian |
//! | `runs` | (run, first id) | as `arrivals`, in the order of the ids; they are in `arrivals` no more |
//! | `newest` | run | when the last of its events was received, ms since 1970 |
//! | `last_jobs` | (target, node key) | id of the event that tells the end of the last job, 16 bytes |
//! | `tallies` | `rule/<name>` or `target/<name>` | JSON [`Tally`](crate::core::Tally) |
//! | `heard` | source | JSON [`Heard`](crate::core::Heard) |
//! | `deployments` | node key | JSON [`Deployment`](crate::core::Deployment) |
//! | `due` | (ms since 1970, node key) of deployments that will be overdue then | nothing |
//!
//! Changes and the position they bring it to are one transaction. Most commits are left to the next durable one, at
//! most a second later: what a crash takes back is folded again from the log. Never written to but by [`Store::commit`].

mod beside;
mod deployments;
mod seen;
mod sieve;
mod snapshot;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use emote_proto::Time;
use foldhash::HashMap;
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use crate::core::{Changes, Package};

pub use beside::Storing;
use seen::{ARRIVALS, NEWEST, Pending, RUNS};
pub use snapshot::Snapshot;

const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const NODES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("nodes");
const ALIASES: TableDefinition<'_, &str, &str> = TableDefinition::new("aliases");
const CLAIMED_ALIASES: TableDefinition<'_, &str, &str> = TableDefinition::new("claimed_aliases");
const OWNERS: TableDefinition<'_, (&str, &str), ()> = TableDefinition::new("owners");
const LAST_JOBS: TableDefinition<'_, (&str, &str), &[u8; 16]> = TableDefinition::new("last_jobs");
const TALLIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tallies");
const HEARD: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("heard");

const FORMAT: &str = "5";
/// Bytes of the file that are kept in memory; beyond, the system keeps what is read again.
const CACHE: usize = 32 << 20;
const DURABLE_EVERY: Duration = Duration::from_secs(1);
/// Trouble that comes again within this time is not mended by opening the file again.
const MEND_EVERY: Duration = Duration::from_secs(60);

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{0} is in use: another emote runs on this data folder")]
    InUse(PathBuf),
    /// It cannot be opened, and it could not be set aside either.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// Reading or writing failed.
    #[error("the store: {0}")]
    Redb(#[from] Box<redb::Error>),
    /// A record is not what was written.
    #[error("the store's record {0} is damaged")]
    Damaged(String),
    /// It is being opened again after trouble.
    #[error("the store is being opened again")]
    Closed,
    /// What was being stored beside came to no end: this program is about to end.
    #[error("storing was broken off")]
    BrokenOff,
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StoreError {
            fn from(error: redb::$error) -> Self {
                Self::Redb(Box::new(error.into()))
            }
        }
    )*};
}
from_redb!(TransactionError, TableError, StorageError, CommitError, DatabaseError, SetDurabilityError);

/// How a store came to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It was there, or there was none before.
    Sound,
    /// The file could not be read; it was renamed to this, and a new one begun.
    SetAside(PathBuf),
}

/// The open store.
pub struct Store {
    path: PathBuf,
    database: RwLock<Option<Database>>,
    last_durable: Mutex<Instant>,
    position: AtomicU64,
    pending: Mutex<Pending>,
    mended: Mutex<Option<Instant>>,
    /// Held while something is stored beside what else is done.
    beside: Arc<tokio::sync::Mutex<()>>,
}

impl Store {
    /// Opens or creates the file; one that is damaged, or of another format, is set aside under another name, to be
    /// rebuilt.
    pub fn open(path: &Path) -> Result<(Self, Opened), StoreError> {
        let (database, opened) = match open_sound(path) {
            Ok(database) => (database, Opened::Sound),
            Err(NotOpened::Failed(error)) => return Err(error),
            Err(NotOpened::Unfit) => {
                let aside = set_aside(path)?;
                (create(path)?, Opened::SetAside(aside))
            }
        };
        private(path)?;
        let store = Self {
            path: path.to_owned(),
            database: RwLock::new(Some(database)),
            last_durable: Mutex::new(Instant::now()),
            position: AtomicU64::new(0),
            pending: Mutex::default(),
            mended: Mutex::new(None),
            beside: Arc::default(),
        };
        store.prepare()?;
        Ok((store, opened))
    }

    /// Opens the file again after trouble. Where that was done a short while ago, or `damaged` is known, the file is set
    /// aside and a new one begun. Says what was done.
    pub fn mend(&self, damaged: bool) -> Result<String, StoreError> {
        let mut mended = self.mended.lock().unwrap_or_else(PoisonError::into_inner);
        let again = mended.is_some_and(|last| last.elapsed() < MEND_EVERY);
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        *database = None;
        let opened = if damaged || again { Err(NotOpened::Unfit) } else { open_sound(&self.path) };
        let (opened, told) = match opened {
            Ok(opened) => (opened, "it was closed and opened again".to_owned()),
            Err(NotOpened::Failed(error)) => return Err(error),
            Err(NotOpened::Unfit) => {
                let aside = set_aside(&self.path)?;
                (create(&self.path)?, format!("it was set aside as {} and is rebuilt from the log", aside.display()))
            }
        };
        *database = Some(opened);
        drop(database);
        *mended = Some(Instant::now());
        private(&self.path)?;
        self.prepare()?;
        Ok(told)
    }

    fn database(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_write(&self) -> Result<WriteTransaction, StoreError> {
        Ok(self.database().as_ref().ok_or(StoreError::Closed)?.begin_write()?)
    }

    fn begin_read(&self) -> Result<ReadTransaction, StoreError> {
        Ok(self.database().as_ref().ok_or(StoreError::Closed)?.begin_read()?)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        {
            let mut meta = write.open_table(META)?;
            let format = meta.get("format")?.map(|format| format.value().to_owned());
            match format.as_deref() {
                Some(FORMAT) => {}
                None => drop(meta.insert("format", FORMAT)?),
                // Opened as sound just now.
                Some(other) => return Err(StoreError::Damaged(format!("format {other}"))),
            }
            write.open_table(NODES)?;
            write.open_table(ALIASES)?;
            write.open_table(CLAIMED_ALIASES)?;
            write.open_table(OWNERS)?;
            write.open_table(ARRIVALS)?;
            write.open_table(RUNS)?;
            write.open_table(NEWEST)?;
            write.open_table(LAST_JOBS)?;
            write.open_table(TALLIES)?;
            write.open_table(HEARD)?;
            deployments::prepare(&write)?;
            let position = meta.get("position")?.and_then(|text| text.value().parse().ok()).unwrap_or(0);
            self.position.store(position, Ordering::Release);
            drop(meta);
            *self.pending() = Pending::load(&write)?;
        }
        write.commit()?;
        Ok(())
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that its file takes; `None` where that cannot be found out.
    pub fn size(&self) -> Option<u64> {
        std::fs::metadata(&self.path).ok().map(|file| file.len())
    }

    /// Sequence of the last entry folded into it; 0 for none.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// Makes sure that the store belongs to the stream of this identity; it is emptied when it was another's.
    /// Says whether it was emptied.
    pub fn belong_to(&self, stream: &str) -> Result<bool, StoreError> {
        let read = self.begin_read()?;
        let own = read.open_table(META)?.get("stream")?.map(|text| text.value().to_owned());
        if own.as_deref() == Some(stream) {
            return Ok(false);
        }
        self.clear()?;
        let write = self.begin_write()?;
        write.open_table(META)?.insert("stream", stream)?;
        write.commit()?;
        Ok(own.is_some())
    }

    /// Forgets everything, to be rebuilt from the log.
    pub fn clear(&self) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        write.open_table(META)?.remove("position")?;
        write.open_table(META)?.remove("config")?;
        write.open_table(META)?.remove("budgets")?;
        write.open_table(META)?.remove("deliveries")?;
        write.open_table(META)?.remove("package")?;
        write.open_table(NODES)?.retain(|_, _| false)?;
        write.open_table(ALIASES)?.retain(|_, _| false)?;
        write.open_table(CLAIMED_ALIASES)?.retain(|_, _| false)?;
        write.open_table(OWNERS)?.retain(|_, ()| false)?;
        write.open_table(ARRIVALS)?.retain(|_, _| false)?;
        write.open_table(RUNS)?.retain(|_, _| false)?;
        write.open_table(NEWEST)?.retain(|_, _| false)?;
        write.open_table(LAST_JOBS)?.retain(|_, _| false)?;
        write.open_table(TALLIES)?.retain(|_, _| false)?;
        write.open_table(HEARD)?.retain(|_, _| false)?;
        deployments::clear(&write)?;
        write.commit()?;
        *self.pending() = Pending::default();
        self.position.store(0, Ordering::Release);
        Ok(())
    }

    /// Writes the changes of a run and the position it leads to, in one transaction. `now` is the received time of the
    /// run's last entry; ids that left the dedupe window before it are dropped.
    pub fn commit(&self, changes: &Changes, position: u64, now: Time) -> Result<(), StoreError> {
        let mut write = self.begin_write()?;
        let mut pending = self.pending().clone();
        let seen = pending.write(&write, &changes.seen, (position, now))?;
        let durable = self.durable_is_due();
        write.set_durability(if durable { Durability::Immediate } else { Durability::None })?;
        {
            let mut nodes = write.open_table(NODES)?;
            for (key, node) in sorted(&changes.nodes) {
                match node {
                    Some(node) => nodes.insert(key.as_str(), encode(node.as_ref()).as_slice())?,
                    None => nodes.remove(key.as_str())?,
                };
            }
            for (table, changed) in [(ALIASES, &changes.aliases), (CLAIMED_ALIASES, &changes.claimed_aliases)] {
                let mut aliases = write.open_table(table)?;
                for (udid, serial) in changed {
                    aliases.insert(udid.as_str(), serial.as_str())?;
                }
            }
            let mut owners = write.open_table(OWNERS)?;
            for ((user, key), owns) in &changes.owners {
                let pair = (user.as_str(), key.as_str());
                if *owns {
                    owners.insert(pair, ())?
                } else {
                    owners.remove(pair)?
                };
            }
            let mut last_jobs = write.open_table(LAST_JOBS)?;
            for ((target, node), result) in &changes.last_jobs {
                last_jobs.insert((target.as_str(), node.as_str()), result.as_bytes())?;
            }
            let mut tallies = write.open_table(TALLIES)?;
            for (of, tally) in sorted(&changes.tallies) {
                tallies.insert(of.key().as_str(), encode(tally).as_slice())?;
            }
            let mut heard = write.open_table(HEARD)?;
            for (source, at) in &changes.heard {
                heard.insert(source.as_str(), encode(at).as_slice())?;
            }
            deployments::write(&write, &changes.deployments)?;
            let mut meta = write.open_table(META)?;
            if let Some(package) = &changes.package {
                meta.insert("package", serde_json::to_string(package).unwrap_or_default().as_str())?;
            }
            if let Some(hash) = &changes.config {
                meta.insert("config", hash.as_str())?;
            }
            if let Some(budgets) = &changes.budgets {
                meta.insert("budgets", serde_json::to_string(budgets).unwrap_or_default().as_str())?;
            }
            if let Some((created, sequence)) = &changes.deliveries {
                meta.insert("deliveries", format!("{created}/{sequence}").as_str())?;
            }
            meta.insert("position", position.to_string().as_str())?;
        }
        write.commit()?;
        pending.follow(seen, position);
        *self.pending() = pending;
        self.position.store(position, Ordering::Release);
        Ok(())
    }

    /// Hash of the rules in force after [`Store::position`]; none where none were ever applied.
    pub fn config(&self) -> Result<Option<String>, StoreError> {
        let read = self.begin_read()?;
        Ok(read.open_table(META)?.get("config")?.map(|hash| hash.value().to_owned()))
    }

    /// The DELIVERIES, by its creation time, that had the jobs of all that was folded, and its last sequence then.
    pub fn deliveries(&self) -> Result<Option<(String, u64)>, StoreError> {
        let read = self.begin_read()?;
        let text = read.open_table(META)?.get("deliveries")?.map(|text| text.value().to_owned());
        Ok(text.and_then(|text| text.split_once('/').and_then(|(of, at)| Some((of.to_owned(), at.parse().ok()?)))))
    }

    /// Says which rules are in force where the store begins anew in the middle of the log.
    pub fn set_config(&self, hash: &str) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        write.open_table(META)?.insert("config", hash)?;
        write.commit()?;
        Ok(())
    }

    /// Says which package is deployed where the store begins anew in the middle of the log.
    pub fn set_package(&self, package: &Package) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        let json = serde_json::to_string(package).unwrap_or_default();
        write.open_table(META)?.insert("package", json.as_str())?;
        write.commit()?;
        Ok(())
    }

    /// This broker's id: the same as long as its data folder is, so that a restarted broker knows its own checkpoint.
    pub fn broker_id(&self, fresh: &str) -> Result<String, StoreError> {
        let write = self.begin_write()?;
        let id = {
            let mut meta = write.open_table(META)?;
            let known = meta.get("broker")?.map(|id| id.value().to_owned());
            if known.is_none() {
                meta.insert("broker", fresh)?;
            }
            known.unwrap_or_else(|| fresh.to_owned())
        };
        write.commit()?;
        Ok(id)
    }

    /// Gives this broker another id.
    pub fn rename_broker(&self, id: &str) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        write.open_table(META)?.insert("broker", id)?;
        write.commit()?;
        Ok(())
    }

    /// Makes everything committed so far durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.begin_write()?.commit()?;
        Ok(())
    }

    /// The records as of now; later commits do not show in it. Of a commit that is under way ids that were seen may be missing,
    /// so the fold takes its own while there is none.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        // Before the file is looked at: what becomes a run meanwhile is still in here.
        let pending = self.pending().clone();
        Ok(Snapshot::new(self.begin_read()?, pending))
    }

    fn durable_is_due(&self) -> bool {
        let mut last = self.last_durable.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.elapsed() >= DURABLE_EVERY;
        if due {
            *last = Instant::now();
        }
        due
    }
}

enum NotOpened {
    /// The file is no store, a damaged one, or one of another format.
    Unfit,
    Failed(StoreError),
}

fn create(path: &Path) -> Result<Database, redb::DatabaseError> {
    Database::builder().set_cache_size(CACHE).create(path)
}

/// Opens a file that is read to its end and found to be what it says.
fn open_sound(path: &Path) -> Result<Database, NotOpened> {
    let mut database = create(path).map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => NotOpened::Failed(StoreError::InUse(path.to_owned())),
        redb::DatabaseError::Storage(redb::StorageError::Io(error))
            if !matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof) =>
        {
            NotOpened::Failed(StoreError::Io { path: path.to_owned(), error })
        }
        _ => NotOpened::Unfit,
    })?;
    database.check_integrity().map_err(|_| NotOpened::Unfit)?;
    let format = || -> Result<Option<String>, StoreError> {
        let read = database.begin_read()?;
        match read.open_table(META) {
            Ok(meta) => Ok(meta.get("format")?.map(|format| format.value().to_owned())),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    match format() {
        Ok(None) => Ok(database),
        Ok(Some(format)) if format == FORMAT => Ok(database),
        _ => Err(NotOpened::Unfit),
    }
}

fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let aside = path.with_extension("damaged");
    match std::fs::rename(path, &aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Io { path: path.to_owned(), error })
        }
        _ => Ok(aside),
    }
}

/// In order of their keys, as the file keeps them.
fn sorted<K: Ord, V>(changes: &HashMap<K, V>) -> Vec<(&K, &V)> {
    let mut sorted: Vec<(&K, &V)> = changes.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    sorted
}

fn encode(record: &impl serde::Serialize) -> Vec<u8> {
    // Strings, numbers, maps with string keys and JSON values: nothing here can fail to serialise.
    serde_json::to_vec(record).unwrap_or_default()
}

fn private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| StoreError::Io { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests;

//! The core's records on disk: one redb file, a cache of the log that can be rebuilt from it.
//!
//! # The file
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `"format"`, `"stream"`, `"position"`, `"config"`, `"broker"` | 2; identity of EVENTS (its creation time); sequence of the last entry folded; hash of the rules in force after it; this broker's own id |
//! | `nodes` | serial number, or UDID where only that is known | JSON [`Node`] |
//! | `aliases` | UDID | serial number |
//! | `owners` | (user id, node key) | nothing |
//! | `seen` | event id, 16 bytes | ms since 1970, when it was received |
//! | `seen_by_time` | (ms since 1970, event id) | nothing |
//! | `last_jobs` | (target, node key) | id of the event that tells the end of the last job, 16 bytes |
//! | `tallies` | `rule/<name>` or `target/<name>` | JSON [`Tally`] |
//!
//! Changes and the position they bring it to are one transaction. Most commits are left to the next durable one, at
//! most a second later: what a crash takes back is folded again from the log. Never written to but by [`Store::commit`].

mod snapshot;

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use emote_proto::Time;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::core::{Changes, DEDUPE_WINDOW_MILLIS};

pub use snapshot::Snapshot;

const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const NODES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("nodes");
const ALIASES: TableDefinition<'_, &str, &str> = TableDefinition::new("aliases");
const OWNERS: TableDefinition<'_, (&str, &str), ()> = TableDefinition::new("owners");
const SEEN: TableDefinition<'_, &[u8; 16], i64> = TableDefinition::new("seen");
const LAST_JOBS: TableDefinition<'_, (&str, &str), &[u8; 16]> = TableDefinition::new("last_jobs");
const TALLIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tallies");
const SEEN_BY_TIME: TableDefinition<'_, (i64, &[u8; 16]), ()> = TableDefinition::new("seen_by_time");

const FORMAT: &str = "2";
const DURABLE_EVERY: Duration = Duration::from_secs(1);
/// Expired ids removed per commit at most, so that a commit stays short.
const PRUNE_AT_ONCE: usize = 2_000;

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
    /// Another version of Emote wrote it.
    #[error(
        "the store is of format {0}, which this version does not know; remove the store file and start again: it is rebuilt from the log"
    )]
    Format(String),
    /// A record is not what was written.
    #[error(
        "the store's record {0} is damaged: stop emote, remove the store file and start again; it is rebuilt from the log"
    )]
    Damaged(String),
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
    database: Database,
    last_durable: Mutex<Instant>,
    position: AtomicU64,
}

impl Store {
    /// Opens or creates the file; one that is damaged is set aside under another name, to be rebuilt.
    pub fn open(path: &Path) -> Result<(Self, Opened), StoreError> {
        let (database, opened) = match Database::create(path) {
            Ok(database) => (database, Opened::Sound),
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => return Err(StoreError::InUse(path.to_owned())),
            Err(redb::DatabaseError::Storage(redb::StorageError::Io(error)))
                if error.kind() != std::io::ErrorKind::InvalidData
                    && error.kind() != std::io::ErrorKind::UnexpectedEof =>
            {
                return Err(StoreError::Io { path: path.to_owned(), error });
            }
            Err(_) => {
                let aside = path.with_extension("damaged");
                std::fs::rename(path, &aside).map_err(|error| StoreError::Io { path: path.to_owned(), error })?;
                (Database::create(path)?, Opened::SetAside(aside))
            }
        };
        private(path)?;
        let store = Self { database, last_durable: Mutex::new(Instant::now()), position: AtomicU64::new(0) };
        store.prepare()?;
        Ok((store, opened))
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        {
            let mut meta = write.open_table(META)?;
            let format = meta.get("format")?.map(|format| format.value().to_owned());
            match format.as_deref() {
                Some(FORMAT) => {}
                None => drop(meta.insert("format", FORMAT)?),
                Some(other) => return Err(StoreError::Format(other.to_owned())),
            }
            write.open_table(NODES)?;
            write.open_table(ALIASES)?;
            write.open_table(OWNERS)?;
            write.open_table(SEEN)?;
            write.open_table(SEEN_BY_TIME)?;
            write.open_table(LAST_JOBS)?;
            write.open_table(TALLIES)?;
            let position = meta.get("position")?.and_then(|text| text.value().parse().ok()).unwrap_or(0);
            self.position.store(position, Ordering::Release);
        }
        write.commit()?;
        Ok(())
    }

    /// Sequence of the last entry folded into it; 0 for none.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// Makes sure that the store belongs to the stream of this identity; it is emptied when it was another's.
    /// Says whether it was emptied.
    pub fn belong_to(&self, stream: &str) -> Result<bool, StoreError> {
        let read = self.database.begin_read()?;
        let own = read.open_table(META)?.get("stream")?.map(|text| text.value().to_owned());
        if own.as_deref() == Some(stream) {
            return Ok(false);
        }
        self.clear()?;
        let write = self.database.begin_write()?;
        write.open_table(META)?.insert("stream", stream)?;
        write.commit()?;
        Ok(own.is_some())
    }

    /// Forgets everything, to be rebuilt from the log.
    pub fn clear(&self) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        write.open_table(META)?.remove("position")?;
        write.open_table(META)?.remove("config")?;
        write.open_table(NODES)?.retain(|_, _| false)?;
        write.open_table(ALIASES)?.retain(|_, _| false)?;
        write.open_table(OWNERS)?.retain(|_, ()| false)?;
        write.open_table(SEEN)?.retain(|_, _| false)?;
        write.open_table(SEEN_BY_TIME)?.retain(|_, ()| false)?;
        write.open_table(LAST_JOBS)?.retain(|_, _| false)?;
        write.open_table(TALLIES)?.retain(|_, _| false)?;
        write.commit()?;
        self.position.store(0, Ordering::Release);
        Ok(())
    }

    /// Writes the changes of a run and the position it leads to, in one transaction. `now` is the received time of the
    /// run's last entry; ids that left the dedupe window before it are dropped.
    pub fn commit(&self, changes: &Changes, position: u64, now: Time) -> Result<(), StoreError> {
        let mut write = self.database.begin_write()?;
        let durable = self.durable_is_due();
        write.set_durability(if durable { Durability::Immediate } else { Durability::None })?;
        {
            let mut nodes = write.open_table(NODES)?;
            for (key, node) in &changes.nodes {
                match node {
                    Some(node) => nodes.insert(key.as_str(), encode(node).as_slice())?,
                    None => nodes.remove(key.as_str())?,
                };
            }
            let mut aliases = write.open_table(ALIASES)?;
            for (udid, serial) in &changes.aliases {
                aliases.insert(udid.as_str(), serial.as_str())?;
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
            let mut seen = write.open_table(SEEN)?;
            let mut seen_by_time = write.open_table(SEEN_BY_TIME)?;
            for (id, received) in &changes.seen {
                seen.insert(id.as_bytes(), received.as_millis())?;
                seen_by_time.insert((received.as_millis(), id.as_bytes()), ())?;
            }
            let expired = now.as_millis() - DEDUPE_WINDOW_MILLIS - 1;
            for entry in seen_by_time.extract_from_if(..(expired, &[0; 16]), |_, ()| true)?.take(PRUNE_AT_ONCE) {
                let key = entry?.0;
                let (received, id) = key.value();
                let current = seen.get(id)?.map(|at| at.value());
                if current == Some(received) {
                    seen.remove(id)?;
                }
            }
            let mut last_jobs = write.open_table(LAST_JOBS)?;
            for ((target, node), result) in &changes.last_jobs {
                last_jobs.insert((target.as_str(), node.as_str()), result.as_bytes())?;
            }
            let mut tallies = write.open_table(TALLIES)?;
            for (of, tally) in &changes.tallies {
                tallies.insert(of.key().as_str(), encode(tally).as_slice())?;
            }
            let mut meta = write.open_table(META)?;
            if let Some(hash) = &changes.config {
                meta.insert("config", hash.as_str())?;
            }
            meta.insert("position", position.to_string().as_str())?;
        }
        write.commit()?;
        self.position.store(position, Ordering::Release);
        Ok(())
    }

    /// Hash of the rules in force after [`Store::position`]; none where none were ever applied.
    pub fn config(&self) -> Result<Option<String>, StoreError> {
        let read = self.database.begin_read()?;
        Ok(read.open_table(META)?.get("config")?.map(|hash| hash.value().to_owned()))
    }

    /// Says which rules are in force where the store begins anew in the middle of the log.
    pub fn set_config(&self, hash: &str) -> Result<(), StoreError> {
        let write = self.database.begin_write()?;
        write.open_table(META)?.insert("config", hash)?;
        write.commit()?;
        Ok(())
    }

    /// This broker's id: the same as long as its data folder is, so that a restarted broker knows its own checkpoint.
    pub fn broker_id(&self, fresh: &str) -> Result<String, StoreError> {
        let write = self.database.begin_write()?;
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

    /// Makes everything committed so far durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.database.begin_write()?.commit()?;
        Ok(())
    }

    /// The records as of now; later commits do not show in it.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::new(self.database.begin_read()?))
    }

    fn durable_is_due(&self) -> bool {
        let mut last = self.last_durable.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = last.elapsed() >= DURABLE_EVERY;
        if due {
            *last = Instant::now();
        }
        due
    }
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

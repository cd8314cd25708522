//! The database's tables, and the few ways in which they are read and written. What they hold is specified in the parent.

use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::Path;

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};
use serde::{Serialize, de::DeserializeOwned};

use super::SpoolError;
use super::key::{LANES, key};
use super::quota::Item;
use super::record::{Record, peek};

pub(super) const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
pub(super) const SNAPSHOTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshots");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
pub(super) const DAMAGED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("damaged");
const STATE_VERSION: u8 = 1;
const CACHE_BYTES: usize = 512 * 1024;

/// Where the database's bytes are: a file, or what stands in for one.
pub(super) type Medium = Box<dyn Fn(&Builder) -> Result<Database, DatabaseError> + Send + Sync>;

/// `None` when the bytes are there and not readable as a database: then, and only then, they may be set aside.
///
/// A file that redb has closed itself is trusted by it, and may make it panic if it was changed since: all is checked.
pub(super) fn open_database(medium: &Medium, path: &Path) -> Result<Option<Database>, SpoolError> {
    let opened = medium(Builder::new().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true));
    let opened = opened.map_err(redb::Error::from).and_then(|db| make_tables(&db).map(|()| db));
    match opened {
        Ok(db) => Ok(Some(db)),
        Err(redb::Error::DatabaseAlreadyOpen) => Err(SpoolError::AlreadyRunning(path.to_owned())),
        Err(redb::Error::Io(error)) if !is_damage(error.kind()) => {
            Err(SpoolError::Folder { path: path.to_owned(), error })
        }
        Err(error @ (redb::Error::PreviousIo | redb::Error::Backend(_))) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Everything else is the disk's trouble, not the file's.
fn is_damage(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

fn make_tables(db: &Database) -> Result<(), redb::Error> {
    let txn = db.begin_write()?;
    txn.open_table(RECORDS)?;
    txn.open_table(SNAPSHOTS)?;
    txn.open_table(STATE)?;
    txn.open_table(DAMAGED)?;
    Ok(txn.commit()?)
}

/// Returns the number of the next event.
pub(super) fn append(txn: &WriteTransaction, records: &[Record]) -> Result<u64, SpoolError> {
    let (mut table, mut state) = (txn.open_table(RECORDS)?, txn.open_table(STATE)?);
    let stored = state.get("next")?.and_then(|value| value.value().try_into().ok()).map(u64::from_le_bytes);
    let mut next = stored.unwrap_or(1);
    if records.is_empty() {
        return Ok(next);
    }
    for record in records {
        table.insert(key(next, record.class), record.encode().as_slice())?;
        next += 1;
    }
    state.insert("next", next.to_le_bytes().as_slice())?;
    Ok(next)
}

/// Whether no event waits.
pub(super) fn is_empty(txn: &WriteTransaction) -> Result<bool, SpoolError> {
    Ok(txn.open_table(RECORDS)?.is_empty()?)
}

/// Sets the number of the next event.
#[cfg(test)]
pub(super) fn set_next(txn: &WriteTransaction, next: u64) -> Result<(), SpoolError> {
    txn.open_table(STATE)?.insert("next", next.to_le_bytes().as_slice())?;
    Ok(())
}

pub(super) fn items(records: &impl ReadableTable<u64, &'static [u8]>) -> Result<Vec<Item>, SpoolError> {
    let mut items = Vec::new();
    for item in records.iter()? {
        let (key, value) = item?;
        let (class, time) = peek(value.value());
        items.push(Item { key: key.value(), class, bytes: value.value().len() as u64, time });
    }
    Ok(items)
}

/// The first records of `keys`, at most `max_count` and, but for the first, `max_bytes`: first and last key.
pub(super) fn first(
    records: &impl ReadableTable<u64, &'static [u8]>,
    keys: RangeInclusive<u64>,
    max_count: usize,
    max_bytes: usize,
) -> Result<Option<RangeInclusive<u64>>, SpoolError> {
    let mut range: Option<RangeInclusive<u64>> = None;
    let mut bytes = 0;
    for item in records.range(keys)?.take(max_count) {
        let (key, value) = item?;
        bytes += value.value().len();
        match &range {
            Some(_) if bytes > max_bytes => break,
            Some(begun) => range = Some(*begun.start()..=key.value()),
            None => range = Some(key.value()..=key.value()),
        }
    }
    Ok(range)
}

/// When the oldest event happened, in milliseconds since 1970.
pub(super) fn oldest(records: &impl ReadableTable<u64, &'static [u8]>) -> Result<Option<i64>, SpoolError> {
    let mut oldest = None;
    for lane in LANES {
        let first = records.range(lane)?.next().transpose()?.and_then(|(_, value)| peek(value.value()).1);
        oldest = oldest.into_iter().chain(first).min();
    }
    Ok(oldest)
}

pub(super) fn state<T: DeserializeOwned>(db: &Database, key: &str) -> Result<Option<T>, SpoolError> {
    let table = db.begin_read()?.open_table(STATE)?;
    Ok(table.get(key)?.and_then(|value| read_state(value.value())))
}

pub(super) fn state_in<T: DeserializeOwned>(txn: &WriteTransaction, key: &str) -> Result<Option<T>, SpoolError> {
    let table = txn.open_table(STATE)?;
    Ok(table.get(key)?.and_then(|value| read_state(value.value())))
}

fn read_state<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (version, rest) = bytes.split_first()?;
    if *version == STATE_VERSION { postcard::from_bytes(rest).ok() } else { None }
}

pub(super) fn set_state<T: Serialize>(txn: &WriteTransaction, key: &str, value: &T) -> Result<(), SpoolError> {
    let bytes =
        postcard::to_extend(value, vec![STATE_VERSION]).map_err(|error| SpoolError::Storage(error.to_string()))?;
    txn.open_table(STATE)?.insert(key, bytes.as_slice())?;
    Ok(())
}

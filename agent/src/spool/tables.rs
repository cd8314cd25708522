//! The database's tables, and the few ways in which they are read and written. What they hold is specified in the parent.

use std::path::Path;

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Serialize, de::DeserializeOwned};

use super::SpoolError;
use super::quota::Item;
use super::record::{Record, peek};

pub(super) const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
pub(super) const SNAPSHOTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshots");
const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("state");
pub(super) const DAMAGED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("damaged");
const STATE_VERSION: u8 = 1;
const CACHE_BYTES: usize = 512 * 1024;

/// `None` when the file is there and not readable as a database.
pub(super) fn open_database(path: &Path) -> Result<Option<Database>, SpoolError> {
    use redb::{DatabaseError, StorageError};
    let corrupt = |kind| matches!(kind, std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof);
    let db = match Builder::new().set_cache_size(CACHE_BYTES).create(path) {
        Ok(db) => db,
        Err(DatabaseError::DatabaseAlreadyOpen) => return Err(SpoolError::AlreadyRunning(path.to_owned())),
        Err(DatabaseError::Storage(StorageError::Io(error))) if !corrupt(error.kind()) => {
            return Err(SpoolError::Folder { path: path.to_owned(), error });
        }
        Err(_) => return Ok(None),
    };
    let tables = || -> Result<(), SpoolError> {
        let txn = db.begin_write()?;
        txn.open_table(RECORDS)?;
        txn.open_table(SNAPSHOTS)?;
        txn.open_table(STATE)?;
        txn.open_table(DAMAGED)?;
        Ok(txn.commit()?)
    };
    Ok(tables().is_ok().then_some(db))
}

pub(super) fn append(txn: &WriteTransaction, records: &[Record]) -> Result<(), SpoolError> {
    if records.is_empty() {
        return Ok(());
    }
    let (mut table, mut state) = (txn.open_table(RECORDS)?, txn.open_table(STATE)?);
    let stored = state.get("next")?.and_then(|value| value.value().try_into().ok()).map(u64::from_le_bytes);
    let mut next = stored.unwrap_or(1);
    for record in records {
        table.insert(next, record.encode().as_slice())?;
        next += 1;
    }
    state.insert("next", next.to_le_bytes().as_slice())?;
    Ok(())
}

pub(super) fn items(records: &impl ReadableTable<u64, &'static [u8]>) -> Result<Vec<Item>, SpoolError> {
    let mut items = Vec::new();
    for item in records.iter()? {
        let (key, value) = item?;
        let (class, time) = peek(value.value());
        items.push(Item { sequence: key.value(), class, bytes: value.value().len() as u64, time });
    }
    Ok(items)
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

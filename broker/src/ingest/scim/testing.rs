//! A bucket in memory. The fuzz target `scim` is built with this file too.

use std::{collections::BTreeMap, sync::Mutex};

use super::Directory;
use crate::bus::{BusError, Entry, Write, WriteError};

/// Keeps what it is given, each key at its revision.
#[derive(Default)]
pub(crate) struct Memory(Mutex<(u64, BTreeMap<String, Entry>)>);

#[async_trait::async_trait]
impl Directory for Memory {
    async fn get(&self, key: &str) -> Result<Option<Entry>, BusError> {
        Ok(self.0.lock().unwrap().1.get(key).cloned())
    }

    async fn all(&self, prefix: &str) -> Result<BTreeMap<String, Entry>, BusError> {
        let kept = self.0.lock().unwrap();
        let rest = |(key, entry): (&String, &Entry)| {
            Some((key.strip_prefix(prefix)?.strip_prefix('.')?.to_owned(), entry.clone()))
        };
        Ok(kept.1.iter().filter_map(rest).collect())
    }

    async fn write(&self, writes: &[Write]) -> Result<u64, WriteError> {
        let mut kept = self.0.lock().unwrap();
        let (revision, entries) = &mut *kept;
        let is_last = |write: &Write| entries.get(&write.key).map_or(0, |entry| entry.revision) == write.expected;
        if !writes.iter().all(is_last) {
            return Err(WriteError::Overtaken);
        }
        for write in writes {
            *revision += 1;
            entries.insert(write.key.clone(), Entry { revision: *revision, value: write.value.clone().into() });
        }
        Ok(*revision)
    }

    async fn forget(&self, prefix: &str, revision: u64) -> Result<(), BusError> {
        let is_below = |key: &str| key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
        let mut kept = self.0.lock().unwrap();
        kept.1.retain(|key, entry| entry.revision > revision || !is_below(key));
        Ok(())
    }
}

//! How the folders of this broker are doing, for whoever asks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use emote_proto::Time;
use serde::{Deserialize, Serialize};

/// How a folder is doing. Counts are since the broker was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FolderReport {
    /// What is done now: `watching`, `failing`, or `no_folder` where this machine has none.
    pub state: String,
    /// Files that lay there when it was last looked.
    pub waiting: u64,
    /// Files taken.
    pub files: u64,
    /// Events that these were and that were new.
    pub events: u64,
    /// Files that were put into `failed/`.
    pub refused: u64,
    /// When the last one was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Time>,
    /// Failures in a row.
    pub failures: u32,
    /// Why it last failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<Time>,
}

/// How folders are doing, by source. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Folders(Arc<Mutex<BTreeMap<String, FolderReport>>>);

impl Folders {
    /// As of now.
    pub fn reports(&self) -> BTreeMap<String, FolderReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change(&self, source: &str, change: impl FnOnce(&mut FolderReport)) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(reports.entry(source.to_owned()).or_default());
    }

    pub(super) fn forget(&self, source: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(source);
    }
}

//! How polling is doing at this broker, for whoever asks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use emote_proto::Time;
use serde::{Deserialize, Serialize};

use super::Kind;

/// How polling of a source is doing. Counts are since the broker was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PollReport {
    /// What is done now: `standing_by`, `waiting`, `polling` or `failing`.
    pub state: String,
    /// When it last began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_try: Option<Time>,
    /// When everything was last fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Time>,
    /// When it begins next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Time>,
    /// Failures in a row.
    pub failures: u32,
    /// Why it last failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<Time>,
    /// Rounds that ended well.
    pub rounds: u64,
    /// Rounds that failed.
    pub failed: u64,
    /// Pages fetched.
    pub pages: u64,
    /// Items on them.
    pub items: u64,
    /// Events that these were and that were new.
    pub events: u64,
    /// Items that no event could be made of.
    pub refused: u64,
}

/// What each source and kind is doing.
type Reports = BTreeMap<(String, Kind), PollReport>;

/// How polling is doing, by source. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Polls(Arc<Mutex<Reports>>);

impl Polls {
    /// As of now.
    pub fn reports(&self) -> Reports {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change(&self, source: &str, kind: Kind, change: impl FnOnce(&mut PollReport)) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(reports.entry((source.to_owned(), kind)).or_default());
    }

    pub(super) fn forget(&self, source: &str, kind: Kind) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(source.to_owned(), kind));
    }
}

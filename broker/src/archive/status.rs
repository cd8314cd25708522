//! What the archiver is doing, for metrics and whoever asks.

use std::sync::{Arc, Mutex, PoisonError};

use emote_proto::Time;

/// As of now. Counts are since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether this broker is the one that archives.
    pub active: bool,
    /// Everything up to this sequence is archived, as far as this broker knows.
    pub position: u64,
    /// Entries that were archived.
    pub events: u64,
    /// Segments that were stored.
    pub segments: u64,
    /// Bytes of them, as they are stored.
    pub stored_bytes: u64,
    /// Times that trouble stopped it, each followed by another beginning.
    pub stops: u64,
    /// When something was archived last.
    pub last: Option<Time>,
    /// Why it does not go on.
    pub trouble: Option<String>,
}

/// A status that the archiver writes and others read.
#[derive(Debug, Clone, Default)]
pub struct Telling(Arc<Mutex<Status>>);

impl Telling {
    /// As of now.
    pub fn status(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

//! How sockets are doing at this broker, for whoever asks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use emote_proto::Time;
use serde::{Deserialize, Serialize};

/// How a socket of a source is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SocketReport {
    /// Which: `tls 0.0.0.0:6514`.
    pub name: String,
    /// Whether it listens.
    pub listens: bool,
    /// Connections that are open.
    pub connections: u64,
    /// Why it does not listen, or did not last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_at: Option<Time>,
}

/// By source and socket.
type Reports = BTreeMap<(String, String), SocketReport>;

/// How sockets are doing. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Sockets(Arc<Mutex<Reports>>);

impl Sockets {
    /// As of now, by source.
    pub fn reports(&self) -> Vec<(String, SocketReport)> {
        let reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reports.iter().map(|((source, _), report)| (source.clone(), report.clone())).collect()
    }

    pub(super) fn change(&self, source: &str, socket: &str, change: impl FnOnce(&mut SocketReport)) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || SocketReport { name: socket.to_owned(), ..SocketReport::default() };
        change(reports.entry((source.to_owned(), socket.to_owned())).or_insert_with(new));
    }

    pub(super) fn forget(&self, source: &str, socket: &str) {
        let key = (source.to_owned(), socket.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

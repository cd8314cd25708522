//! What an engine is doing, for health checks, metrics and whoever asks.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::watch;

/// Its part among the brokers of the partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It has not found the checkpoint yet, or is in trouble.
    #[default]
    Starting,
    /// Another one folds; it keeps its records up to date.
    StandingBy,
    /// It folds.
    Leading,
}

/// As of now.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Its part.
    pub role: Role,
    /// The last entry of EVENTS that it folded.
    pub position: u64,
    /// Entries behind it when it last read.
    pub behind: u64,
    /// When it last heard from the log: a commit, or a checkpoint read.
    pub heard: Option<Instant>,
    /// Why it does not fold, where it is in trouble.
    pub trouble: Option<String>,
    /// Entries folded since it started.
    pub entries: u64,
    /// Jobs committed since it started.
    pub jobs: u64,
    /// Batches committed since it started.
    pub commits: u64,
    /// Entries that ended in a panic or were no events.
    pub poisoned: u64,
    /// Time spent folding.
    pub folding: Duration,
}

/// A status that an engine writes and others read.
#[derive(Clone)]
pub struct Shared {
    status: Arc<Mutex<Status>>,
    leads: watch::Sender<bool>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { status: Arc::default(), leads: watch::Sender::new(false) }
    }
}

impl Shared {
    /// As of now.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Whether it folds; changes as it does.
    pub fn leads(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }

    pub(super) fn stopped(&self, reason: &str) {
        self.leads.send_replace(false);
        let mut status = self.lock();
        (status.role, status.trouble) = (Role::Starting, Some(reason.to_owned()));
    }

    pub(super) fn stands_by(&self) {
        self.take_part(Role::StandingBy);
    }

    pub(super) fn leading(&self) {
        self.take_part(Role::Leading);
        self.leads.send_replace(true);
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.lock();
        status.heard = Some(Instant::now());
        change(&mut status);
    }

    fn take_part(&self, role: Role) {
        self.update(|status| (status.role, status.trouble) = (role, None));
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! What an engine is doing, for health checks, metrics and whoever asks.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Its part among the brokers of the partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// When its loop last gave a sign of life, in trouble or not.
    pub alive: Option<Instant>,
    /// Whether its loop has ended.
    pub ended: bool,
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
    /// Times that it began to lead.
    pub takeovers: u64,
    /// Times that trouble stopped it, each followed by another beginning.
    pub stops: u64,
    /// Batches of jobs that were not stored, or of which that is not known.
    pub commit_errors: u64,
}

/// A status that an engine writes and others read.
#[derive(Clone)]
pub struct Shared {
    status: Arc<Mutex<Status>>,
    leads: watch::Sender<bool>,
}

struct Ending(Shared);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.lock().ended = true;
    }
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

    /// Says, once what it gives is dropped, that the loop has ended.
    pub fn until_it_ends(&self) -> impl Drop + use<> {
        Ending(self.clone())
    }

    pub(super) fn stopped(&self, reason: &str) {
        self.leads.send_replace(false);
        let mut status = self.lock();
        (status.role, status.trouble) = (Role::Starting, Some(reason.to_owned()));
        status.alive = Some(Instant::now());
        status.stops += 1;
    }

    pub(super) fn stands_by(&self) {
        self.take_part(Role::StandingBy);
    }

    pub(super) fn commit_failed(&self) {
        self.lock().commit_errors += 1;
    }

    pub(super) fn leading(&self) {
        self.take_part(Role::Leading);
        self.lock().takeovers += 1;
        self.leads.send_replace(true);
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.lock();
        status.heard = Some(Instant::now());
        status.alive = status.heard;
        change(&mut status);
    }

    fn take_part(&self, role: Role) {
        self.update(|status| (status.role, status.trouble) = (role, None));
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_counted_and_trouble_is_a_sign_of_life_but_not_of_the_log() {
        let shared = Shared::default();
        shared.stopped("NATS is away");
        let status = shared.status();
        assert!(status.alive.is_some() && status.heard.is_none());
        assert_eq!((status.stops, status.trouble.as_deref()), (1, Some("NATS is away")));
        let ending = shared.until_it_ends();
        shared.leading();
        shared.leading();
        let status = shared.status();
        assert_eq!((status.role, status.takeovers, status.trouble), (Role::Leading, 2, None));
        assert!(status.heard.is_some() && !status.ended);
        drop(ending);
        assert!(shared.status().ended);
    }
}

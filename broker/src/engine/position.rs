//! Where the fold stands: what is stored, what is under way, what is folded in memory.

use std::{collections::VecDeque, time::Instant};

use super::working::Working;
use crate::{
    bus::{Chain, Checkpoint, Place},
    core::Budgets,
};

/// Where the fold stands.
pub(super) struct Position {
    /// The last checkpoint stored, and its place in DELIVERIES.
    pub(super) stored: Checkpoint,
    pub(super) stored_at: u64,
    pub(super) chain: Chain,
    pub(super) under_way: VecDeque<Sent>,
    pub(super) working: Working,
    /// Last entry whose jobs are all stored.
    pub(super) folded: u64,
    /// Where this broker began: what comes behind it is new.
    pub(super) begun: Place,
    /// What is spent behind the last entry folded.
    pub(super) budgets: Budgets,
    pub(super) written: Instant,
    /// Nothing is there to be folded.
    pub(super) idle: bool,
}

/// Messages on their way into DELIVERIES.
pub(super) struct Sent {
    /// The last of them is stored as this.
    pub(super) at: u64,
    /// With them every entry up to this one is folded, jobs and all.
    pub(super) covers: u64,
    pub(super) jobs: usize,
    pub(super) checkpoint: Option<Checkpoint>,
}

impl Position {
    /// Whether this broker is the first to fold the entry.
    pub(super) fn is_new(&self, sequence: u64) -> bool {
        sequence > self.begun.sequence
    }

    /// Jobs of this entry that an earlier, broken off, commit has stored.
    pub(super) fn jobs_stored_of(&self, sequence: u64) -> usize {
        self.begun.jobs_of(sequence)
    }

    /// The checkpoint as it is true behind all that was sent. Jobs that are stored of an entry stay said until the entry
    /// is done.
    pub(super) fn up_to_date(&self) -> Checkpoint {
        let sequence = self.working.sequence();
        let place = if sequence > self.begun.sequence { Place { sequence, jobs: 0 } } else { self.begun };
        let (stored, package) = (self.stored.clone(), self.working.package().cloned());
        Checkpoint { sequence: place.sequence, jobs: place.jobs, budgets: self.budgets.clone(), package, ..stored }
    }
}

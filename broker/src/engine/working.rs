//! The records as the fold changes them: what is stored, what of it is at hand, and the changes of the last runs that
//! are not stored yet. What a crash takes of it is folded again from the log.

use std::{
    mem::take,
    sync::Arc,
    time::{Duration, Instant},
};

use emote_proto::Time;

use super::Stopped;
use crate::{
    core::{Changes, Known, Overlay, Package, Records},
    store::{Snapshot, Store},
};

/// Changes wait so long for more of them, as long as there are entries to be folded.
const SAVE_AFTER: Duration = Duration::from_millis(500);
/// Where there are none, others shall see the records soon.
const SAVE_WHEN_IDLE_AFTER: Duration = Duration::from_millis(20);
/// So many changed records are stored at once.
const SAVE_AT: usize = 50_000;

/// Records at work.
pub(super) struct Working {
    store: Arc<Store>,
    stored: Snapshot,
    known: Known,
    changes: Changes,
    package: Option<Package>,
    sequence: u64,
    unsaved: Option<(Instant, Time)>,
}

impl Working {
    /// As the store has them.
    pub(super) fn new(store: &Arc<Store>) -> Result<Self, Stopped> {
        let stored = store.snapshot()?;
        let (known, changes, package) = (Known::default(), Changes::default(), stored.package()?);
        Ok(Self {
            store: Arc::clone(store),
            stored,
            known,
            changes,
            package,
            sequence: store.position(),
            unsaved: None,
        })
    }

    /// The package that is deployed.
    pub(super) fn package(&self) -> Option<&Package> {
        self.changes.package.as_ref().or(self.package.as_ref())
    }

    /// The last entry that is in them.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Folds up to the entry `sequence`, which was received at `received`. Where that fails they must not be used any
    /// more.
    pub(super) fn fold<R>(
        &mut self,
        (sequence, received): (u64, Time),
        fold: impl FnOnce(&mut Overlay<'_>) -> Result<R, Stopped>,
    ) -> Result<R, Stopped> {
        let mut overlay = Overlay::resume(&self.stored, take(&mut self.known), take(&mut self.changes));
        let result = fold(&mut overlay)?;
        (self.known, self.changes) = overlay.into_parts();
        self.sequence = sequence;
        let since = self.unsaved.map_or_else(Instant::now, |(since, _)| since);
        self.unsaved = Some((since, received));
        Ok(result)
    }

    /// When what is not stored should be; `idle` says that there is nothing to be folded at the moment.
    pub(super) fn due(&self, idle: bool) -> Option<Instant> {
        let (since, _) = self.unsaved?;
        let wait = match idle {
            _ if self.changes.len() > SAVE_AT => Duration::ZERO,
            true => SAVE_WHEN_IDLE_AFTER,
            false => SAVE_AFTER,
        };
        Some(since + wait)
    }

    /// Stores them. The jobs of every entry that is in them must be stored by now, up to this message of DELIVERIES.
    pub(super) fn save(&mut self, deliveries: Option<(String, u64)>) -> Result<(), Stopped> {
        let Some((_, received)) = self.unsaved.take() else { return Ok(()) };
        self.changes.deliveries = deliveries;
        self.store.commit(&self.changes, self.sequence, received)?;
        self.package = self.changes.package.take().or(self.package.take());
        self.known.learn(take(&mut self.changes));
        self.stored = self.store.snapshot()?;
        Ok(())
    }
}

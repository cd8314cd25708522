//! The records as the fold changes them: what is stored, what is being stored, what of both is at hand, and the changes of
//! the last runs that are to be stored next. What a crash takes of it is folded again from the log.

use std::{
    mem::take,
    sync::Arc,
    time::{Duration, Instant},
};

use emote_proto::Time;

use super::Stopped;
use crate::{
    core::{Changes, Known, Layer, Overlay, Package, Records},
    store::{Snapshot, Store, Storing},
};

/// Changes wait so long for more of them, as long as there are entries to be folded.
const SAVE_AFTER: Duration = Duration::from_millis(500);
/// Where there are none, others shall see the records soon.
const SAVE_WHEN_IDLE_AFTER: Duration = Duration::from_millis(20);
/// So many changed records are stored at once; as many may wait while they are.
const SAVE_AT: usize = 30_000;

/// Records at work.
pub(super) struct Working {
    store: Arc<Store>,
    stored: Snapshot,
    saving: Option<Saving>,
    /// Of what is stored; what is being stored, or is to be, is not in it.
    known: Known,
    changes: Changes,
    package: Option<Package>,
    sequence: u64,
    unsaved: Option<(Instant, Time)>,
}

/// Changes on their way into the store.
struct Saving {
    changes: Arc<Changes>,
    storing: Storing,
}

impl Working {
    /// As the store has them.
    pub(super) fn new(store: &Arc<Store>) -> Result<Self, Stopped> {
        let stored = store.snapshot()?;
        let (known, changes, package) = (Known::default(), Changes::default(), stored.package()?);
        Ok(Self {
            store: Arc::clone(store),
            stored,
            saving: None,
            known,
            changes,
            package,
            sequence: store.position(),
            unsaved: None,
        })
    }

    /// The package that is deployed.
    pub(super) fn package(&self) -> Option<&Package> {
        let saving = self.saving.as_ref().and_then(|saving| saving.changes.package.as_ref());
        self.changes.package.as_ref().or(saving).or(self.package.as_ref())
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
        let layer = self.saving.as_ref().map(|saving| Layer { base: &self.stored, changes: &saving.changes });
        let base: &dyn Records = layer.as_ref().map_or(&self.stored, |layer| layer);
        let mut overlay = Overlay::resume(base, take(&mut self.known), take(&mut self.changes));
        let result = fold(&mut overlay)?;
        (self.known, self.changes) = overlay.into_parts();
        self.sequence = sequence;
        let since = self.unsaved.map_or_else(Instant::now, |(since, _)| since);
        self.unsaved = Some((since, received));
        Ok(result)
    }

    /// When what is not stored should be; `idle` says that there is nothing to be folded at the moment.
    pub(super) fn due(&self, idle: bool) -> Option<Instant> {
        let (since, _) = self.unsaved.filter(|_| self.saving.is_none())?;
        let wait = match idle {
            _ if self.changes.len() > SAVE_AT => Duration::ZERO,
            true => SAVE_WHEN_IDLE_AFTER,
            false => SAVE_AFTER,
        };
        Some(since + wait)
    }

    /// Whether so much waits for the store that nothing more should be folded.
    pub(super) fn are_too_many(&self) -> bool {
        self.saving.is_some() && self.changes.len() > SAVE_AT
    }

    /// Begins to store them, behind what is being stored. The jobs of every entry that is in them must be stored by now, up
    /// to this message of DELIVERIES. Where it is cancelled they must not be used any more.
    pub(super) async fn begin_save(&mut self, deliveries: Option<(String, u64)>) -> Result<(), Stopped> {
        self.finish_save().await?;
        let Some((_, received)) = self.unsaved.take() else { return Ok(()) };
        let changes = Arc::new(Changes { deliveries, ..take(&mut self.changes) });
        let storing = self.store.commit_beside(Arc::clone(&changes), self.sequence, received).await;
        self.saving = Some(Saving { changes, storing });
        Ok(())
    }

    /// Waits until what is being stored is; without end where there is nothing. Cancel safe.
    pub(super) async fn saved(&mut self) -> Result<(), Stopped> {
        if self.saving.is_none() {
            std::future::pending::<()>().await;
        }
        self.finish_save().await
    }

    async fn finish_save(&mut self) -> Result<(), Stopped> {
        let Some(saving) = &mut self.saving else { return Ok(()) };
        saving.storing.stored().await?;
        self.stored = self.store.snapshot()?;
        if let Some(saving) = self.saving.take() {
            let mut stored = Arc::unwrap_or_clone(saving.changes);
            self.package = stored.package.take().or(self.package.take());
            self.known.learn(stored, &self.changes);
        }
        Ok(())
    }

    /// [`Working::begin_save`], to its end.
    pub(super) async fn save(&mut self, deliveries: Option<(String, u64)>) -> Result<(), Stopped> {
        self.begin_save(deliveries).await?;
        self.finish_save().await
    }
}

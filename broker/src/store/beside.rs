//! Storing on a thread beside whatever else is done: one thing after the other, and each whole or not at all.

use std::sync::Arc;

use emote_proto::Time;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::{Store, StoreError};
use crate::core::Changes;

/// Changes that are being stored; see [`Store::commit_beside`].
pub struct Storing(AbortOnDropHandle<Result<(), StoreError>>);

impl Storing {
    /// Waits until they are stored. Cancel safe. Goes on with a panic, as if they were stored right here.
    pub async fn stored(&mut self) -> Result<(), StoreError> {
        match (&mut self.0).await.map_err(JoinError::try_into_panic) {
            Ok(stored) => stored,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_)) => Err(StoreError::BrokenOff),
        }
    }
}

impl Store {
    /// [`Store::commit`] on a thread of its own, behind all that is being stored beside. Whoever lets go of what is given
    /// must wait for [`Store::settled`] before looking at the records: it may be stored all the same.
    pub async fn commit_beside(self: &Arc<Self>, changes: Arc<Changes>, position: u64, now: Time) -> Storing {
        let turn = Arc::clone(&self.beside).lock_owned().await;
        let store = Arc::clone(self);
        let stored = move || {
            let stored = store.commit(&changes, position, now);
            // Whoever waits for its turn may open the file anew.
            drop((store, changes));
            drop(turn);
            stored
        };
        Storing(AbortOnDropHandle::new(tokio::task::spawn_blocking(stored)))
    }

    /// Waits until nothing is being stored beside.
    pub async fn settled(&self) {
        drop(self.beside.lock().await);
    }
}

//! Work that is done once for all who ask for it meanwhile. It goes on in a task of its own: who hangs up takes nothing along.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::ShelfError;

type Ended<T> = Result<T, Arc<ShelfError>>;

/// Work under way, or what came of it.
#[derive(Clone)]
pub(super) struct Once<T> {
    begun: Instant,
    ended: watch::Receiver<Option<Ended<T>>>,
}

impl<T: Clone + Send + Sync + 'static> Once<T> {
    /// Begins it. It must end by itself.
    pub(super) fn begin(work: impl Future<Output = Result<T, ShelfError>> + Send + 'static) -> Self {
        let (tell, ended) = watch::channel(None);
        tokio::spawn(async move { tell.send_replace(Some(work.await.map_err(Arc::new))) });
        Self { begun: Instant::now(), ended }
    }

    /// How long ago it began.
    pub(super) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What came of it; nothing while it is under way.
    pub(super) fn ended(&self) -> Option<Ended<T>> {
        let ended = self.ended.borrow().clone();
        ended.or_else(|| self.ended.has_changed().is_err().then(|| Err(Arc::new(ShelfError::BrokeOff))))
    }

    /// Waits for what comes of it, but no longer than this.
    pub(super) async fn within(mut self, wait: Duration) -> Result<T, ShelfError> {
        match timeout(wait, self.ended.wait_for(Option::is_some)).await {
            Err(_) => return Err(ShelfError::UnderWay),
            Ok(known) => drop(known),
        }
        self.ended().unwrap_or(Err(Arc::new(ShelfError::UnderWay))).map_err(ShelfError::Shared)
    }
}

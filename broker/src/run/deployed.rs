//! What is deployed, as it stands here.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    core::{Deploying, Package, Records as _},
    deploy::Deployed,
    engine::Ruling,
    store::Store,
};

/// What the records and the rules in force say is deployed.
pub(super) struct Known {
    store: Arc<Store>,
    rules: watch::Receiver<Option<Arc<Ruling>>>,
}

impl Known {
    pub(super) fn new(store: Arc<Store>, rules: watch::Receiver<Option<Arc<Ruling>>>) -> Self {
        Self { store, rules }
    }
}

impl Deployed for Known {
    fn terms(&self) -> Option<Deploying> {
        self.rules.borrow().as_ref().and_then(|ruling| ruling.core.deploying().cloned())
    }

    fn package(&self) -> Option<Package> {
        self.store.snapshot().ok().and_then(|records| records.package().ok().flatten())
    }
}

//! The parts of a running broker that can be asked how they are.

use std::sync::Arc;

use emote_proto::Name;
use tokio::sync::watch;

use crate::{
    archive::Telling,
    bus::Bus,
    deliver::Targets,
    engine::{Ruling, Shared},
    identity::Counts,
    ingest::Sources,
    intake::{folder::Folders, socket::Sockets},
    poll::Polls,
    store::Store,
};

/// A running broker.
#[derive(Clone)]
pub struct Watched {
    /// Its connection.
    pub bus: Bus,
    /// Its records.
    pub store: Arc<Store>,
    /// Its core.
    pub engine: Shared,
    /// The partition that is folded.
    pub partition: u32,
    /// Its targets.
    pub targets: Targets,
    /// The rules in force where it is in the log.
    pub rules: watch::Receiver<Option<Arc<Ruling>>>,
    /// Where its webhooks come from.
    pub sources: Arc<Sources>,
    /// What it fetches.
    pub polls: Polls,
    /// Where sources listen by themselves.
    pub sockets: Sockets,
    /// The folders of sources.
    pub folders: Folders,
    /// Whether it takes webhooks.
    pub taking: watch::Receiver<bool>,
    /// What it does with agents' credentials, where it does.
    pub identity: Option<Counts>,
    /// What its archiver is doing, where it has one.
    pub archive: Option<Telling>,
}

impl Watched {
    /// The names of the rules and of the targets in force.
    pub(super) fn configured(&self) -> (Vec<Name>, Vec<Name>) {
        let Some(ruling) = self.rules.borrow().clone() else { return (Vec::new(), Vec::new()) };
        let rules = ruling.folder.rules.iter().map(|rule| rule.name.clone()).collect();
        let targets = ruling.folder.targets.iter().map(|target| target.name.clone()).collect();
        (rules, targets)
    }
}

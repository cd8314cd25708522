//! The one place that writes events into the spool: whatever is waiting is written in one transaction, so that many
//! events at once cost one fsync. Who writes is answered when it is on the disk.

use std::sync::Arc;

use emote_proto::{Draft, EventId, Time};
use tokio::sync::{mpsc, oneshot, watch};

use crate::identity::{Describe, Identity, SealError};
use crate::recent::Recent;
use crate::spool::{Class, Commit, RunState, Spool, SpoolError};

/// Entries waiting at most; whoever writes more waits.
const QUEUE: usize = 64;
/// Entries in one transaction at most.
const TOGETHER: usize = 64;

/// What is written, all of it or nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    pub(crate) drafts: Vec<(Draft, Class, Describe)>,
    pub(crate) snapshots: Vec<(String, Vec<u8>)>,
    pub(crate) run: Option<RunState>,
}

impl Entry {
    /// One event that is no heartbeat.
    pub(crate) fn event(draft: Draft) -> Self {
        Self { drafts: vec![(draft, Class::Lifecycle, Describe::Whole)], ..Self::default() }
    }
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("not written: {0}")]
    Disk(String),
    #[error("the agent is stopping")]
    Stopping,
}

type Written = Result<Vec<EventId>, JournalError>;
type Waiting = (Entry, oneshot::Sender<Written>);

/// Writes entries.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    queue: mpsc::Sender<Waiting>,
}

/// The other end: owns the writing.
pub(crate) struct Writer {
    queue: mpsc::Receiver<Waiting>,
    spool: Arc<Spool>,
    identity: Arc<Identity>,
    written: watch::Sender<u64>,
    recent: Arc<Recent>,
}

impl Journal {
    /// Both ends. `written` changes after each transaction; its events are shown to `recent`.
    pub(crate) fn new(
        spool: Arc<Spool>,
        identity: Arc<Identity>,
        written: watch::Sender<u64>,
        recent: Arc<Recent>,
    ) -> (Self, Writer) {
        let (sender, queue) = mpsc::channel(QUEUE);
        (Self { queue: sender }, Writer { queue, spool, identity, written, recent })
    }

    /// Returns the events' ids once they are on the disk.
    pub(crate) async fn write(&self, entry: Entry) -> Written {
        let (reply, answer) = oneshot::channel();
        self.queue.send((entry, reply)).await.map_err(|_| JournalError::Stopping)?;
        answer.await.map_err(|_| JournalError::Stopping)?
    }
}

impl Writer {
    /// Runs until every [`Journal`] is dropped.
    pub(crate) async fn run(mut self) {
        let mut waiting = Vec::new();
        while self.queue.recv_many(&mut waiting, TOGETHER).await > 0 {
            self.write(std::mem::take(&mut waiting));
        }
    }

    fn write(&self, waiting: Vec<Waiting>) {
        let now = jiff::Timestamp::now().into();
        let (mut commit, mut sealed) = (Commit::default(), Vec::new());
        for (entry, reply) in waiting {
            match self.seal(entry, now, &mut commit) {
                Ok(ids) => sealed.push((ids, reply)),
                // Whoever asked may be gone: then nobody needs the answer.
                Err(error) => drop(reply.send(Err(error.into()))),
            }
        }
        let result = self.spool.commit(&commit);
        if let Err(error) = &result {
            tracing::error!(%error, events = commit.records.len(), "not written");
        }
        self.written.send_modify(|count| *count += 1);
        if result.is_ok() {
            self.recent.show(commit.records);
        }
        for (ids, reply) in sealed {
            let disk = |error: &SpoolError| JournalError::Disk(error.to_string());
            drop(reply.send(result.as_ref().map(|()| ids).map_err(disk)));
        }
    }

    fn seal(&self, entry: Entry, now: Time, commit: &mut Commit) -> Result<Vec<EventId>, SealError> {
        let mut records = Vec::new();
        for (draft, class, describe) in entry.drafts {
            records.push(self.identity.seal(draft, class, describe, now)?);
        }
        let ids = records.iter().map(|record| record.id).collect();
        commit.records.extend(records);
        commit.snapshots.extend(entry.snapshots);
        commit.run = entry.run.or(commit.run.take());
        Ok(ids)
    }
}

//! The core at work: reads EVENTS, folds, commits jobs and checkpoint in one atomic batch, then the store.
//!
//! Order of a run: fold in memory → atomic batch into DELIVERIES → store. A crash before the batch loses nothing, as the
//! checkpoint has not moved; a crash after it leaves the store behind the checkpoint, and what lies between is folded
//! again for its records, not for its jobs. A second broker that folds the same partition is refused by the server.

mod plan;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use emote_proto::Time;
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{BatchError, Bus, BusError, Checkpoint, EventMessage, Outgoing, ReadError, Reader, job_message},
    core::{Changes, Core, Overlay, StateError},
    store::{Store, StoreError},
};

/// While nothing sets off a job, the checkpoint follows at this pace.
const IDLE_CHECKPOINT: Duration = Duration::from_secs(1);
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Why folding stopped. Every one of them ends in beginning again from the checkpoint.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("another broker folds this partition: its checkpoint is {theirs}, ours was {ours}")]
    Fenced { ours: u64, theirs: u64 },
    #[error("committing jobs: {0}")]
    Commit(BatchError),
}

/// Folds one partition.
pub struct Engine {
    bus: Bus,
    store: Arc<Store>,
    core: Core,
    partition: u32,
}

/// Where the fold stands: the stored checkpoint with its place in DELIVERIES, and what is folded behind it.
struct Position {
    stored: Checkpoint,
    stored_at: u64,
    /// Last entry folded, jobs and all.
    folded: u64,
}

impl Engine {
    /// An engine for `partition`.
    pub fn new(bus: Bus, store: Arc<Store>, core: Core, partition: u32) -> Self {
        Self { bus, store, core, partition }
    }

    /// Folds until told to stop. Trouble with NATS or the store is said and waited out.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut pause = PAUSE_FIRST;
        while !shutdown.is_cancelled() {
            let began = Instant::now();
            match self.fold(&shutdown).await {
                Ok(()) => break,
                Err(stopped) => {
                    pause = if began.elapsed() > PAUSE_MAX * 2 { PAUSE_FIRST } else { (pause * 2).min(PAUSE_MAX) };
                    tracing::warn!(reason = %stopped, "folding stopped; going on from the checkpoint");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        if let Err(error) = self.store.flush() {
            tracing::warn!(%error, "flushing the store; it is rebuilt from the log");
        }
    }

    async fn fold(&self, shutdown: &CancellationToken) -> Result<(), Stopped> {
        let mut position = self.find_position().await?;
        let mut reader = self.bus.read_events(self.partition, self.store.position()).await?;
        let mut idle = tokio::time::interval(IDLE_CHECKPOINT);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {
                    self.checkpoint(&mut position).await?;
                    return Ok(());
                }
                _ = idle.tick() => self.checkpoint(&mut position).await?,
                run = reader.next_run() => self.fold_run(&mut position, &run?, &mut reader).await?,
            }
        }
    }

    /// Reads the checkpoint and brings the store into line with the stream.
    async fn find_position(&self) -> Result<Position, Stopped> {
        let stream = self.bus.events_identity().await?;
        if self.store.belong_to(&stream)? {
            tracing::warn!("EVENTS is another stream than the store was folded from; the store begins anew");
        }
        let (stored, stored_at) = match self.bus.checkpoint(self.partition).await? {
            Some((checkpoint, at)) if checkpoint.stream == stream => (checkpoint, at),
            Some((checkpoint, at)) => {
                tracing::warn!(
                    checkpoint = checkpoint.sequence,
                    "the checkpoint is of another EVENTS stream; folding from its beginning"
                );
                (Checkpoint { stream, sequence: 0, jobs: 0 }, at)
            }
            None => (Checkpoint { stream, sequence: 0, jobs: 0 }, 0),
        };
        let stored = self.stay_within_the_log(stored).await?;
        let in_store = self.store.position();
        if in_store < stored.sequence {
            tracing::info!(
                from = in_store,
                to = stored.sequence,
                "bringing the store up to the checkpoint from the log"
            );
        }
        // What the store holds has been folded with all its jobs, even where the checkpoint says less: entries without
        // jobs move it only now and then.
        let folded = stored.sequence.max(in_store);
        Ok(Position { stored, stored_at, folded })
    }

    /// A log that ends before what was folded has lost its end, as when it was restored from a backup or a power cut took
    /// what was not synced. What comes next takes the numbers of what is gone, and must not be taken for it.
    async fn stay_within_the_log(&self, stored: Checkpoint) -> Result<Checkpoint, Stopped> {
        let (_, last) = self.bus.events_state().await?;
        if self.store.position() > last {
            tracing::warn!(position = self.store.position(), last, "EVENTS has lost its end; the store begins anew");
            self.store.clear()?;
        }
        if stored.sequence <= last {
            return Ok(stored);
        }
        tracing::warn!(checkpoint = stored.sequence, last, "EVENTS has lost its end; the checkpoint goes back to it");
        Ok(Checkpoint { sequence: last, jobs: 0, ..stored })
    }

    async fn fold_run(
        &self,
        position: &mut Position,
        run: &[EventMessage],
        reader: &mut Reader,
    ) -> Result<(), Stopped> {
        let Some(last) = run.last() else { return Ok(()) };
        let (jobs, changes) = self.fold_entries(position, run)?;
        for chunk in plan::chunks(jobs, last.sequence) {
            self.commit(position, chunk.jobs, chunk.sequence, chunk.jobs_of_next).await?;
        }
        position.folded = position.folded.max(last.sequence);
        self.commit_store(&changes, last.sequence, last.received)?;
        reader.acknowledge().await;
        Ok(())
    }

    /// Folds in memory; gives the jobs that are not stored yet, by entry.
    fn fold_entries(&self, position: &Position, run: &[EventMessage]) -> Result<(Vec<plan::Placed>, Changes), Stopped> {
        let snapshot = self.store.snapshot()?;
        let mut overlay = Overlay::new(&snapshot);
        let mut jobs = Vec::new();
        let already = self.store.position();
        for message in run.iter().filter(|message| message.sequence > already) {
            let of_entry = self.core.apply(&mut overlay, &message.entry())?;
            if message.sequence <= position.folded {
                continue;
            }
            let stored = if message.sequence == position.stored.sequence + 1 { position.stored.jobs } else { 0 };
            jobs.extend(
                of_entry
                    .into_iter()
                    .enumerate()
                    .skip(stored)
                    .map(|(index, job)| (message.sequence, index, job_message(&job))),
            );
        }
        Ok((jobs, overlay.into_changes()))
    }

    fn commit_store(&self, changes: &Changes, sequence: u64, received: Time) -> Result<(), Stopped> {
        if sequence > self.store.position() {
            self.store.commit(changes, sequence, received)?;
        }
        Ok(())
    }

    /// Brings the checkpoint up to what was folded without setting off a job.
    async fn checkpoint(&self, position: &mut Position) -> Result<(), Stopped> {
        let folded = position.folded;
        if folded > position.stored.sequence { self.commit(position, Vec::new(), folded, 0).await } else { Ok(()) }
    }

    /// Stores `jobs` and the checkpoint that covers them in one atomic batch. An answer that does not come is looked
    /// for in the checkpoint itself.
    async fn commit(
        &self,
        position: &mut Position,
        jobs: Vec<Outgoing>,
        sequence: u64,
        jobs_of_next: usize,
    ) -> Result<(), Stopped> {
        let next = Checkpoint { stream: position.stored.stream.clone(), sequence, jobs: jobs_of_next };
        if next == position.stored {
            return Ok(());
        }
        let count = jobs.len();
        let mut messages = jobs;
        messages.push(next.message(self.partition, position.stored_at));
        let stored_at = match self.bus.publish_batch(&messages).await {
            Ok(ack) => ack.sequence,
            Err(error @ (BatchError::Unknown(_) | BatchError::WrongLastSequence { .. })) => {
                self.settle(position, &next, error).await?
            }
            Err(error) => return Err(Stopped::Commit(error)),
        };
        tracing::debug!(sequence, jobs = count, "committed");
        *position = Position { stored: next, stored_at, folded: position.folded };
        Ok(())
    }

    /// Whether the batch that ended in `next` is stored: the stream's own checkpoint says so. Only this broker writes
    /// that very checkpoint on top of the one it replaced.
    async fn settle(&self, position: &Position, next: &Checkpoint, error: BatchError) -> Result<u64, Stopped> {
        match self.bus.checkpoint(self.partition).await? {
            Some((found, at)) if found == *next && at > position.stored_at => Ok(at),
            Some((found, at)) if at != position.stored_at => {
                Err(Stopped::Fenced { ours: position.stored.sequence, theirs: found.sequence })
            }
            _ => Err(Stopped::Commit(error)),
        }
    }
}

//! Leading: entries to jobs, jobs and checkpoint in one batch, then the records.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{Engine, Stopped, plan, silence::Claim};
use crate::{
    bus::{BatchError, Checkpoint, EventMessage, Outgoing, Reader, job_message, left_over_key},
    core::{Budgets, Changes, Core, Job, Order, Overlay},
};

/// The checkpoint is written anew at this pace, so that the others hear that somebody leads.
const SIGN_EVERY: Duration = Duration::from_secs(1);

/// Where the fold stands: the stored checkpoint with its place in DELIVERIES, and what is folded behind it.
pub(super) struct Position {
    pub(super) stored: Checkpoint,
    pub(super) stored_at: u64,
    /// Last entry folded, jobs and all.
    pub(super) folded: u64,
    /// What is spent behind `folded`.
    pub(super) budgets: Budgets,
    written: Instant,
}

/// A run folded in memory.
pub(super) struct Folded {
    pub(super) jobs: Vec<plan::Placed>,
    pub(super) changes: Changes,
    /// What was spent, by the entry behind which it was; the last is true to the end of the run.
    pub(super) spent: Vec<(u64, Budgets)>,
}

impl Engine {
    /// Leads from the checkpoint that was found, until told to stop or until somebody else leads.
    pub(super) async fn lead(
        &self,
        found: (Checkpoint, u64),
        claim: &Claim,
        shutdown: &CancellationToken,
    ) -> Result<(), Stopped> {
        let mut position = self.take_over(found, claim).await?;
        let mut reader = self.bus.read_events(self.partition, self.store.position()).await?;
        self.shared.leading();
        tracing::info!(position = position.folded, "leading: this broker folds");
        let mut sign = tokio::time::interval(SIGN_EVERY);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return self.stand_down(&mut position).await,
                _ = sign.tick() => self.give_sign(&mut position).await?,
                run = reader.next_run() => self.fold_run(&mut position, run?, &mut reader).await?,
            }
        }
    }

    /// Replaces the checkpoint by one of our own. From then on the server refuses whoever led before.
    async fn take_over(&self, found: (Checkpoint, u64), claim: &Claim) -> Result<Position, Stopped> {
        let (found, stored_at) = found;
        let stream = self.bus.events_identity().await?;
        let of_this_log = found.stream == stream;
        if !of_this_log {
            tracing::warn!(
                checkpoint = found.sequence,
                "the checkpoint is of another EVENTS stream; folding from its beginning"
            );
        }
        // What was spent is spent, whatever became of the log.
        let next = if of_this_log { found.clone() } else { Checkpoint { sequence: 0, jobs: 0, ..found.clone() } };
        let next = self.stay_within_the_log(Checkpoint { stream, ..next }).await?;
        let mut stored =
            Checkpoint { broker: claim.id().to_owned(), config: Some(self.ruling()?.hash.clone()), ..next };
        if stored_at > 0 {
            stored.left_over.extend(self.bus.left_over(stored_at, None).await?);
        }
        // What the store holds has been folded with all its jobs, even where the checkpoint says less: entries without
        // jobs move it only now and then.
        let folded = stored.sequence.max(self.store.position());
        let budgets = stored.budgets.clone();
        let mut position = Position { stored: found, stored_at, folded, budgets, written: Instant::now() };
        self.write(&mut position, Vec::new(), stored).await?;
        self.look_again(&mut position, stored_at).await?;
        if !position.stored.left_over.is_empty() {
            let messages = position.stored.left_over.len();
            tracing::warn!(messages, "a refused batch left messages behind the checkpoint; they are not stored again");
        }
        Ok(position)
    }

    /// A batch that was under way while the checkpoint was read may have left something, too. From now on there is none
    /// but ours.
    async fn look_again(&self, position: &mut Position, behind: u64) -> Result<(), Stopped> {
        if behind == 0 {
            return Ok(());
        }
        let found = self.bus.left_over(behind, Some(position.stored_at)).await?;
        if found.is_subset(&position.stored.left_over) {
            return Ok(());
        }
        let mut next = position.stored.clone();
        next.left_over.extend(found);
        self.write(position, Vec::new(), next).await
    }

    /// A log that ends before what was folded has lost its end, as when it was restored from a backup or a power cut took
    /// what was not synced. What comes next takes the numbers of what is gone, and must not be taken for it.
    async fn stay_within_the_log(&self, stored: Checkpoint) -> Result<Checkpoint, Stopped> {
        let (_, last) = self.bus.events_state().await?;
        if stored.sequence <= last {
            return Ok(stored);
        }
        tracing::warn!(checkpoint = stored.sequence, last, "EVENTS has lost its end; the checkpoint goes back to it");
        Ok(Checkpoint { sequence: last, jobs: 0, ..stored })
    }

    /// An order is folded by itself: it may change how the next entry is folded.
    async fn fold_run(
        &self,
        position: &mut Position,
        run: Vec<EventMessage>,
        reader: &mut Reader,
    ) -> Result<(), Stopped> {
        let began = Instant::now();
        for part in run.chunk_by(|one, next| !is_order(one) && !is_order(next)) {
            match part {
                [order] if is_order(order) => self.fold_order(position, order).await?,
                plain => {
                    let folded = self.fold_entries(position, plain)?;
                    self.commit(position, folded, plain).await?;
                }
            }
        }
        reader.acknowledge().await;
        self.shared.update(|status| {
            status.folding += began.elapsed();
            status.position = position.folded;
            status.behind = run.last().map_or(0, |last| last.pending);
            status.entries += run.len() as u64;
        });
        Ok(())
    }

    /// Folds in memory; gives the jobs that are not stored yet, by entry.
    fn fold_entries(&self, position: &Position, run: &[EventMessage]) -> Result<Folded, Stopped> {
        let ruling = self.ruling()?;
        let snapshot = self.store.snapshot()?;
        let mut overlay = Overlay::new(&snapshot);
        let (mut jobs, mut spent) = (Vec::new(), vec![(position.folded, position.budgets.clone())]);
        let already = self.store.position();
        for message in run.iter().filter(|message| message.sequence > already) {
            let is_new = message.sequence > position.folded;
            if is_new {
                self.know_what_is_spent(&mut overlay, &spent)?;
            }
            let of_entry = self.fold_one(&ruling.core, &mut overlay, message)?;
            if !is_new {
                continue;
            }
            let budgets = overlay.budgets()?;
            if spent.last().is_none_or(|(_, before)| *before != budgets) {
                spent.push((message.sequence, budgets));
            }
            let skip = position.jobs_stored_of(message.sequence);
            let placed = of_entry.iter().enumerate().skip(skip);
            jobs.extend(placed.map(|(index, job)| (message.sequence, index, job_message(job))));
        }
        Ok(Folded { jobs, changes: overlay.into_changes(), spent })
    }

    /// The checkpoint knows better than the records what is spent: they may have been made anew.
    pub(super) fn know_what_is_spent(
        &self,
        overlay: &mut Overlay<'_>,
        spent: &[(u64, Budgets)],
    ) -> Result<(), Stopped> {
        if let Some((_, budgets)) = spent.last()
            && overlay.budgets()? != *budgets
        {
            overlay.set_budgets(budgets.clone());
        }
        Ok(())
    }

    /// Folds an entry; one that ends in a panic is told and kept, and the fold goes on behind it.
    pub(super) fn fold_one(
        &self,
        core: &Core,
        overlay: &mut Overlay<'_>,
        message: &EventMessage,
    ) -> Result<Vec<Job>, Stopped> {
        let entry = message.entry();
        let folded = catch_unwind(AssertUnwindSafe(|| core.apply(overlay, &entry)));
        let jobs = match folded {
            Ok(jobs) => jobs?,
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                tracing::error!(sequence = message.sequence, "folding an entry panicked; it goes to the dead letters");
                vec![Core::poisoned(&entry, &text)]
            }
        };
        if jobs.iter().any(|job| job.poison.is_some()) {
            self.shared.update(|status| status.poisoned += 1);
        }
        Ok(jobs)
    }

    /// Stores what a run set off, then its records.
    async fn commit(&self, position: &mut Position, folded: Folded, run: &[EventMessage]) -> Result<(), Stopped> {
        let Some(last) = run.last() else { return Ok(()) };
        self.commit_jobs(position, folded.jobs, &folded.spent, last.sequence).await?;
        if last.sequence > self.store.position() {
            self.store.commit(&folded.changes, last.sequence, last.received)?;
        }
        Ok(())
    }

    /// Stores jobs in as many batches as they need; each has a checkpoint that is true by itself.
    pub(super) async fn commit_jobs(
        &self,
        position: &mut Position,
        jobs: Vec<plan::Placed>,
        spent: &[(u64, Budgets)],
        last: u64,
    ) -> Result<(), Stopped> {
        for chunk in plan::chunks(jobs, last) {
            let budgets = spent.iter().rfind(|(behind, _)| *behind <= chunk.sequence).or(spent.first());
            let next = Checkpoint {
                sequence: chunk.sequence,
                jobs: chunk.jobs_of_next,
                budgets: budgets.map(|(_, budgets)| budgets.clone()).unwrap_or_default(),
                ..position.stored.clone()
            };
            self.write(position, chunk.jobs, next).await?;
        }
        position.folded = position.folded.max(last);
        if let Some((_, budgets)) = spent.last() {
            position.budgets.clone_from(budgets);
        }
        Ok(())
    }

    /// Brings the checkpoint up to what was folded without setting off a job, and tells that somebody leads.
    async fn give_sign(&self, position: &mut Position) -> Result<(), Stopped> {
        if position.written.elapsed() < SIGN_EVERY / 2 && position.folded == position.stored.sequence {
            return Ok(());
        }
        let next = position.up_to_date();
        self.write(position, Vec::new(), next).await
    }

    /// The last checkpoint tells the others that they need not wait for silence.
    async fn stand_down(&self, position: &mut Position) -> Result<(), Stopped> {
        let next = Checkpoint { broker: String::new(), ..position.up_to_date() };
        self.write(position, Vec::new(), next).await
    }

    /// Stores `jobs` and the checkpoint that covers them in one atomic batch. An answer that does not come is looked
    /// for in the checkpoint itself.
    pub(super) async fn write(
        &self,
        position: &mut Position,
        jobs: Vec<Outgoing>,
        mut next: Checkpoint,
    ) -> Result<(), Stopped> {
        let mut messages = jobs;
        if !next.left_over.is_empty() {
            messages.retain(|message| !left_over_key(message).is_some_and(|key| next.left_over.remove(&key)));
        }
        let count = messages.len();
        messages.push(next.message(self.partition, position.stored_at));
        let stored_at = match self.bus.publish_batch(&messages).await {
            Ok(ack) => ack.sequence,
            Err(error @ (BatchError::Unknown(_) | BatchError::WrongLastSequence { .. })) => {
                self.settle(position, &next, error).await?
            }
            Err(error) => return Err(Stopped::Commit(error)),
        };
        tracing::trace!(sequence = next.sequence, jobs = count, "committed");
        (position.stored, position.stored_at, position.written) = (next, stored_at, Instant::now());
        self.shared.update(|status| {
            status.commits += 1;
            status.jobs += count as u64;
        });
        Ok(())
    }

    /// Whether the batch that ended in `next` is stored: the stream's own checkpoint says so. Only this broker writes
    /// that very checkpoint on top of the one it replaced.
    async fn settle(&self, position: &Position, next: &Checkpoint, error: BatchError) -> Result<u64, Stopped> {
        match self.checkpoint_now().await? {
            Some((found, at)) if found == *next && at > position.stored_at => Ok(at),
            Some((found, at)) if at != position.stored_at => {
                Err(Stopped::Fenced { ours: position.stored.sequence, theirs: found.sequence })
            }
            _ => Err(Stopped::Commit(error)),
        }
    }
}

impl Position {
    /// Jobs of this entry that an earlier, broken off, commit has stored.
    pub(super) fn jobs_stored_of(&self, sequence: u64) -> usize {
        if sequence == self.stored.sequence + 1 { self.stored.jobs } else { 0 }
    }

    /// The checkpoint as it may be now. Jobs that are stored of an entry stay said until the entry is done.
    fn up_to_date(&self) -> Checkpoint {
        let stored = self.stored.clone();
        if self.folded > stored.sequence {
            Checkpoint { sequence: self.folded, jobs: 0, budgets: self.budgets.clone(), ..stored }
        } else {
            stored
        }
    }
}

fn is_order(message: &EventMessage) -> bool {
    Order::may_be_under(&message.subject)
}

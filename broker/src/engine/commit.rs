//! Storing what the fold comes to: jobs as a chain, or with a checkpoint in one atomic batch; then the records.

use std::time::{Duration, Instant};

use super::{
    Engine, Stopped, plan,
    position::{Position, Sent},
};
use crate::{
    bus::{BatchError, Checkpoint, Outgoing, Place, RUN_ENTRIES, left_over_key},
    core::Budgets,
};

/// The checkpoint is written anew at this pace, so that the others hear that somebody leads.
pub(super) const SIGN_EVERY: Duration = Duration::from_secs(1);

/// A run folded in memory.
pub(super) struct Folded {
    pub(super) jobs: Vec<plan::Placed>,
    /// What was spent, by the entry behind which it was; the last is true to the end of the run.
    pub(super) spent: Vec<(u64, Budgets)>,
}

impl Engine {
    /// Sends what a run set off on its way. What spent of a budget goes with the checkpoint that says so, in one atomic
    /// batch; so does everything where DELIVERIES has several copies, or messages that a refused batch left over.
    pub(super) async fn commit(&self, position: &mut Position, folded: Folded) -> Result<(), Stopped> {
        let last = position.working.sequence();
        let as_batch = !position.chain.runs_ahead() || !position.stored.left_over.is_empty();
        if as_batch || folded.spent.len() > 1 {
            self.commit_jobs(position, folded.jobs, &folded.spent, last).await?;
            // They were of one batch, which was of one run behind where this broker began.
            if last > position.begun.sequence + RUN_ENTRIES as u64 {
                position.stored.left_over.clear();
            }
            return Ok(());
        }
        if folded.jobs.is_empty() {
            match position.under_way.back_mut() {
                Some(sent) => sent.covers = last,
                None => position.folded = position.folded.max(last),
            }
            return Ok(());
        }
        let jobs = folded.jobs.len();
        let at = position.chain.send(plan::places(folded.jobs, last)).await.map_err(Stopped::Commit)?;
        position.under_way.push_back(Sent { at, covers: last, jobs, checkpoint: None });
        Ok(())
    }

    /// Takes note of what the server has stored.
    pub(super) fn note_stored(&self, position: &mut Position, at: u64) {
        while let Some(sent) = position.under_way.pop_front_if(|sent| sent.at <= at) {
            position.folded = position.folded.max(sent.covers);
            if let Some(checkpoint) = sent.checkpoint {
                (position.stored, position.stored_at, position.written) = (checkpoint, sent.at, Instant::now());
            }
            self.shared.update(|status| {
                status.position = position.folded;
                status.commits += 1;
                status.jobs += sent.jobs as u64;
            });
        }
    }

    /// Waits until all that was sent is stored.
    async fn all_stored(&self, position: &mut Position) -> Result<(), Stopped> {
        while position.chain.unanswered() > 0 {
            let at = position.chain.answer().await.map_err(Stopped::Commit)?;
            self.note_stored(position, at);
        }
        Ok(())
    }

    /// Stores the records, once the jobs of all that is in them are stored.
    pub(super) async fn save(&self, position: &mut Position) -> Result<(), Stopped> {
        self.all_stored(position).await?;
        position.working.save(Some(position.chain.end())).await
    }

    /// [`Engine::save`], which goes on beside the fold.
    pub(super) async fn begin_save(&self, position: &mut Position) -> Result<(), Stopped> {
        self.all_stored(position).await?;
        position.working.begin_save(Some(position.chain.end())).await
    }

    /// Stores jobs in as many batches as they need; each has a checkpoint that is true by itself.
    pub(super) async fn commit_jobs(
        &self,
        position: &mut Position,
        jobs: Vec<plan::Placed>,
        spent: &[(u64, Budgets)],
        last: u64,
    ) -> Result<(), Stopped> {
        self.all_stored(position).await?;
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

    /// Brings the checkpoint up to what was folded, and tells that somebody leads.
    pub(super) async fn give_sign(&self, position: &mut Position) -> Result<(), Stopped> {
        if position.chain.runs_ahead() && self.bus.copies().await? > 1 {
            return Err(Stopped::Copies);
        }
        let next = position.up_to_date();
        let waits = position.under_way.iter().any(|sent| sent.checkpoint.is_some());
        if waits || (position.written.elapsed() < SIGN_EVERY / 2 && next == position.stored) {
            return Ok(());
        }
        self.send_checkpoint(position, next).await
    }

    async fn send_checkpoint(&self, position: &mut Position, next: Checkpoint) -> Result<(), Stopped> {
        let place = Place { sequence: next.sequence, jobs: next.jobs };
        let message = next.message(self.partition, None);
        let at = position.chain.send(vec![(message, place)]).await.map_err(Stopped::Commit)?;
        let covers = next.sequence;
        position.under_way.push_back(Sent { at, covers, jobs: 0, checkpoint: Some(next) });
        Ok(())
    }

    /// The last checkpoint tells the others that they need not wait for silence.
    pub(super) async fn stand_down(&self, position: &mut Position) -> Result<(), Stopped> {
        self.save(position).await?;
        let next = Checkpoint { broker: String::new(), ..position.up_to_date() };
        self.send_checkpoint(position, next).await?;
        self.all_stored(position).await
    }

    /// Stores `jobs` and the checkpoint that covers them in one atomic batch. An answer that does not come is looked
    /// for in the checkpoint itself.
    async fn write(&self, position: &mut Position, jobs: Vec<Outgoing>, mut next: Checkpoint) -> Result<(), Stopped> {
        let mut messages = jobs;
        if !next.left_over.is_empty() {
            messages.retain(|message| !left_over_key(message).is_some_and(|key| next.left_over.remove(&key)));
        }
        let count = messages.len();
        messages.push(next.message(self.partition, Some(position.stored_at)));
        let stored_at = match self.bus.publish_batch(&messages).await {
            Ok(ack) => ack.sequence,
            Err(error @ (BatchError::Unknown(_) | BatchError::WrongLastSequence { .. })) => {
                self.settle(position, &next, error).await?
            }
            Err(error) => return Err(Stopped::Commit(error)),
        };
        tracing::trace!(sequence = next.sequence, jobs = count, "committed");
        position.chain.go_on_behind(stored_at);
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

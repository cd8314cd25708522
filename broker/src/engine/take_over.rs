//! Becoming the one that leads: what is stored behind the last checkpoint is found, and the checkpoint replaced.

use std::{collections::VecDeque, time::Instant};

use super::{Engine, RulingError, Stopped, position::Position, silence::Claim, working::Working};
use crate::{
    bus::{BatchError, Checkpoint, Place},
    core::Records,
};

impl Engine {
    /// Replaces the checkpoint by one of our own. From then on the server refuses whoever led before.
    pub(super) async fn take_over(
        &self,
        stream: &str,
        found: (Checkpoint, u64),
        claim: &Claim,
    ) -> Result<Position, Stopped> {
        let (found, stored_at) = found;
        let ours = found.sequence;
        self.still_is(stream).await?;
        self.follow_rules(&found, stream).await?;
        let behind = self.bus.behind((stored_at > 0).then_some(stored_at)).await?;
        let next = if found.stream == stream {
            let place = behind.place.unwrap_or(Place { sequence: found.sequence, jobs: found.jobs });
            Checkpoint { sequence: place.sequence, jobs: place.jobs, ..found }
        } else {
            let checkpoint = found.sequence;
            tracing::warn!(checkpoint, "the checkpoint is of another EVENTS stream; folding from its beginning");
            // What was spent is spent, whatever became of the log.
            Checkpoint { sequence: 0, jobs: 0, ..found }
        };
        let next = self.stay_within_the_log(Checkpoint { stream: stream.to_owned(), ..next }).await?;
        let mut chain = self.bus.chain(&behind).await?;
        let mut stored =
            Checkpoint { broker: claim.id().to_owned(), config: Some(self.ruling()?.hash.clone()), ..next };
        if !behind.left_over.is_empty() {
            let messages = behind.left_over.len();
            tracing::warn!(messages, "a refused batch left messages behind the checkpoint; they are not stored again");
            stored.left_over.extend(behind.left_over.iter().cloned());
        }
        let begun = Place { sequence: stored.sequence, jobs: stored.jobs };
        let lost_jobs = stored_at > 0 && self.has_lost_jobs(&behind.created, behind.last, begun)?;
        if lost_jobs {
            // The records know of what was spent for the jobs that are lost, too: they may have been done.
            stored.budgets = self.store.snapshot()?.budgets()?;
        }
        // Nobody can have written behind what was just read: this message would be refused. Nor can anybody have led between
        // the looks at the checkpoint and at the end: it replaces the checkpoint that was found, and none that knows more.
        let replaced = async {
            chain.send(vec![(stored.message(self.partition, Some(stored_at)), begun)]).await?;
            chain.answer().await
        };
        let stored_at = match replaced.await {
            Ok(stored_at) => stored_at,
            Err(error) => return Err(self.fenced_or(ours, claim, error).await),
        };
        if lost_jobs {
            self.store.clear()?;
            return Err(Stopped::LostJobs);
        }
        let working = Working::new(&self.store)?;
        // What the store holds has been folded with all its jobs, even where the checkpoint says less: entries without
        // jobs move it only now and then.
        let folded = stored.sequence.max(working.sequence());
        let begun = if folded > begun.sequence { Place { sequence: folded, jobs: 0 } } else { begun };
        let budgets = stored.budgets.clone();
        let (under_way, written) = (VecDeque::new(), Instant::now());
        Ok(Position { stored, stored_at, chain, under_way, working, folded, begun, budgets, written, idle: true })
    }

    /// Whether the records are of entries whose jobs DELIVERIES had once, and has no more: as when it was restored from a
    /// backup, or a power cut took what was not synced.
    fn has_lost_jobs(&self, created: &str, last: u64, begun: Place) -> Result<bool, Stopped> {
        let Some((stream, had)) = self.store.deliveries()? else { return Ok(false) };
        Ok(stream == created && had > last && self.store.position() > begun.sequence)
    }

    /// What is in force behind the checkpoint is what it says: whoever led may have refused rules that could be had when
    /// the same order was folded here, as by a broker of another version.
    async fn follow_rules(&self, found: &Checkpoint, stream: &str) -> Result<(), Stopped> {
        let own = self.ruling()?;
        let differs = found.config.as_ref().filter(|hash| **hash != own.hash && found.stream == stream);
        let Some(hash) = differs.filter(|_| self.store.position() <= found.sequence) else { return Ok(()) };
        // What put other rules in force behind the checkpoint may be gone, but noted.
        if self.bus.events_state().await?.0 > found.sequence + 1 {
            return Ok(());
        }
        match self.library.load(hash).await {
            Ok(ruling) => {
                tracing::warn!(rules = %hash, instead_of = %own.hash, "these rules are in force, as whoever led says");
                self.store.set_config(hash)?;
                self.rules.send_replace(Some(ruling));
            }
            Err(RulingError::Bad(reason)) => {
                tracing::warn!(%reason, rules = %own.hash, "the rules of whoever led cannot be run; going on with these");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// A log that ends before what was folded has lost its end, as when it was restored from a backup or a power cut took
    /// what was not synced. What comes next takes the numbers of what is gone, and must not be taken for it.
    async fn stay_within_the_log(&self, stored: Checkpoint) -> Result<Checkpoint, Stopped> {
        let (_, last) = self.bus.events_state().await?;
        let within = within(&stored, last);
        if within != stored {
            tracing::warn!(
                checkpoint = stored.sequence,
                last,
                "EVENTS has lost its end; the checkpoint goes back to it"
            );
        }
        Ok(within)
    }

    /// Why what was sent was not stored: because another broker has replaced our checkpoint, or for what the server says.
    async fn fenced_or(&self, ours: u64, claim: &Claim, error: BatchError) -> Stopped {
        match self.checkpoint_now().await {
            Ok(Some((found, _))) if found.broker != claim.id() => Stopped::Fenced { ours, theirs: found.sequence },
            _ => Stopped::Commit(error),
        }
    }

    /// Why leading ended: because another broker has replaced our checkpoint, and with it our reader, or for what was said.
    /// A run of our folder from before cannot have: it would have been refused.
    pub(super) async fn replaced_or(&self, ours: u64, claim: &Claim, stopped: Stopped) -> Stopped {
        if !matches!(stopped, Stopped::Commit(_) | Stopped::Fenced { .. } | Stopped::Read(_) | Stopped::Bus(_)) {
            return stopped;
        }
        match self.checkpoint_now().await {
            Ok(Some((found, _))) if claim.is_copy(&found.broker) => Stopped::Copied,
            Ok(Some((found, _))) if found.broker != claim.id() => Stopped::Fenced { ours, theirs: found.sequence },
            _ => stopped,
        }
    }
}

/// The checkpoint as it is true of a log that ends with `last`.
fn within(stored: &Checkpoint, last: u64) -> Checkpoint {
    let sequence = stored.sequence.min(last);
    // The entry that jobs are stored of must be there, too.
    let jobs = if stored.sequence < last { stored.jobs } else { 0 };
    Checkpoint { sequence, jobs, ..stored.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_goes_back_with_a_log_that_has_lost_its_end() {
        let within = |sequence, jobs, last| {
            let within = within(&Checkpoint { sequence, jobs, ..Checkpoint::default() }, last);
            (within.sequence, within.jobs)
        };
        assert_eq!((within(7, 0, 9), within(7, 3, 8), within(7, 0, 7)), ((7, 0), (7, 3), (7, 0)));
        assert_eq!(within(7, 3, 7), (7, 0), "entry 8, of which three jobs are stored, is gone");
        assert_eq!((within(7, 3, 5), within(7, 0, 0)), ((5, 0), (0, 0)));
    }
}

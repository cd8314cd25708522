//! Looking on: the records are brought up to the checkpoint and kept there, until nobody leads.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Engine, Stopped, silence::Claim, working::Working};
use crate::{
    bus::{Checkpoint, EventMessage, Reader},
    core::{Order, Records},
};

/// How often the checkpoint is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Entries up to the checkpoint are there; what does not come within this time is asked for anew.
const COMES_WITHIN: Duration = Duration::from_secs(5);

/// A reader of entries that must not be folded before the checkpoint has passed them.
struct Ahead {
    reader: Option<Reader>,
    waiting: VecDeque<EventMessage>,
    working: Working,
}

impl Engine {
    /// Waits until this broker is the one to lead; gives the checkpoint to go on from, or nothing when told to stop.
    pub(super) async fn stand_by(
        &self,
        stream: &str,
        claim: &mut Claim,
        shutdown: &CancellationToken,
    ) -> Result<Option<(Checkpoint, u64)>, Stopped> {
        let mut ahead = Ahead { reader: None, waiting: VecDeque::new(), working: Working::new(&self.store)? };
        let (began, mut leader) = (Instant::now(), None);
        loop {
            let found = self.checkpoint_now().await?;
            let leads = claim.may_lead(found.as_ref().map(|(checkpoint, at)| (checkpoint, *at)), began.elapsed());
            let Some((checkpoint, at)) = found else { return Ok(Some((self.where_records_end(stream)?, 0))) };
            let limit = if checkpoint.stream == stream { checkpoint.sequence } else { 0 };
            if checkpoint.stream != stream {
                self.still_is(stream).await?;
            }
            self.shared.update(|status| status.behind = limit.saturating_sub(self.store.position()));
            let caught_up = tokio::select! {
                caught_up = self.catch_up(&mut ahead, limit) => caught_up?,
                () = shutdown.cancelled() => return Ok(None),
            };
            self.know_package(&mut ahead, &checkpoint)?;
            // What takes long to catch up with is not what stands in the checkpoint by then.
            if leads && caught_up {
                return Ok(Some((checkpoint, at)));
            }
            if !leads {
                self.shared.stands_by();
                if leader.as_ref() != Some(&checkpoint.broker) {
                    tracing::info!(
                        leader = %checkpoint.broker,
                        position = checkpoint.sequence,
                        "standing by: another broker folds, and this one does once that falls silent"
                    );
                    leader = Some(checkpoint.broker);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = shutdown.cancelled() => return Ok(None),
            }
        }
    }

    /// What put the package that is deployed in force may be gone from the log that a store was begun anew from.
    fn know_package(&self, ahead: &mut Ahead, checkpoint: &Checkpoint) -> Result<(), Stopped> {
        if let (Some(package), None) = (&checkpoint.package, ahead.working.package()) {
            self.store.set_package(package)?;
            ahead.working = Working::new(&self.store)?;
        }
        Ok(())
    }

    /// Folds entries up to `limit` for their records alone. Says whether that took no longer than a look.
    async fn catch_up(&self, ahead: &mut Ahead, limit: u64) -> Result<bool, Stopped> {
        let (began, from) = (Instant::now(), ahead.working.sequence());
        let mut told = false;
        while ahead.working.sequence() < limit {
            if !self.next_run(ahead, limit).await? {
                break;
            }
            if ahead.working.are_too_many() {
                ahead.working.saved().await?;
            }
            if ahead.working.due(false).is_some_and(|due| due <= std::time::Instant::now()) {
                ahead.working.begin_save(None).await?;
            }
            if !told && began.elapsed() > Duration::from_secs(1) {
                told = true;
                tracing::info!(from, to = limit, "bringing the store up to the checkpoint from the log");
            }
        }
        ahead.working.save(None).await?;
        Ok(began.elapsed() < LOOK_EVERY * 2)
    }

    /// Folds the next entries; false where there are none up to `limit`.
    async fn next_run(&self, ahead: &mut Ahead, limit: u64) -> Result<bool, Stopped> {
        if ahead.waiting.is_empty() {
            // What stood up to there may be gone; what never comes is not waited for.
            if ahead.reader.is_none() {
                let next = self.bus.next_event(ahead.working.sequence()).await?;
                if next.is_none_or(|next| next > limit) {
                    return Ok(false);
                }
            }
            let reader = match &mut ahead.reader {
                Some(reader) => reader,
                None => ahead.reader.insert(self.bus.look_on(ahead.working.sequence()).await?),
            };
            match tokio::time::timeout(COMES_WITHIN, reader.next_run()).await {
                Ok(Ok(run)) => ahead.waiting.extend(run),
                Ok(Err(error)) => {
                    ahead.reader = None;
                    return Err(error.into());
                }
                // The entries up to the checkpoint may have been deleted.
                Err(_) => {
                    ahead.reader = None;
                    return Ok(false);
                }
            }
        }
        let mut run = Vec::new();
        while let Some(message) = ahead.waiting.pop_front_if(|message| message.sequence <= limit) {
            let switches = Order::may_be_under(&message.subject);
            run.push(message);
            if switches {
                break;
            }
        }
        let Some(last) = run.last() else { return Ok(false) };
        let (sequence, received) = (last.sequence, last.received);
        let already = ahead.working.sequence();
        if sequence > already {
            let ruling = self.ruling()?;
            let switch = self.switch_of(&ruling, last).await?;
            ahead.working.fold((sequence, received), |overlay| {
                for message in run.iter_mut().filter(|message| message.sequence > already) {
                    self.fold_one(&ruling.core, overlay, message)?;
                }
                if let Some(switch) = &switch {
                    overlay.put_config(&switch.hash);
                }
                Ok(())
            })?;
            if let Some(ruling) = switch {
                self.rules.send_replace(Some(ruling));
            }
        }
        self.shared.update(|status| status.position = sequence);
        Ok(true)
    }

    /// There is no checkpoint: nothing was folded yet, or somebody has purged DELIVERIES. What the records say is
    /// folded has been folded.
    fn where_records_end(&self, stream: &str) -> Result<Checkpoint, Stopped> {
        let sequence = self.store.position();
        if sequence > 0 {
            tracing::warn!(
                position = sequence,
                "the checkpoint is gone from DELIVERIES; going on where the records end"
            );
        }
        let records = self.store.snapshot()?;
        let (budgets, package) = (records.budgets()?, records.package()?);
        Ok(Checkpoint { stream: stream.to_owned(), sequence, budgets, package, ..Checkpoint::default() })
    }
}

//! Leading: entries are folded to jobs, and the jobs sent on their way while the next are folded.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use tokio_util::sync::CancellationToken;

use super::{
    Engine, Stopped,
    commit::{Folded, SIGN_EVERY},
    position::Position,
    silence::Claim,
};
use crate::{
    bus::{Checkpoint, EventMessage, job_message},
    core::{Budgets, Core, Job, Order, Overlay, Parsed},
};

/// Runs that may be under way to DELIVERIES while the next is folded.
const RUNS_UNDER_WAY: usize = 4;

impl Engine {
    /// Leads from the checkpoint that was found, until told to stop or until somebody else leads.
    pub(super) async fn lead(
        &self,
        stream: &str,
        found: (Checkpoint, u64),
        claim: &Claim,
        shutdown: &CancellationToken,
    ) -> Result<(), Stopped> {
        let mut position = self.take_over(stream, found, claim).await?;
        match self.lead_on(&mut position, shutdown).await {
            Err(stopped) => Err(self.replaced_or(position.stored.sequence, claim, stopped).await),
            Ok(()) => Ok(()),
        }
    }

    async fn lead_on(&self, position: &mut Position, shutdown: &CancellationToken) -> Result<(), Stopped> {
        let mut reader = self.bus.read_events(self.partition, position.working.sequence()).await?;
        self.shared.leading();
        tracing::info!(position = position.folded, "leading: this broker folds");
        let mut sign = tokio::time::interval(SIGN_EVERY);
        loop {
            let due = position.working.due(position.idle).map(tokio::time::Instant::from_std);
            let more = position.chain.unanswered() < RUNS_UNDER_WAY && !position.working.are_too_many();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return self.stand_down(position).await,
                _ = sign.tick() => self.give_sign(position).await?,
                at = position.chain.answer() => self.note_stored(position, at.map_err(Stopped::Commit)?),
                saved = position.working.saved() => saved?,
                () = until(due) => self.begin_save(position).await?,
                run = reader.next_run(), if more => self.fold_run(position, run?).await?,
            }
        }
    }

    /// An order is folded by itself: it may change how the next entry is folded.
    async fn fold_run(&self, position: &mut Position, mut run: Vec<EventMessage>) -> Result<(), Stopped> {
        let began = Instant::now();
        for part in run.chunk_by_mut(|one, next| !is_order(one) && !is_order(next)) {
            match part {
                [order] if is_order(order) => {
                    self.save(position).await?;
                    self.fold_order(position, order).await?;
                }
                plain => {
                    let folded = self.fold_entries(position, plain)?;
                    self.commit(position, folded).await?;
                }
            }
        }
        let behind = run.last().map_or(0, |last| last.pending);
        position.idle = behind == 0;
        self.shared.update(|status| {
            status.folding += began.elapsed();
            status.position = position.folded;
            status.behind = behind;
            status.entries += run.len() as u64;
        });
        Ok(())
    }

    /// Folds in memory; gives the jobs that are not stored yet, by entry.
    fn fold_entries(&self, position: &mut Position, run: &mut [EventMessage]) -> Result<Folded, Stopped> {
        let ruling = self.ruling()?;
        let mut folded =
            Folded { jobs: Vec::new(), spent: vec![(position.working.sequence(), position.budgets.clone())] };
        let (already, begun, budgets) = (position.working.sequence(), position.begun, &position.budgets);
        let Some(last) = run.last().filter(|last| last.sequence > already) else { return Ok(folded) };
        let mut first_new = already <= begun.sequence;
        let to = (last.sequence, last.received);
        position.working.fold(to, |overlay| {
            for message in run.iter_mut().filter(|message| message.sequence > already) {
                let is_new = message.sequence > begun.sequence;
                if is_new && std::mem::take(&mut first_new) {
                    know_what_is_spent(overlay, budgets)?;
                }
                let spent = overlay.times_spent();
                let of_entry = self.fold_one(&ruling.core, overlay, message)?;
                if !is_new {
                    continue;
                }
                if overlay.times_spent() > spent {
                    folded.spent.push((message.sequence, overlay.budgets()?));
                }
                let skip = begun.jobs_of(message.sequence);
                let placed = of_entry.iter().enumerate().skip(skip);
                folded.jobs.extend(placed.map(|(index, job)| (message.sequence, index, job_message(job))));
            }
            Ok(())
        })?;
        Ok(folded)
    }

    /// Folds an entry; one that ends in a panic is told and kept, and the fold goes on behind it.
    pub(super) fn fold_one(
        &self,
        core: &Core,
        overlay: &mut Overlay<'_>,
        message: &mut EventMessage,
    ) -> Result<Vec<Job>, Stopped> {
        let folded = catch_unwind(AssertUnwindSafe(|| {
            let parsed = message.parsed();
            let says_its_id = parsed.as_ref().is_ok_and(Parsed::has_id);
            let entry = if says_its_id { message.entry_without_id() } else { message.entry() };
            core.apply_parsed(overlay, &entry, parsed)
        }));
        let jobs = match folded {
            Ok(jobs) => jobs?,
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                tracing::error!(sequence = message.sequence, "folding an entry panicked; it goes to the dead letters");
                vec![Core::poisoned(&message.entry(), &text)]
            }
        };
        if jobs.iter().any(|job| job.poison.is_some()) {
            self.shared.update(|status| status.poisoned += 1);
        }
        Ok(jobs)
    }
}

/// The checkpoint knows better than the records what is spent: they may have been made anew.
pub(super) fn know_what_is_spent(overlay: &mut Overlay<'_>, spent: &Budgets) -> Result<(), Stopped> {
    if overlay.budgets()? != *spent {
        overlay.set_budgets(spent.clone());
    }
    Ok(())
}

async fn until(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn is_order(message: &EventMessage) -> bool {
    Order::may_be_under(&message.subject)
}

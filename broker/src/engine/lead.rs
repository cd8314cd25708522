//! Leading: entries to jobs, jobs and checkpoint in one batch, then the records.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{Engine, Stopped, plan, silence::Claim, working::Working};
use crate::{
    bus::{
        BatchError, Chain, Checkpoint, EventMessage, Outgoing, Place, RUN_ENTRIES, Reader, job_message, left_over_key,
    },
    core::{Budgets, Core, Job, Order, Overlay},
};

/// The checkpoint is written anew at this pace, so that the others hear that somebody leads.
const SIGN_EVERY: Duration = Duration::from_secs(1);

/// Runs that may be under way to DELIVERIES while the next is folded.
const RUNS_UNDER_WAY: usize = 4;
/// A run of so many entries is acknowledged at once; smaller ones when their records are stored.
const ACKNOWLEDGE_AT: usize = 256;

/// Where the fold stands.
pub(super) struct Position {
    /// The last checkpoint stored, and its place in DELIVERIES.
    pub(super) stored: Checkpoint,
    pub(super) stored_at: u64,
    chain: Chain,
    under_way: VecDeque<Sent>,
    pub(super) working: Working,
    /// Last entry whose jobs are all stored.
    pub(super) folded: u64,
    /// Where this broker began: what comes behind it is new.
    begun: Place,
    /// What is spent behind the last entry folded.
    pub(super) budgets: Budgets,
    written: Instant,
    /// Nothing is there to be folded.
    idle: bool,
}

/// Messages on their way into DELIVERIES.
struct Sent {
    /// The last of them is stored as this.
    at: u64,
    /// With them every entry up to this one is folded, jobs and all.
    covers: u64,
    jobs: usize,
    checkpoint: Option<Checkpoint>,
}

/// A run folded in memory.
struct Folded {
    jobs: Vec<plan::Placed>,
    /// What was spent, by the entry behind which it was; the last is true to the end of the run.
    spent: Vec<(u64, Budgets)>,
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
        let led = self.lead_on(&mut position, shutdown).await;
        match led {
            Err(Stopped::Commit(error)) => Err(self.fenced_or(position.stored.sequence, claim, error).await?),
            led => led,
        }
    }

    async fn lead_on(&self, position: &mut Position, shutdown: &CancellationToken) -> Result<(), Stopped> {
        let mut reader = self.bus.read_events(self.partition, position.working.sequence()).await?;
        self.shared.leading();
        tracing::info!(position = position.folded, "leading: this broker folds");
        let mut sign = tokio::time::interval(SIGN_EVERY);
        loop {
            let due = position.working.due(position.idle).map(tokio::time::Instant::from_std);
            let more = position.chain.unanswered() < RUNS_UNDER_WAY;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return self.stand_down(position).await,
                _ = sign.tick() => self.give_sign(position).await?,
                at = position.chain.answer() => self.note_stored(position, at.map_err(Stopped::Commit)?),
                () = until(due) => {
                    self.save(position).await?;
                    reader.acknowledge().await;
                }
                run = reader.next_run(), if more => self.fold_run(position, run?, &mut reader).await?,
            }
        }
    }

    /// Replaces the checkpoint by one of our own. From then on the server refuses whoever led before.
    async fn take_over(&self, found: (Checkpoint, u64), claim: &Claim) -> Result<Position, Stopped> {
        let (found, stored_at) = found;
        let ours = found.sequence;
        let stream = self.bus.events_identity().await?;
        let behind = self.bus.behind(stored_at).await?;
        let next = if found.stream == stream {
            let place = behind.place.filter(|_| stored_at > 0);
            let place = place.unwrap_or(Place { sequence: found.sequence, jobs: found.jobs });
            Checkpoint { sequence: place.sequence, jobs: place.jobs, ..found }
        } else {
            let checkpoint = found.sequence;
            tracing::warn!(checkpoint, "the checkpoint is of another EVENTS stream; folding from its beginning");
            // What was spent is spent, whatever became of the log.
            Checkpoint { sequence: 0, jobs: 0, ..found }
        };
        let next = self.stay_within_the_log(Checkpoint { stream, ..next }).await?;
        let mut stored =
            Checkpoint { broker: claim.id().to_owned(), config: Some(self.ruling()?.hash.clone()), ..next };
        if stored_at > 0 && !behind.left_over.is_empty() {
            let messages = behind.left_over.len();
            tracing::warn!(messages, "a refused batch left messages behind the checkpoint; they are not stored again");
            stored.left_over.extend(behind.left_over);
        }
        let begun = Place { sequence: stored.sequence, jobs: stored.jobs };
        let mut chain = self.bus.chain(behind.last).await?;
        // Nobody can have written behind what was just read: this message would be refused.
        let replaced = async {
            chain.send(vec![(stored.message(self.partition, None), begun)]).await?;
            chain.answer().await
        };
        let stored_at = match replaced.await {
            Ok(stored_at) => stored_at,
            Err(error) => return Err(self.fenced_or(ours, claim, error).await?),
        };
        let working = Working::new(&self.store)?;
        // What the store holds has been folded with all its jobs, even where the checkpoint says less: entries without
        // jobs move it only now and then.
        let folded = stored.sequence.max(working.sequence());
        let begun = if folded > begun.sequence { Place { sequence: folded, jobs: 0 } } else { begun };
        let budgets = stored.budgets.clone();
        let (under_way, written) = (VecDeque::new(), Instant::now());
        Ok(Position { stored, stored_at, chain, under_way, working, folded, begun, budgets, written, idle: true })
    }

    /// Why what was sent was not stored: because another broker has replaced our checkpoint, or for what the server says.
    async fn fenced_or(&self, ours: u64, claim: &Claim, error: BatchError) -> Result<Stopped, Stopped> {
        Ok(match self.checkpoint_now().await? {
            Some((found, _)) if found.broker != claim.id() => Stopped::Fenced { ours, theirs: found.sequence },
            _ => Stopped::Commit(error),
        })
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
        if run.len() >= ACKNOWLEDGE_AT {
            reader.acknowledge().await;
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
    fn fold_entries(&self, position: &mut Position, run: &[EventMessage]) -> Result<Folded, Stopped> {
        let ruling = self.ruling()?;
        let mut folded =
            Folded { jobs: Vec::new(), spent: vec![(position.working.sequence(), position.budgets.clone())] };
        let (already, begun, budgets) = (position.working.sequence(), position.begun, &position.budgets);
        let Some(last) = run.last().filter(|last| last.sequence > already) else { return Ok(folded) };
        let mut first_new = already <= begun.sequence;
        position.working.fold((last.sequence, last.received), |overlay| {
            for message in run.iter().filter(|message| message.sequence > already) {
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

    /// Sends what a run set off on its way. What spent of a budget goes with the checkpoint that says so, in one atomic
    /// batch; so does everything while there are messages that a refused batch left over.
    async fn commit(&self, position: &mut Position, folded: Folded) -> Result<(), Stopped> {
        let last = position.working.sequence();
        if folded.spent.len() > 1 || !position.stored.left_over.is_empty() {
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
    fn note_stored(&self, position: &mut Position, at: u64) {
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
    async fn save(&self, position: &mut Position) -> Result<(), Stopped> {
        self.all_stored(position).await?;
        position.working.save()
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
    async fn give_sign(&self, position: &mut Position) -> Result<(), Stopped> {
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
    async fn stand_down(&self, position: &mut Position) -> Result<(), Stopped> {
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

impl Position {
    /// Whether this broker is the first to fold the entry.
    pub(super) fn is_new(&self, sequence: u64) -> bool {
        sequence > self.begun.sequence
    }

    /// Jobs of this entry that an earlier, broken off, commit has stored.
    pub(super) fn jobs_stored_of(&self, sequence: u64) -> usize {
        self.begun.jobs_of(sequence)
    }

    /// The checkpoint as it is true behind all that was sent. Jobs that are stored of an entry stay said until the entry
    /// is done.
    fn up_to_date(&self) -> Checkpoint {
        let sequence = self.working.sequence();
        let place = if sequence > self.begun.sequence { Place { sequence, jobs: 0 } } else { self.begun };
        let stored = self.stored.clone();
        Checkpoint { sequence: place.sequence, jobs: place.jobs, budgets: self.budgets.clone(), ..stored }
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

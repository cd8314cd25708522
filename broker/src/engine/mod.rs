//! The core at work: reads EVENTS, folds, sends the jobs into DELIVERIES as a chain, then writes the store.
//!
//! Order of a run: fold in memory → chain into DELIVERIES → store. Every job in the chain says how far the core is once
//! it is stored, so a crash loses nothing and doubles nothing wherever the chain breaks off; the store is behind it, and
//! what lies between is folded again for its records, not for its jobs. The checkpoint, a message of the chain too, says
//! the same every second, and who leads. What spends of a budget, and what an order does, goes in one atomic batch with
//! the checkpoint that says so; where DELIVERIES has several copies everything does.
//!
//! Any number of brokers may run an engine for the same partition. One leads; the others keep their records up to the
//! checkpoint and wait until it falls silent. The checkpoint is all that they share: whoever replaces it leads, and the
//! server refuses whoever replaces another than the last one.

mod commit;
mod follow;
mod lead;
mod orders;
mod plan;
mod position;
mod rules;
mod silence;
mod status;
mod take_over;
mod timers;
mod working;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{BatchError, Bus, BusError, Checkpoint, InForce, ReadError},
    config::{Report, Set},
    core::StateError,
    random,
    store::{Store, StoreError},
};

pub use rules::{Library, Ruling, RulingError};
pub use status::{Role, Shared, Status};
pub use timers::Timers;

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
    #[error(
        "another broker runs on a copy of this one's data folder: give every broker one of its own, not copied from another"
    )]
    Copied,
    #[error("EVENTS is not the log any more that the store was folded from")]
    AnotherLog,
    #[error("DELIVERIES has lost its end; the store begins anew, and what is lost is folded again")]
    LostJobs,
    #[error("committing jobs: {0}")]
    Commit(BatchError),
    #[error("DELIVERIES has several copies now")]
    Copies,
    #[error("the rules in force cannot be had: {0}")]
    Rules(#[from] RulingError),
    #[error("{0} panicked, as a damaged store may make it; this is a mistake in emote")]
    Panicked(&'static str),
    #[error("no rules were ever applied: apply a folder with `emote apply DIR`")]
    NoRules,
    #[error("the rules in force must not run here: {0}")]
    TakesAnyone(Report),
}

/// What an engine is made of.
pub struct Parts {
    /// Where the log is.
    pub bus: Bus,
    /// Its records.
    pub store: Arc<Store>,
    /// Where rules come from.
    pub library: Library,
    /// What is in force if nothing was ever applied.
    pub first: Option<Set>,
    /// The partition of the log that it folds.
    pub partition: u32,
}

/// Folds one partition.
pub struct Engine {
    bus: Bus,
    store: Arc<Store>,
    library: Library,
    first: Option<Set>,
    partition: u32,
    shared: Shared,
    rules: watch::Sender<Option<Arc<Ruling>>>,
}

impl Engine {
    /// An engine, not running yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { bus, store, library, first, partition } = parts;
        Self { bus, store, library, first, partition, shared: Shared::default(), rules: watch::Sender::new(None) }
    }

    /// What it is doing, for whoever asks.
    pub fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// The rules in force where it is in the log.
    pub fn rules(&self) -> watch::Receiver<Option<Arc<Ruling>>> {
        self.rules.subscribe()
    }

    /// Folds until told to stop. Trouble with NATS or the store is said and waited out.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut pause = PAUSE_FIRST;
        let mut claim = silence::Claim::new(&self.name(), &random::name::<6>());
        while !shutdown.is_cancelled() {
            let began = tokio::time::Instant::now();
            let served = AssertUnwindSafe(self.serve(&mut claim, &shutdown)).catch_unwind().await;
            // What is looked at next must not change under it.
            self.store.settled().await;
            let Err(stopped) = served.unwrap_or_else(|_| Err(Stopped::Panicked("the fold"))) else { break };
            self.shared.stopped(&stopped.to_string());
            if matches!(stopped, Stopped::Commit(_)) {
                self.shared.commit_failed();
            }
            pause = if began.elapsed() > PAUSE_MAX * 2 { PAUSE_FIRST } else { (pause * 2).min(PAUSE_MAX) };
            // Somebody who does not lead wrote into DELIVERIES; where that happens now and then it holds nothing up.
            let disturbed = matches!(&stopped, Stopped::Commit(error) if error.is_overtaken());
            if disturbed && began.elapsed() > PAUSE_FIRST * 10 {
                tracing::warn!(reason = %stopped, "another program writes into DELIVERIES; going on behind it");
                continue;
            }
            match &stopped {
                Stopped::Fenced { .. } => {
                    tracing::warn!(reason = %stopped, "standing by");
                    claim.lost();
                }
                Stopped::Copied => {
                    // Under one name each would take the lead from the other, whenever one of them starts or stumbles.
                    tracing::error!(reason = %stopped, "standing by, under a new name");
                    claim = silence::Claim::new(&self.new_name(), &random::name::<6>());
                    claim.lost();
                }
                _ => tracing::warn!(reason = %stopped, "folding stopped; going on from the checkpoint"),
            }
            self.mend(&stopped);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => {}
            }
        }
        if let Err(error) = self.store.flush() {
            tracing::warn!(%error, "flushing the store; it is rebuilt from the log");
        }
    }

    /// One time from the checkpoint on: looking on until there is nobody who leads, then leading.
    async fn serve(&self, claim: &mut silence::Claim, shutdown: &CancellationToken) -> Result<(), Stopped> {
        let stream = self.identify().await?;
        self.find_rules(&stream).await?;
        let Some(found) = self.stand_by(&stream, claim, shutdown).await? else { return Ok(()) };
        self.lead(&stream, found, claim, shutdown).await
    }

    /// A store in trouble is opened again or made anew: it can be rebuilt, and waiting does not mend it.
    fn mend(&self, stopped: &Stopped) {
        let damaged = match stopped {
            Stopped::Panicked(_) | Stopped::Store(StoreError::Damaged(_)) => true,
            Stopped::Store(_) | Stopped::State(_) => false,
            _ => return,
        };
        match self.store.mend(damaged) {
            Ok(mended) => tracing::warn!(%mended, "the store was in trouble"),
            Err(error) => tracing::warn!(%error, "the store cannot be mended: look at the disk; trying again"),
        }
    }

    /// Makes sure that the store is of this log.
    async fn identify(&self) -> Result<String, Stopped> {
        let stream = self.bus.events_identity().await?;
        if self.store.belong_to(&stream)? {
            tracing::warn!("EVENTS is another stream than the store was folded from; the store begins anew");
        }
        let (_, last) = self.bus.events_state().await?;
        if self.store.position() > last {
            tracing::warn!(position = self.store.position(), last, "EVENTS has lost its end; the store begins anew");
            self.store.clear()?;
        }
        Ok(stream)
    }

    /// Whether EVENTS is still what [`Engine::identify`] found: it may have been made anew since.
    async fn still_is(&self, stream: &str) -> Result<(), Stopped> {
        let now = self.bus.events_identity().await?;
        let (_, last) = self.bus.events_state().await?;
        if now == stream && self.store.position() <= last { Ok(()) } else { Err(Stopped::AnotherLog) }
    }

    /// Loads the rules in force where the store stands.
    async fn find_rules(&self, stream: &str) -> Result<(), Stopped> {
        let hash = match self.store.config()? {
            Some(hash) => hash,
            None => {
                let noted = self.bus.sets_over_time().await?;
                // What put rules in force may be gone from EVENTS; what is gone is not folded.
                let (first, _) = self.bus.events_state().await?;
                let begins = self.store.position().max(first.saturating_sub(1));
                let hash = match rules::in_force_at(&noted, stream, begins) {
                    Some(noted) => noted.hash.clone(),
                    None => self.begin_with_own(stream).await?,
                };
                self.store.set_config(&hash)?;
                hash
            }
        };
        let ruling = self.library.load(&hash).await?;
        self.rules.send_replace(Some(ruling));
        Ok(())
    }

    /// Nothing was ever applied: the folder that this broker was started with is in force from the beginning.
    async fn begin_with_own(&self, stream: &str) -> Result<String, Stopped> {
        let first = self.first.as_ref().ok_or(Stopped::NoRules)?;
        let hash = first.hash();
        self.bus.store_set(&hash, &first.to_json()).await?;
        let since = emote_proto::Time::from(jiff::Timestamp::now());
        let own = InForce { hash, sequence: 0, stream: stream.to_owned(), event: None, since };
        let begun = self.bus.begin_with(&own).await?;
        tracing::info!(rules = %&begun.hash[..12.min(begun.hash.len())], "nothing was applied before: these rules are in force from the beginning");
        Ok(begun.hash)
    }

    /// The rules to fold with. Rules that believe whom NATS let in are for as long as it lets in only those it knows.
    fn ruling(&self) -> Result<Arc<Ruling>, Stopped> {
        let ruling = self.rules.borrow().clone().ok_or(Stopped::NoRules)?;
        self.may_run(&ruling).map_err(Stopped::TakesAnyone)?;
        Ok(ruling)
    }

    fn may_run(&self, ruling: &Ruling) -> Result<(), Report> {
        // What the server asks for is looked up only where it matters: this is done for every run.
        let takes_anyone = ruling.core.believed().rests_on_credentials() && self.bus.takes_anyone();
        ruling.folder.may_run_where(takes_anyone)
    }

    /// The name that this broker keeps as long as its data folder.
    fn name(&self) -> String {
        let fresh = random::name::<6>();
        self.store.broker_id(&fresh).unwrap_or(fresh)
    }

    /// Another one, from now on.
    fn new_name(&self) -> String {
        let fresh = random::name::<6>();
        if let Err(error) = self.store.rename_broker(&fresh) {
            tracing::warn!(%error, "the new name cannot be kept: it is another one after the next start");
        }
        fresh
    }

    async fn checkpoint_now(&self) -> Result<Option<(Checkpoint, u64)>, Stopped> {
        Ok(self.bus.checkpoint(self.partition).await?)
    }
}

//! The spool: events wait here, durably and in order, until the stream has them.
//!
//! # Format of `spool.redb`
//! A redb 4 database (its exclusive lock is what keeps a second agent away) with four tables:
//!
//! | table | key | value |
//! |---|---|---|
//! | `records` | u64: the lower 63 bits number all events from 1, never used twice, without gaps as written; the highest is set for heartbeats | [`Record::encode`] |
//! | `snapshots` | name of a source | what it saw last; see [`crate::sources`] |
//! | `state` | `next` | u64 little endian: the number of the next event |
//! | | `uplink` | a version byte and postcard of [`Saved`] |
//! | | `run` | a version byte and postcard of [`RunState`] |
//! | | `gap` | a version byte and postcard of `gap::Dropped`: the last `agent.gap` for the quota, and its key |
//! | `damaged` | u64, as it was in `records` | bytes that were no record, the newest 16 |
//!
//! Records are sent in the order of their keys: heartbeats when there is nothing else. A heartbeat of an agent before that
//! rule has its bare number as key, and goes in its place; nothing is rewritten, and what is in flight stays what it is.
//!
//! One transaction, one fsync: an event is written together with the snapshot that it is the difference to, and taken
//! off together with the uplink's new expectation; while nothing else waits, it is written as being in flight already
//! ([`offer`]). A file that redb cannot read is set aside as
//! `spool-<milliseconds>.corrupt` (the newest two are kept) and a new one begun; the loss is told by an `agent.gap`.
//! Nothing here knows what an event means, or sends one.

mod aside;
mod gap;
mod key;
mod offer;
mod quota;
mod record;
mod tables;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use emote_proto::Time;
use redb::{Database, ReadableDatabase, WriteTransaction};
use serde::{Deserialize, Serialize};

pub use gap::{Gap, GapReason};
pub use key::sequence;
pub use record::{Class, Damage, Record};

use crate::uplink::Saved;
use gap::Dropped;
use offer::{Offer, Terms};
use tables::{
    DAMAGED, Medium, RECORDS, SNAPSHOTS, append, first, is_empty, items, oldest, open_database, set_state, state,
    state_in,
};

const KEEP_DAMAGED: u64 = 16;
const SHRINK_ABOVE: u64 = 4 << 20;
const FILE: &str = "spool.redb";

/// Why the spool could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The lock is taken.
    #[error("another agent is already running on {0}")]
    AlreadyRunning(PathBuf),
    /// The folder cannot be used.
    #[error("{path}: {error}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// redb failed: a full or broken disk. The next call opens the file anew.
    #[error("the spool cannot be read or written: {0}")]
    Storage(String),
}

impl<E: Into<redb::Error>> From<E> for SpoolError {
    fn from(error: E) -> Self {
        Self::Storage(error.into().to_string())
    }
}

/// What is known of how the last run of the agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Previous {
    /// There was none.
    First,
    /// It was told to stop, and did.
    Clean(RunState),
    /// It was killed, or the power went.
    Crashed(RunState),
    /// Its spool was unreadable.
    Lost,
}

/// What a run leaves for the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// The version that ran.
    pub version: String,
    /// Whether it stopped as it should.
    pub clean: bool,
    /// Milliseconds since 1970 of the last commit that renewed it.
    pub alive: i64,
    /// When each source is known to have looked last, in the same unit; it may have looked again since.
    pub observed: BTreeMap<String, i64>,
}

/// What is written at once.
#[derive(Debug, Default)]
pub struct Commit {
    /// Events, in order.
    pub records: Vec<Record>,
    /// Name and bytes of each snapshot that changed.
    pub snapshots: Vec<(String, Vec<u8>)>,
    /// The new run state, if it changed.
    pub run: Option<RunState>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Events.
    pub count: u64,
    /// Their size as stored.
    pub bytes: u64,
    /// Milliseconds since 1970 of the oldest.
    pub oldest: Option<i64>,
}

/// What [`Spool::open`] found.
pub struct Opened {
    /// The spool.
    pub spool: Spool,
    /// How the last run ended.
    pub previous: Previous,
}

/// Makes the event that tells of a loss.
pub type TellGap = Box<dyn Fn(&Gap) -> Option<Record> + Send + Sync>;

/// The open spool. Calls block for as long as the disk takes.
pub struct Spool {
    path: PathBuf,
    medium: Medium,
    db: Mutex<Option<Database>>,
    quota: u64,
    tell_gap: TellGap,
    totals: Mutex<Totals>,
    offer: Mutex<Offer>,
}

impl Spool {
    /// Opens or begins the spool in `dir`, which must exist. `tell_gap` makes the event that tells of a loss.
    pub fn open(dir: &Path, quota: u64, now: Time, tell_gap: TellGap) -> Result<Opened, SpoolError> {
        let path = dir.join(FILE);
        Self::open_on(Box::new(move |builder| builder.create(&path)), dir, quota, now, tell_gap)
    }

    fn open_on(medium: Medium, dir: &Path, quota: u64, now: Time, tell_gap: TellGap) -> Result<Opened, SpoolError> {
        let path = dir.join(FILE);
        let mut lost = aside::unreported(dir);
        let db = match open_database(&medium, &path)? {
            Some(db) => db,
            None => {
                lost = aside::set_aside(&path, now).map(Some)?;
                begin_anew(&medium, &path)?
            }
        };
        let spool = Self {
            path,
            medium,
            db: Mutex::new(Some(db)),
            quota,
            tell_gap,
            totals: Mutex::default(),
            offer: Mutex::default(),
        };
        let run: Option<RunState> = spool.with(|db| state(db, "run"))?;
        let previous = match (run, &lost) {
            (Some(run), _) if run.clean => Previous::Clean(run),
            (Some(run), _) => Previous::Crashed(run),
            (None, Some(_)) => Previous::Lost,
            (None, None) => Previous::First,
        };
        if previous == Previous::Lost {
            spool.report(Gap::corrupt_file(now))?;
        }
        spool.recount()?;
        spool.shrink();
        Ok(Opened { spool, previous })
    }

    /// Writes events, snapshots and run state in one transaction; when it returns, they are on the disk.
    ///
    /// Where the uplink offered to take what comes next, that is in flight by then.
    pub fn commit(&self, commit: &Commit) -> Result<(), SpoolError> {
        let incoming: u64 = commit.records.iter().map(|record| record.json.len() as u64 + 128).sum();
        let over = self.totals().bytes + incoming > self.quota;
        let mut offer = lock(&self.offer);
        let begun = self.with(|db| {
            let txn = db.begin_write()?;
            if over {
                self.make_room(&txn, incoming)?;
            }
            let terms = match &*offer {
                Offer::Open(terms) if !over && !commit.records.is_empty() && is_empty(&txn)? => Some(terms),
                _ => None,
            };
            let first = append(&txn, &commit.records)?.saturating_sub(commit.records.len() as u64);
            let now = jiff::Timestamp::now().as_millisecond();
            let begun = terms.and_then(|terms| terms.begin(&commit.records, first, now));
            if let Some(saved) = &begun {
                set_state(&txn, "uplink", saved)?;
            }
            {
                let mut snapshots = txn.open_table(SNAPSHOTS)?;
                for (name, bytes) in &commit.snapshots {
                    snapshots.insert(name.as_str(), bytes.as_slice())?;
                }
            }
            if let Some(run) = &commit.run {
                set_state(&txn, "run", run)?;
            }
            txn.commit()?;
            Ok(begun)
        })?;
        if let Some(saved) = begun {
            *offer = Offer::Begun(saved);
        }
        drop(offer);
        if over {
            return self.recount();
        }
        self.count_in(&commit.records);
        Ok(())
    }

    /// Lets whoever writes next put that in flight, if it is at most `most` events and, but for one alone, `max_bytes`.
    /// `saved` is what is on the disk, without a flight.
    pub(crate) fn offer(&self, saved: &Saved, most: usize, max_bytes: usize) {
        *lock(&self.offer) = Offer::Open(Terms { saved: saved.clone(), most, max_bytes });
    }

    /// Takes the offer back; returns what is on the disk since somebody took it up.
    pub(crate) fn withdraw(&self) -> Option<Saved> {
        match std::mem::take(&mut *lock(&self.offer)) {
            Offer::Begun(saved) => Some(saved),
            Offer::Open(_) | Offer::None => None,
        }
    }

    /// What is to be sent next, behind what is `taken` but not yet off: at most `max_count` events and, but for the first,
    /// `max_bytes`; first and last key. All else goes before heartbeats, and never together with them.
    pub fn next_range(
        &self,
        taken: &[RangeInclusive<u64>],
        max_count: usize,
        max_bytes: usize,
    ) -> Result<Option<RangeInclusive<u64>>, SpoolError> {
        self.with(|db| {
            let records = db.begin_read()?.open_table(RECORDS)?;
            for lane in &key::LANES {
                let range = first(&records, key::rest(lane, taken), max_count, max_bytes)?;
                if range.is_some() {
                    return Ok(range);
                }
            }
            Ok(None)
        })
    }

    /// The events of `range`. Damaged records are set aside and told by an `agent.gap`.
    pub fn read(&self, range: &RangeInclusive<u64>) -> Result<Vec<(u64, Record)>, SpoolError> {
        let mut damaged = Vec::new();
        let records = self.with(|db| {
            let table = db.begin_read()?.open_table(RECORDS)?;
            let mut records = Vec::new();
            for item in table.range(range.clone())? {
                let (key, value) = item?;
                match Record::decode(value.value()) {
                    Ok(record) => records.push((key.value(), record)),
                    Err(damage) => damaged.push((key.value(), damage)),
                }
            }
            Ok(records)
        })?;
        if !damaged.is_empty() {
            self.set_records_aside(&damaged)?;
        }
        Ok(records)
    }

    /// Takes off what the stream has, and keeps what the uplink must know after a crash; one transaction.
    pub fn settle(&self, taken: &[RangeInclusive<u64>], saved: &Saved) -> Result<(), SpoolError> {
        self.take_off(taken, saved, None)
    }

    /// The same of what the stream will never take, which is told of.
    pub fn give_up(&self, taken: &[RangeInclusive<u64>], saved: &Saved, gap: &Gap) -> Result<(), SpoolError> {
        self.take_off(taken, saved, (self.tell_gap)(gap))
    }

    fn take_off(&self, taken: &[RangeInclusive<u64>], saved: &Saved, told: Option<Record>) -> Result<(), SpoolError> {
        let (mut count, mut bytes) = (0, 0);
        let oldest = self.with(|db| {
            let txn = db.begin_write()?;
            let mut records = txn.open_table(RECORDS)?;
            for range in taken {
                records.retain_in(range.clone(), |_, value| {
                    (count, bytes) = (count + 1, bytes + value.len() as u64);
                    false
                })?;
            }
            let oldest = oldest(&records)?;
            drop(records);
            append(&txn, told.as_slice())?;
            set_state(&txn, "uplink", saved)?;
            txn.commit()?;
            Ok(oldest)
        })?;
        let mut totals = lock(&self.totals);
        *totals =
            Totals { count: totals.count.saturating_sub(count), bytes: totals.bytes.saturating_sub(bytes), oldest };
        drop(totals);
        self.count_in(told.as_slice());
        Ok(())
    }

    /// Writes the event that tells of `gap`.
    fn report(&self, gap: Gap) -> Result<(), SpoolError> {
        let records: Vec<Record> = (self.tell_gap)(&gap).into_iter().collect();
        self.commit(&Commit { records, ..Commit::default() })
    }

    /// What the uplink kept.
    pub fn saved(&self) -> Result<Saved, SpoolError> {
        Ok(self.with(|db| state(db, "uplink"))?.unwrap_or_default())
    }

    /// The last snapshot of the source `name`.
    pub fn snapshot(&self, name: &str) -> Result<Option<Vec<u8>>, SpoolError> {
        self.with(|db| {
            let snapshots = db.begin_read()?.open_table(SNAPSHOTS)?;
            Ok(snapshots.get(name)?.map(|value| value.value().to_vec()))
        })
    }

    /// How much waits.
    pub fn totals(&self) -> Totals {
        *lock(&self.totals)
    }

    /// Runs `work` on the open database. After a failed disk redb refuses everything: the file is opened anew.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, SpoolError>) -> Result<T, SpoolError> {
        let mut slot = lock(&self.db);
        let db = match slot.take() {
            Some(db) => slot.insert(db),
            None => slot.insert(self.open_again()?),
        };
        let result = work(db);
        if matches!(result, Err(SpoolError::Storage(_))) {
            *slot = None;
        }
        result
    }

    /// What failed may be on the disk all the same, so what waits is counted anew.
    fn open_again(&self) -> Result<Database, SpoolError> {
        let db = match open_database(&self.medium, &self.path)? {
            Some(db) => db,
            None => {
                let now = jiff::Timestamp::now().into();
                aside::set_aside(&self.path, now)?;
                let db = begin_anew(&self.medium, &self.path)?;
                let txn = db.begin_write()?;
                append(&txn, (self.tell_gap)(&Gap::corrupt_file(now)).as_slice())?;
                txn.commit()?;
                db
            }
        };
        *lock(&self.totals) = count(&db)?;
        Ok(db)
    }

    /// redb gives no space back by itself: after a long time offline the file would stay large. It needs some room for
    /// it; where there is none the file stays as it is.
    fn shrink(&self) {
        let size = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        let mut slot = lock(&self.db);
        if size > SHRINK_ABOVE
            && self.totals().bytes < size / 4
            && let Some(Err(error)) = slot.as_mut().map(Database::compact)
        {
            tracing::warn!(%error, "the spool's file was not made smaller");
            *slot = None;
        }
    }

    /// The event that tells of what was dropped before stays, and tells of this too, unless it may be on its way.
    fn make_room(&self, txn: &WriteTransaction, incoming: u64) -> Result<(), SpoolError> {
        let flight = state_in::<Saved>(txn, "uplink")?.and_then(|saved| saved.in_flight());
        let waits = |told: &Dropped| flight.as_ref().is_none_or(|flight| !flight.contains(&told.key));
        let told = state_in::<Dropped>(txn, "gap")?.filter(waits);
        let mut records = txn.open_table(RECORDS)?;
        let mut items = items(&records)?;
        let place = items.iter().position(|item| told.is_some_and(|told| told.key == item.key));
        let telling = place.map_or(0, |place| items.remove(place).bytes);
        let victims = quota::victims(self.quota, incoming + telling, &items, flight.as_ref());
        for victim in &victims {
            records.remove(victim.key)?;
        }
        let Some(mut dropped) = Dropped::of(&victims) else { return Ok(()) };
        if let Some(told) = told.filter(|_| place.is_some()) {
            dropped = dropped.and(&told);
        }
        let Some(record) = (self.tell_gap)(&dropped.gap()) else { return Ok(()) };
        if place.is_some() {
            records.insert(dropped.key, record.encode().as_slice())?;
            drop(records);
        } else {
            drop(records);
            dropped.key = append(txn, &[record])? - 1;
        }
        set_state(txn, "gap", &dropped)
    }

    fn set_records_aside(&self, found: &[(u64, Damage)]) -> Result<(), SpoolError> {
        let gap = Gap::damaged(found);
        self.with(|db| {
            let txn = db.begin_write()?;
            {
                let (mut records, mut damaged) = (txn.open_table(RECORDS)?, txn.open_table(DAMAGED)?);
                for (key, _) in found {
                    if let Some(bytes) = records.remove(key)? {
                        damaged.insert(key, bytes.value())?;
                    }
                }
                while redb::ReadableTableMetadata::len(&damaged)? > KEEP_DAMAGED {
                    damaged.pop_first()?;
                }
            }
            append(&txn, (self.tell_gap)(&gap).as_slice())?;
            Ok(txn.commit()?)
        })?;
        self.recount()
    }

    fn count_in(&self, records: &[Record]) {
        let mut totals = lock(&self.totals);
        for record in records {
            totals.count += 1;
            totals.bytes += record.encode().len() as u64;
            totals.oldest = totals.oldest.or(Some(record.time.as_millis()));
        }
    }

    fn recount(&self) -> Result<(), SpoolError> {
        let totals = self.with(count)?;
        *lock(&self.totals) = totals;
        Ok(())
    }
}

fn begin_anew(medium: &Medium, path: &Path) -> Result<Database, SpoolError> {
    open_database(medium, path)?.ok_or_else(|| SpoolError::Storage("a new file is unreadable".into()))
}

fn count(db: &Database) -> Result<Totals, SpoolError> {
    let records = db.begin_read()?.open_table(RECORDS)?;
    let mut totals = Totals { oldest: oldest(&records)?, ..Totals::default() };
    for item in items(&records)? {
        totals.count += 1;
        totals.bytes += item.bytes;
    }
    Ok(totals)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

//! Which events were seen. Their ids are random, so that each would cost a page of a tree of them: they are appended as
//! they come, kept in memory beside, and stored anew many at once, sorted. Such a run is never changed, and goes as a whole
//! once all of it is out of the window.

use std::sync::{Arc, PoisonError, RwLock};

use emote_proto::{EventId, Time};
use foldhash::HashMap;
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::{StoreError, sieve::Sieve};
use crate::core::DEDUPE_WINDOW_MILLIS;

/// (run, first id) → ids in their order, [`ROW`] bytes each.
pub(super) const RUNS: TableDefinition<'_, (u64, &Id), &[u8]> = TableDefinition::new("runs");
/// Run → when the last of it was received, in ms since 1970.
pub(super) const NEWEST: TableDefinition<'_, u64, i64> = TableDefinition::new("newest");
/// (sequence that the commit led to, part) → ids and times as they came, [`ROW`] bytes each.
pub(super) const ARRIVALS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("arrivals");

/// An id, and when it was received: ms since 1970, big endian.
const ROW: usize = 16 + 8;
/// Ids in a part of what arrived at most, and expired ones that a commit removes beyond as many as it adds.
pub(super) const IDS_AT_ONCE: usize = 2_000;
/// Ids in a part of a run: they fill a page of the file.
const IDS_OF_A_PART: usize = 160;
/// So many ids become a run. Until then they take up to 10 MB of memory.
pub(super) const RUN_AT: usize = if cfg!(test) { 8_192 } else { 131_072 };

pub(super) type Id = [u8; 16];

/// Ids that are in no run yet, with when they were received and the commit they came with. What was once given a
/// snapshot keeps all it had: those that become a run make way by a new one.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    waiting: Arc<RwLock<HashMap<Id, (i64, u64)>>>,
    /// What runs may hold.
    runs: Arc<Sieve>,
}

/// What becomes of [`Pending`] once the transaction is committed.
pub(super) enum Then {
    /// All of it is in a run.
    Run,
    /// It goes on with these more and those less.
    Goes { arrived: Vec<(Id, i64)>, expired: Vec<(Id, i64)> },
}

impl Pending {
    /// When the event was received, if that is known here and was by the commit `position`.
    pub(super) fn get(&self, id: &EventId, position: u64) -> Option<i64> {
        let pending = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        pending.get(id.as_bytes()).filter(|(_, at)| *at <= position).map(|(received, _)| *received)
    }

    /// Whether a run may hold the event.
    pub(super) fn may_be_in_a_run(&self, id: &EventId) -> bool {
        self.runs.may_hold(id.as_bytes())
    }

    /// What was appended and in no run when the file was closed.
    pub(super) fn load(write: &WriteTransaction) -> Result<Self, StoreError> {
        let mut pending = HashMap::default();
        for part in write.open_table(ARRIVALS)?.iter()? {
            let (key, ids) = part?;
            pending.extend(rows(ids.value()).map(|(id, received)| (id, (received, key.value().0))));
        }
        let runs = Sieve::of(&write.open_table(RUNS)?)?;
        Ok(Self { waiting: Arc::new(RwLock::new(pending)), runs: Arc::new(runs) })
    }

    /// Writes ids that came with the commit to `position`, and removes some of those that are out of the window at `now`.
    pub(super) fn write(
        &self,
        write: &WriteTransaction,
        seen: &HashMap<EventId, Time>,
        (position, now): (u64, Time),
    ) -> Result<Then, StoreError> {
        let before = now.as_millis() - DEDUPE_WINDOW_MILLIS;
        forget_a_run(write, before)?;
        let arrived: Vec<(Id, i64)> =
            seen.iter().map(|(id, received)| (*id.as_bytes(), received.as_millis())).collect();
        let mut arrivals = write.open_table(ARRIVALS)?;
        if self.are_a_run_with(arrived.len()) {
            self.write_run(write, &arrived)?;
            arrivals.retain(|_, _| false)?;
            return Ok(Then::Run);
        }
        append(&mut arrivals, position, &arrived)?;
        let expired = forget_arrivals(&mut arrivals, arrived.len() + IDS_AT_ONCE, before)?;
        Ok(Then::Goes { arrived, expired })
    }

    fn are_a_run_with(&self, more: usize) -> bool {
        self.waiting.read().unwrap_or_else(PoisonError::into_inner).len() + more >= RUN_AT
    }

    /// Makes a run of all that waits and what arrived.
    fn write_run(&self, write: &WriteTransaction, arrived: &[(Id, i64)]) -> Result<(), StoreError> {
        let pending = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        let waiting = pending.iter().map(|(id, (received, _))| (*id, *received));
        let mut all: Vec<(Id, i64)> = waiting.chain(arrived.iter().copied()).collect();
        drop(pending);
        // Of what came again the last time stays: backwards it comes first.
        all.sort_unstable_by(|one, next| next.cmp(one));
        all.dedup_by_key(|(id, _)| *id);
        all.reverse();
        let Some(last_received) = all.iter().map(|(_, received)| *received).max() else { return Ok(()) };
        // Whoever looks from now on must not miss them.
        self.runs.add(all.iter().map(|(id, _)| id));
        let mut newest = write.open_table(NEWEST)?;
        let run = newest.last()?.map_or(0, |last| last.0.value() + 1);
        newest.insert(run, last_received)?;
        let mut runs = write.open_table(RUNS)?;
        for part in all.chunks(IDS_OF_A_PART) {
            runs.insert((run, &part[0].0), to_rows(part).as_slice())?;
        }
        self.runs.renew(&runs)
    }

    /// Keeps in step with what was committed up to `position`.
    pub(super) fn follow(&mut self, then: Then, position: u64) {
        let Then::Goes { arrived, expired } = then else {
            self.waiting = Arc::default();
            return;
        };
        let mut pending = self.waiting.write().unwrap_or_else(PoisonError::into_inner);
        for (id, received) in expired {
            if pending.get(&id).is_some_and(|(now, _)| *now == received) {
                pending.remove(&id);
            }
        }
        pending.extend(arrived.into_iter().map(|(id, received)| (id, (received, position))));
    }
}

/// When a run has an event as received.
pub(super) fn find(
    runs: &impl ReadableTable<(u64, &'static Id), &'static [u8]>,
    run: u64,
    id: &EventId,
) -> Result<Option<i64>, StoreError> {
    let id = id.as_bytes();
    let Some(part) = runs.range((run, &[0; 16])..=(run, id))?.next_back() else { return Ok(None) };
    let ids = part?.1;
    let ids = ids.value().as_chunks::<ROW>().0;
    let found = ids.binary_search_by(|row| row[..16].cmp(id)).ok();
    Ok(found.map(|at| of_row(&ids[at]).1))
}

/// The ids of a part.
pub(super) fn ids_of(part: &[u8]) -> impl Iterator<Item = Id> + '_ {
    rows(part).map(|(id, _)| id)
}

/// Removes the first run, if all of it was received `before`.
fn forget_a_run(write: &WriteTransaction, before: i64) -> Result<(), StoreError> {
    let mut newest = write.open_table(NEWEST)?;
    let first = newest.first()?.map(|(run, at)| (run.value(), at.value()));
    let Some((run, _)) = first.filter(|(_, at)| *at < before) else { return Ok(()) };
    newest.remove(run)?;
    let of_run = (run, &[0; 16])..(run + 1, &[0; 16]);
    write.open_table(RUNS)?.retain_in(of_run, |_, _| false)?;
    Ok(())
}

fn append(arrivals: &mut Arrivals<'_>, position: u64, arrived: &[(Id, i64)]) -> Result<(), StoreError> {
    let first = match arrivals.range((position, 0)..=(position, u32::MAX))?.next_back() {
        Some(last) => last?.0.value().1 + 1,
        None => 0,
    };
    for (part, ids) in (first..).zip(arrived.chunks(IDS_AT_ONCE)) {
        arrivals.insert((position, part), to_rows(ids).as_slice())?;
    }
    Ok(())
}

/// Removes up to `most` and a part of what was received `before`; gives what that was.
fn forget_arrivals(arrivals: &mut Arrivals<'_>, most: usize, before: i64) -> Result<Vec<(Id, i64)>, StoreError> {
    let mut expired = Vec::new();
    while expired.len() < most {
        // In the order they came: behind one that is not out of the window there is none.
        let Some((key, ids)) = arrivals.first()?.map(|(key, ids)| (key.value(), rows(ids.value()).collect::<Vec<_>>()))
        else {
            break;
        };
        if ids.iter().any(|(_, received)| *received >= before) {
            break;
        }
        arrivals.remove(key)?;
        expired.extend(ids);
    }
    Ok(expired)
}

type Arrivals<'t> = redb::Table<'t, (u64, u32), &'static [u8]>;

fn to_rows(ids: &[(Id, i64)]) -> Vec<u8> {
    let mut rows = Vec::with_capacity(ids.len() * ROW);
    for (id, received) in ids {
        rows.extend_from_slice(id);
        rows.extend_from_slice(&received.to_be_bytes());
    }
    rows
}

fn rows(ids: &[u8]) -> impl Iterator<Item = (Id, i64)> + '_ {
    ids.as_chunks::<ROW>().0.iter().map(of_row)
}

fn of_row(row: &[u8; ROW]) -> (Id, i64) {
    let (mut id, mut received) = ([0; 16], [0; 8]);
    id.copy_from_slice(&row[..16]);
    received.copy_from_slice(&row[16..]);
    (id, i64::from_be_bytes(received))
}

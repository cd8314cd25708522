//! Which event ids the runs of those that were seen may hold. Most events are new ones, and to look through every run for
//! what is not there costs more than all else that is asked of them: a Bloom filter says so of 999 in 1,000.

use std::sync::{
    PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicUsize, Ordering},
};

use fastbloom::AtomicBloomFilter;
use foldhash::fast::RandomState;
use redb::ReadableTable;

use super::{
    StoreError,
    seen::{Id, ids_of},
};

/// There is room for so many ids at least: some 1.9 MB.
const LEAST: usize = 1 << 20;
/// So many of what no run holds are looked for there all the same, as long as there is room.
const LET_THROUGH: f64 = 0.001;

/// The table of runs.
pub(super) trait Runs: ReadableTable<(u64, &'static Id), &'static [u8]> {}

impl<T: ReadableTable<(u64, &'static Id), &'static [u8]>> Runs for T {}

/// A superset of what the runs hold. Ids are added before they come into a run, and never taken out: where there is no more
/// room it is made anew from what the runs hold by then.
#[derive(Debug)]
pub(super) struct Sieve(RwLock<Filter>);

#[derive(Debug)]
struct Filter {
    bits: AtomicBloomFilter<RandomState>,
    room: usize,
    held: AtomicUsize,
}

impl Filter {
    fn new(room: usize) -> Self {
        let bits = AtomicBloomFilter::with_false_pos(LET_THROUGH).hasher(RandomState::default()).expected_items(room);
        Self { bits, room, held: AtomicUsize::new(0) }
    }

    fn of(runs: &impl Runs) -> Result<Self, StoreError> {
        let mut count = 0;
        for part in runs.iter()? {
            count += ids_of(part?.1.value()).count();
        }
        let filter = Self::new(count.saturating_mul(2).max(LEAST));
        for part in runs.iter()? {
            ids_of(part?.1.value()).for_each(|id| _ = filter.bits.insert(&id));
        }
        filter.held.store(count, Ordering::Relaxed);
        Ok(filter)
    }
}

impl Sieve {
    /// What the runs hold.
    pub(super) fn of(runs: &impl Runs) -> Result<Self, StoreError> {
        Ok(Self(RwLock::new(Filter::of(runs)?)))
    }

    fn filter(&self) -> RwLockReadGuard<'_, Filter> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a run may hold an id.
    pub(super) fn may_hold(&self, id: &Id) -> bool {
        self.filter().bits.contains(id)
    }

    /// Adds ids that are about to come into a run.
    pub(super) fn add<'i>(&self, ids: impl ExactSizeIterator<Item = &'i Id>) {
        let filter = self.filter();
        filter.held.fetch_add(ids.len(), Ordering::Relaxed);
        ids.for_each(|id| _ = filter.bits.insert(id));
    }

    /// Makes room, if there is none, by what the runs are about to hold.
    pub(super) fn renew(&self, runs: &impl Runs) -> Result<(), StoreError> {
        let filter = self.filter();
        if filter.held.load(Ordering::Relaxed) <= filter.room {
            return Ok(());
        }
        drop(filter);
        let filter = Filter::of(runs)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = filter;
        Ok(())
    }
}

impl Default for Sieve {
    fn default() -> Self {
        Self(RwLock::new(Filter::new(LEAST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::seen::RUNS;
    use redb::{Database, backends::InMemoryBackend};

    fn id(n: usize) -> Id {
        (n as u128).to_be_bytes()
    }

    #[test]
    fn what_runs_hold_passes_and_of_all_else_hardly_anything() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let write = database.begin_write().unwrap();
        let mut runs = write.open_table(RUNS).unwrap();
        for n in (0..1_000).step_by(2) {
            let part: Vec<u8> = [id(n), id(n + 1)].iter().flat_map(|id| [&id[..], &[0; 8]].concat()).collect();
            runs.insert((7, &id(n)), part.as_slice()).unwrap();
        }
        let sieve = Sieve::of(&runs).unwrap();
        sieve.add((1_000..2_000).map(id).collect::<Vec<_>>().iter());
        let passed = |range: std::ops::Range<usize>| range.filter(|n| sieve.may_hold(&id(*n))).count();
        assert_eq!(passed(0..2_000), 2_000);
        assert!(passed(5_000..105_000) < 200);

        sieve.renew(&runs).unwrap();
        assert_eq!(passed(0..2_000), 2_000, "there is room");
        sieve.add((2_000..LEAST + 2_000).map(id).collect::<Vec<_>>().iter());
        sieve.renew(&runs).unwrap();
        assert_eq!(passed(0..1_000), 1_000);
        assert!(passed(1_000..101_000) < 200, "what came into no run is forgotten");
    }
}

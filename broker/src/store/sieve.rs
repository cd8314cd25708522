//! Which event ids the tree of those that were seen may hold. Most events are new ones, and to look through the tree for
//! what is not there costs more than all else that is asked of them: a Bloom filter says so of 99 in 100.

use std::sync::{
    PoisonError, RwLock, RwLockReadGuard,
    atomic::{AtomicUsize, Ordering},
};

use fastbloom::AtomicBloomFilter;
use foldhash::fast::RandomState;
use redb::ReadableTable;

use super::StoreError;

type Id = [u8; 16];

/// There is room for so many ids at least: some 1.2 MB.
const LEAST: usize = 1 << 20;
/// So many of what the tree does not hold are looked for there all the same, as long as there is room.
const LET_THROUGH: f64 = 0.01;

/// A superset of what the tree holds. Ids are added before they come into the tree, and never taken out: where there is no
/// more room it is made anew from what the tree holds by then.
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

    fn of(tree: &impl ReadableTable<&'static Id, i64>) -> Result<Self, StoreError> {
        let count = usize::try_from(tree.len()?).unwrap_or(usize::MAX);
        let filter = Self::new(count.saturating_mul(2).max(LEAST));
        for entry in tree.iter()? {
            filter.bits.insert(entry?.0.value());
        }
        filter.held.store(count, Ordering::Relaxed);
        Ok(filter)
    }
}

impl Sieve {
    /// What a tree holds.
    pub(super) fn of(tree: &impl ReadableTable<&'static Id, i64>) -> Result<Self, StoreError> {
        Ok(Self(RwLock::new(Filter::of(tree)?)))
    }

    fn filter(&self) -> RwLockReadGuard<'_, Filter> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the tree may hold an id.
    pub(super) fn may_hold(&self, id: &Id) -> bool {
        self.filter().bits.contains(id)
    }

    /// Adds ids that are about to come into the tree.
    pub(super) fn add<'i>(&self, ids: impl ExactSizeIterator<Item = &'i Id>) {
        let filter = self.filter();
        filter.held.fetch_add(ids.len(), Ordering::Relaxed);
        ids.for_each(|id| _ = filter.bits.insert(id));
    }

    /// Makes room, if there is none, by what the tree is about to hold.
    pub(super) fn renew(&self, tree: &impl ReadableTable<&'static Id, i64>) -> Result<(), StoreError> {
        let filter = self.filter();
        if filter.held.load(Ordering::Relaxed) <= filter.room {
            return Ok(());
        }
        drop(filter);
        let filter = Filter::of(tree)?;
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
    use crate::store::seen::SEEN;
    use redb::{Database, backends::InMemoryBackend};

    fn id(n: usize) -> Id {
        (n as u128).to_be_bytes()
    }

    #[test]
    fn what_the_tree_holds_passes_and_of_all_else_hardly_anything() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let write = database.begin_write().unwrap();
        let mut tree = write.open_table(SEEN).unwrap();
        for n in 0..1_000 {
            tree.insert(&id(n), 1).unwrap();
        }
        let sieve = Sieve::of(&tree).unwrap();
        sieve.add((1_000..2_000).map(id).collect::<Vec<_>>().iter());
        let passed = |range: std::ops::Range<usize>| range.filter(|n| sieve.may_hold(&id(*n))).count();
        assert_eq!(passed(0..2_000), 2_000);
        assert!(passed(5_000..105_000) < 2_000);

        sieve.renew(&tree).unwrap();
        assert_eq!(passed(0..2_000), 2_000, "there is room");
        sieve.add((2_000..LEAST + 2_000).map(id).collect::<Vec<_>>().iter());
        sieve.renew(&tree).unwrap();
        assert_eq!(passed(0..1_000), 1_000);
        assert!(passed(1_000..101_000) < 2_000, "what came into no tree is forgotten");
    }
}

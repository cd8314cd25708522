//! Which events were seen. Their ids are random, so that each would cost a page of a tree of them: they are appended as
//! they come, kept in memory beside, and go into the tree many at once.

use std::sync::{Arc, PoisonError, RwLock};

use emote_proto::{EventId, Time};
use foldhash::HashMap;
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::{META, StoreError, sieve::Sieve};
use crate::core::DEDUPE_WINDOW_MILLIS;

/// Event id → when it was received, in ms since 1970.
pub(super) const SEEN: TableDefinition<'_, &[u8; 16], i64> = TableDefinition::new("seen");
/// (sequence that the commit led to, part) → ids and times as they came, [`ROW`] bytes each.
pub(super) const ARRIVALS: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("arrivals");

/// An id, and when it was received: ms since 1970, big endian.
const ROW: usize = 16 + 8;
/// Ids in a part at most, and expired ids that a commit removes beyond as many as it adds.
pub(super) const IDS_AT_ONCE: usize = 2_000;
/// So many ids go into the tree at once: where the tree is large, the more they are the fewer of its pages are written for
/// each. Until then they take up to 10 MB of memory.
pub(super) const MERGE_AT: usize = if cfg!(test) { 8_192 } else { 131_072 };

type Id = [u8; 16];

/// Ids that are not in the tree yet, with when they were received and the commit they came with. What was once given a
/// snapshot keeps all it had: those that go into the tree make way by a new one.
#[derive(Debug, Clone, Default)]
pub(super) struct Pending {
    waiting: Arc<RwLock<HashMap<Id, (i64, u64)>>>,
    /// What the tree may hold.
    tree: Arc<Sieve>,
}

/// What becomes of [`Pending`] once the transaction is committed.
pub(super) struct Then {
    merged: bool,
    arrived: Vec<(Id, i64)>,
    expired: Vec<(Id, i64)>,
}

impl Pending {
    /// When the event was received, if that is known here and was by the commit `position`.
    pub(super) fn get(&self, id: &EventId, position: u64) -> Option<i64> {
        let pending = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        pending.get(id.as_bytes()).filter(|(_, at)| *at <= position).map(|(received, _)| *received)
    }

    /// Whether the tree may hold the event.
    pub(super) fn may_be_in_tree(&self, id: &EventId) -> bool {
        self.tree.may_hold(id.as_bytes())
    }

    /// What was appended and had not gone into the tree when the file was closed.
    pub(super) fn load(write: &WriteTransaction) -> Result<Self, StoreError> {
        let merged = merged(write)?;
        let mut pending = HashMap::default();
        for part in write.open_table(ARRIVALS)?.range((merged + 1, 0)..)? {
            let (key, ids) = part?;
            pending.extend(rows(ids.value()).map(|(id, received)| (id, (received, key.value().0))));
        }
        let tree = Sieve::of(&write.open_table(SEEN)?)?;
        Ok(Self { waiting: Arc::new(RwLock::new(pending)), tree: Arc::new(tree) })
    }

    /// Writes ids that came with the commit to `position`, and removes some of those that are out of the window at `now`.
    pub(super) fn write(
        &self,
        write: &WriteTransaction,
        seen: &HashMap<EventId, Time>,
        (position, now): (u64, Time),
    ) -> Result<Then, StoreError> {
        let mut tree = write.open_table(SEEN)?;
        let mut arrivals = write.open_table(ARRIVALS)?;
        let arrived: Vec<(Id, i64)> =
            seen.iter().map(|(id, received)| (*id.as_bytes(), received.as_millis())).collect();
        let first = match arrivals.range((position, 0)..=(position, u32::MAX))?.next_back() {
            Some(last) => last?.0.value().1 + 1,
            None => 0,
        };
        for (part, ids) in (first..).zip(arrived.chunks(IDS_AT_ONCE)) {
            let mut rows = Vec::with_capacity(ids.len() * ROW);
            for (id, received) in ids {
                rows.extend_from_slice(id);
                rows.extend_from_slice(&received.to_be_bytes());
            }
            arrivals.insert((position, part), rows.as_slice())?;
        }
        let merged = self.merge(&mut tree, &arrived)?;
        if merged {
            write.open_table(META)?.insert("merged", position.to_string().as_str())?;
        }
        let before = now.as_millis() - DEDUPE_WINDOW_MILLIS;
        let mut expired = Vec::new();
        while expired.len() < arrived.len() + IDS_AT_ONCE {
            // In the order they came: behind one that is not out of the window there is none.
            let Some((key, ids)) =
                arrivals.first()?.map(|(key, ids)| (key.value(), rows(ids.value()).collect::<Vec<_>>()))
            else {
                break;
            };
            if ids.iter().any(|(_, received)| *received >= before) {
                break;
            }
            arrivals.remove(key)?;
            for (id, received) in &ids {
                // Not one that came again since.
                if tree.get(id)?.is_some_and(|now| now.value() == *received) {
                    tree.remove(id)?;
                }
            }
            expired.extend(ids);
        }
        self.tree.renew(&tree)?;
        Ok(Then { merged, arrived, expired })
    }

    /// Puts all into the tree, if they are many by now.
    fn merge(&self, tree: &mut redb::Table<'_, &Id, i64>, arrived: &[(Id, i64)]) -> Result<bool, StoreError> {
        let pending = self.waiting.read().unwrap_or_else(PoisonError::into_inner);
        if pending.len() + arrived.len() < MERGE_AT {
            return Ok(false);
        }
        let mut all: Vec<(Id, i64)> = pending.iter().map(|(id, (received, _))| (*id, *received)).collect();
        drop(pending);
        all.extend_from_slice(arrived);
        // Whoever looks from now on must not miss them.
        self.tree.add(all.iter().map(|(id, _)| id));
        // What came again comes last, and stays.
        all.sort_unstable();
        for (id, received) in &all {
            tree.insert(id, received)?;
        }
        Ok(true)
    }

    /// Keeps in step with what was committed up to `position`.
    pub(super) fn follow(&mut self, then: Then, position: u64) {
        if then.merged {
            self.waiting = Arc::default();
            return;
        }
        let mut pending = self.waiting.write().unwrap_or_else(PoisonError::into_inner);
        for (id, received) in then.expired {
            if pending.get(&id).is_some_and(|(now, _)| *now == received) {
                pending.remove(&id);
            }
        }
        pending.extend(then.arrived.into_iter().map(|(id, received)| (id, (received, position))));
    }
}

fn merged(write: &WriteTransaction) -> Result<u64, StoreError> {
    let meta = write.open_table(META)?;
    Ok(meta.get("merged")?.and_then(|text| text.value().parse().ok()).unwrap_or(0))
}

fn rows(ids: &[u8]) -> impl Iterator<Item = (Id, i64)> + '_ {
    ids.as_chunks::<ROW>().0.iter().map(|row| {
        let (mut id, mut received) = ([0; 16], [0; 8]);
        id.copy_from_slice(&row[..16]);
        received.copy_from_slice(&row[16..]);
        (id, i64::from_be_bytes(received))
    })
}

//! Where facts lead on from a node with many alternatives.
//!
//! The popular facts are bits of one number, and the nodes to which they lead are numbered in the order of the bits. For
//! the others there is a hash table for each node, all in one piece of memory.

use super::{POPULAR, Popular};

/// Where facts lead on from one node.
#[derive(Debug)]
pub(super) struct Branch {
    popular: Popular,
    /// The node of the first popular fact.
    first: u32,
    /// Where its table begins, and its length less one; there is none if it is as long as can be.
    start: u32,
    mask: u32,
}

/// The tables: facts, and the nodes to which they lead.
#[derive(Debug, Default)]
pub(super) struct Ways {
    slots: Vec<(u32, u32)>,
}

/// No fact has this number.
const FREE: u32 = u32::MAX;

impl Branch {
    /// The nodes to which the popular facts of an event lead.
    #[inline]
    pub(super) fn popular(&self, facts: Popular) -> impl Iterator<Item = u32> {
        let mut rest = self.popular & facts;
        std::iter::from_fn(move || {
            if rest == 0 {
                return None;
            }
            let before = rest ^ (rest - 1);
            rest &= rest - 1;
            Some(self.first + (self.popular & (before >> 1)).count_ones())
        })
    }
}

impl Ways {
    /// Takes facts, sorted, and the nodes to which they lead; those of popular facts are numbered one after another.
    pub(super) fn add(&mut self, ways: &[(u32, u32)]) -> Branch {
        let (popular, others) = ways.split_at(ways.partition_point(|(fact, _)| *fact < POPULAR));
        let bits = popular.iter().fold(0, |bits, (fact, _)| bits | 1 << *fact);
        let first = popular.first().map_or(0, |(_, node)| *node);
        let (start, mask) = self.add_table(others).unwrap_or((0, u32::MAX));
        Branch { popular: bits, first, start, mask }
    }

    /// Whether there are any but those of popular facts.
    #[cfg(test)]
    pub(super) fn are_there(&self) -> bool {
        !self.slots.is_empty()
    }

    fn add_table(&mut self, ways: &[(u32, u32)]) -> Option<(u32, u32)> {
        if ways.is_empty() {
            return None;
        }
        let length = (2 * ways.len()).next_power_of_two();
        let (start, mask) = (u32::try_from(self.slots.len()).ok()?, u32::try_from(length - 1).ok()?);
        self.slots.resize(self.slots.len() + length, (FREE, 0));
        for way in ways {
            let mut place = hash(way.0) & mask;
            while self.slots[(start + place) as usize].0 != FREE {
                place = (place + 1) & mask;
            }
            self.slots[(start + place) as usize] = *way;
        }
        Some((start, mask))
    }

    /// Tells `visit` of the nodes to which facts lead that are not popular.
    #[inline]
    pub(super) fn find(&self, branch: &Branch, facts: &[u32], visit: impl FnMut(u32)) {
        if branch.mask != u32::MAX {
            facts.iter().filter_map(|fact| self.get(branch, *fact)).for_each(visit);
        }
    }

    fn get(&self, branch: &Branch, fact: u32) -> Option<u32> {
        let mut place = hash(fact) & branch.mask;
        loop {
            let (found, node) = *self.slots.get((branch.start + place) as usize)?;
            if found == fact {
                return Some(node);
            }
            if found == FREE {
                return None;
            }
            place = (place + 1) & branch.mask;
        }
    }
}

/// Good bits below.
#[inline(always)]
fn hash(fact: u32) -> u32 {
    fact.wrapping_mul(0x9e37_79b9) >> 15
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn facts_lead_where_they_are_said_to(
            all in proptest::collection::vec(proptest::collection::btree_set(2..300_u32, 0..60), 1..4),
            facts in proptest::collection::btree_set(2..300_u32, 0..60),
        ) {
            let mut ways = Ways::default();
            let add = |set: &BTreeSet<u32>| ways.add(&set.iter().copied().zip(1_000..).collect::<Vec<_>>());
            let branches: Vec<Branch> = all.iter().map(add).collect();
            let popular = facts.iter().filter(|fact| **fact < POPULAR).fold(0, |bits, fact| bits | 1 << *fact);
            let facts: Vec<u32> = facts.into_iter().collect();
            for (set, branch) in all.iter().zip(&branches) {
                let mut found: BTreeSet<u32> = branch.popular(popular).collect();
                ways.find(branch, &facts, |node| _ = found.insert(node));
                let expected = set.iter().zip(1_000..).filter(|(fact, _)| facts.contains(fact));
                prop_assert_eq!(found, expected.map(|(_, node)| node).collect::<BTreeSet<u32>>());
            }
        }
    }
}

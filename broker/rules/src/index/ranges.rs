//! Ranges of numbers, and which of them a number is in.
//!
//! A few are tried one by one. Many are kept in a segment tree: all numbers at which a range begins or is over part the
//! line into pieces; the pieces are the leaves of a binary tree, and each range is written at the fewest nodes that make
//! it up. The ranges around a number are those at the nodes above its piece.

use super::lists::Entry;
use crate::error::EventError;
use crate::event::Seen;

/// So many are tried one by one.
const FEW: usize = 16;

/// What ranges are of.
pub(super) trait Number: Copy + Ord + Default {
    /// The number above.
    fn next(self) -> Option<Self>;
}

impl Number for u64 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Number for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

#[derive(Debug, Default)]
pub(super) struct Ranges<N> {
    few: Box<[(N, N, Entry)]>,
    /// Where the pieces of the line begin, but for the first.
    bounds: Box<[N]>,
    /// The root is node 1, the children of node n are 2n and 2n + 1.
    nodes: Box<[Vec<Entry>]>,
}

impl<N: Number> Ranges<N> {
    /// Ranges from one number to another, both included.
    pub(super) fn new(ranges: Vec<(N, N, Entry)>) -> Self {
        if ranges.len() <= FEW {
            return Self { few: ranges.into(), ..Self::default() };
        }
        let mut bounds: Vec<N> = ranges.iter().flat_map(|(low, high, _)| [Some(*low), high.next()]).flatten().collect();
        bounds.sort_unstable();
        bounds.dedup();
        let leaves = (bounds.len() + 1).next_power_of_two();
        let mut nodes = vec![Vec::new(); 2 * leaves];
        let piece = |number: N| bounds.partition_point(|bound| *bound <= number);
        for (low, high, entry) in ranges {
            let (mut from, mut to) = (piece(low) + leaves, piece(high) + leaves + 1);
            while from < to {
                if from % 2 == 1 {
                    nodes[from].push(entry);
                    from += 1;
                }
                if to % 2 == 1 {
                    to -= 1;
                    nodes[to].push(entry);
                }
                (from, to) = (from / 2, to / 2);
            }
        }
        Self { few: Box::default(), bounds: bounds.into(), nodes: nodes.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.few.is_empty() && self.nodes.is_empty()
    }

    #[inline]
    pub(super) fn find(&self, number: N, event: Seen<'_>, note: &mut impl FnMut(Entry)) -> Result<(), EventError> {
        for (low, high, entry) in &self.few {
            if (*low..=*high).contains(&number) {
                note(*entry);
            }
        }
        let mut node = self.bounds.partition_point(|bound| *bound <= number) + self.nodes.len() / 2;
        while let Some(entries) = self.nodes.get(node).filter(|_| node > 0) {
            event.step(entries.len())?;
            entries.iter().for_each(|entry| note(*entry));
            node /= 2;
        }
        Ok(())
    }
}

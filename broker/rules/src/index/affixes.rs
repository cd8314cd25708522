//! Texts that others begin with, or end with: a trie whose edges are runs of bytes.

use crate::error::EventError;
use std::ops::Range;

/// From which end texts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// The trie. It is cheap to ask if a text begins like none of the keys.
#[derive(Debug, Default)]
pub(super) struct Affixes {
    nodes: Box<[Node]>,
    /// For each node its label: the bytes behind the first that lead to it.
    labels: Box<[u8]>,
    /// The first bytes of a node's children, sorted; its children are numbered on from `first_child`.
    firsts: Box<[u8]>,
    /// Which bytes the keys begin with.
    beginnings: [u64; 4],
}

#[derive(Debug, Default, Clone)]
struct Node {
    label: Range<u32>,
    firsts: Range<u32>,
    first_child: u32,
    /// What the key that ends here leads to.
    list: Option<u32>,
}

impl Affixes {
    /// Makes a trie of different keys and what they lead to.
    pub(super) fn new(mut keys: Vec<(Vec<u8>, u32)>, direction: Direction) -> Self {
        if keys.is_empty() {
            return Self::default();
        }
        if direction == Direction::Backward {
            keys.iter_mut().for_each(|(key, _)| key.reverse());
        }
        keys.sort_unstable();
        let mut beginnings = [0; 4];
        for first in keys.iter().filter_map(|(key, _)| key.first()) {
            beginnings[usize::from(first >> 6)] |= 1 << (first & 63);
        }
        let mut building = Building { nodes: vec![Node::default()], ..Building::default() };
        let mut waiting = vec![(0, keys.as_slice(), 0)];
        while let Some((node, keys, depth)) = waiting.pop() {
            building.fill(node, keys, depth, &mut waiting);
        }
        let Building { nodes, labels, firsts } = building;
        Self { nodes: nodes.into(), labels: labels.into(), firsts: firsts.into(), beginnings }
    }

    /// Tells `found` where the keys lead that a text begins with; `byte` reads its bytes, in the trie's direction.
    #[inline(always)]
    pub(super) fn find(
        &self,
        text: &[u8],
        byte: impl Fn(&[u8], usize) -> Option<u8>,
        found: &mut impl FnMut(u32) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        let Some(root) = self.nodes.first() else { return Ok(()) };
        if let Some(list) = root.list {
            found(list)?;
        }
        match byte(text, 0) {
            Some(first) if self.beginnings[usize::from(first >> 6)] >> (first & 63) & 1 == 1 => {
                self.descend(text, byte, found)
            }
            _ => Ok(()),
        }
    }

    fn descend(
        &self,
        text: &[u8],
        byte: impl Fn(&[u8], usize) -> Option<u8>,
        found: &mut impl FnMut(u32) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        let (mut node, mut place) = (self.nodes.first(), 0);
        while let Some(at) = node {
            let (Some(next), Some(firsts)) = (byte(text, place), slice(&self.firsts, &at.firsts)) else { break };
            let child = match firsts.len() {
                0..=8 => firsts.iter().position(|first| *first == next),
                _ => firsts.binary_search(&next).ok(),
            };
            node = child.and_then(|child| self.nodes.get(at.first_child as usize + child));
            let Some(at) = node else { break };
            place += 1;
            let label = slice(&self.labels, &at.label).unwrap_or_default();
            if !label.iter().zip(place..).all(|(wanted, place)| byte(text, place) == Some(*wanted)) {
                break;
            }
            place += label.len();
            if let Some(list) = at.list {
                found(list)?;
            }
        }
        Ok(())
    }
}

fn slice<'b>(bytes: &'b [u8], range: &Range<u32>) -> Option<&'b [u8]> {
    bytes.get(range.start as usize..range.end as usize)
}

#[derive(Default)]
struct Building {
    nodes: Vec<Node>,
    labels: Vec<u8>,
    firsts: Vec<u8>,
}

type Keys<'k> = &'k [(Vec<u8>, u32)];

impl Building {
    /// Makes a node of sorted keys that agree in their first `depth` bytes.
    fn fill<'k>(&mut self, node: usize, keys: Keys<'k>, depth: usize, waiting: &mut Vec<(usize, Keys<'k>, usize)>) {
        // As far as all keys agree they are one label; the first and the last differ most.
        let agree = match keys {
            [] => 0,
            // The root has no label: it is where the beginnings branch.
            _ if node == 0 => 0,
            [(first, _), ..] => {
                let last = keys.last().map_or(first.as_slice(), |(last, _)| last);
                first[depth..].iter().zip(&last[depth..]).take_while(|(one, other)| one == other).count()
            }
        };
        let label = self.write_label(keys.first().map_or(&[], |(key, _)| &key[depth..depth + agree]));
        let depth = depth + agree;
        let (here, longer) = keys.split_at(usize::from(keys.first().is_some_and(|(key, _)| key.len() == depth)));
        let groups: Vec<Keys<'k>> = longer.chunk_by(|(one, _), (other, _)| one[depth] == other[depth]).collect();
        let (first_child, firsts) = (self.nodes.len(), self.firsts.len());
        for (child, group) in (first_child..).zip(groups) {
            self.nodes.push(Node::default());
            self.firsts.extend(group.first().map(|(key, _)| key[depth]));
            waiting.push((child, group, depth + 1));
        }
        self.nodes[node] = Node {
            label,
            firsts: place(firsts)..place(self.firsts.len()),
            first_child: place(first_child),
            list: here.first().map(|(_, list)| *list),
        };
    }

    fn write_label(&mut self, label: &[u8]) -> Range<u32> {
        let start = self.labels.len();
        self.labels.extend(label);
        place(start)..place(self.labels.len())
    }
}

fn place(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_finds_the_keys_that_a_text_begins_or_ends_with(
            keys in proptest::collection::btree_set("[abc]{0,5}|[a-z]{1,2}", 0..30),
            text in "[abc]{0,9}|[a-z]{0,3}",
        ) {
            let numbered = || keys.iter().zip(0..).map(|(key, list)| (key.clone().into_bytes(), list)).collect();
            let expected = |fits: fn(&str, &str) -> bool| -> BTreeSet<u32> {
                keys.iter().zip(0..).filter(|(key, _)| fits(&text, key)).map(|(_, list)| list).collect()
            };
            let mut found = BTreeSet::new();
            let mut add = |list| { found.insert(list); Ok(()) };
            Affixes::new(numbered(), Direction::Forward)
                .find(text.as_bytes(), |text, place| text.get(place).copied(), &mut add).unwrap();
            prop_assert_eq!(&found, &expected(|text, key| text.starts_with(key)));
            found.clear();
            let mut add = |list| { found.insert(list); Ok(()) };
            Affixes::new(numbered(), Direction::Backward)
                .find(text.as_bytes(), |text, place| text.get(text.len().checked_sub(place + 1)?).copied(), &mut add)
                .unwrap();
            prop_assert_eq!(&found, &expected(|text, key| text.ends_with(key)));
        }
    }
}

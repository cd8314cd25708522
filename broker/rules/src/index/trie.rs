//! Texts that others begin with: a trie whose edges are runs of bytes.

use super::lists::List;
use crate::error::EventError;
use std::ops::Range;

/// The trie. It is cheap to ask if a text begins like none of the keys.
#[derive(Debug, Default)]
pub(super) struct Trie {
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
    list: Option<List>,
}

impl Trie {
    /// Makes a trie of different keys and what they lead to.
    pub(super) fn new(mut keys: Vec<(Vec<u8>, List)>) -> Self {
        if keys.is_empty() {
            return Self::default();
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

    /// Tells `found` where the keys lead that a text begins with; `byte` reads its bytes.
    #[inline(always)]
    pub(super) fn find(
        &self,
        byte: impl Fn(usize) -> Option<u8>,
        found: &mut impl FnMut(List) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        let Some(root) = self.nodes.first() else { return Ok(()) };
        if let Some(list) = root.list {
            found(list)?;
        }
        match byte(0) {
            Some(first) if self.beginnings[usize::from(first >> 6)] >> (first & 63) & 1 == 1 => {
                self.descend(byte, found)
            }
            _ => Ok(()),
        }
    }

    fn descend(
        &self,
        byte: impl Fn(usize) -> Option<u8>,
        found: &mut impl FnMut(List) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        let (mut node, mut place) = (self.nodes.first(), 0);
        while let Some(at) = node {
            let (Some(next), Some(firsts)) = (byte(place), slice(&self.firsts, &at.firsts)) else { break };
            let child = match firsts.len() {
                0..=8 => firsts.iter().position(|first| *first == next),
                _ => firsts.binary_search(&next).ok(),
            };
            node = child.and_then(|child| self.nodes.get(at.first_child as usize + child));
            let Some(at) = node else { break };
            place += 1;
            let label = slice(&self.labels, &at.label).unwrap_or_default();
            if !label.iter().zip(place..).all(|(wanted, place)| byte(place) == Some(*wanted)) {
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

type Keys<'k> = &'k [(Vec<u8>, List)];

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
        fn it_finds_the_keys_that_a_text_begins_with(
            keys in proptest::collection::btree_set("[abc]{0,5}|[a-z]{1,2}", 0..30),
            text in "[abc]{0,9}|[a-z]{0,3}",
        ) {
            let list = |(key, list): (&String, u32)| (key.clone().into_bytes(), List::from_number(list));
            let trie = Trie::new(keys.iter().zip(0..).map(list).collect());
            let mut found = BTreeSet::new();
            let mut add = |list: List| {
                found.insert(list.to_number());
                Ok(())
            };
            trie.find(|place| text.as_bytes().get(place).copied(), &mut add).unwrap();
            let begins = keys.iter().zip(0..).filter(|(key, _)| text.starts_with(key.as_str()));
            prop_assert_eq!(found, begins.map(|(_, list)| list).collect::<BTreeSet<u32>>());
        }
    }
}

//! Where the names of an object lead.
//!
//! An event has many names, and most lead nowhere. A name's length and its first and last byte tell so nearly always:
//! they are thrown together into 64 bits of looks, and for each of these there is a chain of the names that look so, mostly
//! of one. Objects of which very many names are asked for have a hash table instead.

use crate::table::{HEAD, Key, Table, head};
use std::ops::Range;

/// The names of all objects.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<Name>,
    /// The longer ones.
    texts: Vec<u8>,
    tables: Vec<Table>,
}

/// The names of one object.
#[derive(Debug)]
pub(super) enum NamesOf {
    /// For each look the first name of its chain, counted from 1, and where counting begins.
    Few { first: usize, chains: [u8; LOOKS] },
    /// Which table.
    Many(usize),
}

#[derive(Debug, Clone, Copy)]
struct Name {
    head: u128,
    length: u32,
    /// Where the whole name stands, if it is longer than its head.
    start: u32,
    node: u32,
    /// The next one of its chain, or 0.
    next: u8,
}

const LOOKS: usize = 64;
/// So many are few.
const FEW: usize = 200;
/// No node has this number.
const NOWHERE: u32 = u32::MAX;

impl Names {
    /// Takes the names of one object and the nodes to which they lead.
    pub(super) fn add(&mut self, mut names: Vec<(&str, u32)>) -> NamesOf {
        names.sort_unstable();
        if names.len() > FEW {
            self.tables.push(Table::new(names));
            return NamesOf::Many(self.tables.len() - 1);
        }
        let (first, mut chains) = (self.names.len(), [0; LOOKS]);
        for ((name, node), place) in names.into_iter().zip(1..) {
            let chain = &mut chains[looks(name.as_bytes())];
            // They are fewer than 2^32: more would not fit into memory.
            let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
            self.names.push(Name {
                head: Key::of(name.as_bytes()).head(),
                length: number(name.len()),
                start: number(self.texts.len()),
                node,
                next: std::mem::replace(chain, place),
            });
            if name.len() > HEAD {
                self.texts.extend(name.as_bytes());
            }
        }
        NamesOf::Few { first, chains }
    }

    /// The node to which a name leads, given as a piece of a text.
    #[inline(always)]
    pub(super) fn find(&self, of: &NamesOf, text: &[u8], name: Range<usize>) -> Option<u32> {
        match of {
            NamesOf::Few { first, chains } => {
                let place = chains[looks(text.get(name.clone())?)];
                if place == 0 { None } else { self.follow(*first, place, text, name) }
            }
            NamesOf::Many(table) => self.find_among_many(*table, text, name),
        }
    }

    #[inline(never)]
    fn find_among_many(&self, table: usize, text: &[u8], name: Range<usize>) -> Option<u32> {
        let node = self.tables.get(table)?.get_or(NOWHERE, &Key::within(text, name));
        (node != NOWHERE).then_some(node)
    }

    #[inline(always)]
    fn follow(&self, first: usize, mut place: u8, text: &[u8], range: Range<usize>) -> Option<u32> {
        let head = head(text, &range);
        while place != 0 {
            let name = self.names.get(first + usize::from(place) - 1)?;
            if name.head == head && name.length as usize == range.len() && self.is_all(name, text, &range) {
                return Some(name.node);
            }
            place = name.next;
        }
        None
    }

    #[inline(always)]
    fn is_all(&self, name: &Name, text: &[u8], range: &Range<usize>) -> bool {
        range.len() <= HEAD || self.is_all_of_long(name, text, range)
    }

    #[inline(never)]
    fn is_all_of_long(&self, name: &Name, text: &[u8], range: &Range<usize>) -> bool {
        let known = self.texts.get(name.start as usize..).and_then(|texts| texts.get(..range.len()));
        known.is_some() && known == text.get(range.clone())
    }
}

/// What a name looks like: a number below 64.
#[inline(always)]
fn looks(name: &[u8]) -> usize {
    let [first, .., last] = name else { return usize::from(name.first().copied().unwrap_or(0)) % LOOKS };
    (name.len().wrapping_mul(7) ^ usize::from(*first) ^ usize::from(*last) << 2) % LOOKS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn they_are_maps(
            maps in proptest::collection::vec(proptest::collection::btree_map("[ab]{0,3}|[ab]{15,18}|[a-z]{0,2}", 0..1_000_u32, 0..300), 1..3),
            others in proptest::collection::vec("[ab]{0,3}|[ab]{15,18}|[a-z]{0,2}", 0..60),
            around in "[ab]{0,20}",
        ) {
            let mut names = Names::default();
            let add = |map: &BTreeMap<String, u32>| names.add(map.iter().map(|(name, node)| (name.as_str(), *node)).collect());
            let all: Vec<NamesOf> = maps.iter().map(add).collect();
            for (map, of) in maps.iter().zip(&all) {
                for name in map.keys().chain(&others) {
                    let text = format!("{around}{name}{around}");
                    let found = names.find(of, text.as_bytes(), around.len()..around.len() + name.len());
                    prop_assert_eq!(found, map.get(name).copied(), "{}", name);
                }
            }
        }
    }
}

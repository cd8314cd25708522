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
pub(super) struct NamesOf {
    /// For each look the first name of its chain, counted from 1, or [`MANY`].
    chains: [u8; LOOKS],
    /// Where counting begins, or which table it is.
    first: usize,
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
/// The names are in a table.
const MANY: u8 = u8::MAX;
/// No node has this number.
const NOWHERE: u32 = u32::MAX;

impl Names {
    /// Takes the names of one object and the nodes to which they lead.
    pub(super) fn add(&mut self, mut names: Vec<(&str, u32)>) -> NamesOf {
        names.sort_unstable();
        if names.len() > FEW {
            self.tables.push(Table::new(names));
            return NamesOf { chains: [MANY; LOOKS], first: self.tables.len() - 1 };
        }
        let (first, mut chains) = (self.names.len(), [0; LOOKS]);
        for ((name, node), place) in names.into_iter().zip(1..) {
            let name = name.as_bytes();
            let (first, last) = (name.first().unwrap_or(&QUOTE), name.last().unwrap_or(&QUOTE));
            let chain = &mut chains[looks(name.len(), *first, *last)];
            // They are fewer than 2^32: more would not fit into memory.
            let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
            self.names.push(Name {
                head: Key::of(name).head(),
                length: number(name.len()),
                start: number(self.texts.len()),
                node,
                next: std::mem::replace(chain, place),
            });
            if name.len() > HEAD {
                self.texts.extend(name);
            }
        }
        NamesOf { chains, first }
    }

    /// The node to which a name leads, given as a piece of a text. What is before and behind it, if there is anything, are
    /// its quotes.
    #[inline(always)]
    pub(super) fn find(&self, of: &NamesOf, text: &[u8], from: usize, to: usize) -> Option<u32> {
        let first = text.get(from).copied().unwrap_or(QUOTE);
        let last = text.get(to.wrapping_sub(1)).copied().unwrap_or(QUOTE);
        match of.chains[looks(to.wrapping_sub(from), first, last)] {
            0 => None,
            MANY => self.find_among_many(of, text, from..to),
            place => self.follow(of.first, place, text, from, to),
        }
    }

    #[inline(always)]
    fn follow(&self, first: usize, mut place: u8, text: &[u8], from: usize, to: usize) -> Option<u32> {
        let (head, length) = (head(text, from, to), to.wrapping_sub(from));
        while place != 0 {
            let name = self.names.get(first + usize::from(place) - 1)?;
            let is_same = (name.head == head) & (name.length as usize == length);
            if is_same && (length <= HEAD || self.is_all_of_long(name, text, from..to)) {
                return Some(name.node);
            }
            place = name.next;
        }
        None
    }

    #[inline(never)]
    fn is_all_of_long(&self, name: &Name, text: &[u8], range: Range<usize>) -> bool {
        let known = self.texts.get(name.start as usize..).and_then(|texts| texts.get(..range.len()));
        known.is_some() && known == text.get(range)
    }

    #[inline(never)]
    fn find_among_many(&self, of: &NamesOf, text: &[u8], name: Range<usize>) -> Option<u32> {
        let node = self.tables.get(of.first)?.get_or(NOWHERE, &Key::within(text, name));
        (node != NOWHERE).then_some(node)
    }
}

/// What is before and behind a name in an event: the first and the last byte of an empty one, as it were.
const QUOTE: u8 = b'"';

/// What a name looks like: a number below 64.
#[inline(always)]
fn looks(length: usize, first: u8, last: u8) -> usize {
    (length.wrapping_mul(7) ^ usize::from(first) ^ usize::from(last) << 2) % LOOKS
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
            around in "[ab]{0,20}\"",
        ) {
            let mut names = Names::default();
            let add = |map: &BTreeMap<String, u32>| names.add(map.iter().map(|(name, node)| (name.as_str(), *node)).collect());
            let all: Vec<NamesOf> = maps.iter().map(add).collect();
            for (map, of) in maps.iter().zip(&all) {
                for name in map.keys().chain(&others) {
                    let text = format!("{around}{name}\"{around}");
                    let found = names.find(of, text.as_bytes(), around.len(), around.len() + name.len());
                    prop_assert_eq!(found, map.get(name).copied(), "{}", name);
                }
            }
        }
    }
}

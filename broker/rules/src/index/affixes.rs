//! Texts that others begin with, or end with.
//!
//! Short ones are looked up in a hash table: for each length that there is, that many bytes of a text. There are at most
//! 16 lengths. Longer ones are kept in a trie.

use super::lists::List;
use super::trie::Trie;
use crate::error::EventError;
use crate::table::{HEAD, Key, Table, mask};

/// From which end texts are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forward,
    Backward,
}

/// Which bytes are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    AsTheyAre,
    /// ASCII letters are compared in lower case.
    Folded,
}

#[derive(Debug)]
pub(super) struct Affixes {
    direction: Direction,
    letters: Letters,
    /// The lengths of the short ones, a bit each.
    lengths: u32,
    short: Table,
    /// Those of more than 16 bytes, backwards if need be.
    long: Option<Trie>,
}

impl Affixes {
    /// Takes different texts that are not empty, and what they lead to.
    pub(super) fn new(keys: Vec<(Vec<u8>, List)>, direction: Direction, letters: Letters) -> Self {
        let (short, mut long): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(key, _)| key.len() <= HEAD);
        if direction == Direction::Backward {
            long.iter_mut().for_each(|(key, _)| key.reverse());
        }
        Self {
            direction,
            letters,
            lengths: short.iter().fold(0, |lengths, (key, _)| lengths | 1 << key.len()),
            short: Table::new(short.iter().map(|(key, list)| (key, list.to_number()))),
            long: (!long.is_empty()).then(|| Trie::new(long)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lengths == 0 && self.long.is_none()
    }

    /// Tells `found` where the texts lead that a text begins or ends with.
    #[inline]
    pub(super) fn find(
        &self,
        text: &Key<'_>,
        found: &mut impl FnMut(List) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        let forward = self.direction == Direction::Forward;
        let end = if forward { text.head() } else { text.tail() };
        let end = if self.letters == Letters::Folded { folded(end) } else { end };
        // Lengths up to that of the text.
        let mut lengths = self.lengths & (u32::MAX >> (31 - text.text().len().min(HEAD)));
        while lengths != 0 {
            let length = lengths.trailing_zeros() as usize;
            lengths &= lengths - 1;
            let affix = if forward { end & mask(length) } else { end >> (128 - 8 * length) };
            found(super::find(&self.short, &Key::short(length, affix)))?;
        }
        match &self.long {
            Some(trie) if text.text().len() > HEAD => self.find_long(trie, text.text(), found),
            _ => Ok(()),
        }
    }

    fn find_long(
        &self,
        trie: &Trie,
        text: &[u8],
        found: &mut impl FnMut(List) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        let fold = self.letters == Letters::Folded;
        let read = |byte: &u8| if fold { byte.to_ascii_lowercase() } else { *byte };
        match self.direction {
            Direction::Forward => trie.find(|place| text.get(place).map(read), found),
            Direction::Backward => trie.find(|place| text.get(text.len().checked_sub(place + 1)?).map(read), found),
        }
    }
}

/// 16 bytes with ASCII letters in lower case.
#[inline(always)]
pub(super) fn folded(sixteen: u128) -> u128 {
    u128::from_le_bytes(sixteen.to_le_bytes().map(|byte| byte.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn they_find_the_keys_that_a_text_begins_or_ends_with(
            keys in proptest::collection::btree_set("[ab]{1,5}|[ab]{14,19}|[a-z]{1,2}", 0..30),
            more in proptest::collection::btree_set((0..40_usize, 0..40_usize), 0..8),
            text in "[abAB]{0,9}|[abA]{15,40}|[a-z]{0,3}",
            around in "[ab]{0,20}",
        ) {
            // Some that are there for sure.
            let part = |(from, to): &(usize, usize)| text.get(*from..*to).map(str::to_ascii_lowercase);
            let keys: BTreeSet<String> = keys.into_iter().chain(more.iter().filter_map(part)).filter(|key| !key.is_empty()).collect();
            let find = |direction, letters| {
                let list = |(key, list): (&String, u32)| (key.clone().into_bytes(), List::from_number(list));
                let affixes = Affixes::new(keys.iter().zip(0..).map(list).collect(), direction, letters);
                let mut found = BTreeSet::new();
                let mut add = |list: List| {
                    if list != List::NOTHING { found.insert(list.to_number()); }
                    Ok(())
                };
                let whole = format!("{around}{text}{around}");
                affixes.find(&Key::within(whole.as_bytes(), around.len()..around.len() + text.len()), &mut add).unwrap();
                found
            };
            let expected = |text: &str, fits: fn(&str, &str) -> bool| -> BTreeSet<u32> {
                keys.iter().zip(0..).filter(|(key, _)| fits(text, key)).map(|(_, list)| list).collect()
            };
            let lower = text.to_ascii_lowercase();
            let (starts, ends) = (|text: &str, key: &str| text.starts_with(key), |text: &str, key: &str| text.ends_with(key));
            prop_assert_eq!(find(Direction::Forward, Letters::AsTheyAre), expected(&text, starts));
            prop_assert_eq!(find(Direction::Forward, Letters::Folded), expected(&lower, starts));
            prop_assert_eq!(find(Direction::Backward, Letters::AsTheyAre), expected(&text, ends));
            prop_assert_eq!(find(Direction::Backward, Letters::Folded), expected(&lower, ends));
        }
    }
}

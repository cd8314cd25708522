//! Which tests a value may pass, without trying each.
//!
//! The tests of one path are filed by what they look for: whole strings and numbers in hash tables, beginnings and ends
//! in tries, pieces of strings in an Aho-Corasick automaton, ranges of numbers in a segment tree. A value is looked up in
//! each kind that is there. What is found passes for sure, or is to be tried.

mod affixes;
mod pieces;
mod ranges;

use crate::error::EventError;
use crate::event::{Leaf, Seen};
use crate::hint::{Hint, Hinted, Pairs, Reach};
use crate::number;
use crate::table::Table;
use affixes::{Affixes, Direction};
use pieces::Pieces;
use ranges::Ranges;
use std::collections::BTreeMap;

/// What is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// The number of a test.
    pub(crate) number: u32,
    /// Whether a value that was led here passes it for sure.
    pub(crate) sure: bool,
    /// What a string must hold to pass.
    pairs: Pairs,
}

/// Lists of entries, by number.
#[derive(Debug, Default)]
struct Lists {
    entries: Vec<Entry>,
    spans: Vec<(u32, u32)>,
}

impl Lists {
    fn add(&mut self, mut list: Vec<Entry>) -> u32 {
        list.sort_unstable();
        list.dedup();
        let place = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        self.spans.push((place(self.entries.len()), place(self.entries.len() + list.len())));
        self.entries.extend(list);
        place(self.spans.len() - 1)
    }

    fn add_all(&mut self, filed: Filed) -> Vec<(Vec<u8>, u32)> {
        filed.into_iter().map(|(key, entries)| (key, self.add(entries))).collect()
    }

    #[inline]
    fn get(&self, list: u32) -> &[Entry] {
        let span = self.spans.get(list as usize);
        span.and_then(|(start, end)| self.entries.get(*start as usize..*end as usize)).unwrap_or_default()
    }
}

/// The tests of one path.
#[derive(Debug, Default)]
pub(crate) struct Index {
    lists: Lists,
    equal: Table,
    equal_ignoring_case: Table,
    prefixes: Affixes,
    suffixes: Affixes,
    prefixes_ignoring_case: Affixes,
    suffixes_ignoring_case: Affixes,
    pieces: Pieces,
    numbers: Table,
    ranges: Ranges,
    words: Table,
    addresses: Box<[Entry]>,
    strings: Box<[Entry]>,
    all: Box<[Entry]>,
}

/// The longest text in lower case that is looked up.
const MAX_FOLDED: usize = 128;

/// The kinds of plain values.
const STRING: u8 = 0;
const FOLDED: u8 = 1;
const NUMBER: u8 = 2;
const WORD: u8 = 3;

type Filed = BTreeMap<Vec<u8>, Vec<Entry>>;

/// Tests that are gathered.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    equal: Filed,
    equal_ignoring_case: Filed,
    prefixes: Filed,
    suffixes: Filed,
    prefixes_ignoring_case: Filed,
    suffixes_ignoring_case: Filed,
    pieces: Filed,
    numbers: Filed,
    words: Filed,
    ranges: Vec<(u64, u64, Entry)>,
    addresses: Vec<Entry>,
    strings: Vec<Entry>,
    all: Vec<Entry>,
}

impl IndexBuilder {
    /// What stands for a plain value: a byte for its kind, and the key under which it is filed.
    pub(crate) fn plain(hint: Hint<'_>) -> Option<Vec<u8>> {
        let key = |kind: u8, key: &[u8]| Some([&[kind], key].concat());
        match hint {
            Hint::Equals(text) => key(STRING, text),
            Hint::EqualsIgnoringCase(text) if text.len() <= MAX_FOLDED => key(FOLDED, text),
            Hint::Number(value) => key(NUMBER, &number::rank(value).to_le_bytes()),
            Hint::Word(text) => key(WORD, text),
            _ => None,
        }
    }

    /// Files what a plain value leads to, by what stands for it.
    pub(crate) fn add_plain(&mut self, number: u32, plain: &[u8]) {
        let Some((kind, key)) = plain.split_first() else { return };
        let filed = match *kind {
            STRING => &mut self.equal,
            FOLDED => &mut self.equal_ignoring_case,
            NUMBER => &mut self.numbers,
            _ => &mut self.words,
        };
        filed.entry(key.to_vec()).or_default().push(Entry { number, sure: true, pairs: Pairs::default() });
    }

    /// Files a test.
    pub(crate) fn add(&mut self, number: u32, hinted: Hinted<'_>) {
        let entry = Entry { number, sure: hinted.sure, pairs: hinted.pairs };
        let (filed, key) = match hinted.hint {
            Hint::Equals(text) => (&mut self.equal, text.to_vec()),
            Hint::Word(text) => (&mut self.words, text.to_vec()),
            Hint::Number(value) => (&mut self.numbers, number::rank(value).to_le_bytes().to_vec()),
            Hint::Prefix(text, Reach::AsTheyAre) => (&mut self.prefixes, text.to_vec()),
            Hint::Suffix(text, Reach::AsTheyAre) => (&mut self.suffixes, text.to_vec()),
            Hint::Prefix(text, Reach::IgnoringCase) => (&mut self.prefixes_ignoring_case, text.to_vec()),
            Hint::Suffix(text, Reach::IgnoringCase) => (&mut self.suffixes_ignoring_case, text.to_vec()),
            Hint::Contains(text) => (&mut self.pieces, text.to_vec()),
            Hint::EqualsIgnoringCase(text) if text.len() <= MAX_FOLDED => {
                (&mut self.equal_ignoring_case, text.to_vec())
            }
            Hint::Between(low, high) => return self.ranges.push((low, high, entry)),
            Hint::Address => return self.addresses.push(entry),
            Hint::String | Hint::EqualsIgnoringCase(_) => return self.strings.push(Entry { sure: false, ..entry }),
            Hint::Any => return self.all.push(entry),
        };
        filed.entry(key).or_default().push(entry);
    }

    pub(crate) fn build(self) -> Index {
        let mut lists = Lists::default();
        let pieces = lists.add_all(self.pieces);
        let mut strings = self.strings;
        let pieces = Pieces::new(&pieces).unwrap_or_else(|| {
            strings.extend(pieces.iter().flat_map(|(_, list)| lists.get(*list)));
            Pieces::default()
        });
        let mut list = |filed| lists.add_all(filed);
        Index {
            equal: Table::new(list(self.equal)),
            equal_ignoring_case: Table::new(list(self.equal_ignoring_case)),
            prefixes: Affixes::new(list(self.prefixes), Direction::Forward),
            suffixes: Affixes::new(list(self.suffixes), Direction::Backward),
            prefixes_ignoring_case: Affixes::new(list(self.prefixes_ignoring_case), Direction::Forward),
            suffixes_ignoring_case: Affixes::new(list(self.suffixes_ignoring_case), Direction::Backward),
            pieces,
            numbers: Table::new(list(self.numbers)),
            words: Table::new(list(self.words)),
            ranges: Ranges::new(self.ranges),
            addresses: self.addresses.into(),
            strings: strings.into(),
            all: self.all.into(),
            lists,
        }
    }
}

impl Index {
    /// Tells `found` of the tests that a value may pass, perhaps several times.
    #[inline]
    pub(crate) fn look_up(
        &self,
        leaf: &Leaf,
        event: Seen<'_>,
        found: &mut impl FnMut(Entry) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        if leaf.is_string() {
            self.look_up_string(event.text(leaf), event, found)?;
        } else {
            self.look_up_other(leaf, event, found)?;
        }
        tell(&self.all, event, found)
    }

    fn look_up_string(
        &self,
        text: &[u8],
        event: Seen<'_>,
        found: &mut impl FnMut(Entry) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        let mut pairs = None;
        let found = &mut |entry: Entry| {
            let mut lacks = |wanted: Pairs| !wanted.are_all_in(*pairs.get_or_insert_with(|| Pairs::of(text)));
            if !entry.sure && !entry.pairs.are_none() && lacks(entry.pairs) { Ok(()) } else { found(entry) }
        };
        if let Some(list) = self.equal.get(text) {
            tell(self.lists.get(list), event, found)?;
        }
        if !self.equal_ignoring_case.is_empty() && text.len() <= MAX_FOLDED {
            let mut folded = [0; MAX_FOLDED];
            let folded = &mut folded[..text.len()];
            folded.copy_from_slice(text);
            folded.make_ascii_lowercase();
            if let Some(list) = self.equal_ignoring_case.get(folded) {
                tell(self.lists.get(list), event, found)?;
            }
        }
        let mut all = |list: u32| tell(self.lists.get(list), event, found);
        self.prefixes.find(text, |text, place| text.get(place).copied(), &mut all)?;
        self.suffixes.find(text, |text, place| text.get(text.len().checked_sub(place + 1)?).copied(), &mut all)?;
        let lower = |byte: &u8| byte.to_ascii_lowercase();
        self.prefixes_ignoring_case.find(text, |text, place| text.get(place).map(lower), &mut all)?;
        let backward = |text: &[u8], place: usize| text.get(text.len().checked_sub(place + 1)?).map(lower);
        self.suffixes_ignoring_case.find(text, backward, &mut all)?;
        self.pieces.find(text, &mut all)?;
        if !self.addresses.is_empty() && may_be_address(text) {
            tell(&self.addresses, event, found)?;
        }
        tell(&self.strings, event, found)
    }

    fn look_up_other(
        &self,
        leaf: &Leaf,
        event: Seen<'_>,
        found: &mut impl FnMut(Entry) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        if let Some(list) = self.words.get(event.text(leaf)) {
            tell(self.lists.get(list), event, found)?;
        }
        if leaf.is_number()
            && !(self.numbers.is_empty() && self.ranges.is_empty())
            && let Some(nearest) = event.nearest(leaf)
        {
            // Few numbers come near; only then it matters whether they can be compared.
            let rank = number::rank(nearest);
            let mut found = |entry| if event.comparable(leaf).is_some() { found(entry) } else { Ok(()) };
            if let Some(list) = self.numbers.get(&rank.to_le_bytes()) {
                tell(self.lists.get(list), event, &mut found)?;
            }
            self.ranges.find(rank, event, &mut found)?;
        }
        Ok(())
    }
}

#[inline]
fn tell(
    entries: &[Entry],
    event: Seen<'_>,
    found: &mut impl FnMut(Entry) -> Result<(), EventError>,
) -> Result<(), EventError> {
    if entries.is_empty() {
        return Ok(());
    }
    event.step(entries.len())?;
    entries.iter().try_for_each(|entry| found(*entry))
}

/// Whether a text could be an IP address, at the first glance.
fn may_be_address(text: &[u8]) -> bool {
    text.first().is_some_and(|first| first.is_ascii_hexdigit() || *first == b':')
}

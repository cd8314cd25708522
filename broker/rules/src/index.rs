//! What a value of an event tells at a glance: facts.
//!
//! A fact is that some value at a path is a certain one, or begins, ends or lies in a certain way: what the hints of tests
//! say ([`Hint`]). All facts of a path are filed by what they are about: plain values, beginnings and ends in hash tables,
//! pieces of strings in an Aho-Corasick automaton, ranges of numbers and of IP addresses in segment trees. A value is looked up once
//! in each kind that is there, however many facts there are.

mod affixes;
mod lists;
mod networks;
mod pieces;
mod ranges;
mod trie;

use crate::address::AddressRange;
use crate::error::EventError;
use crate::event::{Leaf, Seen};
use crate::hint::{Hint, MAX_FOLDED, Reach};
use crate::number;
use crate::table::{HEAD, Key, Table};
use affixes::{Affixes, Direction, Letters, folded};
use lists::List;
pub(crate) use lists::{Entry, Lists};
use networks::Networks;
use pieces::Pieces;
use ranges::Ranges;
use std::collections::BTreeMap;

/// The facts about one path.
#[derive(Debug)]
pub(crate) struct Index {
    strings: Table,
    texts: Option<Box<Texts>>,
    others: Option<Box<Others>>,
    any: Option<List>,
}

/// The facts about strings that are not one certain string.
#[derive(Debug)]
struct Texts {
    /// Whole strings in lower case.
    folded: Table,
    affixes: Box<[Affixes]>,
    pieces: Pieces,
    networks: Networks,
    any: Option<List>,
}

/// The facts about values that are no strings.
#[derive(Debug)]
struct Others {
    words: Table,
    /// By their rank.
    numbers: Table,
    ranges: Ranges<u64>,
}

type Filed = BTreeMap<Vec<u8>, Vec<Entry>>;

/// Facts that are gathered.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    strings: Filed,
    folded: Filed,
    prefixes: Filed,
    suffixes: Filed,
    prefixes_ignoring_case: Filed,
    suffixes_ignoring_case: Filed,
    pieces: Filed,
    words: Filed,
    numbers: Filed,
    ranges: Vec<(u64, u64, Entry)>,
    networks: Vec<(AddressRange, Entry)>,
    any_string: Vec<Entry>,
    any: Vec<Entry>,
}

impl IndexBuilder {
    /// Files a fact that holds if a value is as the hint says.
    pub(crate) fn add(&mut self, fact: Entry, hint: Hint<'_>) {
        let (filed, key) = match hint {
            Hint::Equals(text) => (&mut self.strings, text),
            Hint::EqualsIgnoringCase(text) => (&mut self.folded, text),
            Hint::Word(text) => (&mut self.words, text),
            Hint::Number(rank) => return self.numbers.entry(rank.to_le_bytes().into()).or_default().push(fact),
            Hint::String | Hint::Prefix([], _) | Hint::Suffix([], _) | Hint::Contains([]) => {
                return self.any_string.push(fact);
            }
            Hint::Prefix(text, Reach::AsTheyAre) => (&mut self.prefixes, text),
            Hint::Suffix(text, Reach::AsTheyAre) => (&mut self.suffixes, text),
            Hint::Prefix(text, Reach::IgnoringCase) => (&mut self.prefixes_ignoring_case, text),
            Hint::Suffix(text, Reach::IgnoringCase) => (&mut self.suffixes_ignoring_case, text),
            Hint::Contains(text) => (&mut self.pieces, text),
            Hint::Between(low, high) => return self.ranges.push((low, high, fact)),
            Hint::Network(range) => return self.networks.push((range.clone(), fact)),
            Hint::Any => return self.any.push(fact),
        };
        filed.entry(key.to_vec()).or_default().push(fact);
    }

    pub(crate) fn build(self, lists: &mut Lists) -> Index {
        let mut file = |filed: Filed| -> Vec<(Vec<u8>, List)> {
            filed.into_iter().filter_map(|(key, list)| Some((key, lists.add(&list)?))).collect()
        };
        let table = |filed: Vec<(Vec<u8>, List)>| Table::new(filed.iter().map(|(key, list)| (key, list.to_number())));
        let strings = table(file(self.strings));
        let affixes = [
            Affixes::new(file(self.prefixes), Direction::Forward, Letters::AsTheyAre),
            Affixes::new(file(self.suffixes), Direction::Backward, Letters::AsTheyAre),
            Affixes::new(file(self.prefixes_ignoring_case), Direction::Forward, Letters::Folded),
            Affixes::new(file(self.suffixes_ignoring_case), Direction::Backward, Letters::Folded),
        ];
        let (folded, pieces) = (table(file(self.folded)), Pieces::new(file(self.pieces)));
        let others = Others {
            words: table(file(self.words)),
            numbers: table(file(self.numbers)),
            ranges: Ranges::new(self.ranges),
        };
        let texts = Texts {
            folded,
            affixes: affixes.into_iter().filter(|affixes| !affixes.is_empty()).collect(),
            pieces,
            networks: Networks::new(self.networks),
            any: lists.add(&self.any_string),
        };
        Index {
            strings,
            texts: (!texts.is_empty()).then(|| Box::new(texts)),
            others: (!others.is_empty()).then(|| Box::new(others)),
            any: lists.add(&self.any),
        }
    }
}

impl Index {
    /// Tells `note` of the facts that a value establishes, perhaps several times.
    #[inline]
    pub(crate) fn look_up(
        &self,
        leaf: &Leaf,
        event: Seen<'_>,
        lists: &Lists,
        note: &mut impl FnMut(Entry),
    ) -> Result<(), EventError> {
        if leaf.is_string() {
            let text = event.key(leaf);
            lists.tell(find(&self.strings, &text), event, note)?;
            if let Some(texts) = &self.texts {
                texts.look_up(&text, &mut |list| lists.tell(list, event, note))?;
                texts.networks.find(text.text(), event, note)?;
            }
        } else if let Some(others) = &self.others {
            others.look_up(leaf, event, lists, note)?;
        }
        self.any.map_or(Ok(()), |list| lists.tell(list, event, note))
    }
}

impl Texts {
    fn is_empty(&self) -> bool {
        self.folded.is_empty()
            && self.affixes.is_empty()
            && self.pieces.is_empty()
            && self.networks.is_empty()
            && self.any.is_none()
    }

    fn look_up(&self, text: &Key<'_>, tell: &mut impl FnMut(List) -> Result<(), EventError>) -> Result<(), EventError> {
        tell(self.ignoring_case(text))?;
        self.affixes.iter().try_for_each(|affixes| affixes.find(text, tell))?;
        self.pieces.find(text.text(), tell)?;
        self.any.map_or(Ok(()), tell)
    }

    #[inline]
    fn ignoring_case(&self, key: &Key<'_>) -> List {
        let text = key.text();
        if self.folded.is_empty() {
            return List::NOTHING;
        }
        if text.len() <= HEAD {
            return find(&self.folded, &Key::short(text.len(), folded(key.head())));
        }
        let mut buffer = [0; MAX_FOLDED];
        let Some(lower) = buffer.get_mut(..text.len()) else { return List::NOTHING };
        lower.copy_from_slice(text);
        lower.make_ascii_lowercase();
        find(&self.folded, &Key::of(lower))
    }
}

impl Others {
    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.numbers.is_empty() && self.ranges.is_empty()
    }

    fn look_up(
        &self,
        leaf: &Leaf,
        event: Seen<'_>,
        lists: &Lists,
        note: &mut impl FnMut(Entry),
    ) -> Result<(), EventError> {
        if !self.words.is_empty() {
            lists.tell(find(&self.words, &event.key(leaf)), event, note)?;
        }
        if !leaf.is_number() || (self.numbers.is_empty() && self.ranges.is_empty()) {
            return Ok(());
        }
        let Some(value) = event.comparable(leaf) else { return Ok(()) };
        let rank = number::rank(value);
        if !self.numbers.is_empty() {
            lists.tell(find(&self.numbers, &Key::short(size_of_val(&rank), rank.into())), event, note)?;
        }
        self.ranges.find(rank, event, note)
    }
}

/// What a table has under a key.
#[inline(always)]
fn find(table: &Table, key: &Key<'_>) -> List {
    List::from_number(table.get_or(List::NOTHING.to_number(), key))
}

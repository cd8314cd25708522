//! A map from byte strings to numbers that is made once and then only read.
//!
//! What is looked up is a [`Key`]: a piece of a larger text, of which the first and last bytes are read as whole numbers
//! without regard to its length. Its hash leads to the one slot where it would be: keys that would meet in a slot have
//! been moved apart when the map was made ("hash, displace and compress", Belazzougui et al., 2009), so that there is
//! nothing to search, and hardly anything to decide, when events are read. Keys of the map come from rules and are trusted;
//! looked up is what events hold, which cannot make the table worse than it is.

use std::collections::HashMap;
use std::ops::Range;

/// The map.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// By the upper bits of a hash how far its keys were moved.
    moves: Box<[u16]>,
    slots: Box<[Slot]>,
    /// The longer keys.
    keys: Box<[u8]>,
    /// Keys that cannot be moved apart: different ones with the same hash, if there are such.
    others: HashMap<Box<[u8]>, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    head: u128,
    /// No key has the length of a free slot.
    length: u32,
    /// Where the whole key stands, if it is longer than its head.
    start: u32,
    value: u32,
}

const FREE: Slot = Slot { head: 0, length: u32::MAX, start: 0, value: 0 };

/// So many moves are tried before there is more room.
const MOVES: u16 = 500;
/// So many bytes are compared as one number.
pub(crate) const HEAD: usize = 16;

/// A text that is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'t> {
    /// Empty if its head is all there is of it.
    text: &'t [u8],
    length: usize,
    /// Its first 16 bytes, the first one the lowest; what is behind its end is zero.
    head: u128,
    hash: u64,
}

impl<'t> Key<'t> {
    /// The bytes of a text from one place to another.
    #[inline(always)]
    pub(crate) fn within(text: &'t [u8], range: Range<usize>) -> Self {
        let head = head(text, range.start, range.end);
        Self::with_head(text.get(range).unwrap_or_default(), head)
    }

    /// All of a text.
    pub(crate) fn of(text: &'t [u8]) -> Self {
        let head = text.first_chunk().map_or_else(|| short(text), |sixteen| u128::from_le_bytes(*sixteen));
        Self::with_head(text, head)
    }

    #[inline(always)]
    fn with_head(text: &'t [u8], head: u128) -> Self {
        let hash = hash(text.len(), head);
        // The first and the last bytes may be the same ones, so they must not cancel each other.
        let hash = if text.len() > HEAD { hash ^ long(text).rotate_left(23) } else { hash };
        Self { text, length: text.len(), head, hash }
    }

    /// A text of up to 16 bytes, given as its head.
    #[inline(always)]
    pub(crate) fn short(length: usize, head: u128) -> Self {
        Self { text: &[], length, head, hash: hash(length, head) }
    }

    /// The text, if it was not given as its head.
    #[inline(always)]
    pub(crate) fn text(&self) -> &'t [u8] {
        self.text
    }

    #[inline(always)]
    pub(crate) fn head(&self) -> u128 {
        self.head
    }

    /// Its last 16 bytes, the last one the highest; what is before its beginning is zero.
    #[inline(always)]
    pub(crate) fn tail(&self) -> u128 {
        match self.text.last_chunk() {
            Some(sixteen) => u128::from_le_bytes(*sixteen),
            None if self.length == 0 => 0,
            None => self.head << (8 * (HEAD - self.length)),
        }
    }
}

/// The first 16 bytes from one place of a text to another, the first one the lowest; what is behind the end is zero.
#[inline(always)]
pub(crate) fn head(text: &[u8], from: usize, to: usize) -> u128 {
    match text.get(from..).and_then(|rest| rest.first_chunk()) {
        Some(sixteen) => u128::from_le_bytes(*sixteen) & mask(to.wrapping_sub(from)),
        None => short(text.get(from..to).unwrap_or_default()),
    }
}

/// Of a number of 16 bytes the first ones.
#[inline(always)]
pub(crate) fn mask(length: usize) -> u128 {
    const MASKS: [u128; HEAD + 1] = {
        let mut masks = [0; HEAD + 1];
        let mut length = 1;
        while length <= HEAD {
            masks[length] = u128::MAX >> (128 - 8 * length);
            length += 1;
        }
        masks
    };
    MASKS[length.min(HEAD)]
}

/// The head of a text at the end of another.
#[cold]
fn short(text: &[u8]) -> u128 {
    let mut head = [0; HEAD];
    for (head, byte) in head.iter_mut().zip(text) {
        *head = *byte;
    }
    u128::from_le_bytes(head)
}

/// A number for all bytes of a text behind its first 16.
#[inline]
fn long(text: &[u8]) -> u64 {
    let tail = text.last_chunk().map_or(0, |sixteen| u128::from_le_bytes(*sixteen));
    if text.len() <= 2 * HEAD { mix(!tail) } else { very_long(text, tail) }
}

fn very_long(text: &[u8], tail: u128) -> u64 {
    let (sixteens, _) = text.as_chunks();
    sixteens.iter().fold(mix(!tail), |hash, sixteen| mix(u128::from_le_bytes(*sixteen) ^ u128::from(hash)))
}

/// Good bits everywhere.
#[inline(always)]
fn hash(length: usize, head: u128) -> u64 {
    mix(head ^ (length as u128) << 59)
}

#[inline(always)]
fn mix(number: u128) -> u64 {
    let (low, high) = halves(number ^ 0x8bb8_4b93_962e_acc9_2d35_8dcc_aa6c_78a5);
    let (low, high) = halves(u128::from(low) * u128::from(high));
    low ^ high
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the lower and the upper half")]
fn halves(number: u128) -> (u64, u64) {
    (number as u64, (number >> 64) as u64)
}

impl Table {
    /// Makes a map; of a key that is there twice the last one counts.
    pub(crate) fn new<K: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, u32)>) -> Self {
        let entries: HashMap<Vec<u8>, u32> =
            entries.into_iter().map(|(key, value)| (key.as_ref().to_vec(), value)).collect();
        if entries.is_empty() {
            return Self::default();
        }
        let mut entries: Vec<(Key<'_>, u32)> = entries.iter().map(|(key, value)| (Key::of(key), *value)).collect();
        entries.sort_unstable_by_key(|(key, _)| (key.hash, key.text));
        let mut others = HashMap::new();
        entries.dedup_by(|other, one| {
            let clash = other.0.hash == one.0.hash;
            if clash {
                others.insert(other.0.text.into(), other.1);
            }
            clash
        });
        let mut slots = (entries.len() + entries.len() / 4).next_power_of_two();
        loop {
            if let Some(table) = Self::with_slots(slots, &entries) {
                return Self { others, ..table };
            }
            slots *= 2;
        }
    }

    /// Different hashes find their places sooner or later.
    fn with_slots(count: usize, entries: &[(Key<'_>, u32)]) -> Option<Self> {
        let mut table =
            Self { moves: vec![0; (count / 4).max(1)].into(), slots: vec![FREE; count].into(), ..Self::default() };
        let mut buckets: Vec<Vec<&(Key<'_>, u32)>> = vec![Vec::new(); table.moves.len()];
        for entry in entries {
            buckets[table.bucket(entry.0.hash)].push(entry);
        }
        let mut order: Vec<usize> = (0..buckets.len()).collect();
        order.sort_by_key(|bucket| std::cmp::Reverse(buckets[*bucket].len()));
        let mut keys = Vec::new();
        for bucket in order {
            let entries = &buckets[bucket];
            let moved = (0..MOVES).find(|moved| table.has_room(*moved, entries))?;
            table.moves[bucket] = moved;
            for (key, value) in entries {
                let (length, start) = (u32::try_from(key.length).ok()?, u32::try_from(keys.len()).ok()?);
                let place = table.place(key.hash, moved);
                table.slots[place] = Slot { head: key.head, length, start, value: *value };
                if key.length > HEAD {
                    keys.extend(key.text);
                }
            }
        }
        Some(Self { keys: keys.into(), ..table })
    }

    fn has_room(&self, moved: u16, entries: &[&(Key<'_>, u32)]) -> bool {
        let mut places: Vec<usize> = entries.iter().map(|(key, _)| self.place(key.hash, moved)).collect();
        places.sort_unstable();
        places.windows(2).all(|pair| pair[0] != pair[1])
            && places.iter().all(|place| self.slots[*place].length == FREE.length)
    }

    /// What stands under this key, or else `none`.
    #[inline(always)]
    pub(crate) fn get_or(&self, none: u32, key: &Key<'_>) -> u32 {
        let Some(moved) = self.moves.get(self.bucket(key.hash)) else { return none };
        let Some(slot) = self.slots.get(self.place(key.hash, *moved)) else { return none };
        // Whether it is there is hard to foresee, so this is no decision.
        let value = std::hint::select_unpredictable(slot.is(key, &self.keys), slot.value, none);
        if value == none && !self.others.is_empty() { self.find_among_others(none, key) } else { value }
    }

    #[cold]
    fn find_among_others(&self, none: u32, key: &Key<'_>) -> u32 {
        self.others.get(key.text).copied().unwrap_or(none)
    }

    /// Whether there is nothing in it.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    #[inline(always)]
    fn bucket(&self, hash: u64) -> usize {
        (hash >> 40) as usize & self.moves.len().wrapping_sub(1)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower bits are wanted")]
    fn place(&self, hash: u64, moved: u16) -> usize {
        let step = (hash >> 32) | 1;
        hash.wrapping_add(step.wrapping_mul(moved.into())) as usize & self.slots.len().wrapping_sub(1)
    }
}

impl Slot {
    #[inline(always)]
    fn is(&self, key: &Key<'_>, keys: &[u8]) -> bool {
        let length = self.length as usize;
        let is_short = (self.head == key.head) & (length == key.length);
        if key.length <= HEAD { is_short } else { is_short && self.is_long(key, keys) }
    }

    #[inline]
    fn is_long(&self, key: &Key<'_>, keys: &[u8]) -> bool {
        let known = keys.get(self.start as usize..).and_then(|keys| keys.get(..key.text.len())).unwrap_or_default();
        let tail = |text: &[u8]| text.last_chunk::<HEAD>().map(|sixteen| u128::from_le_bytes(*sixteen));
        tail(known) == tail(key.text) && (known.len() <= 2 * HEAD || known == key.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map(
            entries in proptest::collection::vec(("[ab]{0,70}|[a-z]{0,4}", 0..1_000_u32), 0..60),
            others in proptest::collection::vec("[ab]{0,70}|[a-z]{0,4}", 0..60),
            around in "[ab]{0,20}",
        ) {
            let map: BTreeMap<&str, u32> = entries.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            let table = Table::new(entries.iter().map(|(key, value)| (key, *value)));
            prop_assert_eq!(table.is_empty(), map.is_empty());
            for key in entries.iter().map(|(key, _)| key).chain(&others) {
                let expected = map.get(key.as_str()).copied().unwrap_or(5_000);
                prop_assert_eq!(table.get_or(5_000, &Key::of(key.as_bytes())), expected);
                let text = format!("{around}{key}{around}");
                let within = Key::within(text.as_bytes(), around.len()..around.len() + key.len());
                prop_assert_eq!(table.get_or(5_000, &within), expected);
                prop_assert_eq!(within.head(), Key::of(key.as_bytes()).head());
            }
        }
    }

    #[test]
    fn a_large_map_is_made() {
        let keys: Vec<String> = (0..50_000).map(|number| format!("C02XL{number:06}")).collect();
        let table = Table::new(keys.iter().zip(0..));
        assert!(keys.iter().zip(0..).all(|(key, value)| table.get_or(u32::MAX, &Key::of(key.as_bytes())) == value));
        assert_eq!((table.slots.len(), table.get_or(u32::MAX, &Key::of(b"C02XL"))), (65_536, u32::MAX));
        assert!(table.others.is_empty());
    }

    #[test]
    fn texts_whose_first_and_last_bytes_overlap_have_different_hashes() {
        let texts = (0..60_000).map(|number| format!("ada.lovelace{number}@{}", &"example.com"[number % 11..]));
        assert!(Table::new(texts.zip(0..)).others.is_empty());
    }

    #[test]
    fn keys_with_the_same_hash_are_told_apart() {
        let mut table = Table::new([("one", 1)]);
        table.others.insert((*b"other").into(), 2);
        let get = |key: &[u8]| table.get_or(0, &Key::of(key));
        assert_eq!([get(b"one"), get(b"other"), get(b"third")], [1, 2, 0]);
    }

    #[test]
    fn hashes_of_similar_texts_are_spread() {
        let count = 100_000;
        for (before, behind) in [("C02XL", ""), ("com.example.application.", ".helper"), ("", "")] {
            for shift in [0, 52] {
                let mut bits: Vec<u64> = (0..count)
                    .map(|number| Key::of(format!("{before}{number:06}{behind}").as_bytes()).hash >> shift & 0xfff)
                    .collect();
                bits.sort_unstable();
                let most = bits.chunk_by(|one, other| one == other).map(<[u64]>::len).max().unwrap();
                assert!(most < 3 * count / 4096, "{before} {shift} {most}");
            }
        }
    }
}

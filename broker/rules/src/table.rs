//! A map from byte strings to numbers that is made once and then only read.
//!
//! Most lookups find nothing, so there is a filter in front: one bit for each combination, more or less, of length, first
//! and last byte. What gets past it is hashed. Keys come from rules and are trusted; looked up is what events hold, which
//! cannot make the table worse than it is.

/// The map.
#[derive(Debug, Default)]
pub(crate) struct Table {
    filter: u64,
    slots: Box<[Slot]>,
    keys: Box<[u8]>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    /// All of a key of up to 16 bytes, and the last 16 bytes of another.
    ends: (u64, u64),
    length: u32,
    /// Where the longer keys stand.
    start: u32,
    /// A slot is free if this is [`FREE`].
    value: u32,
}

/// No entry has this value.
const FREE: u32 = u32::MAX;

impl Table {
    /// Makes a map; of a key that is there twice the last one counts.
    pub(crate) fn new<K: AsRef<[u8]>>(entries: impl IntoIterator<Item = (K, u32)>) -> Self {
        let entries: Vec<(K, u32)> = entries.into_iter().collect();
        if entries.is_empty() {
            return Self::default();
        }
        let free = Slot { value: FREE, ..Slot::default() };
        let slots = vec![free; (2 * entries.len()).next_power_of_two()].into();
        let mut table = Self { filter: 0, slots, keys: Box::default() };
        let mut keys = Vec::new();
        for (key, value) in &entries {
            table.insert(key.as_ref(), *value, &mut keys);
        }
        table.keys = keys.into();
        table
    }

    fn insert(&mut self, key: &[u8], value: u32, keys: &mut Vec<u8>) {
        self.filter |= 1 << shape(key);
        let ends = ends(key);
        let mut place = self.place(key, ends);
        while let Some(slot) = self.slots.get_mut(place).filter(|slot| slot.value != FREE) {
            if slot.is(key, ends, keys) {
                slot.value = value;
                return;
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
        let (Ok(start), Ok(length)) = (u32::try_from(keys.len()), u32::try_from(key.len())) else { return };
        self.slots[place] = Slot { ends, length, start, value };
        if key.len() > INLINE {
            keys.extend(key);
        }
    }

    /// What stands under this key.
    #[inline(always)]
    pub(crate) fn get(&self, key: &[u8]) -> Option<u32> {
        if self.filter >> shape(key) & 1 == 0 { None } else { self.find(key) }
    }

    #[inline]
    fn find(&self, key: &[u8]) -> Option<u32> {
        let ends = ends(key);
        let mut place = self.place(key, ends);
        loop {
            let slot = self.slots.get(place)?;
            if slot.value == FREE {
                return None;
            }
            if slot.is(key, ends, &self.keys) {
                return Some(slot.value);
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    #[inline(always)]
    fn place(&self, key: &[u8], ends: (u64, u64)) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
        let hash = hash(key, ends) as usize;
        hash & (self.slots.len() - 1)
    }
}

impl Slot {
    #[inline(always)]
    fn is(&self, key: &[u8], ends: (u64, u64), keys: &[u8]) -> bool {
        let length = self.length as usize;
        self.ends == ends
            && length == key.len()
            && (length <= INLINE || keys.get(self.start as usize..).and_then(|keys| keys.get(..length)) == Some(key))
    }
}

/// So many bytes are compared as two numbers.
const INLINE: usize = 16;

/// A number below 64 that differs for keys that look different.
#[inline(always)]
fn shape(key: &[u8]) -> u32 {
    let [first, .., last] = key else { return u32::from(key.first().copied().unwrap_or(0)) & 63 };
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
    let length = key.len() as u32;
    (length.wrapping_mul(7) ^ u32::from(*first) ^ (u32::from(*last) << 2)) & 63
}

/// Two numbers that are different for different keys of the same length, up to 16 bytes; of longer ones their last 16.
#[inline(always)]
fn ends(key: &[u8]) -> (u64, u64) {
    match *key {
        [] => (0, 0),
        [only] => (u64::from(only), 0),
        [first, second] => (u64::from(first), u64::from(second)),
        [first, second, third] => (u64::from(first) << 8 | u64::from(second), u64::from(third)),
        _ if key.len() < 8 => (four(key.first_chunk()), four(key.last_chunk())),
        _ if key.len() <= INLINE => (eight(key.first_chunk()), eight(key.last_chunk())),
        _ => key.last_chunk().map_or((0, 0), halves),
    }
}

/// A hash with 64 good bits: each 16 bytes are multiplied into it, then the ends.
#[inline(always)]
fn hash(key: &[u8], (low, high): (u64, u64)) -> u64 {
    let mut hash = key.len() as u64;
    if key.len() > INLINE {
        for sixteen in key.as_chunks().0 {
            let (low, high) = halves(sixteen);
            hash = mix(low ^ hash, high);
        }
    }
    mix(low ^ hash.wrapping_mul(0x9e37_79b9_7f4a_7c15), high)
}

#[inline(always)]
fn mix(one: u64, other: u64) -> u64 {
    let product = u128::from(one ^ 0x2d35_8dcc_aa6c_78a5) * u128::from(other ^ 0x8bb8_4b93_962e_acc9);
    #[expect(clippy::cast_possible_truncation, reason = "the upper and the lower half")]
    let (high, low) = ((product >> 64) as u64, product as u64);
    high ^ low
}

#[inline(always)]
fn halves(sixteen: &[u8; 16]) -> (u64, u64) {
    (eight(sixteen.first_chunk()), eight(sixteen.last_chunk()))
}

#[inline(always)]
fn eight(bytes: Option<&[u8; 8]>) -> u64 {
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[inline(always)]
fn four(bytes: Option<&[u8; 4]>) -> u64 {
    bytes.map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map(
            entries in proptest::collection::vec(("[ab]{0,40}|[a-z]{0,4}", 0..1_000_u32), 0..60),
            others in proptest::collection::vec("[ab]{0,40}|[a-z]{0,4}", 0..60),
        ) {
            let map: BTreeMap<&str, u32> = entries.iter().map(|(key, value)| (key.as_str(), *value)).collect();
            let table = Table::new(entries.iter().map(|(key, value)| (key, *value)));
            prop_assert_eq!(table.is_empty(), map.is_empty());
            for key in entries.iter().map(|(key, _)| key).chain(&others) {
                prop_assert_eq!(table.get(key.as_bytes()), map.get(key.as_str()).copied());
            }
        }
    }

    #[test]
    fn hashes_of_similar_texts_are_spread() {
        let count = 100_000;
        let mut low: Vec<u64> = (0..count)
            .map(|number| {
                let key = format!("C02XL{number:06}");
                hash(key.as_bytes(), ends(key.as_bytes())) & 0xfff
            })
            .collect();
        low.sort_unstable();
        let most = low.chunk_by(|one, other| one == other).map(<[u64]>::len).max().unwrap();
        assert!(most < 3 * count / 4096, "{most}");
    }
}

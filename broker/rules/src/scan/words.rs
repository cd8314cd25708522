//! `true`, `false` and `null`: the only words there are.

use super::lanes::{LANES, Lanes};
use super::{BLOCK, Suspect};

/// Checks that a word stands at each of these places behind `base`, and nothing more.
#[inline(always)]
pub(super) fn check<L: Lanes>(text: &[u8], base: usize, words: L) -> Result<(), Suspect> {
    // All in one loop: how often that is gone through differs less than how many words a block has.
    let mut lanes = words.nonzero();
    if lanes == 0 {
        return Ok(());
    }
    let mut words = words.to_array();
    while lanes != 0 {
        let lane = lanes.trailing_zeros() as usize % LANES;
        let at = base + lane * BLOCK + words[lane].trailing_zeros() as usize;
        words[lane] &= words[lane].wrapping_sub(1);
        lanes &= !(u32::from(words[lane] == 0) << lane);
        if !begins_with_word(text.get(at..).unwrap_or_default()) {
            return Err(Suspect);
        }
    }
    Ok(())
}

/// The words, each where two bits of its first letter say, and how long they are.
const WORDS: [(u64, u32); 4] = [
    (word(*b"false\0\0\0"), 5 * u8::BITS),
    (word(*b"null\0\0\0\0"), 4 * u8::BITS),
    (word(*b"true\0\0\0\0"), 4 * u8::BITS),
    (0, 1),
];

const fn word(bytes: [u8; 8]) -> u64 {
    u64::from_le_bytes(bytes)
}

/// Whether a text that begins with `t`, `f` or `n` begins with a word.
#[inline(always)]
fn begins_with_word(text: &[u8]) -> bool {
    let Some(eight) = text.first_chunk() else { return is_last_word(text) };
    let eight = u64::from_le_bytes(*eight);
    let (word, bits) = WORDS[(eight >> 3 & 3) as usize];
    (eight ^ word) << (u64::BITS - bits) == 0 && ENDS_WORD[(eight >> bits & 0xff) as usize]
}

/// The end of a text is no place to read eight bytes at once.
#[cold]
fn is_last_word(text: &[u8]) -> bool {
    let words: [&[u8]; 3] = [b"true", b"false", b"null"];
    let behind = words.iter().find_map(|word| text.strip_prefix(*word));
    behind.is_some_and(|behind| behind.first().is_none_or(|byte| ENDS_WORD[usize::from(*byte)]))
}

/// Whether a word may end in front of this byte.
const ENDS_WORD: [bool; 256] = {
    let (mut ends, mut at) = ([false; 256], 0);
    let behind = b",}] \n\r\t";
    while at < behind.len() {
        ends[behind[at] as usize] = true;
        at += 1;
    }
    ends
};

//! AVX2: bytes are compared 32 at a time.

use crate::scan::lanes::{LANES, Plain};
use crate::scan::masks::Masks;
use crate::scan::order::{Kinds, Word};
use crate::scan::portable;
use crate::scan::{BLOCK, FRONT, Machine, Suspect, Tokens, WIDTH, Way, scan_with};
use std::arch::x86_64::*;

/// The way, if this processor has it.
pub(super) fn way() -> Option<Way> {
    let has_it = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt");
    // SAFETY: the processor has the features, as has just been asked.
    let way: Way = |tokens, text| unsafe { scan_there(tokens, text) };
    has_it.then_some(way)
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
fn scan_there(tokens: &mut Tokens, text: &[u8]) -> Result<usize, Suspect> {
    scan_with(Avx2, tokens, text)
}

/// A processor that has AVX2. It is named in [`scan_there`] only.
#[derive(Clone, Copy)]
struct Avx2;

impl Machine for Avx2 {
    type Lanes = Plain;
    type Block = [u8; BLOCK];

    const GATHERS: bool = true;

    #[inline(always)]
    fn gather(self, from: u64, mask: u64) -> u64 {
        // SAFETY: this machine is used only where its features are there.
        unsafe { _pext_u64(from, mask) }
    }

    #[inline(always)]
    fn scatter(self, from: u64, mask: u64) -> u64 {
        // SAFETY: this machine is used only where its features are there.
        unsafe { _pdep_u64(from, mask) }
    }

    #[inline(always)]
    fn load(self, text: &[u8]) -> [[u8; BLOCK]; LANES] {
        portable::load(text)
    }

    #[inline(always)]
    fn masks(self, blocks: &[[u8; BLOCK]; LANES]) -> Masks<Plain> {
        // SAFETY: this machine is used only where its features are there.
        unsafe { masks(blocks) }
    }

    #[inline(always)]
    fn order(self, before: &Kinds, tokens: &[u8; FRONT + BLOCK]) -> (Word, Kinds) {
        let tokens = tokens.last_chunk().unwrap_or(&[0; BLOCK]);
        // SAFETY: this machine is used only where its features are there.
        let kinds = unsafe { kinds(tokens) };
        (kinds.behind(before), kinds)
    }

    #[inline(always)]
    fn bytes(self, room: &mut [u8; WIDTH + BLOCK], blocks: &[[u8; BLOCK]; LANES], which: &[u64; LANES]) -> usize {
        portable::bytes(room, blocks, which)
    }

    #[inline(always)]
    fn places(self, room: &mut [u32; BLOCK], base: u32, which: u64) {
        portable::places(room, base, which);
    }
}

/// Which of 512 bytes are what.
#[inline]
#[target_feature(enable = "avx2")]
fn masks(blocks: &[[u8; BLOCK]; LANES]) -> Masks<Plain> {
    // For each kind the bits of 32 bytes after those of 32 others.
    let mut kinds = [[0; WIDTH / 8]; 12];
    let mut all_bytes = _mm256_setzero_si256();
    let (halves, _) = blocks.as_flattened().as_chunks();
    for (at, half) in halves.iter().enumerate() {
        let half = load(half);
        all_bytes = _mm256_or_si256(all_bytes, half);
        let is = |byte: u8| _mm256_cmpeq_epi8(half, all(byte));
        let is_of = |table: &[u8; 16]| _mm256_cmpeq_epi8(half, one_of(half, table));
        // With this bit, opening brackets are the same, and closing ones, and so are small and capital letters.
        let folded = _mm256_or_si256(half, all(0x20));
        let value = _mm256_sub_epi8(half, all(b'0'));
        let control = _mm256_cmpeq_epi8(_mm256_min_epu8(half, all(0x1f)), half);
        // Two control characters would be taken for structure.
        let structural = _mm256_andnot_si256(control, _mm256_cmpeq_epi8(folded, one_of(half, &STRUCTURAL)));
        let digit = _mm256_cmpeq_epi8(_mm256_min_epu8(value, all(9)), value);
        let exponent = _mm256_cmpeq_epi8(folded, all(b'e'));
        let which = [
            is(b'"'),
            is(b'\\'),
            structural,
            is_of(&SPACE),
            control,
            digit,
            is(b'0'),
            is(b'-'),
            is_of(&BEFORE_DIGIT),
            is(b'.'),
            exponent,
            is_of(&WORD),
        ];
        for (kind, which) in kinds.iter_mut().zip(which) {
            let bits = _mm256_movemask_epi8(which).to_le_bytes();
            kind.as_chunks_mut().0[at] = bits;
        }
    }
    let [quote, backslash, structural, space, control, digit, zero, minus, before_digit, dot, exponent, word] =
        kinds.map(Plain::from_bytes);
    let ascii = _mm256_movemask_epi8(all_bytes) == 0;
    Masks { ascii, quote, backslash, structural, space, control, digit, zero, minus, before_digit, dot, exponent, word }
}

#[inline]
#[target_feature(enable = "avx2")]
fn kinds(tokens: &[u8; BLOCK]) -> Kinds {
    let (halves, _) = tokens.as_chunks();
    let (low, high) = (load(&halves[0]), load(&halves[1]));
    macro_rules! is {
        ($byte:expr) => {{
            let bits = |half| _mm256_movemask_epi8(_mm256_cmpeq_epi8(half, all($byte))).cast_unsigned();
            u64::from(bits(low)) | u64::from(bits(high)) << 32
        }};
    }
    Kinds {
        string: is!(b'"'),
        open_object: is!(b'{'),
        close_object: is!(b'}'),
        open_array: is!(b'['),
        close_array: is!(b']'),
        colon: is!(b':'),
        comma: is!(b','),
        end: is!(0),
    }
}

/// Bytes of which no two have the same low half, each where that half says; elsewhere what has another.
const fn by_low_half(bytes: &[u8]) -> [u8; 16] {
    let mut table = [0; 16];
    // What stands at 0 is looked up for bytes that end with 0, and is none of them.
    table[0] = 1;
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize % 16] = bytes[at];
        at += 1;
    }
    table
}

const STRUCTURAL: [u8; 16] = by_low_half(b"{}:,");
const SPACE: [u8; 16] = by_low_half(b" \t\n\r");
const BEFORE_DIGIT: [u8; 16] = by_low_half(b"+-.");
const WORD: [u8; 16] = by_low_half(b"tfn");

/// For each byte the one of a table that its low half names; for those above 0x7f zero.
#[inline]
#[target_feature(enable = "avx2")]
fn one_of(half: __m256i, table: &[u8; 16]) -> __m256i {
    // SAFETY: 16 bytes are there to be read.
    let table = unsafe { _mm_loadu_si128(table.as_ptr().cast()) };
    _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), half)
}

#[inline]
#[target_feature(enable = "avx2")]
fn all(byte: u8) -> __m256i {
    _mm256_set1_epi8(byte.cast_signed())
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are there to be read.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

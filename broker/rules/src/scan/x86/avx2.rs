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
        eight!(lane => portable::load(text, lane * BLOCK))
    }

    #[inline(always)]
    fn masks(self, blocks: &[[u8; BLOCK]; LANES]) -> Masks<Plain> {
        // SAFETY: this machine is used only where its features are there.
        portable::masks_of(eight!(lane => unsafe { masks(&blocks[lane]) }))
    }

    #[inline(always)]
    fn order(self, before: &Kinds, tokens: &[u8; FRONT + BLOCK]) -> (Word, Kinds) {
        let tokens = tokens.last_chunk().unwrap_or(&[0; BLOCK]);
        // SAFETY: this machine is used only where its features are there.
        let is = |byte: u8| unsafe { equal(tokens, byte) };
        let kinds = Kinds {
            string: is(b'"'),
            open_object: is(b'{'),
            close_object: is(b'}'),
            open_array: is(b'['),
            close_array: is(b']'),
            colon: is(b':'),
            comma: is(b','),
            end: is(0),
        };
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

#[target_feature(enable = "avx2")]
fn masks(block: &[u8; BLOCK]) -> Masks<u64> {
    let halves = halves(block);
    let is = |byte: i8| join(halves.map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte))));
    let is_either = |bit: i8, byte: i8| {
        let folded = halves.map(|half| _mm256_or_si256(half, _mm256_set1_epi8(bit)));
        join(folded.map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte))))
    };
    let between = |low: i8, high: i8| {
        join(halves.map(|half| {
            let above = _mm256_max_epu8(half, _mm256_set1_epi8(low));
            _mm256_cmpeq_epi8(_mm256_min_epu8(above, _mm256_set1_epi8(high)), half)
        }))
    };
    Masks {
        ascii: join(halves) == 0,
        quote: is(0x22),
        backslash: is(0x5c),
        structural: is_either(0x20, 0x7b) | is_either(0x20, 0x7d) | is(0x3a) | is(0x2c),
        space: is(0x20) | is(0x09) | is(0x0a) | is(0x0d),
        control: between(0, 0x1f),
        digit: between(0x30, 0x39),
        exponent: is_either(0x20, 0x65),
        zero: is(0x30),
        minus: is(0x2d),
        before_digit: is(0x2b) | is(0x2d) | is(0x2e),
        dot: is(0x2e),
        word: is(0x74) | is(0x66) | is(0x6e),
    }
}

#[target_feature(enable = "avx2")]
fn equal(word: &[u8; BLOCK], byte: u8) -> u64 {
    join(halves(word).map(|half| _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte.cast_signed()))))
}

#[target_feature(enable = "avx2")]
fn halves(block: &[u8; BLOCK]) -> [__m256i; 2] {
    let (halves, _) = block.as_chunks::<32>();
    // SAFETY: 32 bytes are there to be read.
    let load = |half: &[u8; 32]| unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
    [load(&halves[0]), load(&halves[1])]
}

/// The highest bit of each byte.
#[target_feature(enable = "avx2")]
fn join([low, high]: [__m256i; 2]) -> u64 {
    u64::from(_mm256_movemask_epi8(low).cast_unsigned()) | u64::from(_mm256_movemask_epi8(high).cast_unsigned()) << 32
}

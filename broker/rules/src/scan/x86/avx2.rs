//! AVX2: bytes are looked up 32 at a time, tokens compared.

use crate::scan::lanes::{LANES, Plain};
use crate::scan::masks::Masks;
use crate::scan::order::{Kinds, Word};
use crate::scan::portable;
use crate::scan::{BLOCK, FRONT, Machine, Room, Suspect, Tokens, WIDTH, Way, Written, scan_with};
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
    type Blocks<'t> = &'t Room;

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
    fn load<'t>(self, text: &'t [u8], room: &'t mut Room) -> &'t Room {
        portable::load(text, room)
    }

    #[inline(always)]
    fn masks(self, blocks: &Room) -> Masks<Plain> {
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
    fn write(self, written: Written<'_>, blocks: &Room, which: &[u64; LANES]) -> usize {
        portable::write(written, blocks, which)
    }

    #[inline(always)]
    fn places(self, room: &mut [u32; BLOCK], base: u32, which: u64) {
        portable::places(room, base, which);
    }
}

/// Which of 512 bytes are what.
#[inline]
#[target_feature(enable = "avx2")]
fn masks(blocks: &Room) -> Masks<Plain> {
    // For each bit of the tables below, the bits of 32 bytes after those of 32 others.
    let mut bits = [[0; WIDTH / 8]; 8];
    let mut all_bytes = _mm256_setzero_si256();
    let (halves, _) = blocks.as_flattened().as_chunks();
    for (at, half) in halves.iter().enumerate() {
        let half = load(half);
        all_bytes = _mm256_or_si256(all_bytes, half);
        let row = _mm256_and_si256(_mm256_srli_epi16(half, 4), all(0x0f));
        let first = _mm256_and_si256(look_up(&ROWS[0], row), look_up(&COLUMNS[0], half));
        let second = _mm256_and_si256(look_up(&ROWS[1], row), look_up(&COLUMNS[1], half));
        let mut kinds = _mm256_or_si256(first, second);
        for bits in bits.iter_mut().rev() {
            bits.as_chunks_mut().0[at] = _mm256_movemask_epi8(kinds).to_le_bytes();
            kinds = _mm256_add_epi8(kinds, kinds);
        }
    }
    let [b0, b1, b2, b3, b4, b5, b6, b7] = bits.map(Plain::from_bytes);
    Masks {
        ascii: _mm256_movemask_epi8(all_bytes) == 0,
        quote: b0 & !b3,
        control: b3 & !b0,
        structural: (b0 & b3) | (b1 & !b5),
        backslash: b1 & b5,
        before_digit: b5 & !b1,
        space: b2 & !b4,
        zero: b2 & b4,
        digit: b4 & !b5,
        minus: b4 & b5,
        dot: b6 & b5,
        exponent: b6 & !b5,
        word: b7,
    }
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

/// ASCII as eight rows of sixteen. Each bit is two rectangles in it, which together with other bits tell what a byte is.
const RECTANGLES: [[(&[usize], &[usize]); 2]; 8] = [
    // `"`, and a colon
    [(&[2], &[0x2]), (&[3], &[0xa])],
    // brackets; a comma and a backslash
    [(&[5, 7], &[0xb, 0xd]), (&[2, 5], &[0xc])],
    // a space and `0`; other kinds of space
    [(&[2, 3], &[0x0]), (&[0], &[0x9, 0xa, 0xd])],
    // control characters, and a colon
    [(&[0, 1], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf]), (&[3], &[0xa])],
    // digits, and a minus
    [(&[3], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), (&[2], &[0xd])],
    // what is followed by a digit, and a backslash
    [(&[2], &[0xb, 0xd, 0xe]), (&[5], &[0xc])],
    // `E` and `e`, and a dot
    [(&[4, 6], &[0x5]), (&[2], &[0xe])],
    // `f` and `n`, and `t`
    [(&[6], &[0x6, 0xe]), (&[7], &[0x4])],
];

const ROWS: [[u8; 16]; 2] = sides(true);
const COLUMNS: [[u8; 16]; 2] = sides(false);

/// For each row or column, in which of the first rectangles it is, and in which of the second.
const fn sides(rows: bool) -> [[u8; 16]; 2] {
    let mut sides = [[0; 16]; 2];
    let mut at = 0;
    while at < 2 * RECTANGLES.len() {
        let (bit, which) = (at / 2, at % 2);
        let rectangle = RECTANGLES[bit][which];
        let mut side = if rows { rectangle.0 } else { rectangle.1 };
        while let [place, rest @ ..] = side {
            sides[which][*place] |= 1 << bit;
            side = rest;
        }
        at += 1;
    }
    sides
}

/// For each byte what a table has where its low half says; for those above 0x7f zero.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up(table: &[u8; 16], half: __m256i) -> __m256i {
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

//! AVX-512 with VBMI, VBMI2 and GFNI, which come together (Ice Lake, Zen 4 and later): eight masks are one register.
//!
//! A table turns each byte into eight bits that say what it is. Taken 8 by 8 bytes these are square matrices of bits;
//! transposed, each byte holds one bit of eight bytes of the text, and sorted together they are the masks of a block.

use crate::scan::lanes::{LANES, Lanes};
use crate::scan::masks::Masks;
use crate::scan::structure::Kinds;
use crate::scan::{BLOCK, CLOSING, Machine, Room, Suspect, Tokens, WIDTH, Way, scan_with};
use std::arch::x86_64::*;
use std::ops::{BitAnd, BitOr, BitXor, Not};

/// The way, if this processor has it.
pub(super) fn way() -> Option<Way> {
    let has_it = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("gfni")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt");
    // SAFETY: the processor has the features, as has just been asked.
    let way: Way = |tokens, text| unsafe { scan_there(tokens, text) };
    has_it.then_some(way)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi,avx512vbmi2,gfni,bmi1,bmi2,popcnt")]
fn scan_there(tokens: &mut Tokens, text: &[u8]) -> Result<usize, Suspect> {
    scan_with(Avx512, tokens, text)
}

/// A processor that has all of that. It is named in [`scan_there`] only, so all that is unsafe below is used only where
/// the features are there.
#[derive(Clone, Copy)]
struct Avx512;

/// 64 bytes or eight masks.
#[derive(Clone, Copy)]
struct Register(__m512i);

/// Calls instructions.
macro_rules! there {
    ($($code:tt)*) => {
        // SAFETY: registers are made by the machine above only, and so where the features are there.
        unsafe { $($code)* }
    };
}

impl Machine for Avx512 {
    type Lanes = Register;
    type Block = Register;

    const GATHERS: bool = true;

    #[inline(always)]
    fn gather(self, from: u64, mask: u64) -> u64 {
        // SAFETY: as above.
        unsafe { _pext_u64(from, mask) }
    }

    #[inline(always)]
    fn scatter(self, from: u64, mask: u64) -> u64 {
        // SAFETY: as above.
        unsafe { _pdep_u64(from, mask) }
    }

    #[inline(always)]
    fn load(self, text: &[u8], from: usize) -> Register {
        let there = text.len().saturating_sub(from).min(BLOCK);
        #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
        let mask = u64::MAX.checked_shr((BLOCK - there) as u32).unwrap_or(0);
        // SAFETY: as above; what the mask leaves out is not read.
        Register(unsafe {
            _mm512_mask_loadu_epi8(_mm512_set1_epi8(0x20), mask, text.as_ptr().wrapping_add(from).cast())
        })
    }

    #[inline(always)]
    fn masks(self, blocks: &[Register; LANES]) -> Masks<Register> {
        let [a, b, c, d, e, f, g, h] = *blocks;
        let all = ((a | b) | (c | d)) | ((e | f) | (g | h));
        let ascii = there!(_mm512_movepi8_mask(all.0)) == 0;
        if ascii { masks::<true>(blocks) } else { masks::<false>(blocks) }
    }

    #[inline(always)]
    fn kinds(self, tokens: &[u8; WIDTH]) -> Kinds<Register> {
        let (words, _) = tokens.as_chunks::<BLOCK>();
        // What is no token of JSON has been seen before.
        let kinds = sort(eight!(lane => {
            let word = Register(there!(_mm512_shuffle_epi8(load(&words[lane]).0, load(&REVERSED).0)));
            transpose(class::<true>(word, &KINDS), &SORTED)
        }));
        Kinds {
            quote: kinds[0],
            closing: kinds[1],
            open_object: kinds[2],
            close_object: kinds[3],
            open_array: kinds[4],
            close_array: kinds[5],
            colon: kinds[6],
            comma: kinds[7],
        }
    }

    /// Gathers the bytes and their numbers in registers; these are written 16 at a time.
    #[inline(always)]
    fn write(self, room: Room<'_>, block: &Register, base: u32, which: u64, closing: u64) {
        // SAFETY: as above, and 64 bytes are there to be written.
        let numbers = unsafe {
            let bytes = _mm512_mask_mov_epi8(block.0, closing, _mm512_set1_epi8(CLOSING.cast_signed()));
            _mm512_storeu_si512(room.bytes.as_mut_ptr().cast(), _mm512_maskz_compress_epi8(which, bytes));
            _mm512_maskz_compress_epi8(which, load(&NUMBERS).0)
        };
        let quarters = there! {[
            _mm512_castsi512_si128(numbers),
            _mm512_extracti32x4_epi32(numbers, 1),
            _mm512_extracti32x4_epi32(numbers, 2),
            _mm512_extracti32x4_epi32(numbers, 3),
        ]};
        let count = which.count_ones();
        let (sixteens, _) = room.places.as_chunks_mut::<16>();
        // Half of a block is always written: more is rare, and so well predicted.
        for sixteen in 0..if count > 32 { 4 } else { 2 } {
            // SAFETY: as above, and 16 numbers of 4 bytes are there to be written.
            unsafe {
                let wide = _mm512_cvtepu8_epi32(quarters[sixteen]);
                let places = _mm512_add_epi32(wide, _mm512_set1_epi32(base.cast_signed()));
                _mm512_storeu_si512(sixteens[sixteen].as_mut_ptr().cast(), places);
            }
        }
    }
}

#[inline(always)]
fn masks<const ASCII: bool>(blocks: &[Register; LANES]) -> Masks<Register> {
    // The instruction that transposes takes a matrix with its last row first.
    let blocks = eight!(lane => Register(there!(_mm512_shuffle_epi8(blocks[lane].0, load(&REVERSED).0))));
    let first = sort(eight!(lane => transpose(class::<ASCII>(blocks[lane], &CLASSES), &SORTED)));
    // Of the other classes there are half as many, so those of two blocks fit together.
    let pair = |one: usize| (class::<ASCII>(blocks[one], &EVEN_CLASSES), class::<ASCII>(blocks[one + 1], &ODD_CLASSES));
    let (zero, two, four, six) = (pair(0), pair(2), pair(4), pair(6));
    let second = sort_pairs([
        transpose(zero.0 | zero.1, &SORTED_PAIRS),
        transpose(two.0 | two.1, &SORTED_PAIRS),
        transpose(four.0 | four.1, &SORTED_PAIRS),
        transpose(six.0 | six.1, &SORTED_PAIRS),
    ]);
    Masks {
        ascii: ASCII,
        quote: first[0],
        backslash: first[1],
        structural: first[2],
        space: first[3],
        control: first[4],
        digit: first[5],
        before_digit: first[6],
        dot: first[7],
        zero: second[0],
        minus: second[1],
        exponent: second[2],
        word: second[3],
    }
}

/// The bytes of a block as a table knows them. It knows ASCII; other bytes are nothing.
#[inline(always)]
fn class<const ASCII: bool>(block: Register, table: &[[u8; BLOCK]; 2]) -> Register {
    there! {
        let (low, high) = (load(&table[0]).0, load(&table[1]).0);
        Register(if ASCII {
            _mm512_permutex2var_epi8(low, block.0, high)
        } else {
            _mm512_maskz_permutex2var_epi8(!_mm512_movepi8_mask(block.0), low, block.0, high)
        })
    }
}

/// From 64 bytes of eight bits, each eight bytes backwards, to eight masks in an order.
#[inline(always)]
fn transpose(block: Register, order: &[u8; BLOCK]) -> Register {
    there! {
        let identity = _mm512_set1_epi64(0x8040_2010_0804_0201_u64.cast_signed());
        let transposed = _mm512_gf2p8affine_epi64_epi8(identity, block.0, 0);
        Register(_mm512_permutexvar_epi8(load(order).0, transposed))
    }
}

/// From four kinds of masks of two blocks after another to one kind of mask after another.
#[inline(always)]
fn sort_pairs([a, b, c, d]: [Register; 4]) -> [Register; 4] {
    let ((ab, ba), (cd, dc)) = (fours(a.0, b.0), fours(c.0, d.0));
    let ((k0, k2), (k1, k3)) = (fours(ab, cd), fours(ba, dc));
    [Register(k0), Register(k1), Register(k2), Register(k3)]
}

/// From the masks of one block after another to one kind of mask after another: an 8 by 8 transposition.
#[inline(always)]
fn sort(blocks: [Register; LANES]) -> [Register; LANES] {
    let [a, b, c, d, e, f, g, h] = blocks;
    let ((a, b), (c, d), (e, f), (g, h)) = (pairs(a, b), pairs(c, d), pairs(e, f), pairs(g, h));
    // Each 128 bits now hold two blocks' masks of one kind; what follows moves these.
    let ((ac, ca), (eg, ge)) = (fours(a, c), fours(e, g));
    let ((bd, db), (fh, hf)) = (fours(b, d), fours(f, h));
    let ((k0, k4), (k2, k6)) = (fours(ac, eg), fours(ca, ge));
    let ((k1, k5), (k3, k7)) = (fours(bd, fh), fours(db, hf));
    let k = [k0, k1, k2, k3, k4, k5, k6, k7];
    eight!(lane => Register(k[lane]))
}

#[inline(always)]
fn pairs(one: Register, other: Register) -> (__m512i, __m512i) {
    there! {(_mm512_unpacklo_epi64(one.0, other.0), _mm512_unpackhi_epi64(one.0, other.0))}
}

#[inline(always)]
fn fours(one: __m512i, other: __m512i) -> (__m512i, __m512i) {
    there! {(_mm512_shuffle_i64x2(one, other, 0b10_00_10_00), _mm512_shuffle_i64x2(one, other, 0b11_01_11_01))}
}

#[inline(always)]
fn load(bytes: &[u8; BLOCK]) -> Register {
    // SAFETY: as above, and 64 bytes are there to be read.
    Register(unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) })
}

impl Lanes for Register {
    /// The masks before.
    type Edge = __m512i;

    #[inline(always)]
    fn from_array(masks: [u64; LANES]) -> Self {
        // SAFETY: as above, and 64 bytes are there to be read.
        Self(unsafe { _mm512_loadu_si512(masks.as_ptr().cast()) })
    }

    #[inline(always)]
    fn to_array(self) -> [u64; LANES] {
        let mut masks = [0; LANES];
        // SAFETY: as above, and 64 bytes are there to be written.
        unsafe { _mm512_storeu_si512(masks.as_mut_ptr().cast(), self.0) };
        masks
    }

    #[inline(always)]
    fn none() -> Self {
        Self(there!(_mm512_setzero_si512()))
    }

    #[inline(always)]
    fn no_edge() -> __m512i {
        Self::none().0
    }

    #[inline(always)]
    fn behind<const BY: u32>(self, edge: &mut __m512i) -> Self {
        there! {
            let before = _mm512_alignr_epi64(self.0, *edge, 7);
            *edge = self.0;
            Self(if BY == 1 {
                _mm512_shldi_epi64(self.0, before, 1)
            } else {
                _mm512_shldv_epi64(self.0, before, _mm512_set1_epi64(i64::from(BY)))
            })
        }
    }

    #[inline(always)]
    fn running_xor(self, odd: &mut bool) -> Self {
        there! {
            let run = _mm512_xor_si512(self.0, _mm512_slli_epi64(self.0, 1));
            let run = _mm512_xor_si512(run, _mm512_slli_epi64(run, 2));
            let run = _mm512_xor_si512(run, _mm512_slli_epi64(run, 4));
            let run = _mm512_xor_si512(run, _mm512_slli_epi64(run, 8));
            let run = _mm512_xor_si512(run, _mm512_slli_epi64(run, 16));
            let run = _mm512_xor_si512(run, _mm512_slli_epi64(run, 32));
            // Which masks have an odd number of bits, then of which the masks up to there have.
            let mut lanes = u32::from(_mm512_movepi64_mask(run));
            lanes ^= lanes << 1;
            lanes ^= lanes << 2;
            lanes ^= lanes << 4;
            let flip = (lanes << 1) ^ u32::from(*odd).wrapping_neg();
            *odd = flip >> LANES & 1 == 1;
            let ones = _mm512_set1_epi64(-1);
            Self(_mm512_mask_xor_epi64(run, (flip & 0xff) as __mmask8, run, ones))
        }
    }

    #[inline(always)]
    fn run_ends(self, starts: Self, open: &mut bool) -> Self {
        there! {
            let ones = _mm512_set1_epi64(-1);
            let sum = _mm512_add_epi64(self.0, starts.0);
            // Which masks overflow, and which would if one were carried into them.
            let over = u32::from(_mm512_cmplt_epu64_mask(sum, self.0));
            let full = u32::from(_mm512_cmpeq_epi64_mask(sum, ones));
            let carried = ((over << 1 | u32::from(*open)) + full) ^ full;
            *open = carried >> LANES & 1 == 1;
            let sum = _mm512_mask_sub_epi64(sum, (carried & 0xff) as __mmask8, sum, ones);
            // Runs without a start stay as they are.
            Self(_mm512_andnot_si512(self.0, sum))
        }
    }

    #[inline(always)]
    fn any(self) -> bool {
        there!(_mm512_test_epi64_mask(self.0, self.0)) != 0
    }
}

macro_rules! lanewise {
    ($($operator:ident :: $function:ident = $instruction:ident),*) => {$(
        impl $operator for Register {
            type Output = Self;

            #[inline(always)]
            fn $function(self, other: Self) -> Self {
                Self(there!($instruction(self.0, other.0)))
            }
        }
    )*};
}

lanewise!(BitAnd::bitand = _mm512_and_si512, BitOr::bitor = _mm512_or_si512, BitXor::bitxor = _mm512_xor_si512);

impl Not for Register {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        Self(there!(_mm512_xor_si512(self.0, _mm512_set1_epi64(-1))))
    }
}

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_array().fmt(f)
    }
}

/// A table of 64 bytes, or of the 128 that are ASCII.
macro_rules! table {
    ($byte:ident => $value:expr) => {{
        let mut table = [0; BLOCK];
        let mut $byte = 0_u8;
        while $byte < 64 {
            table[$byte as usize] = $value;
            $byte += 1;
        }
        table
    }};
    (ascii $($known:pat => $bits:expr),*) => {{
        let mut table = [[0; BLOCK]; 2];
        let mut byte = 0_u8;
        while byte < 128 {
            table[byte as usize / BLOCK][byte as usize % BLOCK] = match byte {
                $($known => $bits,)*
                _ => 0,
            };
            byte += 1;
        }
        table
    }};
}

const NUMBERS: [u8; BLOCK] = table!(byte => byte);
/// Each eight bytes backwards; the instruction counts within 16.
const REVERSED: [u8; BLOCK] = table!(byte => byte % 16 / 8 * 8 + 7 - byte % 8);
/// The first bytes of all eights, then the second ones, and so on.
const SORTED: [u8; BLOCK] = table!(byte => byte % 8 * 8 + byte / 8);
/// The first and the fifth bytes, the second and the sixth, and so on.
const SORTED_PAIRS: [u8; BLOCK] = table!(byte => byte % 8 * 8 + byte / 16 + byte / 8 % 2 * 4);

const CONTROL: u8 = 1 << 4;

const CLASSES: [[u8; BLOCK]; 2] = table!(ascii
    b'"' => 1,
    b'\\' => 1 << 1,
    b'{' | b'}' | b'[' | b']' | b':' | b',' => 1 << 2,
    b' ' => 1 << 3,
    b'\t' | b'\n' | b'\r' => 1 << 3 | CONTROL,
    0..=0x1f => CONTROL,
    b'0'..=b'9' => 1 << 5,
    b'+' | b'-' => 1 << 6,
    b'.' => 1 << 6 | 1 << 7
);

const EVEN_CLASSES: [[u8; BLOCK]; 2] = table!(ascii
    b'0' => 1,
    b'-' => 1 << 1,
    b'e' | b'E' => 1 << 2,
    b't' | b'f' | b'n' => 1 << 3
);

const ODD_CLASSES: [[u8; BLOCK]; 2] = table!(ascii
    b'0' => 1 << 4,
    b'-' => 1 << 5,
    b'e' | b'E' => 1 << 6,
    b't' | b'f' | b'n' => 1 << 7
);

const KINDS: [[u8; BLOCK]; 2] = table!(ascii
    b'"' => 1,
    CLOSING => 1 << 1,
    b'{' => 1 << 2,
    b'}' => 1 << 3,
    b'[' => 1 << 4,
    b']' => 1 << 5,
    b':' => 1 << 6,
    b',' => 1 << 7
);

//! AVX-512 with VBMI, VBMI2, GFNI and VPCLMULQDQ, which come together (Ice Lake, Zen 4 and later): eight masks are one
//! register.
//!
//! A table turns each byte into eight bits that say what it is. Taken 8 by 8 bytes these are square matrices of bits;
//! transposed, each byte holds one bit of eight bytes of the text, and sorted together they are the masks of a block.

use crate::scan::lanes::{LANES, Lanes};
use crate::scan::masks::Masks;
use crate::scan::order::{Kinds, Word};
use crate::scan::{BLOCK, FRONT, Machine, Room, Suspect, Tokens, WIDTH, Way, Written, scan_with};
use std::arch::x86_64::*;
use std::hint::black_box;
use std::ops::{BitAnd, BitOr, BitXor, Not};

/// The way, if this processor has it.
pub(super) fn way() -> Option<Way> {
    let has_it = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("gfni")
        && is_x86_feature_detected!("vpclmulqdq")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt");
    // SAFETY: the processor has the features, as has just been asked.
    let way: Way = |tokens, text| unsafe { scan_there(tokens, text) };
    has_it.then_some(way)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vbmi,avx512vbmi2,gfni,vpclmulqdq,bmi1,bmi2,popcnt")]
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
    type Blocks<'t> = [Register; LANES];

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
    fn load(self, text: &[u8], _: &mut Room) -> [Register; LANES] {
        if let Some(whole) = text.first_chunk::<WIDTH>() {
            fetch(text.as_ptr().wrapping_add(WIDTH));
            let (blocks, _) = whole.as_chunks();
            return eight!(lane => load(&blocks[lane]));
        }
        fetch(text.as_ptr().wrapping_add(text.len()));
        // SAFETY: as above; what the masks leave out is not read.
        unsafe {
            // How many bytes there are behind the beginning of each block, and as many ones.
            let rest = _mm512_set1_epi64(text.len() as i64);
            let rest = _mm512_subs_epu16(rest, _mm512_setr_epi64(0, 64, 128, 192, 256, 320, 384, 448));
            let ones = _mm512_set1_epi64(-1);
            let masks = Register(_mm512_xor_si512(_mm512_sllv_epi64(ones, rest), ones)).to_array();
            let space = _mm512_set1_epi8(0x20);
            let from = |lane: usize| text.as_ptr().wrapping_add(lane * BLOCK).cast();
            eight!(lane => Register(_mm512_mask_loadu_epi8(space, masks[lane], from(lane))))
        }
    }

    #[inline(always)]
    fn masks(self, blocks: [Register; LANES]) -> Masks<Register> {
        let [a, b, c, d, e, f, g, h] = blocks;
        let all = ((a | b) | (c | d)) | ((e | f) | (g | h));
        let ascii = there!(_mm512_movepi8_mask(all.0)) == 0;
        if ascii { masks::<true>(&blocks) } else { masks::<false>(&blocks) }
    }

    #[inline(always)]
    fn order(self, _: &Kinds, tokens: &[u8; FRONT + BLOCK]) -> (Word, Kinds) {
        // SAFETY: as above, and 64 bytes from each of the first three are there to be read.
        unsafe {
            let from = |first: usize| _mm512_loadu_si512(tokens.as_ptr().add(first).cast());
            let faults =
                |table: &[u8; BLOCK], first: usize| Register(_mm512_permutexvar_epi8(from(first), load(table).0));
            let wrong = faults(&SECOND, 0) & faults(&BEFORE, 1) & faults(&TOKEN, 2);
            let token = from(2);
            let any = |bits: u8| _mm512_test_epi8_mask(token, _mm512_set1_epi8(bits.cast_signed()));
            let brackets = _mm512_and_si512(token, _mm512_set1_epi8(0x58));
            let word = Word {
                wrong: _mm512_test_epi8_mask(wrong.0, _mm512_set1_epi8(!IN_OBJECT.cast_signed())),
                not_in_object: _mm512_test_epi8_mask(wrong.0, _mm512_set1_epi8(IN_OBJECT.cast_signed())),
                not_in_array: _mm512_cmpeq_epi8_mask(token, _mm512_set1_epi8(b':'.cast_signed())),
                brackets: _mm512_cmpeq_epi8_mask(brackets, _mm512_set1_epi8(0x58)),
                opening: any(0x02),
                objects: any(0x20),
            };
            (word, Kinds::default())
        }
    }

    const PLACES_LAST: bool = true;

    #[inline(always)]
    fn write(self, written: Written<'_>, blocks: [Register; LANES], which: &[u64; LANES]) -> usize {
        // From memory a mask goes straight to where the instruction takes it.
        let which = black_box(which);
        let mut count = 0;
        for (block, which) in blocks.iter().zip(which) {
            let Some(room) = written.bytes.get_mut(count..).and_then(|rest| rest.first_chunk_mut()) else { break };
            store(room, there!(_mm512_maskz_compress_epi8(*which, block.0)));
            count += which.count_ones() as usize;
        }
        count
    }

    /// Gathers the numbers in a register; these are written 16 at a time.
    #[inline(always)]
    fn places(self, room: &mut [u32; BLOCK], base: u32, which: u64) {
        let numbers = there!(_mm512_maskz_compress_epi8(which, load(&NUMBERS).0));
        let (sixteens, _) = room.as_chunks_mut();
        write(&mut sixteens[0], base, there!(_mm512_castsi512_si128(numbers)));
        // More is rare, and so well predicted.
        if which.count_ones() > 16 {
            write(&mut sixteens[1], base, there!(_mm512_extracti32x4_epi32(numbers, 1)));
            if which.count_ones() > 32 {
                write(&mut sixteens[2], base, there!(_mm512_extracti32x4_epi32(numbers, 2)));
                write(&mut sixteens[3], base, there!(_mm512_extracti32x4_epi32(numbers, 3)));
            }
        }
    }
}

/// Has what is looked at next come closer meanwhile: the rest of the text, or what lies behind it, which is the next text
/// where many lie in one piece of memory. There may be nothing at all, which this instruction does not mind.
#[inline(always)]
fn fetch(from: *const u8) {
    for ahead in (0..WIDTH).step_by(BLOCK) {
        there!(_mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(ahead).cast()));
    }
}

/// Writes places, as numbers from `base` on.
#[inline(always)]
fn write(room: &mut [u32; 16], base: u32, numbers: __m128i) {
    // SAFETY: as above, and 16 numbers of 4 bytes are there to be written.
    unsafe {
        let places = _mm512_add_epi32(_mm512_cvtepu8_epi32(numbers), _mm512_set1_epi32(base.cast_signed()));
        _mm512_storeu_si512(room.as_mut_ptr().cast(), places);
    }
}

#[inline(always)]
fn masks<const ASCII: bool>(blocks: &[Register; LANES]) -> Masks<Register> {
    let [quote, structural, space, control, digit, b5, b6, b7] =
        sort(eight!(lane => transpose(class::<ASCII>(blocks[lane], &CLASSES), &SORTED[lane])));
    Masks {
        ascii: ASCII,
        quote,
        structural,
        space,
        control,
        digit,
        backslash: b5 & !b6 & b7,
        zero: digit & b5,
        minus: b6 & !b7,
        before_digit: b6,
        dot: !b5 & b6 & b7,
        exponent: !b5 & !b6 & b7,
        word: b5 & !b7 & !digit,
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

/// From 64 bytes of eight bits to eight masks in an order.
#[inline(always)]
fn transpose(block: Register, order: &[u8; BLOCK]) -> Register {
    there! {
        // The instruction takes a matrix with its last row first, and so answers with the bits of each byte backwards.
        let diagonal = _mm512_set1_epi64(0x8040_2010_0804_0201_u64.cast_signed());
        let backwards = _mm512_gf2p8affine_epi64_epi8(diagonal, block.0, 0);
        let transposed = _mm512_gf2p8affine_epi64_epi8(backwards, diagonal, 0);
        Register(_mm512_permutexvar_epi8(load(order).0, transposed))
    }
}

/// From the masks of one block after another, rotated, to one kind of mask after another: an 8 by 8 transposition.
#[inline(always)]
fn sort(rows: [Register; LANES]) -> [Register; LANES] {
    // Blending, which unlike shuffling two execution ports can do.
    let rows = eight!(row => rows[(LANES - row) % LANES]);
    let rows = eight!(row => blend::<0b1010_1010>(rows[row], rows[(row + LANES - 1) % LANES]));
    let rows = eight!(row => blend::<0b1100_1100>(rows[row], rows[(row + LANES - 2) % LANES]));
    let rows = eight!(row => blend::<0b1111_0000>(rows[row], rows[(row + LANES - 4) % LANES]));
    let [a, b, c, d, e, f, g, h] = rows;
    [a, turn::<1>(b), turn::<2>(c), turn::<3>(d), turn::<4>(e), turn::<5>(f), turn::<6>(g), turn::<7>(h)]
}

#[inline(always)]
fn blend<const OTHER: u8>(one: Register, other: Register) -> Register {
    Register(there!(_mm512_mask_blend_epi64(OTHER, one.0, other.0)))
}

#[inline(always)]
fn turn<const BY: i32>(row: Register) -> Register {
    Register(there!(_mm512_alignr_epi64(row.0, row.0, BY)))
}

#[inline(always)]
fn load(bytes: &[u8; BLOCK]) -> Register {
    // SAFETY: as above, and 64 bytes are there to be read.
    Register(unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) })
}

#[inline(always)]
fn store(room: &mut [u8; BLOCK], bytes: __m512i) {
    // SAFETY: as above, and 64 bytes are there to be written.
    unsafe { _mm512_storeu_si512(room.as_mut_ptr().cast(), bytes) }
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
            // Multiplied by ones without carrying, each bit is the sum of those up to there.
            let ones = _mm512_set1_epi64(-1);
            let even = _mm512_clmulepi64_epi128(self.0, ones, 0);
            let odds = _mm512_clmulepi64_epi128(self.0, ones, 1);
            let run = _mm512_unpacklo_epi64(even, odds);
            // Which masks have an odd number of bits, then of which the masks up to there have.
            let mut lanes = u32::from(_mm512_movepi64_mask(run));
            lanes ^= lanes << 1;
            lanes ^= lanes << 2;
            lanes ^= lanes << 4;
            let flip = (lanes << 1) ^ u32::from(*odd).wrapping_neg();
            *odd = flip >> LANES & 1 == 1;
            Self(_mm512_mask_xor_epi64(run, (flip & 0xff) as __mmask8, run, ones))
        }
    }

    #[inline(always)]
    fn carrying_add(self, other: Self, over: &mut bool) -> Self {
        there! {
            let ones = _mm512_set1_epi64(-1);
            let sum = _mm512_add_epi64(self.0, other.0);
            // Which masks overflow, and which would if one were carried into them.
            let overflow = u32::from(_mm512_cmplt_epu64_mask(sum, self.0));
            let full = u32::from(_mm512_cmpeq_epi64_mask(sum, ones));
            let carried = ((overflow << 1 | u32::from(*over)) + full) ^ full;
            *over = carried >> LANES & 1 == 1;
            Self(_mm512_mask_sub_epi64(sum, (carried & 0xff) as __mmask8, sum, ones))
        }
    }

    #[inline(always)]
    fn nonzero(self) -> u32 {
        u32::from(there!(_mm512_test_epi64_mask(self.0, self.0)))
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
    (tokens $($known:pat => $bits:expr),*) => {{
        // No two bytes that begin tokens of different kinds have the same six lowest bits.
        let [low, high] = table!(ascii $($known => $bits),*);
        table!(byte => low[byte as usize] | high[byte as usize])
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
/// The first bytes of all eights, then the second ones, and so on, all of this turned by so many eights.
#[expect(clippy::cast_possible_truncation, reason = "below 8")]
const SORTED: [[u8; BLOCK]; LANES] = eight!(by => table!(byte => byte % 8 * 8 + (byte / 8 + 8 - by as u8) % 8));

const CONTROL: u8 = 1 << 3;

const CLASSES: [[u8; BLOCK]; 2] = table!(ascii
    b'"' => 1,
    b'{' | b'}' | b'[' | b']' | b':' | b',' => 1 << 1,
    b' ' => 1 << 2,
    b'\t' | b'\n' | b'\r' => 1 << 2 | CONTROL,
    0..=0x1f => CONTROL,
    b'1'..=b'9' => 1 << 4,
    // What else there is, no two bits of which say the same.
    b'0' => 1 << 4 | 1 << 5,
    b't' | b'f' | b'n' => 1 << 5,
    b'-' => 1 << 6,
    b'e' | b'E' => 1 << 7,
    b'\\' => 1 << 7 | 1 << 5,
    b'.' => 1 << 7 | 1 << 6,
    b'+' => 1 << 7 | 1 << 6 | 1 << 5
);

// What is wrong if these three agree on it: a token, the one before it, and the one before that.
const NO_VALUE: u8 = 1;
const NO_ELEMENT: u8 = 1 << 1;
const NO_COMMA: u8 = 1 << 2;
const NO_MEMBER: u8 = 1 << 3;
const NO_KEY: u8 = 1 << 4;
const NO_COLON: u8 = 1 << 5;
/// These are wrong in an object only.
const IN_OBJECT: u8 = 1 << 6 | 1 << 7;
const NO_NEXT_KEY: u8 = 1 << 6;
const NO_NEXT_COLON: u8 = 1 << 7;

const TOKEN: [u8; BLOCK] = table!(tokens
    b'"' => NO_COMMA | NO_COLON | NO_NEXT_COLON,
    b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => NO_COMMA | NO_COLON | NO_NEXT_KEY | NO_NEXT_COLON,
    b'}' => NO_VALUE | NO_ELEMENT | NO_COLON | NO_NEXT_COLON,
    b']' => NO_VALUE | NO_COLON | NO_NEXT_KEY | NO_NEXT_COLON,
    b',' => NO_VALUE | NO_ELEMENT | NO_COLON | NO_NEXT_KEY | NO_NEXT_COLON,
    b':' => NO_MEMBER | NO_KEY | NO_NEXT_KEY
);

const BEFORE: [u8; BLOCK] = table!(tokens
    b'"' => NO_COMMA | NO_MEMBER | NO_COLON | NO_NEXT_COLON,
    b'}' | b']' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => NO_COMMA | NO_MEMBER | NO_KEY,
    b'{' => NO_MEMBER | NO_KEY | NO_NEXT_KEY,
    b'[' => NO_ELEMENT | NO_MEMBER | NO_KEY,
    b',' => NO_VALUE | NO_MEMBER | NO_KEY | NO_NEXT_KEY,
    b':' => NO_VALUE | NO_MEMBER | NO_KEY
);

const SECOND: [u8; BLOCK] = table!(tokens
    b'{' => !(NO_MEMBER | NO_NEXT_COLON),
    b',' => !(NO_MEMBER | NO_COLON),
    // What is in front of the first token, 0, is neither.
    0 | b'"' | b'}' | b'[' | b']' | b':' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => !(NO_COLON | NO_NEXT_COLON)
);

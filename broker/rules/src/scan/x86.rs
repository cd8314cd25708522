//! For x86-64 with AVX-512 (VBMI) or AVX2, if the processor that runs this has it.
#![expect(
    unsafe_code,
    reason = "calling code for a processor feature that was just found: measured 2 to 4 times as fast"
)]

use super::{BLOCK, Masks, Room, Suspect, Tokens, scan_with, write};
use std::arch::x86_64::*;

/// Scans if the processor has what it takes.
pub(super) fn scan(tokens: &mut Tokens, text: &[u8]) -> Option<Result<usize, Suspect>> {
    if has_avx512() {
        // SAFETY: the processor has the features, as has just been asked.
        return Some(unsafe { avx512(tokens, text) });
    }
    if has_avx2() {
        // SAFETY: as above.
        return Some(unsafe { avx2(tokens, text) });
    }
    None
}

fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
        && has_avx2()
}

fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("pclmulqdq")
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,avx2,bmi1,bmi2,popcnt,pclmulqdq")]
fn avx512(tokens: &mut Tokens, text: &[u8]) -> Result<usize, Suspect> {
    let (lower, upper) = (load512(&CLASSES[0]), load512(&CLASSES[1]));
    let masks = |block: &[u8; BLOCK]| {
        let bytes = load512(block);
        // The table knows ASCII; other bytes are of no class.
        let high = _mm512_movepi8_mask(bytes);
        let classes = _mm512_maskz_permutex2var_epi8(!high, lower, bytes, upper);
        let class = |which: i8| _mm512_test_epi8_mask(classes, _mm512_set1_epi8(which));
        let is = |byte: i8| _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte));
        Masks {
            high,
            quote: is(0x22),
            backslash: is(0x5c),
            structural: class(STRUCTURAL),
            space: class(SPACE),
            control: class(CONTROL),
            digit: class(DIGIT),
            exponent: class(EXPONENT),
            zero: is(0x30),
            minus: is(0x2d),
            before_digit: class(BEFORE_DIGIT),
            dot: is(0x2e),
        }
    };
    scan_with(
        tokens,
        text,
        masks,
        |bits| running_xor(bits),
        |room, block, base, bits| write512(room, block, base, bits),
    )
}

#[target_feature(enable = "avx512f")]
fn load512(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes are there to be read.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Gathers the bytes and their numbers in registers, then writes these 16 at a time.
#[target_feature(enable = "avx512f,avx512vbmi2,popcnt")]
fn write512(room: Room<'_>, block: &[u8; BLOCK], base: u32, bits: u64) {
    let bytes = _mm512_maskz_compress_epi8(bits, load512(block));
    // SAFETY: 64 bytes are there to be written.
    unsafe { _mm512_storeu_si512(room.bytes.as_mut_ptr().cast(), bytes) };
    let gathered = _mm512_maskz_compress_epi8(bits, load512(&NUMBERS));
    let base = _mm512_set1_epi32(base.cast_signed());
    let quarters = [
        _mm512_castsi512_si128(gathered),
        _mm512_extracti32x4_epi32(gathered, 1),
        _mm512_extracti32x4_epi32(gathered, 2),
        _mm512_extracti32x4_epi32(gathered, 3),
    ];
    let count = bits.count_ones();
    let (sixteens, _) = room.places.as_chunks_mut::<16>();
    for (at, (sixteen, quarter)) in (0..).step_by(16).zip(sixteens.iter_mut().zip(quarters)) {
        // Half of a block is always written: more is rare, and so well predicted.
        if at < 32 || count > at {
            let wide = _mm512_add_epi32(_mm512_cvtepu8_epi32(quarter), base);
            // SAFETY: 16 numbers of 4 bytes are there to be written.
            unsafe { _mm512_storeu_si512(sixteen.as_mut_ptr().cast(), wide) };
        }
    }
}

const NUMBERS: [u8; 64] = {
    let mut numbers = [0; 64];
    let mut number = 0_u8;
    while number < 64 {
        numbers[number as usize] = number;
        number += 1;
    }
    numbers
};

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt,pclmulqdq")]
fn avx2(tokens: &mut Tokens, text: &[u8]) -> Result<usize, Suspect> {
    let masks = |block: &[u8; BLOCK]| {
        let (halves, _) = block.as_chunks::<32>();
        let halves = [load256(&halves[0]), load256(&halves[1])];
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
            high: join(halves),
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
        }
    };
    scan_with(tokens, text, masks, |bits| running_xor(bits), write)
}

#[target_feature(enable = "avx2")]
fn join([low, high]: [__m256i; 2]) -> u64 {
    u64::from(_mm256_movemask_epi8(low).cast_unsigned()) | u64::from(_mm256_movemask_epi8(high).cast_unsigned()) << 32
}

#[target_feature(enable = "avx2")]
fn load256(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are there to be read.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// Each bit is the exclusive or of itself and all below: the product without carries with all ones.
#[target_feature(enable = "pclmulqdq")]
fn running_xor(bits: u64) -> u64 {
    let product = _mm_clmulepi64_si128(_mm_set_epi64x(0, bits.cast_signed()), _mm_set1_epi8(-1), 0);
    _mm_cvtsi128_si64(product).cast_unsigned()
}

const STRUCTURAL: i8 = 1;
const SPACE: i8 = 1 << 1;
const CONTROL: i8 = 1 << 2;
const DIGIT: i8 = 1 << 3;
const EXPONENT: i8 = 1 << 4;
const BEFORE_DIGIT: i8 = 1 << 5;

/// Of the bytes below 64, and of those below 128.
const CLASSES: [[u8; 64]; 2] = {
    let mut classes = [[0; 64]; 2];
    let mut byte = 0;
    while byte < 128_u8 {
        let class = match byte {
            b'{' | b'}' | b'[' | b']' | b':' | b',' => STRUCTURAL,
            b' ' => SPACE,
            b'\t' | b'\n' | b'\r' => SPACE | CONTROL,
            0..=0x1f => CONTROL,
            b'0'..=b'9' => DIGIT,
            b'e' | b'E' => EXPONENT,
            b'-' | b'+' | b'.' => BEFORE_DIGIT,
            _ => 0,
        };
        classes[byte as usize / 64][byte as usize % 64] = class.cast_unsigned();
        byte += 1;
    }
    classes
};

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The ways to scan that this processor has.
    pub(in crate::scan) fn ways() -> Vec<fn(&mut Tokens, &[u8]) -> Result<usize, Suspect>> {
        let mut ways: Vec<fn(&mut Tokens, &[u8]) -> Result<usize, Suspect>> = Vec::new();
        if has_avx512() {
            // SAFETY: the processor has the features, as has just been asked.
            ways.push(|tokens, text| unsafe { avx512(tokens, text) });
        }
        if has_avx2() {
            // SAFETY: as above.
            ways.push(|tokens, text| unsafe { avx2(tokens, text) });
        }
        ways
    }
}

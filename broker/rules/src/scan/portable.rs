//! For processors without anything special: a table, byte by byte.

use super::{BLOCK, Masks, Suspect, Tokens, scan_with, write};

pub(super) fn scan(tokens: &mut Tokens, text: &[u8]) -> Result<usize, Suspect> {
    scan_with(tokens, text, masks, running_xor, write)
}

const QUOTE: u16 = 1;
const BACKSLASH: u16 = 1 << 1;
const STRUCTURAL: u16 = 1 << 2;
const SPACE: u16 = 1 << 3;
const CONTROL: u16 = 1 << 4;
const DIGIT: u16 = 1 << 5;
const ZERO: u16 = 1 << 6;
const MINUS: u16 = 1 << 7;
const BEFORE_DIGIT: u16 = 1 << 8;
const DOT: u16 = 1 << 9;
const EXPONENT: u16 = 1 << 10;

const CLASSES: [u16; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        // Truncation is the point: 0 to 255 is every byte.
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let own = byte as u8;
        let known = match own {
            b'"' => QUOTE,
            b'\\' => BACKSLASH,
            b'{' | b'}' | b'[' | b']' | b':' | b',' => STRUCTURAL,
            b' ' => SPACE,
            b'\t' | b'\n' | b'\r' => SPACE | CONTROL,
            0..=0x1f => CONTROL,
            b'0' => DIGIT | ZERO,
            b'1'..=b'9' => DIGIT,
            b'-' => MINUS | BEFORE_DIGIT,
            b'+' => BEFORE_DIGIT,
            b'.' => DOT | BEFORE_DIGIT,
            b'e' | b'E' => EXPONENT,
            _ => 0,
        };
        classes[byte] = known;
        byte += 1;
    }
    classes
};

pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
    let mut masks = Masks::default();
    for (bit, byte) in block.iter().enumerate() {
        let class = CLASSES[usize::from(*byte)];
        masks.high |= u64::from(*byte >= 0x80) << bit;
        let mask = |which: u16| u64::from(class & which != 0) << bit;
        masks.quote |= mask(QUOTE);
        masks.backslash |= mask(BACKSLASH);
        masks.structural |= mask(STRUCTURAL);
        masks.space |= mask(SPACE);
        masks.control |= mask(CONTROL);
        masks.digit |= mask(DIGIT);
        masks.zero |= mask(ZERO);
        masks.minus |= mask(MINUS);
        masks.before_digit |= mask(BEFORE_DIGIT);
        masks.dot |= mask(DOT);
        masks.exponent |= mask(EXPONENT);
    }
    masks
}

/// Each bit is the exclusive or of itself and all below.
pub(super) fn running_xor(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

//! For processors without anything special: a table, byte by byte.

use super::lanes::{LANES, Lanes, Plain};
use super::masks::Masks;
use super::order::{Kinds, Word};
use super::{BLOCK, FRONT, Machine, WIDTH};

/// Any processor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

impl Machine for Portable {
    type Lanes = Plain;
    type Block = [u8; BLOCK];

    fn load(self, text: &[u8]) -> [[u8; BLOCK]; LANES] {
        eight!(lane => load(text, lane * BLOCK))
    }

    fn masks(self, blocks: &[[u8; BLOCK]; LANES]) -> Masks<Plain> {
        masks_of(blocks.map(|block| classes(&block)))
    }

    fn order(self, before: &Kinds, tokens: &[u8; FRONT + BLOCK]) -> (Word, Kinds) {
        let tokens = &tokens[FRONT..];
        let is = |is: fn(u8) -> bool| tokens.iter().rev().fold(0, |mask, byte| mask << 1 | u64::from(is(*byte)));
        let kinds = Kinds {
            string: is(|byte| byte == b'"'),
            open_object: is(|byte| byte == b'{'),
            close_object: is(|byte| byte == b'}'),
            open_array: is(|byte| byte == b'['),
            close_array: is(|byte| byte == b']'),
            colon: is(|byte| byte == b':'),
            comma: is(|byte| byte == b','),
            end: is(|byte| byte == 0),
        };
        (kinds.behind(before), kinds)
    }

    fn bytes(self, room: &mut [u8; WIDTH + BLOCK], blocks: &[[u8; BLOCK]; LANES], which: &[u64; LANES]) -> usize {
        bytes(room, blocks, which)
    }

    fn places(self, room: &mut [u32; BLOCK], base: u32, which: u64) {
        places(room, base, which);
    }
}

/// The bytes of a text from a place on; behind its end there are spaces.
pub(super) fn load(text: &[u8], from: usize) -> [u8; BLOCK] {
    let rest = text.get(from..).unwrap_or_default();
    if let Some(block) = rest.first_chunk() {
        return *block;
    }
    let mut block = [b' '; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

#[inline(always)]
pub(super) fn bytes(room: &mut [u8; WIDTH + BLOCK], blocks: &[[u8; BLOCK]; LANES], which: &[u64; LANES]) -> usize {
    let mut count = 0;
    for (block, which) in blocks.iter().zip(which) {
        let mut which = *which;
        while which != 0 {
            room[count] = block[which.trailing_zeros() as usize % BLOCK];
            which &= which - 1;
            count += 1;
        }
    }
    count
}

#[inline(always)]
pub(super) fn places(room: &mut [u32; BLOCK], base: u32, mut which: u64) {
    let mut next = 0;
    while which != 0 {
        room[next % BLOCK] = base + which.trailing_zeros();
        which &= which - 1;
        next += 1;
    }
}

/// One kind after the other of what blocks hold, side by side.
pub(super) fn masks_of(blocks: [Masks<u64>; LANES]) -> Masks<Plain> {
    macro_rules! side_by_side {
        ($($kind:ident),*) => {
            Masks {
                ascii: blocks.iter().all(|block| block.ascii),
                $($kind: Plain::from_array(blocks.map(|block| block.$kind))),*
            }
        };
    }
    side_by_side!(quote, backslash, structural, space, control, digit, zero, minus, before_digit, dot, exponent, word)
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
const WORD: u16 = 1 << 11;

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
            b't' | b'f' | b'n' => WORD,
            _ => 0,
        };
        classes[byte] = known;
        byte += 1;
    }
    classes
};

fn classes(block: &[u8; BLOCK]) -> Masks<u64> {
    let mut masks = Masks::<u64> { ascii: block.is_ascii(), ..Masks::default() };
    for (bit, byte) in block.iter().enumerate() {
        let class = CLASSES[usize::from(*byte)];
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
        masks.word |= mask(WORD);
    }
    masks
}

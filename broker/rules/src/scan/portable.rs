//! For processors without anything special, and without any unsafe code.
//!
//! A table turns each byte into 64 bits: what it is, one bit in each byte. Eight of those, shifted by one bit more from one
//! to the next, add up to eight bytes of masks; what is left is to sort these.

use super::lanes::{LANES, Lanes, Plain};
use super::masks::Masks;
use super::order::{Kinds, Word};
use super::{BLOCK, FRONT, Machine, Room, WIDTH, Written};

/// Any processor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

impl Machine for Portable {
    type Lanes = Plain;
    type Blocks<'t> = &'t Room;

    #[inline(always)]
    fn load<'t>(self, text: &'t [u8], room: &'t mut Room) -> &'t Room {
        load(text, room)
    }

    #[inline(always)]
    fn masks(self, blocks: &Room) -> Masks<Plain> {
        let mut kinds = [[0; LANES]; 8];
        for (lane, block) in blocks.iter().enumerate() {
            for (kind, mask) in kinds.iter_mut().zip(masks(block, &CLASSES)) {
                kind[lane] = mask;
            }
        }
        let [quote, structural, space, control, digit, b5, b6, b7] = kinds.map(Plain::from_array);
        Masks {
            ascii: blocks.as_flattened().is_ascii(),
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

    #[inline(always)]
    fn order(self, before: &Kinds, tokens: &[u8; FRONT + BLOCK]) -> (Word, Kinds) {
        let tokens = tokens.last_chunk().unwrap_or(&[0; BLOCK]);
        let [string, open_object, close_object, open_array, close_array, colon, comma, end] = masks(tokens, &KINDS);
        let kinds = Kinds { string, open_object, close_object, open_array, close_array, colon, comma, end };
        (kinds.behind(before), kinds)
    }

    #[inline(always)]
    fn write(self, written: Written<'_>, blocks: &Room, which: &[u64; LANES]) -> usize {
        write(written, blocks, which)
    }

    #[inline(always)]
    fn places(self, room: &mut [u32; BLOCK], base: u32, which: u64) {
        places(room, base, which);
    }
}

/// The first 512 bytes of a text; behind its end there are spaces.
#[inline(always)]
pub(super) fn load<'t>(text: &'t [u8], room: &'t mut Room) -> &'t Room {
    if let Some(whole) = text.first_chunk::<WIDTH>() {
        return whole.as_chunks().0.as_array().unwrap_or(room);
    }
    let (begin, rest) = room.as_flattened_mut().split_at_mut(text.len());
    begin.copy_from_slice(text);
    rest.fill(b' ');
    room
}

/// Writes bytes and their places, for each token both at once. By fours: how many of those there are is foreseen more
/// often than how many tokens. Answers how many tokens there are.
#[inline(always)]
pub(super) fn write(written: Written<'_>, blocks: &Room, which: &[u64; LANES]) -> usize {
    let Written { mut base, bytes, places } = written;
    let mut count = 0;
    for (block, which) in blocks.iter().zip(which) {
        let mut left = *which;
        let Some(bytes) = bytes.get_mut(count..).and_then(|rest| rest.first_chunk_mut::<BLOCK>()) else { break };
        let Some(places) = places.get_mut(count..).and_then(|rest| rest.first_chunk_mut::<BLOCK>()) else { break };
        for (bytes, places) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(places.as_chunks_mut::<4>().0) {
            if left == 0 {
                break;
            }
            for (byte, place) in bytes.iter_mut().zip(places) {
                let one = left.trailing_zeros();
                left &= left.wrapping_sub(1);
                *place = base.wrapping_add(one);
                *byte = block[one as usize % BLOCK];
            }
        }
        count += which.count_ones() as usize;
        base = base.wrapping_add(64);
    }
    count
}

/// Writes the places that `which` tells, of a few, side by side.
#[inline(always)]
pub(super) fn places(room: &mut [u32; BLOCK], base: u32, mut which: u64) {
    for four in room.as_chunks_mut::<4>().0 {
        if which == 0 {
            break;
        }
        for place in four {
            *place = base.wrapping_add(which.trailing_zeros());
            which &= which.wrapping_sub(1);
        }
    }
}

/// Eight masks of 64 bytes, one for each bit that a table has for a byte.
#[inline(always)]
fn masks(block: &[u8; BLOCK], table: &[u64; 256]) -> [u64; 8] {
    let mut rows = [0; 8];
    for (row, eight) in rows.iter_mut().zip(block.as_chunks::<8>().0) {
        for (place, byte) in eight.iter().enumerate() {
            *row |= table[usize::from(*byte)] << place;
        }
    }
    turn(rows)
}

/// From eight rows of eight bytes to as many columns: quarters of the square change places, then quarters of these.
#[inline(always)]
fn turn(mut rows: [u64; 8]) -> [u64; 8] {
    for row in [0, 1, 2, 3] {
        (rows[row], rows[row + 4]) = change::<32>(rows[row], rows[row + 4], 0x0000_0000_ffff_ffff);
    }
    for row in [0, 1, 4, 5] {
        (rows[row], rows[row + 2]) = change::<16>(rows[row], rows[row + 2], 0x0000_ffff_0000_ffff);
    }
    for row in [0, 2, 4, 6] {
        (rows[row], rows[row + 1]) = change::<8>(rows[row], rows[row + 1], 0x00ff_00ff_00ff_00ff);
    }
    rows
}

/// Changes the high parts of one row for the low ones of another.
#[inline(always)]
fn change<const BITS: u32>(one: u64, other: u64, low: u64) -> (u64, u64) {
    (one & low | (other & low) << BITS, one >> BITS & low | other & !low)
}

/// A table for [`masks`]: for each of these bytes, its bits.
macro_rules! table {
    ($($known:pat => $bits:expr),*) => {{
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            #[expect(clippy::cast_possible_truncation, reason = "below 256")]
            let bits: u64 = match byte as u8 {
                $($known => $bits,)*
                _ => 0,
            };
            let mut bit = 0;
            while bit < 8 {
                table[byte] |= (bits >> bit & 1) << (8 * bit);
                bit += 1;
            }
            byte += 1;
        }
        table
    }};
}

const CONTROL: u64 = 1 << 3;

static CLASSES: [u64; 256] = table!(
    b'"' => 1,
    b'{' | b'}' | b'[' | b']' | b':' | b',' => 1 << 1,
    b' ' => 1 << 2,
    b'\t' | b'\n' | b'\r' => 1 << 2 | CONTROL,
    0..=0x1f => CONTROL,
    b'1'..=b'9' => 1 << 4,
    // What else there is, told apart by three bits together.
    b'0' => 1 << 4 | 1 << 5,
    b't' | b'f' | b'n' => 1 << 5,
    b'-' => 1 << 6,
    b'e' | b'E' => 1 << 7,
    b'\\' => 1 << 7 | 1 << 5,
    b'.' => 1 << 7 | 1 << 6,
    b'+' => 1 << 7 | 1 << 6 | 1 << 5
);

static KINDS: [u64; 256] = table!(
    b'"' => 1,
    b'{' => 1 << 1,
    b'}' => 1 << 2,
    b'[' => 1 << 3,
    b']' => 1 << 4,
    b':' => 1 << 5,
    b',' => 1 << 6,
    0 => 1 << 7
);

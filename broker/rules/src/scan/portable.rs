//! For processors without anything special, and without any unsafe code.
//!
//! 64 bytes are eight numbers. Parts of these change places until each number is one bit of all bytes; what a byte is then
//! is arithmetic on the numbers. There is no table, so that a compiler may do several blocks at once.

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
        // Of its own copy the compiler knows that it does not change, and does several blocks at once.
        let blocks = *blocks;
        let mut kinds = [[0; LANES]; 12];
        let mut above_ascii = 0;
        for (lane, block) in blocks.iter().enumerate() {
            let planes = planes(block);
            above_ascii |= planes[7];
            for (kind, mask) in kinds.iter_mut().zip(classes(planes)) {
                kind[lane] = mask;
            }
        }
        let [quote, backslash, structural, space, control, digit, zero, minus, before_digit, dot, exponent, word] =
            kinds.map(Plain::from_array);
        let ascii = above_ascii == 0;
        Masks {
            ascii,
            quote,
            backslash,
            structural,
            space,
            control,
            digit,
            zero,
            minus,
            before_digit,
            dot,
            exponent,
            word,
        }
    }

    #[inline(always)]
    fn order(self, before: &Kinds, tokens: &[u8; FRONT + BLOCK]) -> (Word, Kinds) {
        let tokens = tokens.last_chunk().unwrap_or(&[0; BLOCK]);
        let kinds = kinds(planes(tokens));
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

/// The lowest bit of each of 64 bytes, then the next ones.
#[inline(always)]
fn planes(block: &[u8; BLOCK]) -> [u64; 8] {
    let (eights, _) = block.as_chunks::<8>();
    let mut rows = eight!(row => u64::from_le_bytes(eights[row]));
    // From eight rows of eight bytes to as many columns.
    change::<4, 32>(&mut rows, 0x0000_0000_ffff_ffff);
    change::<2, 16>(&mut rows, 0x0000_ffff_0000_ffff);
    change::<1, 8>(&mut rows, 0x00ff_00ff_00ff_00ff);
    // The bytes that stood side by side stand one above the other now, and so the same with their bits.
    change::<4, 4>(&mut rows, 0x0f0f_0f0f_0f0f_0f0f);
    change::<2, 2>(&mut rows, 0x3333_3333_3333_3333);
    change::<1, 1>(&mut rows, 0x5555_5555_5555_5555);
    rows
}

/// In rows so far apart, changes what is not `low` in the first for what is in the second.
#[inline(always)]
fn change<const APART: usize, const BITS: u32>(rows: &mut [u64; 8], low: u64) {
    for row in 0..rows.len() {
        if row & APART == 0 {
            let differ = (rows[row] >> BITS ^ rows[row + APART]) & low;
            rows[row] ^= differ << BITS;
            rows[row + APART] ^= differ;
        }
    }
}

/// Which of 64 bytes are what, in the order in which [`Masks`] has that.
#[inline(always)]
fn classes([b0, b1, b2, b3, b4, b5, b6, b7]: [u64; 8]) -> [u64; 12] {
    // ASCII as rows of sixteen: what the high half of a byte is, and then the low one.
    let control = !(b5 | b6 | b7);
    let row_2 = b5 & !(b4 | b6 | b7);
    let row_3 = b5 & b4 & !(b6 | b7);
    let letters = b6 & !b7;
    let is_0 = !(b0 | b1 | b2 | b3);
    let is_a = b3 & b1 & !(b0 | b2);
    let is_b = b3 & b1 & b0 & !b2;
    let is_c = b3 & b2 & !(b0 | b1);
    let is_d = b3 & b2 & b0 & !b1;
    let is_e = b3 & b2 & b1 & !b0;
    let quote = row_2 & b1 & !(b0 | b2 | b3);
    let backslash = letters & b4 & !b5 & is_c;
    let structural = (letters & b4 & (is_b | is_d)) | (row_2 & is_c) | (row_3 & is_a);
    let line_feed_or_so = control & !b4 & (is_a | is_d | (b3 & b0 & !(b1 | b2)));
    let space = (row_2 & is_0) | line_feed_or_so;
    let digit = row_3 & !(b3 & (b1 | b2));
    let (zero, minus, dot) = (row_3 & is_0, row_2 & is_d, row_2 & is_e);
    let before_digit = minus | dot | (row_2 & is_b);
    let exponent = letters & !b4 & b2 & b0 & !(b1 | b3);
    // `f` and `n`, and `t`.
    let word = letters & b5 & b2 & !b0 & ((b1 & !b4) | (b4 & !(b1 | b3)));
    [quote, backslash, structural, space, control, digit, zero, minus, before_digit, dot, exponent, word]
}

/// Which of 64 tokens are what. They are known to be some, so that a few bits tell them apart.
#[inline(always)]
fn kinds([b0, b1, _, b3, b4, b5, b6, _]: [u64; 8]) -> Kinds {
    let bracket = b6 & b4 & b3;
    let (opening, closing) = (bracket & b1, bracket & !b1);
    Kinds {
        string: b5 & !(b3 | b4 | b6),
        open_object: opening & b5,
        close_object: closing & b5,
        open_array: opening & !b5,
        close_array: closing & !b5,
        colon: b1 & b3 & b4 & !b6,
        comma: b3 & !(b0 | b4 | b6),
        end: !(b5 | b6),
    }
}

//! The first look at an event's bytes, 512 at a time: where its tokens are.
//!
//! A token is one of `{ } [ ] : ,` outside of strings, the quote that opens a string, or the first byte of anything else
//! outside of strings. Along the way everything is checked that can be seen without knowing the nesting:
//! strings end, contain no control characters and only escapes there are; numbers are numbers and words are `true`,
//! `false` or `null`; there is nothing else. Then the order and nesting of the tokens is checked, see [`structure`].
//!
//! The bytes become masks, one bit a byte, and all checks are arithmetic on masks: `a << 1 & b` is a byte of `b` behind
//! one of `a`, and adding the first digits of runs of digits to all digits carries each one to the end of its run. The idea
//! is that of simdjson (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019).

/// An array of eight, written out: what a closure does is not compiled for the processor's features.
macro_rules! eight {
    ($lane:ident => $value:expr) => {
        eight!($lane => $value; 0 1 2 3 4 5 6 7)
    };
    ($lane:ident => $value:expr; $($number:literal)*) => {
        [$({
            let $lane: usize = $number;
            $value
        }),*]
    };
}

mod lanes;
mod masks;
mod order;
mod portable;
mod structure;
mod words;
#[cfg(target_arch = "x86_64")]
mod x86;

use lanes::{LANES, Lanes};
use masks::{Masks, State};
use order::{Kinds, Word};

/// How many bytes are looked at together.
const BLOCK: usize = 64;
/// How many bytes, and then tokens, are looked at in one go.
const WIDTH: usize = BLOCK * LANES;

/// How many bytes stand in front of the first bytes of tokens, so that looking back needs no care.
const FRONT: usize = 2;

/// The tokens of a text.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// [`FRONT`] zeros, the first byte of each token, then zeros.
    bytes: Vec<u8>,
    /// For each token that opens a container, which one closes it.
    partners: Vec<u32>,
    /// Where each token is, then the length of the text.
    at: Vec<u32>,
    /// For each 512 bytes, which are backslashes and which are dots, in strings or not.
    marks: Vec<Marks>,
    brackets: Box<structure::Memory>,
    way: Way,
    /// Whether there are backslashes at all.
    escapes: bool,
    /// Whether there is nothing but ASCII.
    ascii: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Marks {
    token: [u64; LANES],
    backslash: [u64; LANES],
    dot: [u64; LANES],
}

/// Why a text was not taken: it is no JSON, or has something behind its first value that makes it look so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Suspect;

/// How many ends stand behind the last token, so that looking ahead needs no care.
const ENDS: usize = 8;

impl Tokens {
    /// Looks through a text of less than 4 GiB, and forgets the one before.
    pub(crate) fn scan(&mut self, text: &[u8]) -> Result<(), Suspect> {
        let length = u32::try_from(text.len()).map_err(|_| Suspect)?;
        self.escapes = false;
        self.make_room(text.len());
        let count = (self.way)(self, text)?;
        let ends = count..count + ENDS;
        self.at.get_mut(ends).ok_or(Suspect)?.fill(length);
        Ok(())
    }

    /// Room for one token a byte, and for what is written ahead.
    fn make_room(&mut self, length: usize) {
        let (groups, tokens) = (length / WIDTH + 1, length + 2 * WIDTH);
        if self.at.len() < tokens {
            self.at.resize(tokens, 0);
            self.bytes.resize(tokens, 0);
            self.partners.resize(tokens, 0);
        }
        if self.marks.len() < groups {
            self.marks.resize(groups, Marks::default());
        }
    }

    /// The first byte of each token. Behind the last one stand zeros.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(FRONT..).unwrap_or_default()
    }

    /// Which token closes the container that a token opens.
    pub(crate) fn partners(&self) -> &[u32] {
        &self.partners
    }

    /// Where the tokens are. Behind the last one stands the length of the text.
    pub(crate) fn at(&self) -> &[u32] {
        &self.at
    }

    /// Whether all of the text is ASCII, and so UTF-8.
    pub(crate) fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// Whether there are backslashes at all.
    pub(crate) fn have_escapes(&self) -> bool {
        self.escapes
    }

    /// Whether there is a backslash in these bytes of the text.
    pub(crate) fn has_escape(&self, from: u32, to: u32) -> bool {
        self.escapes && self.any(from, to, |marks| &marks.backslash)
    }

    /// Whether there is a dot in these bytes of the text.
    pub(crate) fn has_dot(&self, from: u32, to: u32) -> bool {
        self.any(from, to, |marks| &marks.dot)
    }

    #[cold]
    fn any(&self, from: u32, to: u32, mark: impl Fn(&Marks) -> &[u64; LANES]) -> bool {
        if from >= to {
            return false;
        }
        let (from, last) = (from as usize, to as usize - 1);
        let block = |block: usize| self.marks.get(block / LANES).map_or(0, |marks| mark(marks)[block % LANES]);
        let (above, below) = (u64::MAX << (from % BLOCK), u64::MAX >> (BLOCK - 1 - last % BLOCK));
        let (first, last) = (from / BLOCK, last / BLOCK);
        if first == last {
            return block(first) & above & below != 0;
        }
        block(first) & above != 0 || block(last) & below != 0 || (first + 1..last).any(|middle| block(middle) != 0)
    }
}

/// What a processor offers.
trait Machine: Copy {
    type Lanes: Lanes;
    /// 512 bytes.
    type Blocks<'t>: Copy;

    /// The first 512 bytes; behind the end there are spaces. There is `room` for them.
    fn load<'t>(self, text: &'t [u8], room: &'t mut Room) -> Self::Blocks<'t>;

    /// Which bytes are what.
    fn masks(self, blocks: Self::Blocks<'_>) -> Masks<Self::Lanes>;

    /// Whether places are written when all else is done, and not with the bytes.
    const PLACES_LAST: bool = false;

    /// Writes those of 512 bytes that `which` tells, side by side, and their places if these are not written last.
    /// Answers how many they are.
    fn write(self, written: Written<'_>, blocks: Self::Blocks<'_>, which: &[u64; LANES]) -> usize;

    /// What 64 tokens say, and what they are. There are two ways to look back: `before` tells the kinds of the 64 before,
    /// and there are [`FRONT`] of them.
    fn order(self, before: &Kinds, tokens: &[u8; FRONT + BLOCK]) -> (Word, Kinds);

    /// Whether `gather` and `scatter` are quick.
    const GATHERS: bool = false;

    /// The bits of `from` that are in `mask`, side by side.
    fn gather(self, from: u64, mask: u64) -> u64 {
        _ = mask;
        from
    }

    /// The lowest bits of `from`, to where the bits of `mask` are.
    fn scatter(self, from: u64, mask: u64) -> u64 {
        _ = mask;
        from
    }

    /// Writes the places that `which` tells, of 64 that begin at `base`, side by side.
    fn places(self, room: &mut [u32; BLOCK], base: u32, which: u64);
}

/// Room for 512 bytes.
type Room = [[u8; BLOCK]; LANES];

/// Where the tokens of 512 bytes that begin at `base` are written, and some more behind.
struct Written<'t> {
    base: u32,
    bytes: &'t mut [u8; WIDTH + BLOCK],
    /// Of some room there is too little for nothing but what is not written at all.
    places: &'t mut [u32],
}

/// A way to scan a text, which answers how many tokens there are.
type Way = fn(&mut Tokens, &[u8]) -> Result<usize, Suspect>;

/// The best way that this processor has.
fn best_way() -> Way {
    #[cfg(target_arch = "x86_64")]
    if let Some(way) = x86::ways().next() {
        return way;
    }
    |tokens, text| scan_with(portable::Portable, tokens, text)
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            at: Vec::new(),
            partners: Vec::new(),
            marks: Vec::new(),
            brackets: Box::default(),
            escapes: false,
            ascii: true,
            way: best_way(),
        }
    }
}

/// Scans a text. Answers how many tokens there are.
#[inline(always)]
fn scan_with<M: Machine>(machine: M, tokens: &mut Tokens, text: &[u8]) -> Result<usize, Suspect> {
    let Tokens { bytes, at, partners, marks, brackets, escapes, ascii, .. } = tokens;
    let mut state = State::new();
    let mut count = 0;
    for (from, marks) in (0..=text.len()).step_by(WIDTH).zip(&mut *marks) {
        let mut room = [[b' '; BLOCK]; LANES];
        let blocks = machine.load(text.get(from..).unwrap_or_default(), &mut room);
        let masks = machine.masks(blocks);
        let found = state.next(&masks);
        *marks =
            Marks { token: found.tokens.to_array(), backslash: masks.backslash.to_array(), dot: masks.dot.to_array() };
        if let Some(backslashes) = found.escapes {
            *escapes = true;
            check_escapes(text, from, backslashes)?;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the text is that short")]
        let written = Written {
            base: from as u32,
            bytes: bytes.get_mut(FRONT + count..).and_then(|rest| rest.first_chunk_mut()).ok_or(Suspect)?,
            places: if M::PLACES_LAST { &mut [] } else { at.get_mut(count..).unwrap_or_default() },
        };
        count += machine.write(written, blocks, &marks.token);
        words::check(text, from, found.words)?;
    }
    *ascii = state.is_ascii();
    if !state.ends_well() {
        return Err(Suspect);
    }
    bytes.get_mut(FRONT + count..FRONT + count + BLOCK).ok_or(Suspect)?.fill(0);
    structure::check(machine, bytes, count, partners, brackets)?;
    if M::PLACES_LAST {
        // They need not wait for the order of tokens to be known, nor that for them.
        write_places(machine, at, marks, text.len())?;
    }
    Ok(count)
}

/// Writes where the tokens are.
#[inline(always)]
fn write_places<M: Machine>(machine: M, at: &mut [u32], marks: &[Marks], length: usize) -> Result<(), Suspect> {
    let mut count = 0;
    for (from, marks) in (0..length).step_by(WIDTH).zip(marks) {
        let room: &mut [u32; WIDTH + BLOCK] =
            at.get_mut(count..).and_then(|rest| rest.first_chunk_mut()).ok_or(Suspect)?;
        let mut written = 0;
        for (lane, which) in marks.token.iter().enumerate() {
            let room = room.get_mut(written..).and_then(|rest| rest.first_chunk_mut()).ok_or(Suspect)?;
            #[expect(clippy::cast_possible_truncation, reason = "the text is that short")]
            machine.places(room, (from + lane * BLOCK) as u32, *which);
            written += which.count_ones() as usize;
        }
        count += written;
    }
    Ok(())
}

/// Checks what stands behind each of these backslashes.
#[cold]
fn check_escapes(text: &[u8], base: usize, backslashes: [u64; LANES]) -> Result<(), Suspect> {
    let block = |(lane, backslashes): (usize, u64)| (base + lane * BLOCK, backslashes);
    for (base, mut backslashes) in backslashes.into_iter().enumerate().map(block) {
        while backslashes != 0 {
            let at = base + backslashes.trailing_zeros() as usize;
            backslashes &= backslashes - 1;
            check_escape(text, at)?;
        }
    }
    Ok(())
}

fn check_escape(text: &[u8], at: usize) -> Result<(), Suspect> {
    let known = match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
        Some(b'u') => text.get(at + 2..at + 6).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        _ => false,
    };
    if known { Ok(()) } else { Err(Suspect) }
}

#[cfg(test)]
mod tests;

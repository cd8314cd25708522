//! The first look at an event's bytes, 64 at a time: where its tokens are.
//!
//! A token is one of `{ } [ ] : ,` outside of strings, the quote that opens or closes a string, or the first byte of
//! anything else outside of strings. Along the way everything is checked that can be seen without knowing the nesting:
//! strings end, contain no control characters and only escapes there are; backslashes stand in strings only; numbers
//! are numbers. What is left to whoever walks the tokens is their order, `true`, `false` and `null`, and what else
//! begins like none of these.
//!
//! The bytes of a block become masks, one bit a byte, and all checks are arithmetic on masks: `a << 1 & b` is a byte of
//! `b` behind one of `a`, and adding the first digits of runs of digits to all digits carries each one to the end of its
//! run. The idea is that of simdjson (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019).

mod masks;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use masks::Masks;

/// How many bytes are looked at together.
pub(crate) const BLOCK: usize = 64;

/// The tokens of a text.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    /// The first byte of each token, then zeros.
    bytes: Vec<u8>,
    /// Where each token is, then the length of the text.
    at: Vec<u32>,
    /// For each block, which of its bytes are backslashes and which are dots, in strings or not.
    marks: Vec<Marks>,
    /// Whether there are backslashes at all.
    escapes: bool,
    /// Whether there is nothing but ASCII.
    ascii: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Marks {
    backslash: u64,
    dot: u64,
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
        let count = dispatch(self, text)?;
        let ends = count..count + ENDS;
        self.at.get_mut(ends.clone()).ok_or(Suspect)?.fill(length);
        self.bytes.get_mut(ends).ok_or(Suspect)?.fill(0);
        Ok(())
    }

    /// Room for one token a byte, and for what is written ahead.
    fn make_room(&mut self, length: usize) {
        let (blocks, tokens) = (length / BLOCK + 1, length + 2 * BLOCK);
        if self.at.len() < tokens {
            self.at.resize(tokens, 0);
            self.bytes.resize(tokens, 0);
        }
        if self.marks.len() < blocks {
            self.marks.resize(blocks, Marks::default());
        }
    }

    /// The first byte of each token. Behind the last one stand zeros.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the tokens are. Behind the last one stands the length of the text.
    pub(crate) fn at(&self) -> &[u32] {
        &self.at
    }

    /// Whether all of the text is ASCII, and so UTF-8.
    pub(crate) fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// Whether there is a backslash in these bytes of the text.
    pub(crate) fn has_escape(&self, from: u32, to: u32) -> bool {
        self.escapes && self.any(from, to, |marks| marks.backslash)
    }

    /// Whether there is a dot in these bytes of the text.
    pub(crate) fn has_dot(&self, from: u32, to: u32) -> bool {
        self.any(from, to, |marks| marks.dot)
    }

    fn any(&self, from: u32, to: u32, mark: impl Fn(&Marks) -> u64) -> bool {
        if from >= to {
            return false;
        }
        let (first, last) = (from as usize / BLOCK, (to as usize - 1) / BLOCK);
        let Some(blocks) = self.marks.get(first..=last) else { return false };
        let (above, below) = (u64::MAX << (from % 64), u64::MAX >> (63 - (to - 1) % 64));
        match blocks {
            [only] => mark(only) & above & below != 0,
            [first, middle @ .., last] => {
                mark(first) & above != 0 || mark(last) & below != 0 || middle.iter().any(|marks| mark(marks) != 0)
            }
            [] => false,
        }
    }
}

fn dispatch(tokens: &mut Tokens, text: &[u8]) -> Result<usize, Suspect> {
    #[cfg(target_arch = "x86_64")]
    if let Some(scanned) = x86::scan(tokens, text) {
        return scanned;
    }
    portable::scan(tokens, text)
}

/// Scans with what a processor offers: a way to make the masks of a block, the running exclusive or of a mask's bits, and
/// a way to write the tokens of a block. Answers how many there are.
#[inline(always)]
fn scan_with(
    tokens: &mut Tokens,
    text: &[u8],
    masks: impl Fn(&[u8; BLOCK]) -> Masks,
    running_xor: impl Fn(u64) -> u64,
    write: impl Fn(Room<'_>, &[u8; BLOCK], u32, u64),
) -> Result<usize, Suspect> {
    let Tokens { bytes, at, marks, escapes, ascii } = tokens;
    let mut high = 0;
    let mut state = masks::State::default();
    let mut count = 0;
    let mut base = 0_u32;
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let mut last = [b' '; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    for (index, mark) in marks.iter_mut().enumerate().take(blocks.len() + 1) {
        let block = blocks.get(index).unwrap_or(&last);
        let masks = masks(block);
        high |= masks.high;
        let in_block = state.next(&masks, &running_xor);
        if in_block.backslashes_to_check != 0 {
            *escapes = true;
            check_escapes(text, base, in_block.backslashes_to_check)?;
        }
        *mark = Marks { backslash: masks.backslash, dot: masks.dot };
        let places = at.get_mut(count..).and_then(|rest| rest.first_chunk_mut()).ok_or(Suspect)?;
        let bytes = bytes.get_mut(count..).and_then(|rest| rest.first_chunk_mut()).ok_or(Suspect)?;
        write(Room { bytes, places }, block, base, in_block.tokens);
        count += in_block.tokens.count_ones() as usize;
        base = base.wrapping_add(64);
    }
    *ascii = high == 0;
    if state.ends_well() { Ok(count) } else { Err(Suspect) }
}

/// Where the tokens of a block go: first which bytes they are, then where.
struct Room<'t> {
    bytes: &'t mut [u8; BLOCK],
    places: &'t mut [u32; BLOCK],
}

/// Writes the tokens of a block, of which `bits` tells which bytes they are.
#[inline(always)]
fn write(room: Room<'_>, block: &[u8; BLOCK], base: u32, mut bits: u64) {
    let mut next = 0;
    while bits != 0 {
        let bit = bits.trailing_zeros();
        room.bytes[next % BLOCK] = block[bit as usize % BLOCK];
        room.places[next % BLOCK] = base + bit;
        bits &= bits - 1;
        next += 1;
    }
}

/// Checks what stands behind each of these backslashes.
#[cold]
fn check_escapes(text: &[u8], base: u32, mut backslashes: u64) -> Result<(), Suspect> {
    while backslashes != 0 {
        let at = base as usize + backslashes.trailing_zeros() as usize;
        backslashes &= backslashes - 1;
        let known = match text.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
            Some(b'u') => text.get(at + 2..at + 6).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
            _ => false,
        };
        if !known {
            return Err(Suspect);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

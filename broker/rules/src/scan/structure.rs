//! How containers are nested, and which token closes which.
//!
//! What 64 tokens say of themselves is told by [`order`](super::order). The rest depends on the container around them, and
//! from one bracket to the next that is the same. So for each bracket it is enough to know whether there is something in
//! front of it that must not be in an object, and something that must not be in an array.
//!
//! Up to 64 brackets are laid side by side. Those of containers without containers inside stand next to each other: they
//! are taken out all at once, until there are none. What is left was opened before or is closed later; it goes through a
//! stack.

use super::order::{Kinds, Word};
use super::{BLOCK, FRONT, Machine, Suspect};
use crate::json::MAX_DEPTH;

/// Memory for brackets.
#[derive(Debug)]
pub(super) struct Memory {
    /// The containers that are open: for each the token that opens it, and what the container around it is.
    around: [(u32, u64); MAX_DEPTH],
    /// Which tokens the brackets are; room for what is written ahead.
    tokens: [u32; 2 * BLOCK],
    /// Brackets two by two, as they belong together; room for what is written ahead.
    pairs: [u32; 2 * BLOCK],
}

impl Default for Memory {
    fn default() -> Self {
        Self { around: [(0, 0); MAX_DEPTH], tokens: [0; 2 * BLOCK], pairs: [0; 2 * BLOCK] }
    }
}

/// Checks that the first `count` tokens are one object, and notes which token closes which. In front of `bytes` there are
/// [`FRONT`] more, behind the tokens there are 64 zeros.
#[inline(always)]
pub(super) fn check<M: Machine>(
    machine: M,
    bytes: &[u8],
    count: usize,
    partners: &mut [u32],
    memory: &mut Memory,
) -> Result<(), Suspect> {
    let open = Open { stack: &mut memory.around, depth: 0, in_object: 0, partners };
    let (tokens, pairs) = (&mut memory.tokens, &mut memory.pairs);
    let mut nesting =
        Nesting { machine, open, tokens, pairs, brackets: Brackets::default(), behind: Misfits::default() };
    let mut before = Kinds::BEGINNING;
    let mut wrong = u64::from(bytes.get(FRONT) != Some(&b'{'));
    let mut from = 0;
    while from < count {
        // As many as have room together.
        while from < count {
            let tokens = bytes.get(from..).and_then(|rest| rest.first_chunk()).ok_or(Suspect)?;
            let (word, kinds) = machine.order(&before, tokens);
            if M::GATHERS && !nesting.has_room(&word) {
                break;
            }
            #[expect(clippy::cast_possible_truncation, reason = "tokens are fewer than bytes, which u32 counts")]
            let base = from as u32;
            wrong |= word.wrong;
            if M::GATHERS {
                nesting.gather(base, &word)?;
            } else {
                wrong |= nesting.one_by_one(base, &word)?;
            }
            (before, from) = (kinds, from + BLOCK);
        }
        wrong |= nesting.settle()?;
    }
    let Open { depth, partners, .. } = nesting.open;
    // The first bracket is closed by the last token.
    let is_one = depth == 0 && partners.first().is_some_and(|last| *last as usize + 1 == count);
    if wrong == 0 && is_one { Ok(()) } else { Err(Suspect) }
}

struct Nesting<'t, M> {
    machine: M,
    open: Open<'t>,
    tokens: &'t mut [u32; 2 * BLOCK],
    pairs: &'t mut [u32; 2 * BLOCK],
    brackets: Brackets,
    /// What is behind the last bracket.
    behind: Misfits<bool>,
}

/// Up to 64 brackets, one bit a bracket.
#[derive(Debug, Default, Clone, Copy)]
struct Brackets {
    count: u32,
    opening: u64,
    objects: u64,
    /// What is in front of each, or is the bracket itself.
    misfits: Misfits<u64>,
}

/// Whether there is something that must not be in an object or an array.
#[derive(Debug, Default, Clone, Copy)]
struct Misfits<T> {
    in_object: T,
    in_array: T,
}

impl Misfits<u64> {
    /// What is wrong in these objects, and arrays elsewhere.
    #[inline(always)]
    fn wrong(&self, objects: u64) -> u64 {
        (self.in_object & objects) | (self.in_array & !objects)
    }

    /// Moves all to the next of these places. `over` is what comes from before the first and what goes on behind the last.
    #[inline(always)]
    fn carry(&self, to: u64, over: &mut Misfits<bool>) -> Self {
        let carry = |which: u64, over: &mut bool| {
            // Adding to the ones between two places carries over to the second.
            let sum = u128::from(!to) + u128::from(which & !to) + u128::from(*over);
            *over = sum >> 64 != 0;
            #[expect(clippy::cast_possible_truncation, reason = "what is above was carried over")]
            let sum = sum as u64;
            (sum | which) & to
        };
        Self {
            in_object: carry(self.in_object, &mut over.in_object),
            in_array: carry(self.in_array, &mut over.in_array),
        }
    }
}

/// So many ones.
#[inline(always)]
fn lowest(count: u32) -> u64 {
    u64::MAX.checked_shr(u64::BITS - count).unwrap_or(0)
}

impl<M: Machine> Nesting<'_, M> {
    /// Goes through the brackets of 64 tokens. Answers what is wrong.
    #[inline(always)]
    fn one_by_one(&mut self, from: u32, word: &Word) -> Result<u64, Suspect> {
        let misfits = misfits(word).carry(word.brackets, &mut self.behind);
        let brackets = Brackets { opening: word.opening, objects: word.objects, misfits, count: 0 };
        let (mut rest, mut wrong) = (word.brackets, 0);
        while rest != 0 {
            let at = rest.trailing_zeros();
            rest &= rest - 1;
            wrong |= self.open.bracket(from + at, at, &brackets)?;
        }
        Ok(wrong)
    }

    /// Whether all brackets of a word can be added.
    #[inline(always)]
    fn has_room(&self, word: &Word) -> bool {
        self.brackets.count + word.brackets.count_ones() <= u64::BITS
    }

    /// Adds the brackets of 64 tokens.
    #[inline(always)]
    fn gather(&mut self, from: u32, word: &Word) -> Result<(), Suspect> {
        let misfits = misfits(word).carry(word.brackets, &mut self.behind);
        let Self { machine, brackets, tokens, .. } = self;
        let at = brackets.count;
        let gather = |which: u64| machine.gather(which, word.brackets).wrapping_shl(at);
        brackets.opening |= gather(word.opening);
        brackets.objects |= gather(word.objects);
        brackets.misfits.in_object |= gather(misfits.in_object);
        brackets.misfits.in_array |= gather(misfits.in_array);
        brackets.count += word.brackets.count_ones();
        let room = tokens.get_mut(at as usize..).and_then(|rest| rest.first_chunk_mut()).ok_or(Suspect)?;
        machine.places(room, from, word.brackets);
        Ok(())
    }

    /// Goes through the brackets that were gathered. Answers what is wrong.
    #[inline(always)]
    fn settle(&mut self) -> Result<u64, Suspect> {
        let mut brackets = std::mem::take(&mut self.brackets);
        let mut left = lowest(brackets.count);
        let mut wrong = 0;
        if self.open.depth + BLOCK <= MAX_DEPTH {
            wrong = self.take_pairs(&mut brackets, &mut left)?;
        }
        for at in 0..brackets.count {
            let token = self.tokens.get(left.trailing_zeros() as usize).ok_or(Suspect)?;
            left &= left - 1;
            wrong |= self.open.bracket(*token, at, &brackets)?;
        }
        Ok(wrong)
    }

    /// Takes out brackets that open a container and stand in front of one that closes it, until there are none. `left`
    /// tells which brackets are left. Answers what is wrong with those that were taken.
    #[inline(always)]
    fn take_pairs(&mut self, brackets: &mut Brackets, left: &mut u64) -> Result<u64, Suspect> {
        let (machine, mut wrong, mut paired) = (self.machine, 0, 0);
        loop {
            let Brackets { count, opening, objects, misfits } = *brackets;
            let all = lowest(count);
            let inner = opening & (all & !opening) >> 1;
            if inner == 0 {
                break;
            }
            let closing = inner << 1;
            let rest = all & !(inner | closing);
            wrong |= inner & (objects ^ objects >> 1);
            wrong |= closing & misfits.wrong(objects);

            let taken = machine.scatter(inner | closing, *left);
            *left &= !taken;
            let room = self.pairs.get_mut(paired..).and_then(|pairs| pairs.first_chunk_mut()).ok_or(Suspect)?;
            machine.places(room, 0, taken);
            paired += taken.count_ones() as usize;

            // What is in front of a container is now in front of what follows it.
            let misfits = Misfits { in_object: misfits.in_object & !closing, in_array: misfits.in_array & !closing };
            let mut over = Misfits::default();
            let misfits = misfits.carry(rest, &mut over);
            self.behind.in_object |= over.in_object;
            self.behind.in_array |= over.in_array;
            let gather = |which: u64| machine.gather(which, rest);
            *brackets = Brackets {
                count: rest.count_ones(),
                opening: gather(opening),
                objects: gather(objects),
                misfits: Misfits { in_object: gather(misfits.in_object), in_array: gather(misfits.in_array) },
            };
        }
        self.note_pairs(paired);
        Ok(wrong)
    }

    #[inline(always)]
    fn note_pairs(&mut self, paired: usize) {
        let (pairs, _) = self.pairs.as_chunks();
        for [opens, closes] in pairs.iter().take(paired / 2) {
            let token = |bracket: &u32| self.tokens[*bracket as usize % self.tokens.len()];
            self.open.pair(token(opens), token(closes));
        }
    }
}

fn misfits(word: &Word) -> Misfits<u64> {
    Misfits { in_object: word.not_in_object, in_array: word.not_in_array }
}

/// The containers that are open.
struct Open<'t> {
    stack: &'t mut [(u32, u64); MAX_DEPTH],
    depth: usize,
    /// All ones in an object.
    in_object: u64,
    partners: &'t mut [u32],
}

impl Open<'_> {
    /// Goes past a bracket, of which the bits `at` tell. Answers what is wrong.
    #[inline(always)]
    fn bracket(&mut self, token: u32, at: u32, brackets: &Brackets) -> Result<u64, Suspect> {
        let bit = |bits: u64| (bits >> at & 1).wrapping_neg();
        let object = bit(brackets.objects);
        let wrong = bit(brackets.misfits.wrong(self.in_object));
        if bit(brackets.opening) != 0 {
            *self.stack.get_mut(self.depth).ok_or(Suspect)? = (token, self.in_object);
            self.depth += 1;
            self.in_object = object;
            return Ok(wrong);
        }
        self.depth = self.depth.checked_sub(1).ok_or(Suspect)?;
        let (opened, around) = *self.stack.get(self.depth).ok_or(Suspect)?;
        let wrong = wrong | (object ^ self.in_object);
        self.in_object = around;
        self.pair(opened, token);
        Ok(wrong)
    }

    /// Notes that one token opens what the other closes.
    #[inline(always)]
    fn pair(&mut self, opens: u32, closes: u32) {
        if let Some(partner) = self.partners.get_mut(opens as usize) {
            *partner = closes;
        }
    }
}

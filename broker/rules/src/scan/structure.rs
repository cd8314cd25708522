//! The order of tokens, 512 at a time.
//!
//! Which token may follow which is arithmetic on masks again, for between two tokens there is nothing. Only two things
//! depend on what is around: in an object each comma is followed by a key and a colon, in an array there is no colon. So
//! the brackets are taken one by one, and what is between two of them is checked for the container that is open there.

use super::lanes::{LANES, Lanes};
use super::{BLOCK, Machine, Suspect, WIDTH};
use crate::json::MAX_DEPTH;

/// Which tokens are what, one bit a token.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kinds<M> {
    pub(super) quote: M,
    pub(super) closing: M,
    pub(super) open_object: M,
    pub(super) close_object: M,
    pub(super) open_array: M,
    pub(super) close_array: M,
    pub(super) colon: M,
    pub(super) comma: M,
}

/// The containers that are open: for each the token that opens it, and what the container around it is.
pub(super) type Containers = [(u32, u64); MAX_DEPTH];

/// The innermost container that is open.
struct Open<'t> {
    around: &'t mut Containers,
    depth: usize,
    /// All ones in an object.
    in_object: u64,
    partners: &'t mut [u32],
}

/// Checks that the first `count` tokens are one object, and notes which token closes which.
#[inline(always)]
pub(super) fn check<M: Machine>(
    machine: M,
    bytes: &[u8],
    count: usize,
    partners: &mut [u32],
    around: &mut Containers,
) -> Result<(), Suspect> {
    let mut open = Open { around, depth: 0, in_object: 0, partners };
    let mut before = Before::new();
    let mut wrong = u64::from(bytes.first() != Some(&b'{'));
    for from in (0..count).step_by(WIDTH) {
        let kinds = machine.kinds(bytes.get(from..).and_then(|rest| rest.first_chunk()).ok_or(Suspect)?);
        let order = before.next(&kinds);
        let (opening, objects) = (kinds.open_object | kinds.open_array, kinds.open_object | kinds.close_object);
        let brackets = opening | kinds.close_object | kinds.close_array;
        let (brackets, opening, objects) = (brackets.to_array(), opening.to_array(), objects.to_array());
        let (always, in_object, in_array) =
            (order.wrong.to_array(), order.not_in_object.to_array(), order.not_in_array.to_array());
        for lane in 0..(count - from).div_ceil(BLOCK).min(LANES) {
            let base = from + lane * BLOCK;
            let inside = u64::MAX >> (BLOCK - (count - base).min(BLOCK));
            let word = Word {
                base,
                inside,
                opening: opening[lane],
                objects: objects[lane],
                in_object: in_object[lane],
                in_array: in_array[lane],
            };
            wrong |= always[lane] & inside;
            wrong |= open.word(machine, &word, brackets[lane] & inside, count)?;
        }
    }
    if wrong == 0 && open.depth == 0 && count > 0 { Ok(()) } else { Err(Suspect) }
}

/// 64 tokens.
struct Word {
    /// Which token is the first.
    base: usize,
    /// Which of them are there.
    inside: u64,
    opening: u64,
    objects: u64,
    /// What must not be in an object.
    in_object: u64,
    in_array: u64,
}

/// The containers of a word that hold no others.
struct Leaves {
    /// Not 0 if something is wrong with them.
    wrong: u64,
    /// What is inside, and their closing brackets.
    inside: u64,
    brackets: u64,
}

impl Word {
    #[inline(always)]
    fn misplaced(&self, in_object: u64) -> u64 {
        (self.in_object & in_object) | (self.in_array & !in_object)
    }

    /// All ones if the bracket at this place is one of an object.
    #[inline(always)]
    fn object(&self, place: u32) -> u64 {
        (self.objects >> place & 1).wrapping_neg()
    }

    #[inline(always)]
    fn opens(&self, place: u32) -> bool {
        self.opening >> place & 1 == 1
    }
}

impl Open<'_> {
    /// Goes from bracket to bracket. Answers what is wrong.
    #[inline(always)]
    fn word<M: Machine>(&mut self, machine: M, word: &Word, mut brackets: u64, count: usize) -> Result<u64, Suspect> {
        let (mut wrong, mut rest) = (0, word.inside);
        if M::GATHERS && brackets != 0 && self.depth < MAX_DEPTH - BLOCK {
            let leaves = self.leaves(machine, word, brackets);
            wrong = leaves.wrong;
            rest &= !leaves.inside;
            brackets &= !leaves.brackets;
        }
        while brackets != 0 {
            let place = brackets.trailing_zeros();
            let upto = brackets ^ (brackets - 1);
            wrong |= upto & rest & word.misplaced(self.in_object);
            rest &= !upto;
            brackets &= brackets - 1;
            let (token, object) = (word.base + place as usize, word.object(place));
            if word.opens(place) {
                self.push(token, object)?;
            } else {
                let (opened, opened_object) = self.pop()?;
                wrong |= object ^ opened_object;
                self.pair(opened as usize, token);
                if self.depth == 0 && token + 1 != count {
                    return Err(Suspect);
                }
            }
        }
        Ok(wrong | (rest & word.misplaced(self.in_object)))
    }

    /// Takes the containers without containers inside, as most are, all at once: an opening bracket of which the next
    /// bracket is a closing one. The brackets are looked at side by side, as if there were nothing between them.
    #[inline(always)]
    fn leaves<M: Machine>(&mut self, machine: M, word: &Word, brackets: u64) -> Leaves {
        let opening = machine.gather(word.opening, brackets);
        let objects = machine.gather(word.objects, brackets);
        // What follows the last bracket of the word is not known.
        let followed = (1 << (brackets.count_ones() - 1)) - 1;
        let mut leaves = opening & !(opening >> 1) & followed;
        if self.depth == 0 {
            // The outermost container has to be closed by the last token.
            leaves &= !1;
        }
        let wrong = leaves & (objects ^ (objects >> 1));
        let from = machine.scatter(leaves, brackets);
        let to = machine.scatter(leaves << 1, brackets);
        let object_leaves = leaves & objects;
        let objects_from = machine.scatter(object_leaves, brackets);
        let objects_to = machine.scatter(object_leaves << 1, brackets);
        // From behind each opening bracket to the closing one.
        let inside = to.wrapping_sub(from) << 1;
        let in_objects = objects_to.wrapping_sub(objects_from) << 1;
        let misplaced = (in_objects & word.in_object) | (inside & !in_objects & word.in_array);
        let (mut opens, mut closes) = (from, to);
        while opens != 0 {
            self.pair(word.base + opens.trailing_zeros() as usize, word.base + closes.trailing_zeros() as usize);
            opens &= opens - 1;
            closes &= closes.wrapping_sub(1);
        }
        Leaves { wrong: wrong | misplaced, inside, brackets: from | to }
    }

    #[inline(always)]
    fn push(&mut self, token: usize, object: u64) -> Result<(), Suspect> {
        #[expect(clippy::cast_possible_truncation, reason = "tokens are fewer than bytes, which u32 counts")]
        let container = (token as u32, self.in_object);
        *self.around.get_mut(self.depth).ok_or(Suspect)? = container;
        self.depth += 1;
        self.in_object = object;
        Ok(())
    }

    /// The token that opened the innermost container, and whether that is an object.
    #[inline(always)]
    fn pop(&mut self) -> Result<(u32, u64), Suspect> {
        let object = self.in_object;
        self.depth = self.depth.checked_sub(1).ok_or(Suspect)?;
        let (token, around) = *self.around.get(self.depth).ok_or(Suspect)?;
        self.in_object = around;
        Ok((token, object))
    }

    #[inline(always)]
    fn pair(&mut self, opens: usize, closes: usize) {
        #[expect(clippy::cast_possible_truncation, reason = "tokens are fewer than bytes, which u32 counts")]
        if let Some(partner) = self.partners.get_mut(opens) {
            *partner = closes as u32;
        }
    }
}

/// What the order of tokens says.
struct Order<L> {
    /// Wrong wherever it is.
    wrong: L,
    not_in_object: L,
    not_in_array: L,
}

/// What reaches over from the tokens before.
struct Before<L: Lanes> {
    comma: L::Edge,
    colon: L::Edge,
    open_object: L::Edge,
    open_array: L::Edge,
    closing: L::Edge,
    end: L::Edge,
    third_comma: L::Edge,
    third_open: L::Edge,
}

impl<L: Lanes> Before<L> {
    #[inline(always)]
    fn new() -> Self {
        let edge = L::no_edge();
        Self {
            comma: edge,
            colon: edge,
            open_object: edge,
            open_array: edge,
            closing: edge,
            end: edge,
            third_comma: edge,
            third_open: edge,
        }
    }

    #[inline(always)]
    fn next(&mut self, kinds: &Kinds<L>) -> Order<L> {
        let Kinds { quote, closing, open_object, close_object, open_array, close_array, colon, comma } = *kinds;
        let scalar = !(quote | closing | open_object | close_object | open_array | close_array | colon | comma);
        let start = quote | scalar | open_object | open_array;
        let end = closing | scalar | close_object | close_array;
        let behind_comma = comma.behind::<1>(&mut self.comma);
        let behind_colon = colon.behind::<1>(&mut self.colon);
        let behind_open_object = open_object.behind::<1>(&mut self.open_object);
        let behind_open_array = open_array.behind::<1>(&mut self.open_array);
        let behind_closing = closing.behind::<1>(&mut self.closing);
        let behind_end = end.behind::<1>(&mut self.end);
        // A colon stands behind a string that stands behind a comma or the beginning of an object.
        let key_behind_comma = comma.behind::<3>(&mut self.third_comma) & behind_closing;
        let key_behind_open = open_object.behind::<3>(&mut self.third_open) & behind_closing;
        let wrong = (behind_comma | behind_colon) & !start;
        let wrong = wrong | (behind_open_object & !(quote | close_object));
        let wrong = wrong | (behind_open_array & !(start | close_array));
        let wrong = wrong | (behind_end & !(comma | close_object | close_array | colon));
        let wrong = wrong | (colon & !(key_behind_comma | key_behind_open));
        let wrong = wrong | (key_behind_open & !colon);
        let not_in_object = (behind_comma & !quote) | (key_behind_comma & !colon);
        Order { wrong, not_in_object, not_in_array: colon }
    }
}

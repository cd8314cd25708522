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
#[derive(Debug)]
pub(super) struct Open {
    containers: Box<[(u32, u64); MAX_DEPTH]>,
    depth: usize,
    /// All ones in an object.
    in_object: u64,
}

impl Default for Open {
    fn default() -> Self {
        Self { containers: Box::new([(0, 0); MAX_DEPTH]), depth: 0, in_object: 0 }
    }
}

/// Checks that the first `count` tokens are one object, and notes which token closes which.
#[inline(always)]
pub(super) fn check<M: Machine>(
    machine: M,
    bytes: &[u8],
    count: usize,
    partners: &mut [u32],
    open: &mut Open,
) -> Result<(), Suspect> {
    open.depth = 0;
    open.in_object = 0;
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
            let mut rest = u64::MAX >> (BLOCK - (count - base).min(BLOCK));
            let misplaced = |open: &Open| (in_object[lane] & open.in_object) | (in_array[lane] & !open.in_object);
            let mut brackets = brackets[lane] & rest;
            wrong |= always[lane] & rest;
            while brackets != 0 {
                let place = brackets.trailing_zeros();
                let upto = brackets ^ (brackets - 1);
                wrong |= upto & rest & misplaced(open);
                rest &= !upto;
                brackets &= brackets - 1;
                let token = base + place as usize;
                let object = (objects[lane] >> place & 1).wrapping_neg();
                if opening[lane] >> place & 1 == 1 {
                    open.push(token, object)?;
                } else {
                    let (opened, opened_object) = open.pop()?;
                    wrong |= object ^ opened_object;
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "tokens are fewer than bytes, which u32 counts"
                    )]
                    if let Some(partner) = partners.get_mut(opened as usize) {
                        *partner = token as u32;
                    }
                    if open.depth == 0 && token + 1 != count {
                        return Err(Suspect);
                    }
                }
            }
            wrong |= rest & misplaced(open);
        }
    }
    if wrong == 0 && open.depth == 0 && count > 0 { Ok(()) } else { Err(Suspect) }
}

impl Open {
    #[inline(always)]
    fn push(&mut self, token: usize, object: u64) -> Result<(), Suspect> {
        #[expect(clippy::cast_possible_truncation, reason = "tokens are fewer than bytes, which u32 counts")]
        let container = (token as u32, self.in_object);
        *self.containers.get_mut(self.depth).ok_or(Suspect)? = container;
        self.depth += 1;
        self.in_object = object;
        Ok(())
    }

    /// The token that opened the innermost container, and whether that is an object.
    #[inline(always)]
    fn pop(&mut self) -> Result<(u32, u64), Suspect> {
        let object = self.in_object;
        self.depth = self.depth.checked_sub(1).ok_or(Suspect)?;
        let (token, around) = *self.containers.get(self.depth).ok_or(Suspect)?;
        self.in_object = around;
        Ok((token, object))
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

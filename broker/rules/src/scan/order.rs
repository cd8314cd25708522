//! Which token may follow which, 64 tokens at a time.
//!
//! Between two tokens there is nothing, so a token and the two before it tell almost everything. A string is one token.
//! Only two things depend on what is around: in an object each comma is followed by a key and a colon, in an array there is
//! no colon. What would be wrong with them is answered apart, for [`structure`](super::structure) knows what is around.

/// What 64 tokens are, and what is wrong with their order, one bit a token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    /// Wrong wherever it is. With an opening bracket it is the container around it that counts, with a closing one its own.
    pub(super) wrong: u64,
    pub(super) not_in_object: u64,
    pub(super) not_in_array: u64,
    pub(super) brackets: u64,
    /// Which brackets open a container; of other tokens this says nothing.
    pub(super) opening: u64,
    /// Which brackets are those of an object; of other tokens this says nothing.
    pub(super) objects: u64,
}

/// Which of 64 tokens are what, one bit a token. What is nothing else and no end is a number or a word.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kinds {
    pub(super) string: u64,
    pub(super) open_object: u64,
    pub(super) close_object: u64,
    pub(super) open_array: u64,
    pub(super) close_array: u64,
    pub(super) colon: u64,
    pub(super) comma: u64,
    /// Behind the last token.
    pub(super) end: u64,
}

impl Kinds {
    /// What is in front of the first token: nothing that it could be the end of.
    pub(super) const BEGINNING: Self = Self {
        string: 0,
        open_object: 0,
        close_object: 0,
        open_array: 0,
        close_array: 0,
        colon: 0,
        comma: 1 << 63,
        end: 0,
    };

    /// What these tokens say behind the 64 before.
    #[inline(always)]
    pub(super) fn behind(&self, before: &Self) -> Word {
        let Self { string, open_object, close_object, open_array, close_array, colon, comma, end } = *self;
        let closing = close_object | close_array;
        let opening = open_object | open_array;
        let brackets = opening | closing;
        let start = !(closing | colon | comma | end);
        let behind = |mask: u64, before: u64, by: u32| mask << by | before >> (u64::BITS - by);
        let behind_comma = behind(comma, before.comma, 1);
        let behind_colon = behind(colon, before.colon, 1);
        let behind_string = behind(string, before.string, 1);
        let behind_open_object = behind(open_object, before.open_object, 1);
        let behind_open_array = behind(open_array, before.open_array, 1);
        let behind_value = !(behind_comma | behind_colon | behind_open_object | behind_open_array);
        // Behind the first key, and behind what is a key if it is in an object.
        let behind_key = behind_string & behind(open_object, before.open_object, 2);
        let perhaps_behind_key = behind_string & behind(comma, before.comma, 2);
        let wrong = (behind_comma | behind_colon) & (closing | comma);
        let wrong = wrong | (behind_open_array & (close_object | comma));
        let wrong = wrong | (behind_value & start);
        let wrong = wrong | (colon ^ behind_key) & !(colon & perhaps_behind_key);
        let not_a_key = (behind_comma | behind_open_object) & !(string | close_object | end);
        Word {
            wrong,
            not_in_object: not_a_key | (perhaps_behind_key & !colon),
            not_in_array: colon,
            brackets,
            opening,
            objects: open_object | close_object,
        }
    }
}

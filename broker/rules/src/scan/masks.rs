//! What the masks of 512 bytes after another say.

use super::lanes::{LANES, Lanes};

/// Which bytes are what, one bit a byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Masks<M> {
    /// Whether all bytes are below 0x80. What is not is of no kind.
    pub(super) ascii: bool,
    /// `"`
    pub(super) quote: M,
    /// `\`
    pub(super) backslash: M,
    /// `{ } [ ] : ,`
    pub(super) structural: M,
    /// Space, tab, line feed, carriage return.
    pub(super) space: M,
    /// Below 0x20.
    pub(super) control: M,
    /// `0` to `9`
    pub(super) digit: M,
    /// `0`
    pub(super) zero: M,
    /// `-`
    pub(super) minus: M,
    /// `-`, `+` and `.`: what must be followed by a digit.
    pub(super) before_digit: M,
    /// `.`
    pub(super) dot: M,
    /// `e` and `E`
    pub(super) exponent: M,
    /// `t`, `f` and `n`: what `true`, `false` and `null` begin with.
    pub(super) word: M,
}

/// What is carried on from the bytes before.
#[derive(Debug)]
pub(super) struct State<L: Lanes> {
    wrong: L,
    ascii: bool,
    in_string: bool,
    /// Whether the next byte is escaped.
    escaped: bool,
    /// What belongs to a number, a word or what else is neither structure, space nor string.
    loose: L::Edge,
    numbers: Numbers<L>,
}

#[derive(Debug)]
struct Numbers<L: Lanes> {
    digit: L::Edge,
    before_digit: L::Edge,
    dot: L::Edge,
    /// A zero that begins a number.
    first_zero: L::Edge,
    /// Whether the last byte was a digit behind a dot.
    fraction: bool,
    exponents: Exponents<L>,
}

#[derive(Debug)]
struct Exponents<L: Lanes> {
    /// Whether the bytes before had exponents, so that these may be in the middle of one.
    any: bool,
    exponent: L::Edge,
    sign: L::Edge,
    /// Whether the last byte was a digit behind an exponent.
    power: bool,
}

/// What there is in 512 bytes.
pub(super) struct Found<L> {
    pub(super) tokens: L,
    /// Those of them that are closing quotes.
    pub(super) closing: L,
    /// Those that begin a word.
    pub(super) words: L,
    /// The backslashes that begin an escape, if there are any.
    pub(super) escapes: Option<[u64; LANES]>,
}

impl<L: Lanes> State<L> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        let edge = L::no_edge();
        let exponents = Exponents { any: false, exponent: edge, sign: edge, power: false };
        let numbers =
            Numbers { digit: edge, before_digit: edge, dot: edge, first_zero: edge, fraction: false, exponents };
        Self { wrong: L::none(), ascii: true, in_string: false, escaped: false, loose: edge, numbers }
    }

    #[inline(always)]
    pub(super) fn next(&mut self, masks: &Masks<L>) -> Found<L> {
        self.ascii &= masks.ascii;
        let (mut quote, mut escapes) = (masks.quote, None);
        if self.escaped || masks.backslash.any() {
            let (escaped, escaping) = self.escapes(masks.backslash.to_array());
            quote = quote & !L::from_array(escaped);
            escapes = Some(escaping);
        }
        // From the opening quote to the byte before the closing one.
        let in_string = quote.running_xor(&mut self.in_string);
        let string = in_string | quote;
        let loose = !(string | masks.structural | masks.space);
        let first = loose & !loose.behind::<1>(&mut self.loose);
        let words = first & masks.word;
        let wrong = (masks.control & in_string) | (masks.backslash & !in_string);
        let wrong = wrong | (first & !(masks.digit | masks.minus | words));
        self.wrong = self.wrong | wrong | self.numbers.next(masks, loose, first);
        let tokens = (masks.structural & !string) | quote | first;
        Found { tokens, closing: quote & !in_string, words, escapes }
    }

    /// The bytes that are escaped, and the backslashes that escape them.
    #[cold]
    fn escapes(&mut self, backslash: [u64; LANES]) -> ([u64; LANES], [u64; LANES]) {
        let (mut escaped, mut escaping) = ([0; LANES], [0; LANES]);
        let mut carried = u64::from(self.escaped);
        for (lane, backslash) in backslash.into_iter().enumerate() {
            let free = backslash & !carried;
            // Where a run of backslashes begins on an odd place, its odd ones escape; subtracting finds the end of runs.
            let runs = ((free << 1) | ODD).wrapping_sub(free) ^ ODD;
            escaped[lane] = runs ^ (backslash | carried);
            escaping[lane] = runs & backslash;
            carried = escaping[lane] >> 63;
        }
        self.escaped = carried == 1;
        (escaped, escaping)
    }

    pub(super) fn ends_well(&self) -> bool {
        !self.wrong.any() && !self.in_string && !self.escaped
    }

    pub(super) fn is_ascii(&self) -> bool {
        self.ascii
    }
}

const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

impl<L: Lanes> Numbers<L> {
    /// The bytes at which a number goes wrong.
    #[inline(always)]
    fn next(&mut self, masks: &Masks<L>, loose: L, first: L) -> L {
        let digit = masks.digit & loose;
        let before_digit = masks.before_digit & loose;
        let letter_e = masks.exponent & loose;
        let dot = masks.dot & loose;
        let sign = before_digit & !dot;
        let letter = loose & !(digit | before_digit | letter_e);

        let behind_digit = digit.behind::<1>(&mut self.digit);
        let behind_dot = dot.behind::<1>(&mut self.dot);
        let exponent = letter_e & behind_digit;
        let wrong = (dot & !behind_digit) | (letter & behind_digit);
        let wrong = wrong | (before_digit.behind::<1>(&mut self.before_digit) & !digit);
        // Behind the digits of a fraction comes no other dot.
        let wrong = wrong | (digit.run_ends(behind_dot & digit, &mut self.fraction) & dot);
        let misplaced = sign & !(masks.minus & first);
        // A zero with which the digits begin, of a number or of an exponent.
        let zero = masks.zero & digit & !behind_digit & !behind_dot;
        if exponent.any() || self.exponents.any {
            let found = Exponential { digit, zero, dot, sign, misplaced, exponent, letter_e };
            self.with_exponents(&found) | wrong
        } else {
            // All there is: an optional minus, digits, and perhaps a dot and digits.
            wrong | misplaced | (zero.behind::<1>(&mut self.first_zero) & digit)
        }
    }

    #[inline(never)]
    fn with_exponents(&mut self, found: &Exponential<L>) -> L {
        let Exponential { digit, zero, dot, sign, misplaced, exponent, letter_e } = *found;
        let state = &mut self.exponents;
        state.any = true;
        // An exponent is followed by a sign or digits, and these by neither a dot nor another exponent.
        let behind_exponent = exponent.behind::<1>(&mut state.exponent);
        let wrong = behind_exponent & !(digit | sign);
        let wrong = wrong | (misplaced & !behind_exponent);
        let behind_sign = (sign & behind_exponent).behind::<1>(&mut state.sign);
        let power = (behind_exponent | behind_sign) & digit;
        let wrong = wrong | (digit.run_ends(power, &mut state.power) & (dot | letter_e));
        // An exponent may begin with zeros.
        wrong | ((zero & !power).behind::<1>(&mut self.first_zero) & digit)
    }
}

struct Exponential<L> {
    digit: L,
    zero: L,
    dot: L,
    sign: L,
    /// Signs that are not in front of a number.
    misplaced: L,
    exponent: L,
    letter_e: L,
}

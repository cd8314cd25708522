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
    /// Digits and dots.
    decimal: L::Edge,
    before_digit: L::Edge,
    /// Whether the last bytes were a dot and digits.
    fraction: bool,
    exponents: Exponents<L>,
}

#[derive(Debug, Clone, Copy)]
struct Exponents<L: Lanes> {
    /// Whether the bytes before had exponents, so that these may be in the middle of one.
    any: bool,
    exponent: L::Edge,
    sign: L::Edge,
    /// Whether the last byte was a digit behind an exponent.
    power: bool,
    /// A zero that begins a number.
    first_zero: L::Edge,
}

/// What there is in 512 bytes.
pub(super) struct Found<L> {
    pub(super) tokens: L,
    /// Those that begin a word.
    pub(super) words: L,
    /// The backslashes that begin an escape, if there are any.
    pub(super) escapes: Option<[u64; LANES]>,
}

impl<L: Lanes> State<L> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        let edge = L::no_edge();
        let exponents = Exponents { any: false, exponent: edge, sign: edge, power: false, first_zero: edge };
        let numbers = Numbers { decimal: edge, before_digit: edge, fraction: false, exponents };
        Self { wrong: L::none(), ascii: true, in_string: false, escaped: false, loose: edge, numbers }
    }

    #[inline(always)]
    pub(super) fn next(&mut self, masks: &Masks<L>) -> Found<L> {
        self.ascii &= masks.ascii;
        let (mut quote, mut escapes) = (masks.quote, None);
        if self.escaped || masks.backslash.any() {
            let found = find_escapes(masks.backslash.to_array(), self.escaped);
            self.escaped = found.carried;
            quote = quote & !L::from_array(found.escaped);
            escapes = Some(found.escaping);
        }
        // From the opening quote to the byte before the closing one.
        let in_string = quote.running_xor(&mut self.in_string);
        let loose = !(in_string | quote | masks.structural | masks.space);
        let behind_loose = loose.behind::<1>(&mut self.loose);
        let first = loose & !behind_loose;
        // A backslash out of strings is loose, and nothing that is may have one.
        let wrong = (masks.control & in_string) | (first & !(masks.digit | masks.minus | masks.word));
        self.wrong = self.wrong | wrong | self.numbers.next(masks, loose, behind_loose);
        let tokens = (masks.structural & !in_string) | (quote & in_string) | first;
        Found { tokens, words: first & masks.word, escapes }
    }

    pub(super) fn ends_well(&self) -> bool {
        !self.wrong.any() && !self.in_string && !self.escaped
    }

    pub(super) fn is_ascii(&self) -> bool {
        self.ascii
    }
}

const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;

struct Escapes {
    /// The bytes that are escaped.
    escaped: [u64; LANES],
    /// The backslashes that escape them.
    escaping: [u64; LANES],
    /// Whether the last byte escapes the next.
    carried: bool,
}

#[cold]
fn find_escapes(backslash: [u64; LANES], carried: bool) -> Escapes {
    let (mut escaped, mut escaping) = ([0; LANES], [0; LANES]);
    let mut carried = u64::from(carried);
    for (lane, backslash) in backslash.into_iter().enumerate() {
        let free = backslash & !carried;
        // Where a run of backslashes begins on an odd place, its odd ones escape; subtracting finds the end of runs.
        let runs = ((free << 1) | ODD).wrapping_sub(free) ^ ODD;
        escaped[lane] = runs ^ (backslash | carried);
        escaping[lane] = runs & backslash;
        carried = escaping[lane] >> 63;
    }
    Escapes { escaped, escaping, carried: carried == 1 }
}

impl<L: Lanes> Numbers<L> {
    /// The bytes at which a number goes wrong.
    ///
    /// In front of a loose byte is another, or none of a number: in front of strings there are quotes. So what is asked for
    /// loose bytes in the end may be asked for all on the way.
    #[inline(always)]
    fn next(&mut self, masks: &Masks<L>, loose: L, behind_loose: L) -> L {
        let (digit, dot, letter_e) = (masks.digit, masks.dot, masks.exponent);
        let decimal = digit | dot;
        let behind_decimal = decimal.behind::<1>(&mut self.decimal);
        let behind_before_digit = masks.before_digit.behind::<1>(&mut self.before_digit);
        let incomplete = behind_loose & behind_before_digit & !digit;
        // The first dot carries one through the digits behind it; a second dot is where it is added and stays.
        let second_dot = decimal.carrying_add(dot, &mut self.fraction) & dot;
        let wrong = second_dot | (dot & !behind_decimal) | (behind_decimal & !(decimal | letter_e));
        let wrong = (loose & wrong) | incomplete;
        let sign = masks.before_digit & !dot;
        let misplaced = sign & !(masks.minus & !behind_loose);
        // With these the digits of a number begin, or those of an exponent.
        let zero = masks.zero & !behind_decimal;
        let exponent = letter_e & behind_decimal & loose;
        if exponent.any() || self.exponents.any {
            let found = Exponential { loose, digit, zero, dot, exponent, letter_e, sign, misplaced };
            let (exponents, more) = self.exponents.next(&found);
            self.exponents = exponents;
            return wrong | more;
        }
        // All there is: an optional minus, digits, and perhaps a dot and digits.
        let behind_zero = zero.behind::<1>(&mut self.exponents.first_zero);
        wrong | (loose & (misplaced | (behind_zero & digit)))
    }
}

impl<L: Lanes> Exponents<L> {
    /// What is carried on, and the bytes at which a number goes wrong.
    #[inline(never)]
    fn next(mut self, found: &Exponential<L>) -> (Self, L) {
        let Exponential { loose, digit, zero, dot, exponent, letter_e, sign, misplaced } = *found;
        self.any = true;
        // An exponent is followed by a sign or digits, and these by neither a dot nor another exponent.
        let behind_exponent = exponent.behind::<1>(&mut self.exponent);
        let behind_sign = (sign & behind_exponent).behind::<1>(&mut self.sign);
        let power = (behind_exponent | behind_sign) & digit;
        let behind_power = digit.carrying_add(power, &mut self.power) & !digit;
        // An exponent may begin with zeros.
        let behind_zero = (zero & !power).behind::<1>(&mut self.first_zero);
        let wrong = (misplaced & !behind_exponent) | (behind_power & (dot | letter_e)) | (behind_zero & digit);
        (self, (loose & wrong) | (behind_exponent & !(digit | sign)))
    }
}

struct Exponential<L> {
    loose: L,
    digit: L,
    zero: L,
    dot: L,
    exponent: L,
    letter_e: L,
    sign: L,
    /// Signs that are not in front of a number.
    misplaced: L,
}

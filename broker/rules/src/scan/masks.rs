//! What the masks of one block after another say.

/// Which bytes of a block are what, one bit a byte, the first byte the lowest bit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Masks {
    /// `"`
    pub(crate) quote: u64,
    /// `\`
    pub(crate) backslash: u64,
    /// `{ } [ ] : ,`
    pub(crate) structural: u64,
    /// Space, tab, line feed, carriage return.
    pub(crate) space: u64,
    /// 0x80 and above: parts of characters outside of ASCII.
    pub(crate) high: u64,
    /// Below 0x20.
    pub(crate) control: u64,
    /// `0` to `9`
    pub(crate) digit: u64,
    /// `0`
    pub(crate) zero: u64,
    /// `-`
    pub(crate) minus: u64,
    /// `-`, `+` and `.`: what must be followed by a digit.
    pub(crate) before_digit: u64,
    /// `.`
    pub(crate) dot: u64,
    /// `e` and `E`
    pub(crate) exponent: u64,
}

/// What is carried from block to block. The booleans of the bits at its edge are 0 or 1.
#[derive(Debug, Default)]
pub(super) struct State {
    wrong: u64,
    /// All ones inside of a string.
    in_string: u64,
    /// Whether the next byte is escaped.
    escaped: u64,
    /// Whether the last byte belonged to a number, a word or what else is neither structure, space nor string.
    loose: u64,
    numbers: Numbers,
}

/// Whether the last byte of the block before was one of these, as 0 or 1.
#[derive(Debug, Default)]
struct Numbers {
    digit: u64,
    /// A dot or a sign.
    before_digit: u64,
    dot: u64,
    /// A zero that begins a number.
    first_zero: u64,
    /// A digit behind a dot.
    fraction: u64,
    exponents: Exponents,
}

#[derive(Debug, Default)]
struct Exponents {
    first_minus: u64,
    exponent: u64,
    sign: u64,
    /// A digit behind an exponent.
    power: u64,
}

/// What one block holds.
pub(super) struct InBlock {
    pub(super) tokens: u64,
    /// The backslashes that begin an escape.
    pub(super) backslashes_to_check: u64,
}

const EVEN: u64 = 0x5555_5555_5555_5555;

impl State {
    #[inline(always)]
    pub(super) fn next(&mut self, masks: &Masks, running_xor: &impl Fn(u64) -> u64) -> InBlock {
        let (escaped, escaping) = self.escapes(masks.backslash);
        let quote = masks.quote & !escaped;
        // From the opening quote to the byte before the closing one.
        let in_string = running_xor(quote) ^ self.in_string;
        self.in_string = ((in_string >> 63) & 1).wrapping_neg();
        self.wrong |= (masks.control & in_string) | (masks.backslash & !in_string);
        let string = in_string | quote;
        let structural = masks.structural & !string;
        let loose = !(string | masks.structural | masks.space);
        let first = loose & !behind(loose, &mut self.loose);
        if (loose & (masks.digit | masks.before_digit)) != 0 || self.numbers.open() {
            self.wrong |= self.numbers.next(masks, loose, first);
        }
        InBlock { tokens: structural | quote | first, backslashes_to_check: escaping }
    }

    /// The bytes that are escaped, and the backslashes that escape them.
    #[inline(always)]
    fn escapes(&mut self, backslash: u64) -> (u64, u64) {
        if backslash == 0 {
            return (std::mem::take(&mut self.escaped), 0);
        }
        let free = backslash & !self.escaped;
        // Where a run of backslashes begins on an odd place, its odd ones escape; subtracting finds the end of runs.
        let odd = !EVEN;
        let runs = ((free << 1) | odd).wrapping_sub(free) ^ odd;
        let escaped = runs ^ (backslash | self.escaped);
        let escaping = runs & backslash;
        self.escaped = escaping >> 63;
        (escaped, escaping)
    }

    pub(super) fn ends_well(&self) -> bool {
        self.wrong == 0 && self.in_string == 0 && self.escaped == 0
    }
}

impl Numbers {
    /// Whether a number may go on in the next block.
    #[inline(always)]
    fn open(&self) -> bool {
        (self.digit | self.before_digit | self.exponents.exponent) != 0
    }

    /// The bytes at which a number goes wrong.
    #[inline(always)]
    fn next(&mut self, masks: &Masks, loose: u64, first: u64) -> u64 {
        let digit = masks.digit & loose;
        let before_digit = masks.before_digit & loose;
        let letter_e = masks.exponent & loose;
        let dot = masks.dot & loose;
        let sign = before_digit & !dot;
        let letter = loose & !(digit | before_digit | letter_e);

        let behind_digit = behind(digit, &mut self.digit);
        let behind_dot = behind(dot, &mut self.dot);
        let exponent = letter_e & behind_digit;
        let mut wrong = (dot & !behind_digit) | (letter & behind_digit);
        wrong |= behind(before_digit, &mut self.before_digit) & !digit;
        // Behind the digits of a fraction comes no other dot.
        wrong |= run_end(behind_dot & digit, digit, &mut self.fraction) & dot;
        let whole = digit & !behind_digit & !behind_dot;
        if exponent == 0 && !self.exponents.open() {
            // All there is: an optional minus, digits, and perhaps a dot and digits.
            wrong |= sign & !(masks.minus & first);
            wrong | (behind(whole & masks.zero, &mut self.first_zero) & digit)
        } else {
            let zero = masks.zero & digit;
            let minus = masks.minus & sign;
            self.with_exponents(Exponential { digit, zero, dot, sign, minus, exponent, letter_e, first }) | wrong
        }
    }

    #[cold]
    fn with_exponents(&mut self, found: Exponential) -> u64 {
        let Exponential { digit, zero, dot, sign, minus, exponent, letter_e, first } = found;
        let state = &mut self.exponents;
        // An exponent is followed by a sign or digits, and these by neither a dot nor another exponent.
        let behind_exponent = behind(exponent, &mut state.exponent);
        let mut wrong = behind_exponent & !(digit | sign);
        wrong |= sign & !(minus & first) & !behind_exponent;
        let behind_sign = behind(sign & behind_exponent, &mut state.sign);
        let power = (behind_exponent | behind_sign) & digit;
        wrong |= run_end(power, digit, &mut state.power) & (dot | letter_e);
        // A zero in front: the first of its number, or behind the minus that is.
        let behind_first_minus = behind(minus & first, &mut state.first_minus);
        let first_zero = zero & (first | behind_first_minus);
        wrong | (behind(first_zero, &mut self.first_zero) & digit)
    }
}

struct Exponential {
    digit: u64,
    zero: u64,
    dot: u64,
    sign: u64,
    minus: u64,
    exponent: u64,
    letter_e: u64,
    first: u64,
}

impl Exponents {
    /// Whether the last block had an exponent or ended in the middle of one.
    #[inline(always)]
    fn open(&self) -> bool {
        (self.exponent | self.sign | self.power) != 0
    }
}

/// The bytes behind these. `edge` is whether the last byte of the block before was one, and then that of this block.
#[inline(always)]
fn behind(mask: u64, edge: &mut u64) -> u64 {
    let behind = (mask << 1) | *edge;
    *edge = mask >> 63;
    behind
}

/// The bytes behind the runs of digits that begin with `starts`. `open` is whether such a run reached the block's end.
#[inline(always)]
fn run_end(starts: u64, digits: u64, open: &mut u64) -> u64 {
    // A run that is open and one that starts are never both at the first bit.
    let (sum, over) = digits.overflowing_add(starts | *open);
    *open = u64::from(over);
    // Runs without a start stay as they are.
    sum & !digits
}

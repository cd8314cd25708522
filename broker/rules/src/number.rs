//! Which numbers can be compared, and by which value.
//!
//! A number can be compared if a double holds it: if the shortest decimal that stands for the nearest double has the
//! same value as the text (of two as short and as near, the one with the even last digit, as JavaScript and Java have
//! it). `300`, `3.0e2` and `0.1` can; `9007199254740993` and `1e400` cannot, for comparing the
//! nearest double instead would say that two different numbers are the same. Those are equal only to their own text.

/// Every decimal of up to 15 digits is the shortest for its double.
const ALWAYS_EXACT: u32 = 15;
/// No double needs more.
const NEVER_MORE: u32 = 17;

/// The powers of ten below 2^64.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut power = 1;
    while power < 20 {
        powers[power] = 10 * powers[power - 1];
        power += 1;
    }
    powers
};

/// The value by which a JSON number is compared; zero has no sign.
pub(crate) fn comparable(text: &[u8]) -> Option<f64> {
    let decimal = Decimal::of(text)?;
    nearest(decimal, text).filter(|value| is_exact(decimal, *value))
}

/// The double nearest to a JSON number, if there is one.
fn nearest(decimal: Decimal, text: &[u8]) -> Option<f64> {
    decimal.nearest().or_else(|| {
        let value = std::str::from_utf8(text).ok()?.parse::<f64>().ok()?;
        // Minus zero plus zero is zero.
        value.is_finite().then_some(value + 0.0)
    })
}

/// Whether a decimal is the value of its nearest double.
fn is_exact(decimal: Decimal, nearest: f64) -> bool {
    if decimal.count == 0 || (decimal.count <= ALWAYS_EXACT && nearest.is_normal()) {
        return true;
    }
    let printed = || Decimal::of(zmij::Buffer::new().format_finite(nearest).as_bytes());
    decimal.count <= NEVER_MORE && decimal.is_shortest(nearest).unwrap_or_else(|| printed() == Some(decimal))
}

/// The place of a double in the order of all of them; between two neighbours there is nothing.
pub(crate) fn rank(value: f64) -> u64 {
    // Minus zero plus zero is zero.
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// `digits × 10^exponent`, where the last digit is no zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    /// Meaningless if there are more digits than an u64 holds.
    digits: u64,
    /// How many digits that is; none for zero.
    count: u32,
    exponent: i64,
}

impl Decimal {
    fn of(text: &[u8]) -> Option<Self> {
        let (negative, mut rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        // All digits as one number, how many there are from the first that is no zero, and how many behind the dot.
        let (mut digits, mut count, mut fraction) = (0_u64, 0_u32, 0_i64);
        let mut in_fraction = 0;
        while let [byte, behind @ ..] = rest {
            if let Some((eight, behind)) =
                rest.split_first_chunk().and_then(|(eight, behind)| Some((eight_digits(eight)?, behind)))
            {
                count = match count {
                    0 => eight.checked_ilog10().map_or(0, |power| power + 1),
                    _ => count.saturating_add(8),
                };
                digits = digits.wrapping_mul(100_000_000).wrapping_add(eight.into());
                fraction += 8 * in_fraction;
                rest = behind;
                continue;
            }
            match byte {
                b'0'..=b'9' => {
                    digits = digits.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
                    count = count.saturating_add(u32::from(digits != 0 || count != 0));
                    fraction += in_fraction;
                }
                b'.' => in_fraction = 1,
                _ => break,
            }
            rest = behind;
        }
        let mut exponent = -fraction;
        if let [_, written @ ..] = rest {
            exponent += i64::from(std::str::from_utf8(written).ok()?.parse::<i32>().ok()?);
        }
        if count == 0 {
            return Some(Self { negative: false, digits: 0, count: 0, exponent: 0 });
        }
        let mut decimal = Self { negative, digits, count, exponent };
        if count > MAX_DIGITS {
            decimal.count_without_zeros(text);
        } else {
            while decimal.digits.is_multiple_of(10) {
                decimal.digits /= 10;
                decimal.count -= 1;
                decimal.exponent += 1;
            }
        }
        Some(decimal)
    }

    /// Of a number with more digits than fit, only how many there are without the zeros at the end matters, unless that
    /// is few enough.
    #[cold]
    fn count_without_zeros(&mut self, text: &[u8]) {
        let mantissa = text.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
        let digits = || mantissa.iter().filter(|byte| byte.is_ascii_digit());
        let zeros = digits().rev().take_while(|digit| **digit == b'0').count();
        let zeros = u32::try_from(zeros).unwrap_or(u32::MAX);
        self.count = self.count.saturating_sub(zeros);
        self.exponent += i64::from(zeros);
        if self.count <= MAX_DIGITS {
            let first = digits().skip_while(|digit| **digit == b'0').take(self.count as usize);
            self.digits = first.fold(0, |digits, digit| digits * 10 + u64::from(digit - b'0'));
        }
    }

    /// The nearest double, if all can be done with whole numbers of 128 bits.
    fn nearest(self) -> Option<f64> {
        if self.count > MAX_DIGITS {
            return None;
        }
        let power = *POWERS.get(usize::try_from(self.exponent.unsigned_abs()).ok()?)?;
        let value = if self.exponent >= 0 {
            #[expect(clippy::cast_precision_loss, reason = "it is rounded to the nearest")]
            let value = (u128::from(self.digits) * u128::from(power)) as f64;
            value
        } else if self.digits == 0 {
            0.0
        } else {
            // The quotient gets 63 or 64 bits, and one more for what is left: more than a double has, so that it is
            // rounded once.
            let shift = 63 + power.ilog2() - self.digits.ilog2();
            let dividend = u128::from(self.digits) << shift;
            let quotient = dividend / u128::from(power);
            let rest = dividend - quotient * u128::from(power);
            #[expect(clippy::cast_precision_loss, reason = "it is rounded to the nearest")]
            let value = (quotient << 1 | u128::from(rest != 0)) as f64;
            value * f64::from_bits(u64::from(1023 - 1 - shift) << 52)
        };
        Some(if self.negative { -value } else { value })
    }

    /// Whether this is the shortest decimal of its nearest double, if that can be told with whole numbers of 128 bits.
    ///
    /// Both are multiplied by the power of ten that makes the decimal whole, and the power of two that makes the double
    /// whole. Then one step of the decimal's last digit is `step`, one step of the double's last bit is `power`.
    fn is_shortest(self, nearest: f64) -> Option<bool> {
        let bits = nearest.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let exponent = i64::try_from(bits >> 52 & 0x7ff).ok()? - 1075;
        // At a power of two, the next double below is nearer than the one above.
        if self.exponent >= 0 || exponent >= 0 || fraction == 0 || !nearest.is_normal() || self.count > NEVER_MORE {
            return None;
        }
        let power = u128::from(*POWERS.get(usize::try_from(-self.exponent).ok()?)?);
        let shift = u32::try_from(-exponent).ok().filter(|shift| *shift <= 64)?;
        let double = u128::from(fraction | 1 << 52);
        let place = double * power;
        let distance = |digits: u64| (u128::from(digits) << shift).abs_diff(place);
        let reads_as_it = |digits: u64| match (2 * distance(digits)).cmp(&power) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => double.is_multiple_of(2),
            std::cmp::Ordering::Greater => false,
        };
        let shorter = self.digits - self.digits % 10;
        if reads_as_it(shorter) || reads_as_it(shorter + 10) {
            return Some(false);
        }
        Some(match (2 * distance(self.digits)).cmp(&(1 << shift)) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => self.digits.is_multiple_of(2),
            std::cmp::Ordering::Greater => false,
        })
    }
}

/// The number that eight digits stand for: neighbours are added up, first digits, then pairs, then fours.
#[inline(always)]
fn eight_digits(eight: &[u8; 8]) -> Option<u32> {
    let bytes = u64::from_le_bytes(*eight);
    let digits = bytes.wrapping_sub(0x3030_3030_3030_3030);
    if (bytes.wrapping_add(0x4646_4646_4646_4646) | digits) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    let pairs = (digits * 10) + (digits >> 8);
    let pairs = pairs & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let eight = (fours * 10_000 + (fours >> 32)) & 0xffff_ffff;
    u32::try_from(eight).ok()
}

/// So many digits fit into 64 bits.
const MAX_DIGITS: u32 = 19;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_compared_by_value_and_only_if_a_double_holds_them() {
        for (text, value) in [
            ("0", Some(0.0)),
            ("-0", Some(0.0)),
            ("-0.0e7", Some(0.0)),
            ("0e400", Some(0.0)),
            ("300", Some(300.0)),
            ("300.000", Some(300.0)),
            ("3.0E+2", Some(300.0)),
            ("30000e-2", Some(300.0)),
            ("0.1", Some(0.1)),
            ("1e-320", Some(1e-320)),
            ("1.7976931348623157e308", Some(f64::MAX)),
            ("9007199254740992", Some(9_007_199_254_740_992.0)),
            ("9007199254740993", None),
            ("100000000000000000000", Some(1e20)),
            ("123456789012345678901", None),
            ("-122.422003528252475", None),
            ("1e400", None),
            ("1e-400", None),
            ("1e99999999999", None),
            ("0e99999999999", None),
        ] {
            assert_eq!(comparable(text.as_bytes()), value, "{text}");
            assert!(comparable(text.as_bytes()).is_none_or(f64::is_sign_positive), "{text}");
        }
        assert_eq!(comparable(b"-4e-6"), Some(-4e-6));
    }

    #[test]
    fn eight_digits_are_read_at_once() {
        for number in [0, 1, 7, 10, 12_345_678, 90_000_001, 99_999_999, 1_000, 100_100] {
            assert_eq!(eight_digits(format!("{number:08}").as_bytes().first_chunk().unwrap()), Some(number));
        }
        for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
            for place in 0..8 {
                let mut eight = *b"12345678";
                eight[place] = byte;
                assert_eq!(eight_digits(&eight), None, "{byte}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_printed_can_be_compared(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            prop_assert_eq!(comparable(zmij::Buffer::new().format_finite(value).as_bytes()), Some(value + 0.0));
        }

        #[test]
        fn the_nearest_double_is_that_of_the_standard_library(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?") {
            let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
            let nearest = Decimal::of(text.as_bytes()).and_then(|decimal| nearest(decimal, text.as_bytes()));
            prop_assert_eq!(nearest, value.map(|value| value + 0.0), "{}", text);
        }

        #[test]
        fn the_shortest_decimal_is_told_from_its_neighbours(value in -1e6..1e6_f64, steps in -30..30_i64) {
            let mut decimal = Decimal::of(zmij::Buffer::new().format_finite(value).as_bytes()).unwrap();
            while decimal.count < NEVER_MORE {
                (decimal.digits, decimal.count, decimal.exponent) =
                    (decimal.digits * 10, decimal.count + 1, decimal.exponent - 1);
            }
            let digits = decimal.digits.checked_add_signed(steps).unwrap();
            let text = format!("{}{digits}e{}", if decimal.negative { "-" } else { "" }, decimal.exponent);
            let decimal = Decimal::of(text.as_bytes()).unwrap();
            let nearest = nearest(decimal, text.as_bytes()).unwrap();
            let shortest = Decimal::of(zmij::Buffer::new().format_finite(nearest).as_bytes());
            prop_assert_eq!(is_exact(decimal, nearest), shortest == Some(decimal), "{}", text);
        }

        #[test]
        fn ranks_are_in_the_order_of_numbers(one in -1e3..1e3_f64, other in -1e3..1e3_f64) {
            prop_assert_eq!(Some(rank(one).cmp(&rank(other))), (one + 0.0).partial_cmp(&(other + 0.0)), "{} {}", one, other);
        }

        #[test]
        fn one_digit_behind_the_shortest_form_is_another_number(value in -1e15..1e15_f64, digit in 1..10_u8) {
            let shortest = format!("{value:e}");
            let (mantissa, exponent) = shortest.split_once('e').unwrap();
            let dot = if mantissa.contains('.') { "" } else { "." };
            let longer = format!("{mantissa}{dot}{}{digit}e{exponent}", "0".repeat(17));
            prop_assert_eq!(comparable(longer.as_bytes()), None);
        }
    }
}

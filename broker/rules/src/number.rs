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
/// The powers of ten that are doubles.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// The value by which a JSON number is compared; zero has no sign.
pub(crate) fn comparable(text: &str) -> Option<f64> {
    nearest(text.as_bytes()).filter(|value| is_exact(text.as_bytes(), *value))
}

/// The double nearest to a JSON number, if there is one: whether both are the same is another question.
pub(crate) fn nearest(text: &[u8]) -> Option<f64> {
    let decimal = Decimal::of(text)?;
    if let Some(value) = decimal.small() {
        return Some(value);
    }
    let value = std::str::from_utf8(text).ok()?.parse::<f64>().ok()?;
    // Minus zero plus zero is zero.
    value.is_finite().then_some(value + 0.0)
}

/// Whether a JSON number is the value of its nearest double.
pub(crate) fn is_exact(text: &[u8], nearest: f64) -> bool {
    let Some(decimal) = Decimal::of(text) else { return false };
    match decimal.count {
        0 => true,
        1..=ALWAYS_EXACT if nearest.is_normal() => true,
        0..=NEVER_MORE => Decimal::of(zmij::Buffer::new().format_finite(nearest).as_bytes()) == Some(decimal),
        _ => false,
    }
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
        let (mut digits, mut count, mut exponent) = (0_u64, 0_u32, 0_i64);
        // Zeros wait until it is known that they are not the last.
        let mut zeros = 0_u32;
        let mut in_fraction = false;
        while let [byte, behind @ ..] = rest {
            match byte {
                b'0' if count == 0 => exponent -= i64::from(in_fraction),
                b'0' => {
                    zeros += 1;
                    exponent -= i64::from(in_fraction);
                }
                b'1'..=b'9' => {
                    for _ in 0..=zeros.min(20) {
                        digits = digits.wrapping_mul(10);
                    }
                    digits = digits.wrapping_add(u64::from(byte - b'0'));
                    count = count.saturating_add(zeros + 1);
                    zeros = 0;
                    exponent -= i64::from(in_fraction);
                }
                b'.' => in_fraction = true,
                _ => break,
            }
            rest = behind;
        }
        if let [_, written @ ..] = rest {
            exponent += i64::from(std::str::from_utf8(written).ok()?.parse::<i32>().ok()?);
        }
        if count == 0 {
            return Some(Self { negative: false, digits: 0, count: 0, exponent: 0 });
        }
        Some(Self { negative, digits, count, exponent: exponent + i64::from(zeros) })
    }

    /// Its value if that is a product or quotient of two doubles, which is rounded once and so the nearest.
    fn small(self) -> Option<f64> {
        if self.count > ALWAYS_EXACT {
            return None;
        }
        let power = *POWERS.get(usize::try_from(self.exponent.unsigned_abs()).ok()?)?;
        #[expect(clippy::cast_precision_loss, reason = "15 digits are fewer than 2^53")]
        let digits = self.digits as f64;
        let value = if self.exponent < 0 { digits / power } else { digits * power };
        Some(if self.negative { -value } else { value })
    }
}

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
            assert_eq!(comparable(text), value, "{text}");
            assert!(comparable(text).is_none_or(f64::is_sign_positive), "{text}");
        }
        assert_eq!(comparable("-4e-6"), Some(-4e-6));
    }

    proptest! {
        #[test]
        fn what_was_printed_can_be_compared(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            prop_assert_eq!(comparable(zmij::Buffer::new().format_finite(value)), Some(value + 0.0));
        }

        #[test]
        fn the_nearest_double_is_that_of_the_standard_library(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?") {
            let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
            prop_assert_eq!(nearest(text.as_bytes()), value.map(|value| value + 0.0), "{}", text);
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
            prop_assert_eq!(comparable(&longer), None);
        }
    }
}

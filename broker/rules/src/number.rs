//! Which numbers can be compared, and by which value.
//!
//! A number can be compared if a double holds it: if the shortest decimal that stands for the nearest double has the
//! same value as the text. `300`, `3.0e2` and `0.1` can; `9007199254740993` and `1e400` cannot, for comparing the
//! nearest double instead would say that two different numbers are the same. Those are equal only to their own text.

/// The value by which a JSON number is compared; zero has no sign.
pub(crate) fn comparable(text: &str) -> Option<f64> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite())?;
    let exact = is_small_integer(text) || Decimal::of(text)? == Decimal::of(&format!("{value:e}"))?;
    // Minus zero plus zero is zero.
    exact.then_some(value + 0.0)
}

/// Every integer of up to 15 digits is a double.
fn is_small_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// `0.digits × 10^exponent`, without zeros at either end of the digits.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, i64::from(exponent.parse::<i32>().ok()?)),
            None => (text, 0),
        };
        let (negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: String = [whole, fraction].concat();
        let significant = all.trim_start_matches('0');
        let leading_zeros = i64::try_from(all.len() - significant.len()).ok()?;
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let exponent = exponent + i64::try_from(whole.len()).ok()? - leading_zeros;
        Some(Self { negative, digits, exponent })
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
            prop_assert_eq!(comparable(&format!("{value:e}")), Some(value + 0.0));
            prop_assert_eq!(comparable(&format!("{value}")), Some(value + 0.0));
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

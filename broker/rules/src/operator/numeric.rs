//! `numeric`: a number that equals another, lies on one side of it, or between two.

use super::{Aim, Operator, Place};
use crate::error::PatternError;
use crate::scalar::Scalar;
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Numeric {
    low: Option<Bound>,
    high: Option<Bound>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound {
    value: f64,
    inclusive: bool,
}

impl Operator for Numeric {
    const NAME: &'static str = "numeric";
    const EXAMPLE: &'static str = r#"{"numeric": [">", 0, "<=", 5]}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let wrong = |node, problem: String| place.wrong::<Self>(node, problem);
        let Tree::List(terms) = &argument.value else {
            return Err(wrong(argument, format!("takes a list, not {}", argument.kind())));
        };
        let (first, second) = match terms.as_slice() {
            [sign, number] => ((sign, number), None),
            [sign, number, other_sign, other_number] => ((sign, number), Some((other_sign, other_number))),
            _ => {
                return Err(wrong(
                    argument,
                    format!("takes a comparison or two, this list has {} elements", terms.len()),
                ));
            }
        };
        let low = comparison(first, place)?;
        let Some(second) = second else { return Ok(low) };
        let high = comparison(second, place)?;
        match (low, high) {
            (Self { low: Some(low), high: None }, Self { low: None, high: Some(high) }) if low.value < high.value => {
                Ok(Self { low: Some(low), high: Some(high) })
            }
            (Self { low: Some(_), high: None }, Self { low: None, high: Some(_) }) => Err(wrong(
                argument,
                "has a range with nothing in between: the first number must be the lesser".to_owned(),
            )),
            _ => Err(wrong(argument, "takes two comparisons only as > or >= and then < or <=".to_owned())),
        }
    }

    fn accepts(&self, value: Value<'_>, _: &dyn Surroundings) -> bool {
        let Value::Number { value: Some(value), .. } = value else { return false };
        self.low.is_none_or(|low| value > low.value || (low.inclusive && value == low.value))
            && self.high.is_none_or(|high| value < high.value || (high.inclusive && value == high.value))
    }

    fn aim(&self) -> Option<Aim<'_>> {
        Some(Aim::Between(self.low.map(|low| low.value), self.high.map(|high| high.value)))
    }
}

fn comparison((sign, number): (&Node<'_>, &Node<'_>), place: Place<'_>) -> Result<Numeric, PatternError> {
    let value = match &number.value {
        Tree::Scalar(Scalar::Number { value: Some(value), .. }) => *value,
        Tree::Scalar(Scalar::Number { text, .. }) => {
            let problem =
                format!("cannot compare {text:.40}: it has more digits than a double holds, or is out of its range");
            return Err(place.wrong::<Numeric>(number, problem));
        }
        _ => return Err(place.wrong::<Numeric>(number, format_args!("compares with a number, not {}", number.kind()))),
    };
    let bound = |inclusive| Some(Bound { value, inclusive });
    match sign.as_str() {
        Some("=") => Ok(Numeric { low: bound(true), high: bound(true) }),
        Some(">") => Ok(Numeric { low: bound(false), high: None }),
        Some(">=") => Ok(Numeric { low: bound(true), high: None }),
        Some("<") => Ok(Numeric { low: None, high: bound(false) }),
        Some("<=") => Ok(Numeric { low: None, high: bound(true) }),
        _ => Err(place.wrong::<Numeric>(sign, "compares with one of =, <, <=, >, >=")),
    }
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = |bound: Bound, sign| if bound.inclusive { format!("{sign}=") } else { format!("{sign}") };
        match (self.low, self.high) {
            (Some(low), Some(high)) if low == high => write!(f, "numeric = {}", low.value),
            (Some(low), Some(high)) => {
                write!(f, "numeric {} {} and {} {}", sign(low, '>'), low.value, sign(high, '<'), high.value)
            }
            (Some(low), None) => write!(f, "numeric {} {}", sign(low, '>'), low.value),
            (None, Some(high)) => write!(f, "numeric {} {}", sign(high, '<'), high.value),
            (None, None) => f.write_str("numeric"),
        }
    }
}

//! `numeric`: a number that equals another, lies on one side of it, or between two.

use super::range::{Bound, Range};
use super::{Aim, Operator, Place};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted};
use crate::number::rank;
use crate::scalar::Scalar;
use crate::shown::cut;
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};
use std::cmp::Ordering;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Numeric(Range<f64>);

impl Operator for Numeric {
    const NAME: &'static str = "numeric";
    const EXAMPLE: &'static str = r#"{"numeric": [">", 0, "<=", 5]}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        Range::parse::<Self>(argument, place).map(Self)
    }

    fn hint(&self) -> Hinted<'_> {
        let low = self.0.low().map_or(0, |(bound, inside)| rank(*bound) + u64::from(!inside));
        let high = self.0.high().map_or(u64::MAX, |(bound, inside)| rank(*bound) - u64::from(!inside));
        match self.0.low() {
            Some((_, true)) if low == high => Hint::Number(low).sure(),
            _ => Hint::Between(low, high).sure(),
        }
    }

    fn accepts(&self, value: Value<'_>, _: &dyn Surroundings) -> bool {
        let Value::Number { value: Some(value), .. } = value else { return false };
        self.0.contains(|bound| value.order(bound))
    }

    fn aim(&self) -> Option<Aim<'_>> {
        let bound = |end: Option<(&f64, bool)>| end.map(|(bound, _)| *bound);
        Some(Aim::Between(bound(self.0.low()), bound(self.0.high())))
    }
}

impl Bound for f64 {
    fn parse<O: Operator>(node: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        match &node.value {
            Tree::Scalar(Scalar::Number { value: Some(value), .. }) => Ok(*value),
            Tree::Scalar(Scalar::Number { text, .. }) => {
                let problem = "it has more digits than a double holds, or is out of its range";
                Err(place.wrong::<O>(node, format_args!("cannot compare {}: {problem}", cut(text))))
            }
            _ => Err(place.wrong::<O>(node, format_args!("compares with a number, not {}", node.kind()))),
        }
    }

    /// Numbers that can be compared are finite and zero has no sign, so the total order is the one by value.
    fn order(&self, other: &Self) -> Ordering {
        self.total_cmp(other)
    }
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "numeric {}", self.0)
    }
}

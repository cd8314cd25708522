//! The argument of operators that compare: `["<", x]`, or a range such as `[">=", x, "<", y]`.

use super::{Operator, Place};
use crate::error::PatternError;
use crate::tree::{Node, Tree};
use std::cmp::Ordering;
use std::fmt::{Display, Formatter, Result as Formatted};

/// What lies on one side of a bound, between two, or is equal to one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range<B> {
    low: Option<End<B>>,
    high: Option<End<B>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct End<B> {
    bound: B,
    inclusive: bool,
}

/// What an operator compares with.
pub(super) trait Bound: Clone {
    /// Reads it from a pattern, for the operator `O`.
    fn parse<O: Operator>(node: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError>;

    fn order(&self, other: &Self) -> Ordering;
}

impl<B: Bound> Range<B> {
    pub(super) fn parse<O: Operator>(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let Tree::List(terms) = &argument.value else {
            return Err(place.wrong::<O>(argument, format_args!("takes a list, not {}", argument.kind())));
        };
        match terms.as_slice() {
            [sign, bound] => Self::comparison::<O>(sign, bound, place),
            [sign, bound, other_sign, other_bound] => {
                let low = Self::comparison::<O>(sign, bound, place)?;
                let high = Self::comparison::<O>(other_sign, other_bound, place)?;
                low.up_to(high).map_err(|problem| place.wrong::<O>(argument, problem))
            }
            _ => {
                let problem = format!("takes a comparison or two, this list has {} elements", terms.len());
                Err(place.wrong::<O>(argument, problem))
            }
        }
    }

    fn comparison<O: Operator>(sign: &Node<'_>, bound: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let bound = B::parse::<O>(bound, place)?;
        let end = |inclusive| Some(End { bound: bound.clone(), inclusive });
        match sign.as_str() {
            Some("=") => Ok(Self { low: end(true), high: end(true) }),
            Some(">") => Ok(Self { low: end(false), high: None }),
            Some(">=") => Ok(Self { low: end(true), high: None }),
            Some("<") => Ok(Self { low: None, high: end(false) }),
            Some("<=") => Ok(Self { low: None, high: end(true) }),
            _ => Err(place.wrong::<O>(sign, "compares with one of =, <, <=, >, >=")),
        }
    }

    fn up_to(self, other: Self) -> Result<Self, &'static str> {
        match (self, other) {
            (Self { low: Some(low), high: None }, Self { low: None, high: Some(high) }) => {
                if low.bound.order(&high.bound).is_lt() {
                    Ok(Self { low: Some(low), high: Some(high) })
                } else {
                    Err("has a range with nothing in between: the first bound must be the lesser")
                }
            }
            _ => Err("takes two comparisons only as > or >= and then < or <="),
        }
    }
}

impl<B> Range<B> {
    /// The lower end, if there is one, and whether it is inside.
    pub(super) fn low(&self) -> Option<(&B, bool)> {
        self.low.as_ref().map(|end| (&end.bound, end.inclusive))
    }

    /// The upper end, if there is one, and whether it is inside.
    pub(super) fn high(&self) -> Option<(&B, bool)> {
        self.high.as_ref().map(|end| (&end.bound, end.inclusive))
    }

    /// Whether a value is one of the ends; `order` tells how it stands to a bound.
    pub(super) fn is_bound(&self, order: impl Fn(&B) -> Ordering) -> bool {
        self.low.iter().chain(&self.high).any(|end| order(&end.bound).is_eq())
    }

    /// Whether a value is inside; `order` tells how it stands to a bound.
    pub(super) fn contains(&self, order: impl Fn(&B) -> Ordering) -> bool {
        let inside = |end: &Option<End<B>>, side| {
            end.as_ref().is_none_or(|end| match order(&end.bound) {
                Ordering::Equal => end.inclusive,
                order => order == side,
            })
        };
        inside(&self.low, Ordering::Greater) && inside(&self.high, Ordering::Less)
    }
}

impl<B: Display + PartialEq> Display for Range<B> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Formatted {
        let sign = |end: &End<B>, sign: char| if end.inclusive { format!("{sign}=") } else { sign.to_string() };
        match (&self.low, &self.high) {
            (Some(low), Some(high)) if low == high => write!(f, "= {}", low.bound),
            (Some(low), Some(high)) => {
                write!(f, "{} {} and {} {}", sign(low, '>'), low.bound, sign(high, '<'), high.bound)
            }
            (Some(low), None) => write!(f, "{} {}", sign(low, '>'), low.bound),
            (None, Some(high)) => write!(f, "{} {}", sign(high, '<'), high.bound),
            (None, None) => Ok(()),
        }
    }
}

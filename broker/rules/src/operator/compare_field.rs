//! `compare-field`: a value that stands in some relation to a value of another field.

use super::{Operator, Place};
use crate::error::PatternError;
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};
use std::cmp::Ordering;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompareField {
    sign: Sign,
    /// The other field, from the event's top.
    other: Box<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator for CompareField {
    const NAME: &'static str = "compare-field";
    const EXAMPLE: &'static str = r#"{"compare-field": ["<", "info.minimum"]}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let wrong = |node, problem: &str| Err(place.wrong::<Self>(node, problem));
        if place.in_contains_all {
            let problem = "compare-field inside contains-all: which of the values would be compared?".to_owned();
            let remedy = "write {\"all-of\": [{\"contains-all\": […]}, {\"compare-field\": […]}]}";
            return Err(place.error(argument, problem, remedy));
        }
        let (sign, other) = match &argument.value {
            Tree::List(nodes) => match nodes.as_slice() {
                [sign, other] => (sign, other),
                _ => {
                    return wrong(
                        argument,
                        &format!("takes a sign and a path, this list has {} elements", nodes.len()),
                    );
                }
            },
            _ => return wrong(argument, &format!("takes a list, not {}", argument.kind())),
        };
        let Some((_, known)) = SIGNS.iter().find(|(text, _)| sign.as_str() == Some(text)) else {
            return wrong(sign, &format!("compares with one of {}", SIGNS.map(|(text, _)| text).join(", ")));
        };
        match other.as_str() {
            None => wrong(other, &format!("takes the path of another field as a string, not {}", other.kind())),
            Some("") => wrong(other, "takes the path of another field, this one is empty"),
            Some(path) if path == place.path => wrong(other, "compares a field with another one, not with itself"),
            Some(path) => Ok(Self { sign: *known, other: path.into() }),
        }
    }

    fn accepts(&self, value: Value<'_>, around: &dyn Surroundings) -> bool {
        around.some_near(&self.other, &mut |other| self.sign.holds(value, other))
    }

    fn paths(&self, tell: &mut dyn FnMut(&str)) {
        tell(&self.other);
    }
}

const SIGNS: [(&str, Sign); 6] = [
    ("=", Sign::Equal),
    ("!=", Sign::NotEqual),
    ("<", Sign::Less),
    ("<=", Sign::LessOrEqual),
    (">", Sign::Greater),
    (">=", Sign::GreaterOrEqual),
];

impl Sign {
    fn holds(self, one: Value<'_>, other: Value<'_>) -> bool {
        match self {
            Self::Equal => same(one, other),
            Self::NotEqual => !same(one, other),
            Self::Less => order(one, other).is_some_and(Ordering::is_lt),
            Self::LessOrEqual => order(one, other).is_some_and(Ordering::is_le),
            Self::Greater => order(one, other).is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => order(one, other).is_some_and(Ordering::is_ge),
        }
    }
}

/// Of different types nothing is the same. As everywhere, a number that no double holds equals its own text.
fn same(one: Value<'_>, other: Value<'_>) -> bool {
    match (one, other) {
        (Value::Number { .. }, Value::Number { .. }) => order(one, other) == Some(Ordering::Equal),
        _ => one == other,
    }
}

/// Strings by their bytes, numbers by value; nothing else has an order.
fn order(one: Value<'_>, other: Value<'_>) -> Option<Ordering> {
    match (one, other) {
        (Value::String(one), Value::String(other)) => Some(one.cmp(other)),
        (Value::Number { value: Some(one), .. }, Value::Number { value: Some(other), .. }) => one.partial_cmp(&other),
        (Value::Number { text: one, value: None }, Value::Number { text: other, value: None }) => {
            (one == other).then_some(Ordering::Equal)
        }
        _ => None,
    }
}

impl std::fmt::Display for CompareField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = SIGNS.iter().find(|(_, sign)| *sign == self.sign).map_or("", |(text, _)| text);
        write!(f, "{sign} the value of {}", self.other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::Scalar;

    fn value(json: &str) -> Scalar<'_> {
        crate::json::Reader::new(json).scalar().unwrap()
    }

    #[test]
    fn values_are_compared_within_their_type() {
        for (one, other, holding) in [
            ("3", "3.0e0", "= <= >="),
            ("2", "3", "!= < <="),
            ("-1", "-2.5", "!= > >="),
            ("9007199254740993", "9007199254740993", "= <= >="),
            ("9007199254740993", "9007199254740993.0", "!="),
            ("9007199254740993", "1", "!="),
            (r#""a""#, r#""a""#, "= <= >="),
            (r#""a""#, r#""A""#, "!= > >="),
            (r#""10""#, r#""9""#, "!= < <="),
            (r#""""#, r#""a""#, "!= < <="),
            (r#""z""#, r#""\u00e9""#, "!= < <="),
            (r#""3""#, "3", "!="),
            ("true", "true", "="),
            ("true", "false", "!="),
            ("null", "null", "="),
            ("null", "false", "!="),
            ("null", r#""null""#, "!="),
        ] {
            let (one, other) = (value(one), value(other));
            let holds =
                |(text, sign): (&'static str, Sign)| sign.holds(one.as_value(), other.as_value()).then_some(text);
            let held: Vec<&str> = SIGNS.into_iter().filter_map(holds).collect();
            assert_eq!(held, holding.split(' ').collect::<Vec<_>>(), "{one} {other}");
        }
    }
}

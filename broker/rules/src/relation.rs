//! How two values may stand to each other.

use crate::value::Value;
use std::cmp::Ordering;

/// How a value stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// As they are written.
pub(crate) const RELATIONS: [(&str, Relation); 6] = [
    ("=", Relation::Equal),
    ("!=", Relation::NotEqual),
    ("<", Relation::Less),
    ("<=", Relation::LessOrEqual),
    (">", Relation::Greater),
    (">=", Relation::GreaterOrEqual),
];

impl Relation {
    /// As it is written.
    pub(crate) fn sign(self) -> &'static str {
        RELATIONS.iter().find(|(_, relation)| *relation == self).map_or("", |(sign, _)| sign)
    }

    /// Whether one value stands so to the other.
    pub(crate) fn holds(self, one: Value<'_>, other: Value<'_>) -> bool {
        let ordered = || order(one, other);
        match self {
            Self::Equal => arrange(one, other).is_eq(),
            Self::NotEqual => arrange(one, other).is_ne(),
            Self::Less => ordered().is_some_and(Ordering::is_lt),
            Self::LessOrEqual => ordered().is_some_and(Ordering::is_le),
            Self::Greater => ordered().is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual => ordered().is_some_and(Ordering::is_ge),
        }
    }
}

/// Values that have an order among themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Number,
    String,
    /// Values without one: they are only the same or not.
    Other,
}

impl Kind {
    pub(crate) fn of(value: Value<'_>) -> Self {
        match value {
            Value::Number { value: Some(_), .. } => Self::Number,
            Value::String(_) => Self::String,
            _ => Self::Other,
        }
    }
}

/// The order of two values that have one: strings by their bytes, numbers by value. As everywhere, a number that no double
/// holds equals its own text.
fn order(one: Value<'_>, other: Value<'_>) -> Option<Ordering> {
    let is_number = matches!((one, other), (Value::Number { .. }, Value::Number { .. }));
    let (kind, order) = (Kind::of(one), arrange(one, other));
    let ordered = kind == Kind::of(other) && kind != Kind::Other;
    (ordered || is_number && order.is_eq()).then_some(order)
}

/// An order of all values, for sorting: equal are those that are the same, and those of one [`Kind`] stand together.
pub(crate) fn arrange(one: Value<'_>, other: Value<'_>) -> Ordering {
    match (one, other) {
        // Numbers that can be compared are finite and zero has no sign, so the total order is the one by value.
        (Value::Number { value: Some(one), .. }, Value::Number { value: Some(other), .. }) => one.total_cmp(&other),
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Number { text: one, value: None }, Value::Number { text: other, value: None }) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(&other),
        _ => rank(one).cmp(&rank(other)),
    }
}

fn rank(value: Value<'_>) -> (Kind, u8) {
    let among_others = match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        _ => 2,
    };
    (Kind::of(value), among_others)
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sign())
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
            ("-0", "0", "= <= >="),
            ("-0.0", "1", "!= < <="),
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
            let (one, other) = (one.as_value(), other.as_value());
            let held = RELATIONS.into_iter().filter(|(_, relation)| relation.holds(one, other));
            let held: Vec<&str> = held.map(|(sign, _)| sign).collect();
            assert_eq!(held, holding.split(' ').collect::<Vec<_>>(), "{one} {other}");
        }
    }
}

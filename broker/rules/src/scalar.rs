//! A value that is no container, as it stands in an event or a pattern.

use crate::number;
use crate::value::Value;
use std::borrow::Cow;

/// A string, number, boolean or null.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    /// `value` is there if the text stands for a number that can be compared ([`number::comparable`]).
    Number {
        text: Cow<'a, str>,
        value: Option<f64>,
    },
    String(Cow<'a, str>),
}

impl<'a> Scalar<'a> {
    pub(crate) fn number(text: &'a str) -> Self {
        Self::Number { text: Cow::Borrowed(text), value: number::comparable(text.as_bytes()) }
    }

    /// As the tests of a pattern see it.
    pub(crate) fn as_value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => Value::Bool(*bool),
            Self::Number { text, value } => Value::Number { text: text.as_bytes(), value: *value },
            Self::String(text) => Value::String(text.as_bytes()),
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of value it is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number { .. } => "a number",
            Self::String(_) => "a string",
        }
    }
}

impl std::fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(bool) => write!(f, "{bool}"),
            Self::Number { text, .. } => f.write_str(text),
            Self::String(text) => write!(f, "{text:?}"),
        }
    }
}

//! A plain value: `"x"`, `300`, `true`, `null`.

use super::Aim;
use crate::address::{Address, AddressRange};
use crate::hint::{Hint, Hinted};
use crate::number::rank;
use crate::scalar::Scalar;
use crate::value::Value;

/// The value that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    String(Box<str>),
    /// Compared by value: `300` is `3e2`.
    Number(f64),
    /// `true`, `false`, `null`, or a number no double holds: compared by its text.
    Text(Box<str>),
    /// A string that is an IP address: all ways to write it are the same.
    Address {
        text: Box<str>,
        range: AddressRange,
    },
}

impl Literal {
    pub(crate) fn new(scalar: &Scalar<'_>) -> Self {
        match scalar {
            Scalar::String(text) => match Address::parse(text) {
                Some(address) => Self::Address { text: text.as_ref().into(), range: AddressRange::single(address) },
                None => Self::String(text.as_ref().into()),
            },
            Scalar::Number { value: Some(value), .. } => Self::Number(*value),
            other => Self::Text(other.to_string().into()),
        }
    }

    pub(super) fn hint(&self) -> Hinted<'_> {
        match self {
            Self::String(text) => Hint::Equals(text.as_bytes()).sure(),
            Self::Number(value) => Hint::Number(rank(*value)).sure(),
            Self::Text(text) => Hint::Word(text.as_bytes()).sure(),
            Self::Address { range, .. } => Hint::Network(range).sure(),
        }
    }

    pub(super) fn accepts(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::String(wanted), Value::String(text)) => wanted.as_bytes() == text,
            (Self::Number(wanted), Value::Number { value, .. }) => Some(*wanted) == value,
            (Self::Text(wanted), Value::Number { text, .. }) => wanted.as_bytes() == text,
            (Self::Text(wanted), Value::Bool(true)) => &**wanted == "true",
            (Self::Text(wanted), Value::Bool(false)) => &**wanted == "false",
            (Self::Text(wanted), Value::Null) => &**wanted == "null",
            (Self::Address { range, .. }, Value::String(_)) => {
                value.as_str().and_then(Address::parse).is_some_and(|address| range.contains(&address))
            }
            _ => false,
        }
    }

    pub(super) fn aim(&self) -> Option<Aim<'_>> {
        match self {
            Self::String(text) | Self::Address { text, .. } => Some(Aim::Whole(text)),
            Self::Number(value) => Some(Aim::Between(Some(*value), Some(*value))),
            Self::Text(_) => None,
        }
    }
}

impl std::fmt::Display for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::String(text) | Self::Address { text, .. } => write!(f, "{text:?}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

//! A value of an event as the tests of a pattern see it, and what else of the event a test may look at.

use crate::relation::Relation;

/// A value that is no container. Texts are UTF-8, strings without their escapes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'e> {
    Null,
    Bool(bool),
    /// `value` is there if the text stands for a number that can be compared ([`crate::number::comparable`]).
    Number {
        text: &'e [u8],
        value: Option<f64>,
    },
    String(&'e [u8]),
}

impl<'e> Value<'e> {
    pub(crate) fn as_string(self) -> Option<&'e [u8]> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A string as text. Events are UTF-8, so this fails for no string of an event.
    pub(crate) fn as_str(self) -> Option<&'e str> {
        self.as_string().and_then(|text| std::str::from_utf8(text).ok())
    }
}

/// The event around a value, for the few operators that look further than the value.
pub(crate) trait Surroundings {
    /// Whether one of the values at this path passes.
    fn some(&self, path: &str, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool;

    /// Takes steps for tests that a test is made of; whether there were so many left. If not, what it says does not
    /// count: whoever asked finds out that there are none left.
    fn afford(&self, _steps: usize) -> bool {
        true
    }

    /// What a test decides that does not depend on the value: decided once for an event, and kept under this key.
    fn once(&self, _key: usize, decide: &mut dyn FnMut() -> bool) -> bool {
        decide()
    }

    /// Whether one of those values at this path passes that stand in the same array elements as the value under test,
    /// as far as both came through the same arrays.
    fn some_near(&self, path: &str, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool;

    /// Whether the value under test stands in a relation to one of the values that [`Surroundings::some_near`] looks at.
    fn some_related(&self, path: &str, value: Value<'_>, relation: Relation) -> bool {
        self.some_near(path, &mut |other| relation.holds(value, other))
    }
}

impl std::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(bool) => write!(f, "{bool}"),
            Self::Number { text, .. } => f.write_str(&String::from_utf8_lossy(text)),
            Self::String(text) => write!(f, "{:?}", String::from_utf8_lossy(text)),
        }
    }
}

/// A value with no event around it.
#[cfg(test)]
pub(crate) struct Nothing;

#[cfg(test)]
impl Surroundings for Nothing {
    fn some(&self, _: &str, _: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        false
    }

    fn some_near(&self, _: &str, _: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        false
    }
}

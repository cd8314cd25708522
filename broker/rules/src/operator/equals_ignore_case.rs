//! `equals-ignore-case`: this string, without regard to case.

use super::{Aim, Operator, Place};
use crate::case::CaseFree;
use crate::error::PatternError;
use crate::hint::{Hint, Hinted, MAX_FOLDED, Reach};
use crate::tree::Node;
use crate::value::{Surroundings, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EqualsIgnoreCase {
    text: Box<str>,
    without_case: CaseFree,
}

impl Operator for EqualsIgnoreCase {
    const NAME: &'static str = "equals-ignore-case";
    const EXAMPLE: &'static str = r#"{"equals-ignore-case": "ada@example.com"}"#;
    const NEGATABLE: bool = true;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let text = place.string::<Self>(argument)?;
        Ok(Self { text: text.into(), without_case: CaseFree::new(text) })
    }

    fn hint(&self) -> Hinted<'_> {
        match self.without_case.ascii_start() {
            (ascii, true) if ascii.len() <= MAX_FOLDED => Hint::EqualsIgnoringCase(ascii).sure(),
            (ascii, _) => Hint::Prefix(ascii, Reach::IgnoringCase).perhaps(),
        }
    }

    fn accepts(&self, value: Value<'_>, _: &dyn Surroundings) -> bool {
        value.as_str().is_some_and(|value| self.without_case.is(value))
    }

    fn aim(&self) -> Option<Aim<'_>> {
        Some(Aim::Whole(&self.text))
    }
}

impl std::fmt::Display for EqualsIgnoreCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ignoring case", self.text)
    }
}

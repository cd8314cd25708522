//! `prefix`: a string that begins like this, with or without regard to case.

use super::{Aim, Operator, Place};
use crate::case::CaseFree;
use crate::error::PatternError;
use crate::hint::{Hint, Hinted, Reach};
use crate::tree::Node;
use crate::value::{Surroundings, Value};

/// The reference looks for `"` and the prefix in the value between double quotes. So a prefix that ends with a double
/// quote is also found in the string that ends before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix {
    text: Box<str>,
    without_case: Option<CaseFree>,
}

impl Operator for Prefix {
    const NAME: &'static str = "prefix";
    const EXAMPLE: &'static str = r#"{"prefix": "MacBook"}"#;
    const NEGATABLE: bool = true;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        if let Some(text) = place.ignoring_case::<Self>(argument)? {
            return Ok(Self { text: text.into(), without_case: Some(CaseFree::new(text)) });
        }
        Ok(Self { text: place.string::<Self>(argument)?.into(), without_case: None })
    }

    fn hint(&self) -> Hinted<'_> {
        let ends_with_quote = self.text.ends_with('"');
        match &self.without_case {
            _ if ends_with_quote => Hint::String.perhaps(),
            None => Hint::Prefix(self.text.as_bytes(), Reach::AsTheyAre).sure(),
            Some(prefix) => {
                let (ascii, is_all) = prefix.ascii_start();
                Hinted { sure: is_all, ..Hint::Prefix(ascii, Reach::IgnoringCase).perhaps() }
            }
        }
    }

    fn accepts(&self, value: Value<'_>, _: &dyn Surroundings) -> bool {
        let Some(prefix) = &self.without_case else {
            let (text, value) = (self.text.as_bytes(), value.as_string());
            return value.is_some_and(|value| value.starts_with(text) || text.strip_suffix(b"\"") == Some(value));
        };
        let Some(value) = value.as_str() else { return false };
        prefix.starts(value) || (self.text.ends_with('"') && prefix.starts(&format!("{value}\"")))
    }

    fn aim(&self) -> Option<Aim<'_>> {
        Some(Aim::Start(&self.text))
    }
}

impl std::fmt::Display for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let case = if self.without_case.is_some() { " ignoring case" } else { "" };
        write!(f, "prefix {:?}{case}", self.text)
    }
}

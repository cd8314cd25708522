//! `suffix`: a string that ends like this, with or without regard to case.

use super::{Aim, Operator, Place};
use crate::case::CaseFree;
use crate::error::PatternError;
use crate::hint::{Hint, Hinted, Reach};
use crate::tree::Node;
use crate::value::{Surroundings, Value};

/// The reference looks for the suffix and `"` in the value between double quotes. So a suffix that begins with a double
/// quote is also found in the string that is its rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suffix {
    text: Box<str>,
    without_case: Option<CaseFree>,
}

impl Operator for Suffix {
    const NAME: &'static str = "suffix";
    const EXAMPLE: &'static str = r#"{"suffix": ".local"}"#;
    const NEGATABLE: bool = true;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        if let Some(text) = place.ignoring_case::<Self>(argument)? {
            return Ok(Self { text: text.into(), without_case: Some(CaseFree::new(text)) });
        }
        Ok(Self { text: place.string::<Self>(argument)?.into(), without_case: None })
    }

    fn hint(&self) -> Hinted<'_> {
        let begins_with_quote = self.text.starts_with('"');
        match &self.without_case {
            _ if begins_with_quote => Hint::String.perhaps(),
            None => Hint::Suffix(self.text.as_bytes(), Reach::AsTheyAre).sure(),
            Some(suffix) => {
                let (ascii, is_all) = suffix.ascii_end();
                Hinted { sure: is_all, ..Hint::Suffix(ascii, Reach::IgnoringCase).perhaps() }
            }
        }
    }

    fn accepts(&self, value: Value<'_>, _: &dyn Surroundings) -> bool {
        let Some(suffix) = &self.without_case else {
            let (text, value) = (self.text.as_bytes(), value.as_string());
            return value.is_some_and(|value| value.ends_with(text) || text.strip_prefix(b"\"") == Some(value));
        };
        let Some(value) = value.as_str() else { return false };
        suffix.ends(value) || (self.text.starts_with('"') && suffix.ends(&format!("\"{value}")))
    }

    fn aim(&self) -> Option<Aim<'_>> {
        Some(Aim::End(&self.text))
    }
}

impl std::fmt::Display for Suffix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let case = if self.without_case.is_some() { " ignoring case" } else { "" };
        write!(f, "suffix {:?}{case}", self.text)
    }
}

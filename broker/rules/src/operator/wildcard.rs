//! `wildcard`: `*` stands for any run of characters, `\*` for an asterisk and `\\` for a backslash.

use super::{Operator, Place};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted, Pairs, Reach};
use crate::tree::Node;
use crate::value::{Surroundings, Value};
use memchr::memmem;

/// `first*middle*…*last`; without an asterisk there is only `first`, and it is the whole string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wildcard {
    text: Box<str>,
    first: String,
    middle: Vec<String>,
    last: Option<String>,
}

impl Operator for Wildcard {
    const NAME: &'static str = "wildcard";
    const EXAMPLE: &'static str = r#"{"wildcard": "com.example.*.beta"}"#;
    const NEGATABLE: bool = true;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let text = place.string::<Self>(argument)?;
        Self::read(text).map_err(|problem| place.wrong::<Self>(argument, problem))
    }

    fn hint(&self) -> Hinted<'_> {
        let (first, middle) = (self.first.as_bytes(), self.middle.iter().max_by_key(|piece| piece.len()));
        let Some(last) = self.last.as_ref().map(String::as_bytes) else { return Hint::Equals(first).sure() };
        let (prefix, suffix) = (Hint::Prefix(first, Reach::AsTheyAre), Hint::Suffix(last, Reach::AsTheyAre));
        let pieces = [first, last].into_iter().chain(self.middle.iter().map(String::as_bytes));
        let (rarest, is_all) = match (first, middle.map(|piece| Hint::Contains(piece.as_bytes())), last) {
            (_, None, b"") => (prefix, true),
            (b"", None, _) => (suffix, true),
            (b"", Some(middle), b"") => (middle, self.middle.len() == 1),
            (_, middle, _) => {
                let hints = [Some(prefix), Some(suffix), middle].into_iter().flatten();
                let rarest = hints.min_by(|one, other| one.chance().total_cmp(&other.chance()));
                (rarest.unwrap_or(prefix), false)
            }
        };
        Hinted { hint: rarest, sure: is_all, pairs: Pairs::of_all(pieces) }
    }

    fn accepts(&self, value: Value<'_>, _: &dyn Surroundings) -> bool {
        value.as_string().is_some_and(|text| self.is(text))
    }

    fn accepts_but_for_case(&self, text: &str, afford: &dyn Fn(usize) -> bool) -> bool {
        // Asterisks and backslashes have no case.
        let (lower, text) = (Self::read(&self.text.to_lowercase()), text.to_lowercase());
        afford(1) && lower.is_ok_and(|lower| lower.is(text.as_bytes()))
    }
}

impl Wildcard {
    fn read(text: &str) -> Result<Self, &'static str> {
        let mut pieces = pieces(text)?.into_iter();
        let first = pieces.next().unwrap_or_default();
        let mut middle: Vec<String> = pieces.collect();
        let last = middle.pop();
        Ok(Self { text: text.into(), first, middle, last })
    }

    /// Taking each piece where it first occurs leaves the most room for the next, so there is nothing to go back for.
    fn is(&self, text: &[u8]) -> bool {
        let Some(last) = &self.last else { return text == self.first.as_bytes() };
        let Some(rest) = text.strip_prefix(self.first.as_bytes()) else { return false };
        let Some(mut rest) = rest.strip_suffix(last.as_bytes()) else { return false };
        for piece in &self.middle {
            let Some(place) = find(rest, piece.as_bytes()) else { return false };
            rest = &rest[place + piece.len()..];
        }
        true
    }
}

/// Where a piece, which is not empty, first stands in a text. Preparing a search in linear time takes longer than trying
/// each place of a short text.
fn find(text: &[u8], piece: &[u8]) -> Option<usize> {
    if text.len() > SHORT {
        return memmem::find(text, piece);
    }
    let (first, behind) = piece.split_first()?;
    let mut from = 0;
    loop {
        let place = from + text.get(from..)?.iter().position(|byte| byte == first)?;
        if text[place + 1..].starts_with(behind) {
            return Some(place);
        }
        from = place + 1;
    }
}

/// So many bytes are short.
const SHORT: usize = 64;

/// The literal text between the asterisks.
fn pieces(pattern: &str) -> Result<Vec<String>, &'static str> {
    let mut pieces = vec![String::new()];
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        let literal = match character {
            '*' if characters.peek() == Some(&'*') => return Err("has two asterisks in a row, one says the same"),
            '*' => {
                pieces.push(String::new());
                continue;
            }
            '\\' => match characters.next() {
                Some(escaped @ ('*' | '\\')) => escaped,
                _ => return Err("has a backslash that is not one of \\* and \\\\"),
            },
            other => other,
        };
        if let Some(piece) = pieces.last_mut() {
            piece.push(literal);
        }
    }
    Ok(pieces)
}

impl std::fmt::Display for Wildcard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "wildcard {:?}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::{Allowance, Place};
    use crate::scalar::Scalar;
    use crate::tree::Tree;
    use proptest::prelude::*;

    /// The definition, one character at a time.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], text) => text.is_empty(),
            (['*', pattern @ ..], text) => (0..=text.len()).any(|skipped| slow(pattern, &text[skipped..])),
            (['\\', escaped, pattern @ ..], [first, text @ ..]) => escaped == first && slow(pattern, text),
            ([wanted, pattern @ ..], [first, text @ ..]) => wanted == first && slow(pattern, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn asterisks_stand_for_any_run_of_characters(pattern in "([ab*é]|\\\\\\*|\\\\\\\\){0,8}", text in "[ab*é\\\\]{0,10}") {
            let node = Node { at: 0, value: Tree::Scalar(Scalar::String(pattern.as_str().into())) };
            if let Ok(wildcard) = Wildcard::parse(&node, Place::new("", &Allowance::new())) {
                let (pattern, characters): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
                prop_assert_eq!(wildcard.accepts(Value::String(text.as_bytes()), &crate::value::Nothing), slow(&pattern, &characters));
            }
        }
    }
}

//! The two kinds of words that may stand in a subject as they are.

use serde::{Deserialize, Serialize, Serializer};
use smol_str::SmolStr;

/// Why a word is not a token. The text names the word and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A scope or action must be snake case.
    #[error("{0:?} is no snake_case word: use a-z, 0-9 and _, starting with a letter or digit, at most 64 characters")]
    NotSnakeCase(String),
    /// A source, rule or target name may also hold hyphens.
    #[error("{0:?} is no name: use a-z, 0-9, _ and -, starting with a letter or digit, at most 64 characters")]
    NotName(String),
}

const MAX_LEN: usize = 64;

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $error:ident, $also:pat) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(SmolStr);

        impl $name {
            /// Checks and takes the word.
            pub fn new(word: impl AsRef<str>) -> Result<Self, TokenError> {
                let word = word.as_ref();
                let starts_well = word.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                let holds = word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, $also));
                let is_word = starts_well && holds && word.len() <= MAX_LEN;
                if is_word { Ok(Self(word.into())) } else { Err(TokenError::$error(word.to_owned())) }
            }

            /// The word itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = TokenError;
            fn from_str(word: &str) -> Result<Self, TokenError> {
                Self::new(word)
            }
        }

        impl TryFrom<String> for $name {
            type Error = TokenError;
            fn try_from(word: String) -> Result<Self, TokenError> {
                Self::new(word)
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> String {
                word.0.into()
            }
        }
    };
}

word! {
    /// A scope or an action: `[a-z0-9][a-z0-9_]{0,63}`.
    Token, NotSnakeCase, b'_'
}

word! {
    /// The name of a source, rule, target or schedule: `[a-z0-9][a-z0-9_-]{0,63}`.
    Name, NotName, b'_' | b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_checked_when_made() {
        for good in ["enroll", "slack_post", "os2", "0day"] {
            assert_eq!(Token::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "_x", "Enroll", "a-b", "a.b", "a b", "é", "*", ">", &"x".repeat(65)] {
            assert!(Token::new(bad).is_err(), "{bad}");
        }
        assert!(Name::new("jamf-pro").is_ok());
        assert!(Name::new("-jamf").is_err());
        assert!(serde_json::from_str::<Token>("\"A\"").is_err());
    }
}

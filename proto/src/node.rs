//! The key of a node: a serial number, a UDID not yet joined to one, or a user id.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// What NATS forbids in a subject token, and `%` itself. Bytes outside ASCII are always encoded.
const FORBIDDEN: &AsciiSet = &CONTROLS.add(b' ').add(b'.').add(b'*').add(b'>').add(b'%');

/// Longest key, in bytes before encoding.
const MAX_LEN: usize = 128;

/// Why a text is no node key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Nothing there.
    #[error("a node key cannot be empty")]
    Empty,
    /// Longer than 128 bytes.
    #[error("a node key of {0} bytes: at most 128 are allowed")]
    TooLong(usize),
    /// A control character in it.
    #[error("the node key {0:?} holds a control character")]
    Control(String),
    /// A subject token whose percent encoding is not the one this crate writes.
    #[error(
        "{0:?} is not how a node key is written in a subject: percent-encode space . * > % and what is not ASCII, in upper-case hex, and nothing else"
    )]
    NotCanonical(String),
}

/// The serial number, UDID or user id that an event is about: 1 to 128 bytes, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeKey(SmolStr);

impl NodeKey {
    /// Checks and takes the key.
    pub fn new(key: impl AsRef<str>) -> Result<Self, NodeError> {
        let key = key.as_ref();
        Self::check(key).map(|()| Self(key.into()))
    }

    /// Whether this is one.
    pub(crate) fn check(key: &str) -> Result<(), NodeError> {
        match key.len() {
            0 => Err(NodeError::Empty),
            len if len > MAX_LEN => Err(NodeError::TooLong(len)),
            _ if key.chars().any(char::is_control) => Err(NodeError::Control(key.to_owned())),
            _ => Ok(()),
        }
    }

    /// The key as it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as a subject token: `ada@example.com` is written `ada@example%2Ecom`, and a key `-` is written `%2D`,
    /// because a bare `-` stands for "no node".
    pub fn to_subject_token(&self) -> String {
        if self.as_str() == "-" { "%2D".to_owned() } else { utf8_percent_encode(&self.0, FORBIDDEN).to_string() }
    }

    /// Reads a subject token. Only the form that [`Self::to_subject_token`] writes is taken, so that one node has one
    /// subject and a permission on that subject covers it.
    pub fn from_subject_token(token: &str) -> Result<Self, NodeError> {
        // As most are written: nothing in it is encoded, and nothing need be.
        if token != "-"
            && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'@'))
            && (1..=MAX_LEN).contains(&token.len())
        {
            return Ok(Self(token.into()));
        }
        let not_canonical = || NodeError::NotCanonical(token.to_owned());
        let key = percent_decode_str(token).decode_utf8().map_err(|_| not_canonical())?;
        let key = Self::new(key)?;
        if key.to_subject_token() == token { Ok(key) } else { Err(not_canonical()) }
    }
}

impl std::fmt::Display for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for NodeKey {
    type Error = NodeError;
    fn try_from(key: String) -> Result<Self, NodeError> {
        Self::new(key)
    }
}

impl std::str::FromStr for NodeKey {
    type Err = NodeError;
    fn from_str(key: &str) -> Result<Self, NodeError> {
        Self::new(key)
    }
}

impl From<NodeKey> for String {
    fn from(key: NodeKey) -> String {
        key.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_written_as_the_documentation_says() {
        for (key, token) in [
            ("C02XL0GTJGH5", "C02XL0GTJGH5"),
            ("ada@example.com", "ada@example%2Ecom"),
            ("-", "%2D"),
            ("--", "--"),
            ("50%", "50%25"),
            ("zoë", "zo%C3%AB"),
            ("a b*>", "a%20b%2A%3E"),
        ] {
            let key = NodeKey::new(key).unwrap();
            assert_eq!(key.to_subject_token(), token);
            assert_eq!(NodeKey::from_subject_token(token).unwrap(), key);
        }
    }

    #[test]
    fn a_second_spelling_of_a_node_is_refused() {
        for token in ["-", "%2d", "%41", "a%2ecom", "%", "%FF", "zoë", "%00", ""] {
            assert!(NodeKey::from_subject_token(token).is_err(), "{token}");
        }
    }
}

//! The serial number a machine speaks under: the node token of its subjects and of its permissions.

use crate::{Name, NodeKey, Subject, Token};
use serde::{Deserialize, Serialize};

/// Longest serial number taken.
const MAX_LEN: usize = 64;

/// Why a text is no serial number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no serial number: use A-Z, a-z, 0-9 and -, starting with a letter or digit, at most 64 characters")]
pub struct SerialError(String);

/// A serial number in the one spelling that is used of it, upper case, as Apple writes them: who writes it otherwise speaks of
/// the same machine. Other alphabets are left as they are.
pub(crate) fn spelled(mut text: String) -> String {
    text.make_ascii_uppercase();
    text
}

/// `[A-Z0-9][A-Z0-9-]{0,63}`: never a wildcard, never two subject tokens, never "no node". It is taken in lower case too, and
/// is the same one then.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(String);

impl Serial {
    /// Checks and takes the serial number.
    pub fn new(text: impl Into<String>) -> Result<Self, SerialError> {
        let text = text.into();
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let holds = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if starts_well && holds && text.len() <= MAX_LEN { Ok(Self(spelled(text))) } else { Err(SerialError(text)) }
    }

    /// The serial number itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Every subject this machine may publish under.
    pub fn all_subjects(&self) -> String {
        format!("events.agent.{}.>", self.0)
    }

    /// The subject of one event.
    pub fn subject(&self, scope: &Token, action: &Token) -> String {
        match (Name::new("agent"), NodeKey::new(self.0.as_str())) {
            (Ok(source), Ok(node)) => {
                Subject { source, node: Some(node), scope: scope.clone(), action: action.clone() }.to_string()
            }
            _ => format!("events.agent.{}.{scope}.{action}", self.0),
        }
    }
}

impl std::fmt::Display for Serial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Serial {
    type Err = SerialError;
    fn from_str(text: &str) -> Result<Self, SerialError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Serial {
    type Error = SerialError;
    fn try_from(text: String) -> Result<Self, SerialError> {
        Self::new(text)
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> String {
        serial.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_serial_numbers_are_taken() {
        for good in ["C02XL0GTJGH5", "VMware-56-4d", "0", "a06f1c5e-8c55-5d7e-9f4c-1f2f3c4d5e6f"] {
            assert_eq!(Serial::new(good).unwrap().as_str(), good.to_uppercase());
        }
        for bad in ["", "-", "-a", "*", ">", "a.b", "a b", "a*", "é", "a\n", "a%", &"x".repeat(65)] {
            assert!(Serial::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_serial_number_has_one_spelling() {
        let serial = Serial::new("C02xl0gtjgh5").unwrap();
        assert_eq!(serial, Serial::new("c02XL0GTJGH5").unwrap());
        assert_eq!(serial, serde_json::from_str("\"c02xl0gtjgh5\"").unwrap());
        assert_eq!(serial.all_subjects(), "events.agent.C02XL0GTJGH5.>");
    }

    #[test]
    fn subjects_lie_under_what_the_credential_allows() {
        let serial = Serial::new("C02").unwrap();
        let (scope, action) = (Token::new("disk").unwrap(), Token::new("low").unwrap());
        assert_eq!(serial.subject(&scope, &action), "events.agent.C02.disk.low");
        assert_eq!(serial.all_subjects(), "events.agent.C02.>");
    }
}

//! `exactly`: this string, byte for byte. What a plain string does, but an IP address is not special.

use super::{Aim, Literal, Operator, Place};
use crate::error::PatternError;
use crate::hint::Hinted;
use crate::tree::Node;
use crate::value::{Surroundings, Value};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Exactly(Literal);

impl Operator for Exactly {
    const NAME: &'static str = "exactly";
    const EXAMPLE: &'static str = r#"{"exactly": "10.0.0.1"}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        Ok(Self(Literal::String(place.string::<Self>(argument)?.into())))
    }

    fn hint(&self) -> Hinted<'_> {
        self.0.hint()
    }

    fn accepts(&self, value: Value<'_>, _: &dyn Surroundings) -> bool {
        self.0.accepts(value)
    }

    fn aim(&self) -> Option<Aim<'_>> {
        self.0.aim()
    }
}

impl std::fmt::Display for Exactly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exactly {}", self.0)
    }
}

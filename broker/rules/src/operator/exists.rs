//! `exists`: the field has a value, or has none. Objects and empty arrays are no values, null is one.

use super::{Operator, Place};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted};
use crate::scalar::Scalar;
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exists(bool);

impl Exists {
    /// Whether a value is wanted, or its absence.
    pub(super) fn wanted(self) -> bool {
        self.0
    }
}

impl Operator for Exists {
    const NAME: &'static str = "exists";
    const EXAMPLE: &'static str = r#"{"exists": true}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        match &argument.value {
            Tree::Scalar(Scalar::Bool(wanted)) => Ok(Self(*wanted)),
            _ => Err(place.wrong::<Self>(argument, format_args!("takes true or false, not {}", argument.kind()))),
        }
    }

    fn hint(&self) -> Hinted<'_> {
        Hint::Any.sure()
    }

    fn accepts(&self, _: Value<'_>, _: &dyn Surroundings) -> bool {
        self.0
    }
}

impl std::fmt::Display for Exists {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0 { "any value" } else { "no value" })
    }
}

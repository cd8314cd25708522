//! `compare-field`: a value that stands in some relation to a value of another field.

use super::{Makeup, Operator, Place};
use crate::error::PatternError;
use crate::relation::{RELATIONS, Relation};
use crate::shown::ShownPath;
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompareField {
    relation: Relation,
    /// The other field, from the event's top.
    other: Box<str>,
}

impl Operator for CompareField {
    const NAME: &'static str = "compare-field";
    const EXAMPLE: &'static str = r#"{"compare-field": ["<", "info.minimum"]}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let wrong = |node, problem: &str| Err(place.wrong::<Self>(node, problem));
        if place.in_contains_all {
            let problem = "compare-field inside contains-all: which of the values would be compared?".to_owned();
            let remedy = "write {\"all-of\": [{\"contains-all\": […]}, {\"compare-field\": […]}]}";
            return Err(place.error(argument, problem, remedy));
        }
        let (sign, other) = match &argument.value {
            Tree::List(nodes) => match nodes.as_slice() {
                [sign, other] => (sign, other),
                _ => {
                    return wrong(
                        argument,
                        &format!("takes a sign and a path, this list has {} elements", nodes.len()),
                    );
                }
            },
            _ => return wrong(argument, &format!("takes a list, not {}", argument.kind())),
        };
        let Some((_, known)) = RELATIONS.iter().find(|(text, _)| sign.as_str() == Some(text)) else {
            return wrong(sign, &format!("compares with one of {}", RELATIONS.map(|(text, _)| text).join(", ")));
        };
        match other.as_str() {
            None => wrong(other, &format!("takes the path of another field as a string, not {}", other.kind())),
            Some("") => wrong(other, "takes the path of another field, this one is empty"),
            Some(path) if path == place.path => wrong(other, "compares a field with another one, not with itself"),
            Some(path) => Ok(Self { relation: *known, other: path.into() }),
        }
    }

    fn accepts(&self, value: Value<'_>, around: &dyn Surroundings) -> bool {
        around.some_related(&self.other, value, self.relation)
    }

    fn makeup(&self) -> Makeup<'_> {
        Makeup::Related(self.relation, &self.other)
    }

    fn paths(&self, tell: &mut dyn FnMut(&str)) {
        tell(&self.other);
    }
}

impl std::fmt::Display for CompareField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} the value of {}", self.relation, ShownPath(&self.other))
    }
}

//! `contains-all`: a field that has, for each of several tests, a value that passes it.

use super::{Makeup, Matcher, Operator, Place, joined};
use crate::error::PatternError;
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};

/// How many tests it takes.
const MAX_ELEMENTS: usize = 100;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ContainsAll {
    /// The field it stands in.
    path: Box<str>,
    wanted: Vec<Matcher>,
}

impl Operator for ContainsAll {
    const NAME: &'static str = "contains-all";
    const EXAMPLE: &'static str = r#"{"contains-all": ["admins", {"prefix": "mac-"}]}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let wrong = |problem: String| Err(place.wrong::<Self>(argument, problem));
        if place.in_contains_all {
            let remedy = "list all it should contain in the outer one";
            return Err(place.error(argument, "contains-all inside contains-all".to_owned(), remedy));
        }
        let Tree::List(nodes) = &argument.value else {
            return wrong(format!("takes a list, not {}", argument.kind()));
        };
        if nodes.is_empty() {
            return wrong("has an empty list, which every value contains".to_owned());
        }
        if nodes.len() > MAX_ELEMENTS {
            let problem = format!("contains-all has {} elements, more than {MAX_ELEMENTS}", nodes.len());
            return Err(place.error(argument, problem, "describe several by one prefix, wildcard or regex"));
        }
        let inside = Place { in_contains_all: true, ..place };
        let wanted = nodes.iter().map(|node| test(node, inside)).collect::<Result<_, _>>()?;
        Ok(Self { path: place.path.into(), wanted })
    }

    /// What the value under test is does not matter: it only says that the field has one.
    fn accepts(&self, _: Value<'_>, around: &dyn Surroundings) -> bool {
        let key = std::ptr::from_ref(self).addr();
        let mut decide =
            || self.wanted.iter().all(|test| around.some(&self.path, &mut |value| test.accepts(value, around)));
        around.once(key, &mut decide)
    }

    fn makeup(&self) -> Makeup<'_> {
        Makeup::Among(&self.wanted)
    }

    fn tests(&self) -> usize {
        self.wanted.iter().map(Matcher::tests).sum()
    }
}

fn test(node: &Node<'_>, place: Place<'_>) -> Result<Matcher, PatternError> {
    let test = Matcher::parse(node, place)?;
    if matches!(test, Matcher::Exists(_)) {
        let problem = "contains-all lists what the values are, exists does not say that";
        return Err(place.error(node, problem.to_owned(), "leave exists out: contains-all asks for values anyway"));
    }
    Ok(test)
}

impl std::fmt::Display for ContainsAll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.wanted.as_slice() {
            [one] => write!(f, "among its values {one}"),
            several => write!(f, "among its values each of {}", joined(several, ", ")),
        }
    }
}

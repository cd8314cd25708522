//! `all-of`: one value that passes several tests.

use super::{Makeup, Matcher, Operator, Place, joined};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted};
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AllOf(Vec<AnyOf>);

/// One condition: tests of which one must pass.
#[derive(Debug, Clone, PartialEq)]
struct AnyOf(Vec<Matcher>);

impl Operator for AllOf {
    const NAME: &'static str = "all-of";
    const EXAMPLE: &'static str = r#"{"all-of": [{"prefix": "Mac"}, {"anything-but": {"suffix": ",1"}}]}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        match &argument.value {
            Tree::List(nodes) if nodes.len() < 2 => {
                let problem = format!("has fewer than two conditions: {}", nodes.len());
                Err(place.error(argument, format!("all-of {problem}"), ONE_CONDITION))
            }
            Tree::List(nodes) => nodes.iter().map(|node| AnyOf::parse(node, place)).collect::<Result<_, _>>().map(Self),
            _ => Err(place.wrong::<Self>(argument, format_args!("takes a list, not {}", argument.kind()))),
        }
    }

    /// The narrowest of the conditions that are one test.
    fn hint(&self) -> Hinted<'_> {
        let hints = self.0.iter().filter_map(|AnyOf(tests)| match tests.as_slice() {
            [one] => Some(one.hint().hint),
            _ => None,
        });
        hints.min_by_key(|hint| hint.width()).unwrap_or(Hint::Any).perhaps()
    }

    fn accepts(&self, value: Value<'_>, around: &dyn Surroundings) -> bool {
        let passes = |tests: &[Matcher]| tests.iter().any(|test| test.accepts(value, around));
        self.0.iter().all(|AnyOf(tests)| around.afford(tests.len()) && passes(tests))
    }

    fn paths(&self, tell: &mut dyn FnMut(&str)) {
        self.0.iter().flat_map(|AnyOf(tests)| tests).for_each(|test| test.paths(tell));
    }

    fn makeup(&self) -> Makeup<'_> {
        Makeup::EachOf(self.0.iter().map(|AnyOf(tests)| tests.as_slice()).collect())
    }

    fn tests(&self) -> usize {
        self.0.iter().flat_map(|AnyOf(tests)| tests).map(Matcher::tests).sum()
    }
}

const ONE_CONDITION: &str = "write one condition into the field's list itself, without all-of";

impl AnyOf {
    fn parse(node: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let nodes = match &node.value {
            Tree::List(nodes) if nodes.is_empty() => {
                return Err(place.wrong::<AllOf>(node, "has an empty list, which nothing satisfies"));
            }
            Tree::List(nodes) => nodes,
            _ => std::slice::from_ref(node),
        };
        nodes.iter().map(|node| test(node, place)).collect::<Result<_, _>>().map(Self)
    }
}

fn test(node: &Node<'_>, place: Place<'_>) -> Result<Matcher, PatternError> {
    let test = Matcher::parse(node, place)?;
    if test.is_absence() {
        let problem = "all-of is about a value that is there, and {\"exists\": false} about none";
        return Err(place.error(
            node,
            problem.to_owned(),
            "write {\"exists\": false} beside all-of, into the field's list",
        ));
    }
    Ok(test)
}

impl std::fmt::Display for AllOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&joined(&self.0, " and "))
    }
}

impl std::fmt::Display for AnyOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&joined(&self.0, " or "))
    }
}

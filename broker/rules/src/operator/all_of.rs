//! `all-of`: one value that passes several tests.

use super::{AnyOf, Makeup, Matcher, Operator, Place, joined};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted};
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AllOf(Vec<AnyOf>);

impl Operator for AllOf {
    const NAME: &'static str = "all-of";
    const EXAMPLE: &'static str = r#"{"all-of": [{"prefix": "Mac"}, {"anything-but": {"suffix": ",1"}}]}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        match &argument.value {
            Tree::List(nodes) if nodes.len() < 2 => {
                let problem = format!("has fewer than two conditions: {}", nodes.len());
                Err(place.error(argument, format!("all-of {problem}"), ONE_CONDITION))
            }
            Tree::List(nodes) => nodes.iter().map(|node| condition(node, place)).collect::<Result<_, _>>().map(Self),
            _ => Err(place.wrong::<Self>(argument, format_args!("takes a list, not {}", argument.kind()))),
        }
    }

    /// The narrowest of the conditions that are one test.
    fn hint(&self) -> Hinted<'_> {
        let hints = self.0.iter().filter_map(|tests| match &**tests {
            [one] => Some(one.hint().hint),
            _ => None,
        });
        hints.min_by_key(|hint| hint.width()).unwrap_or(Hint::Any).perhaps()
    }

    fn accepts(&self, value: Value<'_>, around: &dyn Surroundings) -> bool {
        self.0.iter().all(|tests| around.afford(tests.steps()) && tests.accepts(value, around))
    }

    fn paths(&self, tell: &mut dyn FnMut(&str)) {
        self.0.iter().flat_map(|tests| tests.iter()).for_each(|test| test.paths(tell));
    }

    fn makeup(&self) -> Makeup<'_> {
        Makeup::EachOf(self.0.iter().map(|tests| &**tests).collect())
    }

    fn tests(&self) -> usize {
        self.0.iter().flat_map(|tests| tests.iter()).map(Matcher::tests).sum()
    }
}

const ONE_CONDITION: &str = "write one condition into the field's list itself, without all-of";

/// One condition: a test, or a list of tests of which one must pass.
fn condition(node: &Node<'_>, place: Place<'_>) -> Result<AnyOf, PatternError> {
    let nodes = match &node.value {
        Tree::List(nodes) if nodes.is_empty() => {
            return Err(place.wrong::<AllOf>(node, "has an empty list, which nothing satisfies"));
        }
        Tree::List(nodes) => nodes,
        _ => std::slice::from_ref(node),
    };
    nodes.iter().map(|node| test(node, place)).collect::<Result<Vec<_>, _>>().map(AnyOf::from)
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

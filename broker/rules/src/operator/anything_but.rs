//! `anything-but`: a value that none of these accepts. There must be a value; a missing field does not match.

use super::prefix::Prefix;
use super::regex::Regex;
use super::{AnyOf, Literal, Matcher, NEGATABLE, Operator, Place};
use crate::error::PatternError;
use crate::scalar::Scalar;
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AnythingBut(AnyOf);

impl Operator for AnythingBut {
    const NAME: &'static str = "anything-but";
    const EXAMPLE: &'static str = r#"{"anything-but": ["agent", "broker"]}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        match &argument.value {
            Tree::Object(members) => negated(members, argument, place),
            _ => values(argument, place),
        }
        .map(|refused| Self(refused.into()))
    }

    fn accepts(&self, value: Value<'_>, around: &dyn Surroundings) -> bool {
        around.afford(self.0.steps()) && !self.0.accepts(value, around)
    }

    fn tests(&self) -> usize {
        self.0.iter().map(Matcher::tests).sum()
    }
}

/// A string or number, or a list of either.
fn values(argument: &Node<'_>, place: Place<'_>) -> Result<Vec<Matcher>, PatternError> {
    let wrong = |node, problem: &str| Err(place.wrong::<AnythingBut>(node, problem));
    let mut literals = Vec::new();
    for node in one_or_more(argument, place)? {
        literals.push(match &node.value {
            Tree::Scalar(Scalar::String(text)) => Literal::String(text.as_ref().into()),
            Tree::Scalar(Scalar::Number { value: Some(value), .. }) => Literal::Number(*value),
            Tree::Scalar(Scalar::Number { .. }) => {
                return wrong(node, "cannot compare this number: no double holds it");
            }
            _ => return wrong(node, &format!("takes strings or numbers, not {}", node.kind())),
        });
    }
    let numbers = literals.iter().filter(|literal| matches!(literal, Literal::Number(_))).count();
    if numbers != 0 && numbers != literals.len() {
        return wrong(argument, "takes strings or numbers, not both in one list");
    }
    Ok(literals.into_iter().map(Matcher::Literal).collect())
}

/// An operator with a string or a list of strings.
fn negated(
    members: &[(String, Node<'_>)],
    argument: &Node<'_>,
    place: Place<'_>,
) -> Result<Vec<Matcher>, PatternError> {
    let allowed = || NEGATABLE.iter().filter(|(_, negatable)| *negatable).map(|(name, _)| *name);
    let (name, nested) = match members {
        [(name, nested)] if allowed().any(|allowed| allowed == name) => (name, nested),
        _ => {
            let names = allowed().collect::<Vec<_>>().join(", ");
            let problem = format!("anything-but takes an object with one of {names} alone");
            return Err(place.error(argument, problem, format!("write {}", example(Prefix::NAME))));
        }
    };
    let wrong = |node, problem: &str| {
        place.error(node, format!("anything-but {name} {problem}"), format!("write {}", example(name)))
    };
    if name == Regex::NAME {
        return Ok(vec![Matcher::Regex(Regex::parse(nested, place)?)]);
    }
    let mut refused = Vec::new();
    for node in one_or_more(nested, place)? {
        match node.as_str() {
            Some("") if name == "prefix" || name == "suffix" => {
                return Err(wrong(node, "would refuse every string: it is empty"));
            }
            Some(_) => refused.extend(Matcher::operator(name, node, place).transpose()?),
            None => return Err(wrong(node, &format!("takes a string or a list of strings, not {}", node.kind()))),
        }
    }
    Ok(refused)
}

/// Its use with an operator that takes strings.
fn example(operator: &str) -> String {
    format!("{{\"anything-but\": {{\"{operator}\": [\"agent\", \"broker\"]}}}}")
}

fn one_or_more<'n, 'a>(node: &'n Node<'a>, place: Place<'_>) -> Result<&'n [Node<'a>], PatternError> {
    match &node.value {
        Tree::List(nodes) if nodes.is_empty() => Err(place.wrong::<AnythingBut>(node, "has an empty list")),
        Tree::List(nodes) => Ok(nodes),
        _ => Ok(std::slice::from_ref(node)),
    }
}

impl std::fmt::Display for AnythingBut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let refused: Vec<String> = self.0.iter().map(Matcher::to_string).collect();
        write!(f, "anything but {}", refused.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use crate::pattern::Pattern;

    #[test]
    fn the_remedy_is_of_the_operator_that_was_tried() {
        for (argument, remedy) in [
            (r#"{"prefix": {"equals-ignore-case": "x"}}"#, r#"{"anything-but": {"prefix": ["agent", "broker"]}}"#),
            (r#"{"suffix": ""}"#, r#"{"anything-but": {"suffix": ["agent", "broker"]}}"#),
            (r#"{"numeric": ["<", 1]}"#, r#"{"anything-but": {"prefix": ["agent", "broker"]}}"#),
            ("true", r#"{"anything-but": ["agent", "broker"]}"#),
        ] {
            let error = Pattern::parse(&format!(r#"{{"a": [{{"anything-but": {argument}}}]}}"#)).unwrap_err();
            assert_eq!(error.remedy(), format!("write {remedy}"), "{error}");
            assert!(Pattern::parse(&format!("{{\"a\": [{remedy}]}}")).is_ok(), "{remedy}");
        }
    }
}

//! `regex`: a string in which a regular expression of a list finds something. Not of a plain string: `{"regex": "x"}` is
//! what the reference refuses, and so it is refused here.
//!
//! The expressions are those of the crate `regex`: searching takes time linear in the string, whatever the expression.
//! What one costs to compile and to keep is bounded here.

use super::{Operator, Place};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted};
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};
use regex::bytes::{Regex as Compiled, RegexBuilder};
use std::sync::OnceLock;

/// How many expressions a pattern may have.
pub(super) const MAX_REGEXES: usize = 100;
/// How long an expression may be, in bytes.
const MAX_LENGTH: usize = 4_096;
/// How deep its parentheses may be nested.
const MAX_DEPTH: u32 = 50;
/// How large it may be when compiled, and the memory in which parts of it are made faster, both in bytes.
const MAX_COMPILED: usize = 256 * 1_024;
/// How many bytes of a string are searched in one step.
const BYTES_A_STEP: usize = 64;

/// As how many tests of a value it counts to compile one.
const COST: usize = 100;

/// Expressions of which one must find something.
#[derive(Debug, Clone)]
pub(crate) struct Regex(Vec<Expression>);

#[derive(Clone)]
struct Expression {
    compiled: Compiled,
    /// The same ignoring case, once an explanation asked for it; nothing if that is too large.
    ignoring_case: OnceLock<Option<Compiled>>,
}

impl Operator for Regex {
    const NAME: &'static str = "regex";
    const EXAMPLE: &'static str = r#"{"regex": ["^Mac(Book)?[0-9]+,[0-9]+$"]}"#;
    const NEGATABLE: bool = true;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        match &argument.value {
            Tree::List(nodes) if nodes.is_empty() => Err(place.wrong::<Self>(argument, "has an empty list")),
            Tree::List(nodes) => nodes.iter().map(|node| compile(node, place)).collect::<Result<_, _>>().map(Self),
            _ => {
                let problem = format_args!("takes a list of expressions, not {}", argument.kind());
                Err(place.wrong::<Self>(argument, problem))
            }
        }
    }

    fn hint(&self) -> Hinted<'_> {
        Hint::String.perhaps()
    }

    fn accepts(&self, value: Value<'_>, around: &dyn Surroundings) -> bool {
        let Some(text) = value.as_string() else { return false };
        let steps = 1 + text.len() / BYTES_A_STEP;
        self.0.iter().any(|expression| around.afford(steps) && expression.compiled.is_match(text))
    }

    fn accepts_but_for_case(&self, text: &str, afford: &dyn Fn(usize) -> bool) -> bool {
        let cost = |expression: &Expression| if expression.ignoring_case.get().is_none() { COST } else { 1 };
        let mut affordable = self.0.iter().take_while(|expression| afford(cost(expression)));
        affordable.any(|expression| {
            expression.ignoring_case().is_some_and(|ignoring_case| ignoring_case.is_match(text.as_bytes()))
        })
    }

    fn tests(&self) -> usize {
        self.0.len()
    }
}

impl Expression {
    fn ignoring_case(&self) -> Option<&Compiled> {
        let compile = || builder(self.text()).case_insensitive(true).build().ok();
        self.ignoring_case.get_or_init(compile).as_ref()
    }

    fn text(&self) -> &str {
        self.compiled.as_str()
    }
}

fn compile(node: &Node<'_>, place: Place<'_>) -> Result<Expression, PatternError> {
    let text = place.string::<Regex>(node)?;
    let too_large = |problem: String, remedy: &str| Err(place.error(node, problem, remedy));
    if text.is_empty() {
        return Err(place.wrong::<Regex>(node, "is empty, and would find itself in every string"));
    }
    if text.len() > MAX_LENGTH {
        let problem = format!("regex has {} bytes, more than {MAX_LENGTH}", text.len());
        return too_large(problem, "list long alternatives as plain values, prefixes or suffixes");
    }
    let left = &place.allowance.regexes;
    let Some(fewer) = left.get().checked_sub(1) else {
        let problem = format!("more than {MAX_REGEXES} regexes in one pattern");
        return too_large(problem, "join several with |, or use prefix, suffix or wildcard");
    };
    left.set(fewer);
    match builder(text).build() {
        Ok(compiled) => Ok(Expression { compiled, ignoring_case: OnceLock::new() }),
        Err(regex::Error::CompiledTooBig(_)) => {
            let remedy =
                "repeat less often, with * or + instead of a large count, and write [0-9] or [a-z] for \\d or \\w";
            too_large(format!("regex is larger than {} KiB when compiled", MAX_COMPILED / 1_024), remedy)
        }
        Err(error) => Err(place.wrong::<Regex>(node, format_args!("cannot be read: {}", reason(&error)))),
    }
}

fn builder(text: &str) -> RegexBuilder {
    let mut builder = RegexBuilder::new(text);
    builder.size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).nest_limit(MAX_DEPTH);
    builder
}

/// The crate explains over several lines, the expression and a mark under it first; the last line is the reason.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default();
    reason.trim().trim_start_matches("error: ").chars().take(200).collect()
}

/// Its text, whether or not an explanation asked for it: equal fields are known by how they are shown.
impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.text().fmt(f)
    }
}

/// Two expressions are the same if their texts are.
impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(Expression::text).eq(other.0.iter().map(Expression::text))
    }
}

impl std::fmt::Display for Regex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<String> = self.0.iter().map(|expression| format!("{:?}", expression.text())).collect();
        write!(f, "regex {}", texts.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Allowance;
    use std::cell::Cell;

    #[test]
    fn to_ignore_case_is_dear_once() {
        let node = Node::read(r#"["^mac$", "^ipad$"]"#).unwrap();
        let regex = Regex::parse(&node, Place::new("", &Allowance::new())).unwrap();
        let spent = Cell::new(0);
        let afford = |steps: usize| {
            spent.set(spent.get() + steps);
            true
        };
        for (text, accepted, cost) in [("Mac", true, 100), ("Pod", false, 101), ("iPad", true, 2)] {
            spent.set(0);
            assert_eq!((regex.accepts_but_for_case(text, &afford), spent.get()), (accepted, cost), "{text}");
        }
        assert!(!regex.accepts_but_for_case("Mac", &|_| false));
    }
}

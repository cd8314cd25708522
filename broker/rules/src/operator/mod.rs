//! The tests a pattern can make of one value: literals, and one file for each operator.
//!
//! A new operator is a file here, its `mod` line and its line in `operators!` below; messages and the list of names
//! come from there.

mod all_of;
mod any_of;
mod anything_but;
mod cidr;
mod compare_field;
mod contains_all;
mod equals_ignore_case;
mod exactly;
mod exists;
mod literal;
mod numeric;
mod prefix;
mod range;
mod regex;
mod semver;
mod suffix;
mod time_of_day;
mod time_window;
mod timestamp;
mod wildcard;

use crate::alike::{edits, same_name};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted};
use crate::relation::Relation;
use crate::shown::cut;
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};
pub(crate) use any_of::AnyOf;
use literal::Literal;
use std::cell::Cell;
use std::fmt::Display;

/// One operator of the language. Displayed as messages name it: `prefix "Mac"`.
trait Operator: Sized + Display {
    /// Its key in a pattern.
    const NAME: &'static str;
    /// An example of its use, for messages.
    const EXAMPLE: &'static str;
    /// Whether `anything-but` takes it, with a string or a list of strings.
    const NEGATABLE: bool = false;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError>;

    /// What it is after, if that can be said in one text or range.
    fn aim(&self) -> Option<Aim<'_>> {
        None
    }

    /// What it is made of, to say which part of it fails.
    fn makeup(&self) -> Makeup<'_> {
        Makeup::Itself
    }

    /// What a string that it refuses is to it, if more can be said than that it is refused.
    fn reading(&self, _text: &str) -> Option<Reading> {
        None
    }

    /// Whether a string that it refuses differs from what passes only in case, where neither its lower nor its upper case
    /// form passes to show that. Only what `afford` allows may be done, in tests of a value.
    fn accepts_but_for_case(&self, _text: &str, _afford: &dyn Fn(usize) -> bool) -> bool {
        false
    }

    /// Whether a value of the event passes. What an operator asks of its surroundings it must name in `paths`.
    fn accepts(&self, value: Value<'_>, around: &dyn Surroundings) -> bool;

    /// The other paths whose values it looks at.
    fn paths(&self, _: &mut dyn FnMut(&str)) {}

    /// Which values pass, as far as an index can know it.
    fn hint(&self) -> Hinted<'_> {
        Hint::Any.perhaps()
    }

    /// How many tests of a value it stands for, those inside it counted one by one.
    fn tests(&self) -> usize {
        1
    }
}

/// The field whose pattern is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    path: &'a str,
    allowance: &'a Allowance,
    /// Inside `contains-all`, tests are made of other values than the one whose surroundings are known.
    in_contains_all: bool,
}

/// What the pattern being read may still use of what is dear.
#[derive(Debug)]
pub(crate) struct Allowance {
    regexes: Cell<usize>,
}

/// `operators! { those of the reference; those beyond it }`, each group in the order of the names.
macro_rules! operators {
    ($($theirs_in:ident :: $theirs:ident),* ; $($ours_in:ident :: $ours:ident),*) => {
        /// The operators that the reference has too.
        pub(crate) const REFERENCE_OPERATORS: &[&str] = &[$(<$theirs_in::$theirs as Operator>::NAME),*];

        all_operators! { $($theirs_in::$theirs,)* $($ours_in::$ours),* }
    };
}

macro_rules! all_operators {
    ($($module:ident :: $operator:ident),*) => {
        /// One test of a value.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Matcher {
            Literal(Literal),
            $($operator($module::$operator)),*
        }

        /// The operators of the language, by the names they have in a pattern.
        pub const OPERATORS: &[&str] = &[$(<$module::$operator as Operator>::NAME),*];

        const NEGATABLE: &[(&str, bool)] =
            &[$((<$module::$operator as Operator>::NAME, <$module::$operator as Operator>::NEGATABLE)),*];

        impl Matcher {
            fn operator(name: &str, argument: &Node<'_>, place: Place<'_>) -> Option<Result<Self, PatternError>> {
                $(if name == <$module::$operator as Operator>::NAME {
                    return Some(Operator::parse(argument, place).map(Self::$operator));
                })*
                None
            }

            /// Which values pass, as far as an index can know it.
            pub(crate) fn hint(&self) -> Hinted<'_> {
                match self {
                    Self::Literal(literal) => literal.hint(),
                    $(Self::$operator(operator) => operator.hint()),*
                }
            }

            /// The other paths whose values it looks at.
            pub(crate) fn paths(&self, tell: &mut dyn FnMut(&str)) {
                match self {
                    Self::Literal(_) => {}
                    $(Self::$operator(operator) => operator.paths(tell)),*
                }
            }

            /// How many tests of a value it stands for.
            pub(crate) fn tests(&self) -> usize {
                match self {
                    Self::Literal(_) => 1,
                    $(Self::$operator(operator) => operator.tests()),*
                }
            }

            /// Whether a value of the event passes.
            pub(crate) fn accepts(&self, value: Value<'_>, around: &dyn Surroundings) -> bool {
                match self {
                    Self::Literal(literal) => literal.accepts(value),
                    $(Self::$operator(operator) => operator.accepts(value, around)),*
                }
            }

            /// What it is after, if that can be said in one text or range.
            pub(crate) fn aim(&self) -> Option<Aim<'_>> {
                match self {
                    Self::Literal(literal) => literal.aim(),
                    $(Self::$operator(operator) => operator.aim()),*
                }
            }

            /// What it is made of, to say which part of it fails.
            pub(crate) fn makeup(&self) -> Makeup<'_> {
                match self {
                    Self::Literal(_) => Makeup::Itself,
                    $(Self::$operator(operator) => operator.makeup()),*
                }
            }

            /// What a string that it refuses is to it, if more can be said than that it is refused.
            pub(crate) fn reading(&self, text: &str) -> Option<Reading> {
                match self {
                    Self::Literal(_) => None,
                    $(Self::$operator(operator) => operator.reading(text)),*
                }
            }

            /// Whether a string that it refuses differs from what passes only in case, as far as one may afford to know.
            pub(crate) fn accepts_but_for_case(&self, text: &str, afford: &dyn Fn(usize) -> bool) -> bool {
                match self {
                    Self::Literal(_) => false,
                    $(Self::$operator(operator) => operator.accepts_but_for_case(text, afford)),*
                }
            }
        }

        impl Display for Matcher {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    Self::Literal(literal) => literal.fmt(f),
                    $(Self::$operator(operator) => operator.fmt(f)),*
                }
            }
        }
    };
}

operators! {
    anything_but::AnythingBut,
    cidr::Cidr,
    equals_ignore_case::EqualsIgnoreCase,
    exactly::Exactly,
    exists::Exists,
    numeric::Numeric,
    prefix::Prefix,
    suffix::Suffix,
    wildcard::Wildcard;

    all_of::AllOf,
    compare_field::CompareField,
    contains_all::ContainsAll,
    regex::Regex,
    semver::Semver,
    time_of_day::TimeOfDay,
    time_window::TimeWindow
}

/// What a test of a value is after: how near a value came is measured by it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Aim<'a> {
    /// This string.
    Whole(&'a str),
    /// A string that begins like this.
    Start(&'a str),
    /// A string that ends like this.
    End(&'a str),
    /// A number not below the first and not above the second.
    Between(Option<f64>, Option<f64>),
}

/// What a test is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Makeup<'m> {
    /// No other tests.
    Itself,
    /// Lists of tests: the value must pass one of each.
    EachOf(Vec<&'m [Matcher]>),
    /// Tests of which each must be passed by some value of the field.
    Among(&'m [Matcher]),
    /// A relation in which the value must stand to one of another field, by its path.
    Related(Relation, &'m str),
}

/// What a string is to a test that refuses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// What comes behind "is": `no version`, `2 minutes too early`.
    pub(crate) is: String,
    /// Whether that is nearly what is wanted.
    pub(crate) near: bool,
}

impl Reading {
    fn far(is: impl Into<String>) -> Option<Self> {
        Some(Self { is: is.into(), near: false })
    }

    fn near(is: impl Into<String>) -> Option<Self> {
        Some(Self { is: is.into(), near: true })
    }

    /// A bound that does not count itself.
    fn bound() -> Option<Self> {
        Self::near("the bound itself, which does not count")
    }
}

impl Matcher {
    /// Reads one element of a field's list.
    pub(crate) fn parse(node: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        match &node.value {
            Tree::Scalar(scalar) => Ok(Self::Literal(Literal::new(scalar))),
            Tree::Object(members) => {
                let (name, argument) = only_member(members, node, place)?;
                Self::operator(name, argument, place).unwrap_or_else(|| Err(unknown(name, node, place)))
            }
            Tree::List(_) => Err(place.error(
                node,
                "a list inside a list".to_owned(),
                "list the values themselves: strings, numbers, true, false, null or operators",
            )),
        }
    }

    /// Whether it asks that the field be absent, which no value can satisfy.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Exists(exists) if !exists.wanted())
    }
}

impl Allowance {
    /// What one pattern may use.
    pub(crate) fn new() -> Self {
        Self { regexes: Cell::new(regex::MAX_REGEXES) }
    }
}

impl<'a> Place<'a> {
    pub(crate) fn new(path: &'a str, allowance: &'a Allowance) -> Self {
        Self { path, allowance, in_contains_all: false }
    }

    fn error(self, node: &Node<'_>, problem: String, remedy: impl Into<String>) -> PatternError {
        PatternError::new(self.path, node.at, problem, remedy)
    }

    /// The operator `O` was given something it does not take.
    fn wrong<O: Operator>(self, argument: &Node<'_>, problem: impl Display) -> PatternError {
        self.error(argument, format!("{} {problem}", O::NAME), format!("write {}", O::EXAMPLE))
    }

    /// The argument of `O`, which must be a string.
    fn string<'n, O: Operator>(self, argument: &'n Node<'_>) -> Result<&'n str, PatternError> {
        argument
            .as_str()
            .ok_or_else(|| self.wrong::<O>(argument, format_args!("takes a string, not {}", argument.kind())))
    }

    /// What `O` (a prefix or suffix) is told to ignore the case of: `{"equals-ignore-case": "…"}`.
    fn ignoring_case<'n, O: Operator>(self, argument: &'n Node<'_>) -> Result<Option<&'n str>, PatternError> {
        let Tree::Object(members) = &argument.value else { return Ok(None) };
        match members.as_slice() {
            [(name, text)] if name == equals_ignore_case::EqualsIgnoreCase::NAME => self.string::<O>(text).map(Some),
            _ => Err(self.wrong::<O>(argument, "takes a string, or an object with equals-ignore-case alone")),
        }
    }
}

/// Tests one after another, for messages; in parentheses what would read wrongly without.
fn joined(tests: &[impl Display], conjunction: &str) -> String {
    let in_parentheses = |test: String| {
        let compound = tests.len() > 1 && [" and ", " or "].iter().any(|word| test.contains(word));
        if compound { format!("({test})") } else { test }
    };
    tests.iter().map(|test| in_parentheses(test.to_string())).collect::<Vec<_>>().join(conjunction)
}

fn only_member<'n, 'a>(
    members: &'n [(String, Node<'a>)],
    node: &Node<'_>,
    place: Place<'_>,
) -> Result<(&'n str, &'n Node<'a>), PatternError> {
    match members {
        [(name, argument)] => Ok((name, argument)),
        _ => Err(place.error(
            node,
            format!("an operator is an object with one key, this one has {}", members.len()),
            format!("give each operator its own object; expected one of {}", OPERATORS.join(", ")),
        )),
    }
}

fn unknown(name: &str, node: &Node<'_>, place: Place<'_>) -> PatternError {
    let distance = |known: &str| if same_name(name, known) { Some(0) } else { edits(name, known) };
    let meant = OPERATORS.iter().filter_map(|known| Some((distance(known)?, *known))).min();
    let remedy = match meant {
        Some((_, meant)) => format!("did you mean {meant}?"),
        None => format!("expected one of {}", OPERATORS.join(", ")),
    };
    place.error(node, format!("there is no operator {:?}", cut(name)), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_every_operator_is_one() {
        let allowance = Allowance::new();
        let place = Place::new("field", &allowance);
        for name in OPERATORS {
            let number = Node::read("{}").unwrap();
            let error = Matcher::operator(name, &number, place).unwrap().unwrap_err();
            let example = error.remedy().strip_prefix("write ").unwrap();
            let node = Node::read(example).unwrap();
            assert!(Matcher::parse(&node, place).is_ok(), "{example}");
            assert!(example.starts_with(&format!("{{\"{name}\"")), "{example}");
        }
    }

    #[test]
    fn what_is_not_an_operator_is_told_what_is() {
        for (pattern, said) in [
            (r#"{"glob": "x"}"#, "there is no operator \"glob\"; expected one of anything-but, cidr, "),
            (r#"{"prefx": "x"}"#, "there is no operator \"prefx\"; did you mean prefix?"),
            (r#"{"Prefix": "x"}"#, "there is no operator \"Prefix\"; did you mean prefix?"),
            (r#"{"equals_ignore_case": "x"}"#, "; did you mean equals-ignore-case?"),
            (r"{}", "this one has 0"),
            (r#"{"prefix": "a", "suffix": "b"}"#, "this one has 2"),
            (r"[1]", "a list inside a list"),
        ] {
            let error = Matcher::parse(&Node::read(pattern).unwrap(), Place::new("a.b", &Allowance::new()))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("a.b: ") && error.contains(said), "{error}");
        }
    }

    #[test]
    fn operators_are_displayed_as_they_are_explained() {
        for (pattern, displayed) in [
            (r#"{"all-of": [{"prefix": "a"}, {"exists": true}]}"#, r#"prefix "a" and any value"#),
            (
                r#"{"all-of": [["a", "b"], {"semver": [">=", "v1.0", "<", "2-rc"]}]}"#,
                r#"("a" or "b") and (version >= 1.0 and < 2-rc)"#,
            ),
            (r#"{"all-of": [{"anything-but": ["a", "b"]}, 1]}"#, r#"(anything but "a" or "b") and 1"#),
            (r#"{"compare-field": ["!=", "a.b"]}"#, "!= the value of a.b"),
            (r#"{"contains-all": ["a"]}"#, r#"among its values "a""#),
            (r#"{"contains-all": ["a", {"regex": ["b+"]}]}"#, r#"among its values each of "a", regex "b+""#),
            (r#"{"time-window": ["=", "2026-11-01T00:00:00Z"]}"#, "time = 2026-11-01T00:00:00Z"),
            (r#"{"time-of-day": {"from": "22:00", "to": "06:00"}}"#, "time from 22:00 to 06:00 at Z"),
            (r#"{"time-of-day": {"days": ["sun", "fri"], "offset": "+01:00"}}"#, "time on fri, sun at +01:00"),
            (r#"{"numeric": [">", 0, "<=", 5]}"#, "numeric > 0 and <= 5"),
        ] {
            let matcher =
                Matcher::parse(&Node::read(pattern).unwrap(), Place::new("field", &Allowance::new())).unwrap();
            assert_eq!(matcher.to_string(), displayed, "{pattern}");
        }
    }
}

//! Tests of which one must accept a value. Of many strings it takes one look to say whether a value is among them.

use super::literal::Literal;
use super::{Matcher, joined};
use crate::table::{Key, Table};
use crate::value::{Surroundings, Value};
use std::fmt::{Debug, Display, Formatter, Result};
use std::ops::Deref;
use std::sync::Arc;

/// The tests, in the order in which they are written.
#[derive(Clone)]
pub(crate) struct AnyOf {
    tests: Arc<[Matcher]>,
    /// How they are made, if there are many strings among them.
    sorted: Option<Arc<Sorted>>,
}

struct Sorted {
    strings: Table,
    others: Box<[Matcher]>,
}

/// So many strings are compared one by one.
const FEW: usize = 8;

impl AnyOf {
    #[inline]
    pub(crate) fn accepts(&self, value: Value<'_>, around: &dyn Surroundings) -> bool {
        match &self.sorted {
            None => self.tests.iter().any(|test| test.accepts(value, around)),
            Some(sorted) => sorted.accepts(value, around),
        }
    }

    /// How many steps it takes to test a value.
    pub(crate) fn steps(&self) -> usize {
        self.sorted.as_ref().map_or(self.tests.len(), |sorted| 1 + sorted.others.len()).max(1)
    }
}

impl Sorted {
    fn accepts(&self, value: Value<'_>, around: &dyn Surroundings) -> bool {
        value.as_string().is_some_and(|text| self.strings.get_or(0, &Key::of(text)) == 1)
            || self.others.iter().any(|test| test.accepts(value, around))
    }
}

impl From<Vec<Matcher>> for AnyOf {
    fn from(tests: Vec<Matcher>) -> Self {
        let string = |test: &Matcher| match test {
            Matcher::Literal(Literal::String(text)) => Some(text.clone()),
            _ => None,
        };
        let strings: Vec<Box<str>> = tests.iter().filter_map(string).collect();
        let sorted = (strings.len() > FEW).then(|| {
            let strings = Table::new(strings.iter().map(|text| (text.as_bytes(), 1)));
            let others = tests.iter().filter(|test| string(test).is_none()).cloned().collect();
            Arc::new(Sorted { strings, others })
        });
        Self { tests: tests.into(), sorted }
    }
}

impl Deref for AnyOf {
    type Target = [Matcher];

    fn deref(&self) -> &[Matcher] {
        &self.tests
    }
}

impl PartialEq for AnyOf {
    fn eq(&self, other: &Self) -> bool {
        self.tests == other.tests
    }
}

impl Display for AnyOf {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(&joined(&self.tests, " or "))
    }
}

impl Debug for AnyOf {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.tests.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::{Allowance, Place};
    use crate::tree::Node;
    use crate::value::Nothing;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn many_tests_accept_what_one_of_them_does(
            tests in proptest::collection::vec(
                "\"[ab]{0,2}\"|\"[ab]{15,18}\"|[0-2]|\"10\\.0\\.0\\.[0-2]\"|true|\\{\"prefix\": \"[ab]{2}\"\\}",
                0..30,
            ),
            texts in proptest::collection::vec("[ab]{0,3}|[ab]{15,18}|10\\.0\\.0\\.0?[0-2]", 1..20),
        ) {
            let parse = |text: &String| Matcher::parse(&Node::read(text).unwrap(), Place::new("", &Allowance::new()));
            let tests: Vec<Matcher> = tests.iter().map(|text| parse(text).unwrap()).collect();
            let any_of = AnyOf::from(tests.clone());
            let strings = tests.iter().filter(|test| matches!(test, Matcher::Literal(Literal::String(_)))).count();
            let expected = if strings > FEW { 1 + tests.len() - strings } else { tests.len().max(1) };
            prop_assert_eq!(any_of.steps(), expected);
            let numbers = ["0", "1", "3"].map(|text| Value::Number { text: text.as_bytes(), value: text.parse().ok() });
            for value in texts.iter().map(|text| Value::String(text.as_bytes())).chain(numbers).chain([Value::Bool(true)]) {
                let expected = tests.iter().any(|test| test.accepts(value, &Nothing));
                prop_assert_eq!(any_of.accepts(value, &Nothing), expected, "{:?}", value);
            }
        }
    }
}

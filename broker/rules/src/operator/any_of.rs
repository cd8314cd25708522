//! Tests of which one must accept a value. Of many strings, and of many addresses, it takes a look or two to say whether a
//! value is among them.

use super::literal::Literal;
use super::{Matcher, joined};
use crate::address::{Address, AddressRange};
use crate::table::{Key, Table};
use crate::value::{Surroundings, Value};
use std::fmt::{Debug, Display, Formatter, Result};
use std::ops::Deref;
use std::sync::Arc;

/// The tests, in the order in which they are written.
#[derive(Clone)]
pub(crate) struct AnyOf {
    tests: Arc<[Matcher]>,
    /// The same in another form, if there are many strings among them.
    sorted: Option<Arc<Sorted>>,
}

struct Sorted {
    strings: Table,
    /// By their bytes. An IPv6 address that begins like an IPv4 one is the same to the reference.
    addresses: Table,
    others: Box<[Matcher]>,
}

/// So many strings and addresses are compared one by one.
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
        let is_in = |table: &Table, key: &[u8]| table.get_or(0, &Key::of(key)) == 1;
        let is_address = |text| match Address::parse(text) {
            Some(Address::V4(bits)) => is_in(&self.addresses, &bits.to_be_bytes()),
            Some(Address::V6(bits)) => {
                let bytes = bits.to_be_bytes();
                is_in(&self.addresses, &bytes) || is_in(&self.addresses, &bytes[..4])
            }
            None => false,
        };
        value.as_string().is_some_and(|text| is_in(&self.strings, text))
            || (!self.addresses.is_empty() && value.as_str().is_some_and(is_address))
            || self.others.iter().any(|test| test.accepts(value, around))
    }
}

impl From<Vec<Matcher>> for AnyOf {
    fn from(tests: Vec<Matcher>) -> Self {
        let (mut strings, mut addresses, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for test in &tests {
            match test {
                Matcher::Literal(Literal::String(text)) => strings.push((text.as_bytes(), 1)),
                Matcher::Literal(Literal::Address { range, .. }) => addresses.push((bytes_of(range), 1)),
                other => others.push(other.clone()),
            }
        }
        let sorted = (strings.len() + addresses.len() > FEW).then(|| {
            let (strings, addresses) = (Table::new(strings), Table::new(addresses));
            Arc::new(Sorted { strings, addresses, others: others.into() })
        });
        Self { tests: tests.into(), sorted }
    }
}

/// The one address of a range: there is an IPv4 one in it only if it is that.
fn bytes_of(range: &AddressRange) -> Vec<u8> {
    match range.v4() {
        Some((address, _)) => address.to_be_bytes().into(),
        None => range.v6().0.to_be_bytes().into(),
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
                "\"[ab]{0,2}\"|\"[ab]{15,18}\"|[0-2]|\"10\\.0\\.0\\.[0-2]\"|\"a00:[01]::1\"|true|\\{\"prefix\": \"[ab]{2}\"\\}",
                0..30,
            ),
            texts in proptest::collection::vec("[ab]{0,3}|[ab]{15,18}|10\\.0\\.0\\.0?[0-2]|a00:[0-2]::0?[12]", 1..20),
        ) {
            let parse = |text: &String| Matcher::parse(&Node::read(text).unwrap(), Place::new("", &Allowance::new()));
            let tests: Vec<Matcher> = tests.iter().map(|text| parse(text).unwrap()).collect();
            let any_of = AnyOf::from(tests.clone());
            let is_string = |test: &&Matcher| matches!(test, Matcher::Literal(Literal::String(_) | Literal::Address { .. }));
            let strings = tests.iter().filter(is_string).count();
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

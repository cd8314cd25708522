//! `semver`: a string that is a version, compared as one: `14.10` is later than `14.9`, `2.0-beta` earlier than `2.0`.
//!
//! More is a version here than in SemVer 2.0.0: what operating systems and applications call one has from one to eight
//! parts and perhaps a leading `v`. How those before a release are ordered is taken from there.

use super::range::{Bound, Range};
use super::{Operator, Place, Reading};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted};
use crate::shown::cut;
use crate::tree::Node;
use crate::value::{Surroundings, Value};
use std::cmp::Ordering;

/// How many numbers a version may have.
const MAX_PARTS: usize = 8;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Semver(Range<Version<Box<str>>>);

/// `14.2.1-beta.3`, by its two halves. Its parts are read anew for each comparison, so that none has to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version<S> {
    /// One to eight numbers of any length, with dots between.
    release: S,
    /// One or more words with dots between; empty for the release itself.
    prerelease: S,
}

impl Operator for Semver {
    const NAME: &'static str = "semver";
    const EXAMPLE: &'static str = r#"{"semver": [">=", "14.2", "<", "15"]}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        Range::parse::<Self>(argument, place).map(Self)
    }

    fn hint(&self) -> Hinted<'_> {
        Hint::String.perhaps()
    }

    fn accepts(&self, value: Value<'_>, _: &dyn Surroundings) -> bool {
        let Some(version) = value.as_str().and_then(Version::parse) else { return false };
        self.0.contains(|bound| version.order(&bound.borrowed()))
    }

    fn reading(&self, text: &str) -> Option<Reading> {
        let Some(version) = Version::parse(text) else {
            return Reading::far("no version, which is numbers with dots between: 14.2, v1.0.3 or 2.0-beta");
        };
        if self.0.is_bound(|bound| version.order(&bound.borrowed())) {
            return Reading::bound();
        }
        let (bound, how) = match (self.0.low(), self.0.high()) {
            (Some((low, _)), _) if version.order(&low.borrowed()).is_lt() => (low, "earlier"),
            (_, Some((high, _))) => (high, "later"),
            _ => return None,
        };
        let near = by_number(version.first(), bound.borrowed().first()).is_eq();
        Some(Reading { is: format!("{how} than {bound}"), near })
    }
}

impl Bound for Version<Box<str>> {
    fn parse<O: Operator>(node: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let Some(text) = node.as_str() else {
            return Err(place.wrong::<O>(node, format_args!("compares with a string, not {}", node.kind())));
        };
        match Version::parse(text) {
            Some(Version { release, prerelease }) => {
                Ok(Self { release: release.into(), prerelease: prerelease.into() })
            }
            None => Err(place.wrong::<O>(node, format_args!("compares with versions, {:?} is none", cut(text)))),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        self.borrowed().order(&other.borrowed())
    }
}

impl Version<Box<str>> {
    fn borrowed(&self) -> Version<&str> {
        Version { release: &self.release, prerelease: &self.prerelease }
    }
}

impl<'a> Version<&'a str> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let text = match text.split_once('+') {
            Some((version, build)) if are_words(build) => version,
            Some(_) => return None,
            None => text,
        };
        let (release, prerelease) = match text.split_once('-') {
            Some((release, prerelease)) if are_words(prerelease) => (release, prerelease),
            Some(_) => return None,
            None => (text, ""),
        };
        let are_numbers = release.split('.').all(is_number) && release.split('.').count() <= MAX_PARTS;
        are_numbers.then_some(Self { release, prerelease })
    }

    /// Its first number.
    fn first(&self) -> &'a str {
        self.release.split('.').next().unwrap_or_default()
    }

    fn order(&self, other: &Self) -> Ordering {
        let mut order = Ordering::Equal;
        let (mut ours, mut theirs) = (self.release.split('.'), other.release.split('.'));
        for _ in 0..MAX_PARTS {
            order = order.then_with(|| by_number(ours.next().unwrap_or("0"), theirs.next().unwrap_or("0")));
        }
        order.then_with(|| by_precedence(self.prerelease, other.prerelease))
    }
}

fn are_words(text: &str) -> bool {
    text.split('.').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Decimal digits by the number they are, however many.
fn by_number(one: &str, other: &str) -> Ordering {
    let (one, other) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

/// SemVer 2.0.0, clause 11: the release is last; word by word, numbers before others; the longer list last.
fn by_precedence(one: &str, other: &str) -> Ordering {
    if one.is_empty() || other.is_empty() {
        return one.is_empty().cmp(&other.is_empty());
    }
    let (mut ours, mut theirs) = (one.split('.'), other.split('.'));
    loop {
        let order = match (ours.next(), theirs.next()) {
            (Some(one), Some(other)) => match (is_number(one), is_number(other)) {
                (true, true) => by_number(one, other),
                (false, false) => one.cmp(other),
                (one, other) => other.cmp(&one),
            },
            (None, None) => return Ordering::Equal,
            (one, other) => one.is_some().cmp(&other.is_some()),
        };
        if order.is_ne() {
            return order;
        }
    }
}

impl std::fmt::Display for Version<Box<str>> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dash = if self.prerelease.is_empty() { "" } else { "-" };
        write!(f, "{}{dash}{}", self.release, self.prerelease)
    }
}

impl std::fmt::Display for Semver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "version {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_ordered() {
        let ascending = [
            "0",
            "v1.0.0-0",
            "1-1",
            "1.0-2",
            "1.0.0-10",
            "1.0.0--",
            "1.0.0-1a",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.0.0.0.0.0.1",
            "1.9",
            "V1.10",
            "14.2",
            "014.10",
            "131.0.6778.85",
            "131.0.6778.86+build.7",
            "18446744073709551616",
            "99999999999999999999999999999999999999999",
        ];
        for (low, one) in ascending.iter().enumerate() {
            for (high, other) in ascending.iter().enumerate() {
                let (a, b) = (Version::parse(one).unwrap(), Version::parse(other).unwrap());
                assert_eq!(a.order(&b), low.cmp(&high), "{one} {other}");
            }
        }
        for (one, other) in [("1", "v1.0.0"), ("1.0+a", "1+b"), ("1-01", "1-1"), ("07", "7.0.0.0.0.0.0.0")] {
            let (one, other) = (Version::parse(one).unwrap(), Version::parse(other).unwrap());
            assert!(one.order(&other).is_eq(), "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_only_resembles_a_version_is_none() {
        for text in [
            "",
            "v",
            "vv1",
            ".",
            "1.",
            ".1",
            "1..2",
            "1.x",
            "x",
            "-1",
            "+1",
            "1-",
            "1+",
            "1-a..b",
            "1-a.",
            "1-ä",
            "1+a+b",
            "1 ",
            " 1",
            "14.5 (23F79)",
            "1_0",
            "1,5",
            "1.2.3.4.5.6.7.8.9",
            "١",
            "1.0b1",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_release_is_the_list_of_its_numbers(
            one in proptest::collection::vec(0..12_u64, 1..=8),
            other in proptest::collection::vec(0..12_u64, 1..=8),
        ) {
            let text = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".");
            let padded = |numbers: &[u64]| [numbers, &vec![0; 8 - numbers.len()]].concat();
            let order = Version::parse(&text(&one)).unwrap().order(&Version::parse(&text(&other)).unwrap());
            prop_assert_eq!(order, padded(&one).cmp(&padded(&other)));
        }

        #[test]
        fn what_is_displayed_is_read_as_the_same(text in "[vV]?[0-9]{1,3}(\\.[0-9]{1,3}){0,7}(-[0-9a-c-]{1,3}(\\.[0-9a-c]{1,2}){0,2})?(\\+[a-z0-9]{1,3})?") {
            let Version { release, prerelease } = Version::parse(&text).unwrap();
            let owned = Version::<Box<str>> { release: release.into(), prerelease: prerelease.into() };
            let displayed = owned.to_string();
            prop_assert_eq!(Version::parse(&displayed), Some(owned.borrowed()));
        }

        #[test]
        fn order_is_an_order_and_nothing_panics(texts in proptest::array::uniform3("v?[0-9.]{0,6}(-[0-9a.-]{0,4})?|\\PC{0,8}")) {
            let versions: Vec<_> = texts.iter().filter_map(|text| Version::parse(text)).collect();
            if let [a, b, c] = versions.as_slice() {
                prop_assert_eq!(a.order(b), b.order(a).reverse());
                if a.order(b).is_le() && b.order(c).is_le() {
                    prop_assert!(a.order(c).is_le());
                }
            }
        }
    }
}

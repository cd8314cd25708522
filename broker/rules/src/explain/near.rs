//! How near a field came that did not match: the slips people make, recognised.
//!
//! Nothing here knows the operators; of those that are made of other tests, `made` tells which of these fail. A test that
//! refuses a value is asked again of the value as it might have been meant: without white space, as another type, in
//! another case. What a test is after, where it says so, is held against the value.

use super::made;
use super::shape::{Leaf, Shape, Tests};
use super::text::{holding, ignoring_case};
use crate::alike::{common_end, common_start, edits, edits_at_end, edits_at_start};
use crate::case::CaseFree;
use crate::compile::Field;
use crate::operator::{Aim, Makeup, Matcher, Reading};
use crate::scalar::Scalar;
use crate::shown::{cut, is_short};
use crate::value::{Surroundings, Value};

/// How many hints a field has at most.
pub(super) const MAX_HINTS: usize = 3;
/// How many names a hint lists at most.
pub(super) const MAX_NAMES: usize = 5;
/// Texts longer than this, in bytes, are not compared for slips.
pub(super) const MAX_COMPARED: usize = 4_096;

/// Why a field that did not match nearly did, or what may have been meant. Texts are cut to 120 characters.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum NearMiss {
    /// Upper and lower case differ, and nothing else does.
    Case {
        /// What is wanted: the text; the operator as it is displayed where `part` is nothing.
        expected: String,
        /// The value.
        found: String,
        /// Which part of the value is compared; nothing for an operator that wants no one text.
        part: Option<Part>,
        /// What would match whatever the case, if there is such an operator and the text is not too long to be told.
        write: Option<String>,
    },
    /// White space around the value, or around what is wanted.
    WhiteSpace {
        /// What is wanted, as it is displayed.
        expected: String,
        /// The value.
        found: String,
    },
    /// It would match if it were of another type: `"300"` is not `300`.
    Type {
        /// The value.
        found: String,
        /// What it is: a string, a number, a boolean, null.
        is: &'static str,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// A slip or two of typing away.
    Edits {
        /// What is wanted.
        expected: String,
        /// The value.
        found: String,
        /// How many characters are put in, left out, replaced or swapped with their neighbour; one or two.
        edits: usize,
        /// Which part of the value is compared.
        part: Part,
    },
    /// The value has what is wanted in it, with more around it.
    Inside {
        /// What is wanted.
        expected: String,
        /// The value.
        found: String,
        /// Where in the value it is; `Whole` for neither beginning nor end.
        part: Part,
        /// What would match with any text around it, if the text is not too long to be told.
        write: Option<String>,
    },
    /// Both begin, or end, with the same characters.
    Alike {
        /// What is wanted.
        expected: String,
        /// The value.
        found: String,
        /// How many characters are the same; three at least.
        characters: usize,
        /// `Start` or `End`.
        part: Part,
    },
    /// A number that misses its bound.
    Number {
        /// The value.
        found: String,
        /// What is wanted.
        expected: String,
        /// By how much; 0 for a bound that does not count itself.
        by: f64,
        /// Whether that is little: no more than a tenth of the bound.
        little: bool,
    },
    /// Of the values that the field must have beside each other, some are not there.
    Among {
        /// How many are there.
        found: usize,
        /// How many there should be.
        wanted: usize,
        /// Those that are not, as they are displayed; at most five.
        missing: Vec<String>,
    },
    /// A value meets some of the conditions that it must meet together.
    Conditions {
        /// The value.
        found: String,
        /// How many it meets; one at least.
        met: usize,
        /// How many there are.
        of: usize,
        /// Those that it does not meet, as they are displayed; at most five.
        unmet: Vec<String>,
    },
    /// What the value of another field is, that the value was compared with.
    Compared {
        /// The value.
        found: String,
        /// How it should stand to the others, such as `<`.
        relation: &'static str,
        /// The other field.
        path: String,
        /// Its values, as far as they count for this one; at most five.
        values: Vec<String>,
        /// Whether there are more.
        more: bool,
    },
    /// The field that the value is compared with has no value.
    NothingToCompare {
        /// The value.
        found: String,
        /// The other field.
        path: String,
        /// Whether it has one, but in another element of an array.
        elsewhere: bool,
        /// Similar paths that the event has, at most three.
        meant: Vec<String>,
    },
    /// What a value is to a test that takes strings for more than text: a version, a point in time, or none.
    Reading {
        /// The value, as it is displayed.
        found: String,
        /// What it is, such as `no version, which is …` or `2 hours too early`.
        is: String,
        /// Whether that is little, such as less than a day.
        near: bool,
    },
    /// The path leads to an object, and an object is no value.
    Object {
        /// What it has, at most five.
        fields: Vec<String>,
        /// Paths below it whose value would match, at most three.
        meant: Vec<String>,
    },
    /// It must be absent, and no field that is sorted before it came through its array: so from each element.
    AbsentFromEach {
        /// The first field behind it that does.
        later: String,
    },
    /// The path leads to an empty list, which is no value.
    EmptyList,
    /// The path leads on below a plain value.
    NotAnObject {
        /// The path of that value.
        at: String,
        /// What it is: a string, a number, a boolean, null.
        is: &'static str,
    },
    /// The way to the field ends.
    NoSuchField {
        /// How far the event has it; empty if not at all.
        there: String,
        /// Similar paths that it has, at most three.
        meant: Vec<String>,
    },
    /// No recent event had this path either: the rule may be mistyped rather than the event odd.
    NeverSeen {
        /// How many events that is said of.
        events: usize,
        /// Similar paths that they had, at most three.
        meant: Vec<String>,
    },
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its beginning.
    Start,
    /// Its end.
    End,
}

impl NearMiss {
    /// Whether it makes a field a near miss. A number far off, or a missing field that nothing resembles, is explained
    /// but not near.
    pub fn is_near(&self) -> bool {
        match self {
            Self::Number { little, .. } => *little,
            Self::Reading { near, .. } => *near,
            Self::Among { found, wanted, .. } => found * 2 >= *wanted,
            // One of two conditions is soon met: that it should be no other value, or on one side of a range.
            Self::Conditions { met, of, .. } => met * 2 > *of,
            Self::Object { meant, .. } | Self::NoSuchField { meant, .. } | Self::NothingToCompare { meant, .. } => {
                !meant.is_empty()
            }
            Self::Compared { .. }
            | Self::AbsentFromEach { .. }
            | Self::EmptyList
            | Self::NotAnObject { .. }
            | Self::NeverSeen { .. } => false,
            _ => true,
        }
    }

    /// The likelier slips first.
    pub(super) fn rank(&self) -> usize {
        match self {
            Self::Type { .. } | Self::Among { .. } => 0,
            Self::Case { .. } | Self::WhiteSpace { .. } => 1,
            Self::Edits { edits, .. } => 1 + edits,
            Self::Compared { .. } | Self::NothingToCompare { .. } | Self::Conditions { .. } => 3,
            Self::Inside { .. } => 4,
            Self::Number { little: true, .. } | Self::Reading { near: true, .. } => 5,
            Self::Alike { .. } => 6,
            _ => 7,
        }
    }
}

/// How near the values of a field came: for each value the likeliest slip, and what was not met where several are.
pub(super) fn misses_of_values(field: &Field, leaves: &[Leaf<'_>], shape: &Shape<'_>, tests: &Tests) -> Vec<NearMiss> {
    let mut misses: Vec<NearMiss> = Vec::new();
    for matcher in field.matchers.iter() {
        if let Makeup::Among(wanted) = matcher.makeup() {
            misses.extend(made::among(wanted, leaves, shape, tests));
        }
    }
    for leaf in leaves {
        let found = made::Found { leaf, shape, tests };
        let (mut near, mut told) = (None, None);
        for matcher in field.matchers.iter().take_while(|_| found.spend()) {
            let (slip, made) = found.held_against(matcher);
            if tests.are_over() {
                break;
            }
            near = near.into_iter().chain(slip).min_by_key(NearMiss::rank);
            told = told.or(made);
        }
        for miss in near.into_iter().chain(told) {
            if !misses.contains(&miss) {
                misses.push(miss);
            }
        }
        if tests.are_over() {
            break;
        }
    }
    misses.sort_by_key(NearMiss::rank);
    misses.truncate(MAX_HINTS);
    misses
}

/// How near a value came to one test, whatever that is made of.
pub(super) fn miss(matcher: &Matcher, found: &Scalar<'_>, around: &dyn Surroundings) -> Option<NearMiss> {
    let accepts = |value: Value<'_>| matcher.accepts(value, around);
    // What takes any odd text refuses some values, and no other value is any nearer.
    if accepts(Value::String("\u{fffd}\u{1}".as_bytes())) {
        return None;
    }
    other_type(found, &accepts).or_else(|| match found {
        Scalar::String(text) if text.len() <= MAX_COMPARED => {
            let reading = || matcher.reading(text);
            let read = |Reading { is, near }| NearMiss::Reading { found: cut(&found.to_string()), is: cut(&is), near };
            of_text(matcher, text, &accepts).or_else(|| reading().map(read))
        }
        // What reads strings as something reads nothing else.
        Scalar::Null | Scalar::Bool(_) | Scalar::Number { .. } if matcher.reading("").is_some() => {
            let is = format!("{}, and what is wanted is a string", found.kind());
            Some(NearMiss::Reading { found: cut(&found.to_string()), is, near: false })
        }
        Scalar::Number { value, .. } => miss_of_number(matcher.aim()?, found, *value, cut(&matcher.to_string())),
        _ => None,
    })
}

pub(super) fn other_type(found: &Scalar<'_>, accepts: &dyn Fn(Value<'_>) -> bool) -> Option<NearMiss> {
    let as_text = |text: &str| accepts(Value::String(text.as_bytes())).then_some("a string");
    let wanted = match found {
        Scalar::String(text) => {
            let text = text.trim();
            let is_number = serde_json::from_str::<serde_json::Number>(text).is_ok();
            let meant = match text.to_ascii_lowercase().as_str() {
                "true" => Some(Scalar::Bool(true)),
                "false" => Some(Scalar::Bool(false)),
                "null" => Some(Scalar::Null),
                _ => is_number.then(|| Scalar::number(text)),
            };
            meant.filter(|meant| accepts(meant.as_value())).map(|meant| meant.kind())
        }
        Scalar::Number { text, .. } => as_text(text),
        Scalar::Bool(bool) => as_text(if *bool { "true" } else { "false" }),
        Scalar::Null => as_text("null"),
    }?;
    Some(NearMiss::Type { found: cut(&found.to_string()), is: found.kind(), wanted })
}

fn of_text(matcher: &Matcher, found: &str, accepts: &dyn Fn(Value<'_>) -> bool) -> Option<NearMiss> {
    let accepts = |text: &str| accepts(Value::String(text.as_bytes()));
    let (wanted, part) = match matcher.aim() {
        Some(Aim::Whole(text)) => (Some(text), Part::Whole),
        Some(Aim::Start(text)) => (Some(text), Part::Start),
        Some(Aim::End(text)) => (Some(text), Part::End),
        _ => (None, Part::Whole),
    };
    let wanted = wanted.filter(|wanted| !wanted.is_empty() && wanted.len() <= MAX_COMPARED);
    let displayed = || cut(&matcher.to_string());
    let (lower, upper) = (found.to_lowercase(), found.to_uppercase());
    let but_for_case = wanted.is_some_and(|wanted| fits(&wanted.to_lowercase(), &lower, part));
    if but_for_case || accepts(&lower) || accepts(&upper) {
        let expected = wanted.map_or_else(displayed, cut);
        let would_do = wanted.filter(|wanted| is_short(wanted) && fits_but_for_case(wanted, found, part));
        let write = would_do.map(|wanted| ignoring_case(wanted, part));
        return Some(NearMiss::Case { expected, found: cut(found), part: wanted.map(|_| part), write });
    }
    let bare = found.trim();
    let bare_wanted = wanted.map(str::trim).filter(|wanted| !wanted.is_empty());
    if (bare != found && accepts(bare)) || bare_wanted.is_some_and(|wanted| fits(wanted, bare, part)) {
        return Some(NearMiss::WhiteSpace { expected: displayed(), found: cut(found) });
    }
    let wanted = wanted?;
    let (expected, found_text) = (cut(wanted), cut(found));
    // What ignores case is compared without it.
    let (low, high) = (wanted.to_lowercase(), wanted.to_uppercase());
    let (one, other) = if accepts(&low) && accepts(&high) { (low.as_str(), lower.as_str()) } else { (wanted, found) };
    let edits = match part {
        Part::Whole => edits(one, other),
        Part::Start => edits_at_start(one, other),
        Part::End => edits_at_end(one, other),
    };
    if let Some(edits) = edits {
        return Some(NearMiss::Edits { expected, found: found_text, edits, part });
    }
    if wanted.chars().nth(1).is_some() && found.contains(wanted) {
        let part = match () {
            () if found.starts_with(wanted) => Part::Start,
            () if found.ends_with(wanted) => Part::End,
            () => Part::Whole,
        };
        let write = is_short(wanted).then(|| holding(wanted, part));
        return Some(NearMiss::Inside { expected, found: found_text, part, write });
    }
    let start = (part != Part::End).then(|| common_start(one, other)).flatten();
    let end = (part != Part::Start).then(|| common_end(one, other)).flatten();
    let (characters, part) = match (start, end) {
        (Some(start), end) if end.is_none_or(|end| start >= end) => (start, Part::Start),
        (_, end) => (end?, Part::End),
    };
    Some(NearMiss::Alike { expected, found: found_text, characters, part })
}

fn fits(wanted: &str, found: &str, part: Part) -> bool {
    match part {
        Part::Whole => wanted == found,
        Part::Start => found.starts_with(wanted),
        Part::End => found.ends_with(wanted),
    }
}

/// Whether an operator that ignores case accepts it, which is narrower about letters than what people take for the same.
fn fits_but_for_case(wanted: &str, found: &str, part: Part) -> bool {
    let wanted = CaseFree::new(wanted);
    match part {
        Part::Whole => wanted.is(found),
        Part::Start => wanted.starts(found),
        Part::End => wanted.ends(found),
    }
}

/// By how much a number misses what is wanted; `value` is there if it can be compared.
pub(super) fn miss_of_number(
    aim: Aim<'_>,
    found: &Scalar<'_>,
    value: Option<f64>,
    expected: String,
) -> Option<NearMiss> {
    let Aim::Between(low, high) = aim else { return None };
    let Some(value) = value else {
        let is = "a number that no double holds: it equals only its own text, and is never less or greater".to_owned();
        return Some(NearMiss::Reading { found: cut(&found.to_string()), is, near: false });
    };
    let bound = match (low, high) {
        (Some(low), _) if value <= low => low,
        (_, Some(high)) if value >= high => high,
        _ => return None,
    };
    // What is further apart than a double can say is at least that far.
    let by = (value - bound).abs().min(f64::MAX);
    let little = by <= bound.abs() / 10.0;
    Some(NearMiss::Number { found: cut(&found.to_string()), expected, by, little })
}

//! `time-window`: a string that is a point in time, before or after another, or between two.

use super::range::{Bound, Range};
use super::timestamp::Timestamp;
use super::{Operator, Place};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted};
use crate::tree::Node;
use crate::value::{Surroundings, Value};
use std::cmp::Ordering;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TimeWindow(Range<Instant>);

#[derive(Debug, Clone, PartialEq)]
struct Instant {
    /// As it was written.
    text: Box<str>,
    time: Timestamp,
}

impl Operator for TimeWindow {
    const NAME: &'static str = "time-window";
    const EXAMPLE: &'static str = r#"{"time-window": [">=", "2026-11-01T00:00:00Z", "<", "2026-12-01T00:00:00Z"]}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        Range::parse::<Self>(argument, place).map(Self)
    }

    fn hint(&self) -> Hinted<'_> {
        Hint::String.perhaps()
    }

    fn accepts(&self, value: Value<'_>, _: &dyn Surroundings) -> bool {
        let Some(time) = value.as_str().and_then(Timestamp::parse) else { return false };
        self.0.contains(|bound| time.cmp(&bound.time))
    }
}

impl Bound for Instant {
    fn parse<O: Operator>(node: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let Some(text) = node.as_str() else {
            return Err(place.wrong::<O>(node, format_args!("compares with a string, not {}", node.kind())));
        };
        match Timestamp::parse(text) {
            Some(time) => Ok(Self { text: text.into(), time }),
            None => Err(place.wrong::<O>(
                node,
                format_args!("compares with dates, times and offsets as in RFC 3339, {text:.40?} is none"),
            )),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        self.time.cmp(&other.time)
    }
}

impl std::fmt::Display for Instant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "time {}", self.0)
    }
}

//! `time-window`: a string that is a point in time, before or after another, or between two.

use super::range::{Bound, Range};
use super::timestamp::{DAY, NO_TIME, Timestamp};
use super::{Operator, Place, Reading};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted};
use crate::shown::cut;
use crate::tree::Node;
use crate::value::{Surroundings, Value};
use std::cmp::Ordering;

/// What misses by no more seconds is near: a day, as a wrong offset or a wrong date does.
const NEAR: u64 = DAY.unsigned_abs();

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

    fn reading(&self, text: &str) -> Option<Reading> {
        let Some(time) = Timestamp::parse(text) else { return Reading::far(NO_TIME) };
        if self.0.is_bound(|bound| time.cmp(&bound.time)) {
            return Reading::bound();
        }
        let (bound, how) = match (self.0.low(), self.0.high()) {
            (Some((low, _)), _) if time < low.time => (low, "early"),
            (_, Some((high, _))) => (high, "late"),
            _ => return None,
        };
        let seconds = time.seconds.abs_diff(bound.time.seconds);
        Some(Reading { is: format!("{} too {how}", span(seconds)), near: seconds <= NEAR })
    }
}

/// A span of time in its largest unit.
fn span(seconds: u64) -> String {
    let units = [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];
    match units.into_iter().find(|(_, length)| seconds >= *length) {
        None => "less than a second".to_owned(),
        Some((unit, length)) => {
            let (count, rest) = (seconds / length, seconds % length);
            let (over, plural) = (if rest > 0 { "over " } else { "" }, if count == 1 { "" } else { "s" });
            format!("{over}{count} {unit}{plural}")
        }
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
                format_args!("compares with dates, times and offsets as in RFC 3339, {:?} is none", cut(text)),
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

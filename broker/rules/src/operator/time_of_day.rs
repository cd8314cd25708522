//! `time-of-day`: a string that is a point in time within hours that recur, on all or some days of the week.

use super::timestamp::{DAY, HOUR, NO_TIME, Timestamp, offset, time_of_day};
use super::{Operator, Place, Reading};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted};
use crate::shown::cut;
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimeOfDay {
    hours: Option<Hours>,
    /// Monday first; all if none were given.
    days: [bool; 7],
    offset: Option<Clock>,
}

/// `from` inclusive, `to` exclusive; past midnight if `to` is not behind `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hours {
    from: Clock,
    to: Clock,
}

/// Seconds, and as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Clock {
    text: Box<str>,
    seconds: i64,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Operator for TimeOfDay {
    const NAME: &'static str = "time-of-day";
    const EXAMPLE: &'static str =
        r#"{"time-of-day": {"from": "22:00", "to": "06:00", "days": ["fri", "sat"], "offset": "+01:00"}}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let wrong = |node, problem: String| place.wrong::<Self>(node, problem);
        let Tree::Object(members) = &argument.value else {
            return Err(wrong(argument, format!("takes an object, not {}", argument.kind())));
        };
        let (mut from, mut to, mut days, mut ahead) = (None, None, None, None);
        for (name, node) in members {
            let twice = match name.as_str() {
                "from" => from.replace(clock(node, place, time_of_day, "HH:MM or HH:MM:SS")?).is_some(),
                "to" => to.replace(clock(node, place, time_of_day, "HH:MM or HH:MM:SS")?).is_some(),
                "days" => days.replace(week_days(node, place)?).is_some(),
                "offset" => ahead.replace(clock(node, place, offset, "Z or +HH:MM")?).is_some(),
                other => return Err(wrong(node, format!("takes from, to, days and offset, not {:?}", cut(other)))),
            };
            if twice {
                return Err(wrong(node, format!("has {name} twice")));
            }
        }
        let hours = match (from, to) {
            (Some(from), Some(to)) if from.seconds == to.seconds => {
                return Err(wrong(argument, "has the same from and to; for whole days leave out both".to_owned()));
            }
            (Some(from), Some(to)) => Some(Hours { from, to }),
            (None, None) if days.is_none() => return Err(wrong(argument, "needs from and to, or days".to_owned())),
            (None, None) => None,
            _ => return Err(wrong(argument, "takes from and to together".to_owned())),
        };
        Ok(Self { hours, days: days.unwrap_or([true; 7]), offset: ahead })
    }

    fn hint(&self) -> Hinted<'_> {
        Hint::String.perhaps()
    }

    fn accepts(&self, value: Value<'_>, _: &dyn Surroundings) -> bool {
        let time = value.as_str().and_then(Timestamp::parse);
        time.is_some_and(|time| self.contains(self.local(time)))
    }

    /// When that is where the hours are meant: an offset or a day of the week that is easily overlooked. What is an hour
    /// off may be summer time, which an offset does not follow.
    fn reading(&self, text: &str) -> Option<Reading> {
        let Some(time) = Timestamp::parse(text) else { return Reading::far(NO_TIME) };
        let local = self.local(time);
        let (day, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let name = (0_i64..).zip(DAYS).find(|(index, _)| *index == day_of_week(day)).map_or("", |(_, name)| name);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let offset = self.offset.as_ref().map_or("Z", |offset| &offset.text);
        let near = self.contains(local - HOUR) || self.contains(local + HOUR);
        let how = if near { ", within an hour of what is wanted" } else { "" };
        Some(Reading { is: format!("{name} {hour:02}:{minute:02}:{second:02} at {offset}{how}"), near })
    }
}

impl TimeOfDay {
    /// The seconds since 1970-01-01 that a clock shows at the offset.
    fn local(&self, time: Timestamp) -> i64 {
        time.seconds + self.offset.as_ref().map_or(0, |offset| offset.seconds)
    }

    fn contains(&self, local: i64) -> bool {
        let (day, second) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        match &self.hours {
            None => self.on(day),
            Some(Hours { from, to }) if from.seconds < to.seconds => {
                (from.seconds..to.seconds).contains(&second) && self.on(day)
            }
            Some(Hours { from, .. }) if second >= from.seconds => self.on(day),
            Some(Hours { to, .. }) => second < to.seconds && self.on(day - 1),
        }
    }

    /// Whether a day is one of the days of the week.
    fn on(&self, day: i64) -> bool {
        (0_i64..).zip(self.days).any(|(index, wanted)| wanted && index == day_of_week(day))
    }
}

/// Monday is 0. The day 0 was a Thursday.
fn day_of_week(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

fn clock(node: &Node<'_>, place: Place<'_>, read: fn(&str) -> Option<i64>, shape: &str) -> Result<Clock, PatternError> {
    let text = place.string::<TimeOfDay>(node)?;
    match read(text) {
        Some(seconds) => Ok(Clock { text: text.into(), seconds }),
        None => Err(place.wrong::<TimeOfDay>(node, format_args!("takes {shape}, not {:?}", cut(text)))),
    }
}

fn week_days(node: &Node<'_>, place: Place<'_>) -> Result<[bool; 7], PatternError> {
    let wrong = |node| place.wrong::<TimeOfDay>(node, format_args!("takes a list of {} as days", DAYS.join(", ")));
    let mut days = [false; 7];
    match &node.value {
        Tree::List(nodes) if !nodes.is_empty() => {
            for node in nodes {
                let named = DAYS.iter().position(|day| node.as_str() == Some(day));
                days[named.ok_or_else(|| wrong(node))?] = true;
            }
            Ok(days)
        }
        _ => Err(wrong(node)),
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("time")?;
        if let Some(Hours { from, to }) = &self.hours {
            write!(f, " from {} to {}", from.text, to.text)?;
        }
        if self.days != [true; 7] {
            let days: Vec<&str> = DAYS.into_iter().zip(self.days).filter_map(|(day, on)| on.then_some(day)).collect();
            write!(f, " on {}", days.join(", "))?;
        }
        write!(f, " at {}", self.offset.as_ref().map_or("Z", |offset| &offset.text))
    }
}

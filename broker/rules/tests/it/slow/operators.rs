//! Each operator by its definition.

use super::Leaf;
use jiff::civil::{DateTime, Weekday};
use jiff::tz::Offset;
use jiff::{Timestamp, ToSpan};
use serde_json::Value;
use std::cmp::Ordering;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an element of a field's list accepts a value of an event.
pub(super) fn accepts(test: &Value, leaf: &Leaf, event: &[Leaf]) -> bool {
    let Value::Object(operator) = test else { return same(test, &leaf.value) };
    let (name, argument) = operator.iter().next().unwrap();
    let value = &leaf.value;
    let text = value.as_str();
    match name.as_str() {
        "all-of" => list(argument).iter().all(|condition| match condition {
            Value::Array(tests) => tests.iter().any(|test| accepts(test, leaf, event)),
            test => accepts(test, leaf, event),
        }),
        "anything-but" => !refused(argument).iter().any(|test| match test {
            Value::String(refused) => text == Some(refused),
            test => accepts(test, leaf, event),
        }),
        "cidr" => text.and_then(address).is_some_and(|address| in_network(string(argument), address)),
        "compare-field" => {
            let (sign, path) = (string(&argument[0]), string(&argument[1]));
            let near = event.iter().filter(|other| other.path == path && other.agrees_with(&leaf.inside));
            near.into_iter().any(|other| compares(sign, value, &other.value))
        }
        "contains-all" => list(argument)
            .iter()
            .all(|test| event.iter().any(|other| other.path == leaf.path && accepts(test, other, event))),
        "equals-ignore-case" => text.is_some_and(|text| is_ignoring_case(string(argument), text)),
        "exactly" => text == Some(string(argument)),
        "exists" => argument == &Value::Bool(true),
        "numeric" => value
            .as_f64()
            .is_some_and(|number| in_range(argument, |bound| number.partial_cmp(&bound.as_f64().unwrap()).unwrap())),
        "prefix" => text.is_some_and(|text| beginnings(&format!("{text}\"")).any(|part| is_text(argument, part))),
        "suffix" => text.is_some_and(|text| ends(&format!("\"{text}")).any(|part| is_text(argument, part))),
        "regex" => text.is_some_and(|text| {
            let expressions = argument.as_array().unwrap();
            expressions.iter().any(|expression| regex::Regex::new(string(expression)).unwrap().is_match(text))
        }),
        "semver" => text
            .and_then(Version::read)
            .is_some_and(|version| in_range(argument, |bound| version.cmp(&Version::read(string(bound)).unwrap()))),
        "time-of-day" => text.and_then(|text| text.parse().ok()).is_some_and(|time| at_these_hours(argument, time)),
        "time-window" => text
            .and_then(|text| text.parse::<Timestamp>().ok())
            .is_some_and(|time| in_range(argument, |bound| time.cmp(&string(bound).parse().unwrap()))),
        "wildcard" => text.is_some_and(|text| {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            is_wildcard(&characters(string(argument)), &characters(text))
        }),
        other => panic!("{other}"),
    }
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn one_or_more(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

/// Plain values are the same by value; strings that are addresses, by address.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::String(one), Value::String(other)) => match (address(one), address(other)) {
            (Some(one), Some(other)) => one == other,
            _ => one == other,
        },
        _ => one == other,
    }
}

/// `{"prefix": ["a", "b"]}` refuses `{"prefix": "a"}` and `{"prefix": "b"}`.
fn refused(argument: &Value) -> Vec<Value> {
    match argument {
        Value::Object(operator) => {
            let (name, argument) = operator.iter().next().unwrap();
            if name == "regex" {
                return vec![serde_json::json!({name: argument})];
            }
            one_or_more(argument).into_iter().map(|one| serde_json::json!({name: one})).collect()
        }
        values => one_or_more(values),
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let numbers: Option<Vec<u8>> = text.split('.').map(|number| number.parse().ok()).collect();
    match numbers.as_deref() {
        Some([a, b, c, d]) => Some(Ipv4Addr::new(*a, *b, *c, *d).into()),
        _ => text.parse::<Ipv6Addr>().ok().map(|address| address.to_canonical()),
    }
}

/// Both are IPv4 here.
fn in_network(network: &str, address: IpAddr) -> bool {
    let (start, bits) = network.split_once('/').unwrap();
    let (IpAddr::V4(start), IpAddr::V4(address)) = (start.parse().unwrap(), address) else { panic!("{address}") };
    let first_bits = |address: Ipv4Addr| u64::from(address.to_bits()) >> (32 - bits.parse::<u32>().unwrap());
    first_bits(start) == first_bits(address)
}

fn compares(sign: &str, one: &Value, other: &Value) -> bool {
    let order = match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64().partial_cmp(&other.as_f64()),
        (Value::String(one), Value::String(other)) => Some(one.as_bytes().cmp(other.as_bytes())),
        _ => None,
    };
    match sign {
        "=" => order.map_or(one == other, Ordering::is_eq),
        "!=" => order.map_or(one != other, Ordering::is_ne),
        ordered => order.is_some_and(|order| holds(ordered, order)),
    }
}

fn holds(sign: &str, order: Ordering) -> bool {
    match sign {
        "=" => order.is_eq(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        other => panic!("{other}"),
    }
}

/// `order` tells how the value stands to a bound.
fn in_range(argument: &Value, order: impl Fn(&Value) -> Ordering) -> bool {
    list(argument).chunks(2).all(|comparison| holds(string(&comparison[0]), order(&comparison[1])))
}

fn cuts(text: &str) -> impl Iterator<Item = usize> {
    (0..=text.len()).filter(|cut| text.is_char_boundary(*cut))
}

fn beginnings(text: &str) -> impl Iterator<Item = &str> {
    cuts(text).map(|cut| &text[..cut])
}

fn ends(text: &str) -> impl Iterator<Item = &str> {
    cuts(text).map(|cut| &text[cut..])
}

fn is_text(argument: &Value, text: &str) -> bool {
    match argument {
        Value::Object(ignoring_case) => is_ignoring_case(string(&ignoring_case["equals-ignore-case"]), text),
        exact => string(exact) == text,
    }
}

/// Each character of the pattern in its lower or its upper case, in all combinations.
fn is_ignoring_case(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return text.is_empty() };
    let forms = [first.to_lowercase().to_string(), first.to_uppercase().to_string()];
    let rest = &pattern[first.len_utf8()..];
    forms.iter().any(|form| text.strip_prefix(form.as_str()).is_some_and(|text| is_ignoring_case(rest, text)))
}

fn is_wildcard(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], text) => text.is_empty(),
        (['*', pattern @ ..], text) => (0..=text.len()).any(|skipped| is_wildcard(pattern, &text[skipped..])),
        (['\\', escaped, pattern @ ..], [first, text @ ..]) => escaped == first && is_wildcard(pattern, text),
        ([wanted, pattern @ ..], [first, text @ ..]) => wanted == first && is_wildcard(pattern, text),
        _ => false,
    }
}

/// In the order of the fields: what is no release comes before the release.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    numbers: Vec<u64>,
    is_release: bool,
    words: Vec<Word>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Number(u64),
    Text(String),
}

impl Version {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('v').split('+').next().unwrap();
        let (release, words) = text.split_once('-').map_or((text, None), |(release, words)| (release, Some(words)));
        let mut numbers: Vec<u64> = release.split('.').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        numbers.resize(8, 0);
        let word = |word: &str| word.parse().map_or_else(|_| Word::Text(word.to_owned()), Word::Number);
        let is_word = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') && !word.is_empty();
        if !words.is_none_or(|words| words.split('.').all(is_word)) {
            return None;
        }
        let words = words.map(|words| words.split('.').map(word).collect());
        Some(Self { numbers, is_release: words.is_none(), words: words.unwrap_or_default() })
    }
}

/// Whether the hours that begin on the day of this time, or on the one before, contain it.
fn at_these_hours(argument: &Value, time: Timestamp) -> bool {
    let local = offset(argument["offset"].as_str().unwrap_or("Z")).to_datetime(time);
    [local.date(), local.date().yesterday().unwrap()].into_iter().any(|day| {
        let named = |name: &Value| weekday(string(name)) == day.weekday();
        let midnight = day.to_datetime(jiff::civil::Time::midnight());
        let (begin, end): (DateTime, DateTime) = match (&argument["from"], &argument["to"]) {
            (Value::String(from), Value::String(to)) => {
                let (from, to) = (day.to_datetime(from.parse().unwrap()), day.to_datetime(to.parse().unwrap()));
                (from, if to > from { to } else { to + 1.day() })
            }
            _ => (midnight, midnight + 1.day()),
        };
        (argument["days"].is_null() || list(&argument["days"]).iter().any(named)) && (begin..end).contains(&local)
    })
}

fn offset(text: &str) -> Offset {
    match text.split_at(1) {
        ("+", hours) => jiff::tz::offset(hours[..2].parse().unwrap()),
        ("-", hours) => jiff::tz::offset(-hours[..2].parse::<i8>().unwrap()),
        _ => Offset::UTC,
    }
}

fn weekday(name: &str) -> Weekday {
    let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let place = names.into_iter().position(|other| other == name).unwrap();
    Weekday::Monday.wrapping_add(i32::try_from(place).unwrap())
}

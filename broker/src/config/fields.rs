//! Reads the fields of a configuration file one by one, so that all that is wrong is said at once and each at its own
//! path. No message repeats a value: it might be a secret in the wrong place.

use std::time::Duration;

use emote_rules::Step;
use serde_json::{Map, Value};

use super::{
    shape::{Form, Shape},
    text::Template,
};
use crate::config::{Problems, SecretRef};
use crate::jq::Program;

/// The names that jq programs of targets may use beside `.`: none; all of it is in the input.
const NO_VARIABLES: &[&str] = &[];

/// One object of the file and what has been asked of it; [`Fields::finish`] refuses what nobody asked for.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    prefix: String,
    asked: Shape,
    problems: &'a mut Problems,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(map: &'a Map<String, Value>, problems: &'a mut Problems) -> Self {
        Self { map, prefix: String::new(), asked: Shape::default(), problems }
    }

    /// Notes a problem with the field `key`; with the object itself where `key` is empty.
    pub(crate) fn problem(&mut self, key: &str, message: impl std::fmt::Display) {
        let path = self.path(key);
        self.problems.add(path, message);
    }

    /// Notes a problem with the value to which these steps lead from here, which people know as `key`.
    pub(crate) fn problem_at(&mut self, key: &str, steps: Vec<Step>, message: impl std::fmt::Display) {
        let path = self.path(key);
        let all = super::locate::steps(&self.prefix).into_iter().chain(steps).collect();
        self.problems.add_at(path, all, message);
    }

    /// The value of `key`; `null` is as good as absent.
    pub(crate) fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.ask(key, Form::Any);
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Whether `key` is given, right or wrong.
    pub(crate) fn has(&mut self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Notes that `key` is missing, unless it was given (and then its own problem is noted).
    pub(crate) fn require<T>(&mut self, key: &'static str, value: Option<T>, example: &str) -> Option<T> {
        self.asked.require(key, example);
        if value.is_none() && !self.has(key) {
            self.problem(key, format!("is missing: for example {example}"));
        }
        value
    }

    /// Says what `key` holds where its reader alone does not show it.
    pub(crate) fn holds(&mut self, key: &'static str, form: Form) {
        self.asked.ask(key, form);
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        self.formed(key, Form::Text(&[]), |value| {
            value.as_str().map(str::to_owned).ok_or_else(|| expected("a text", value))
        })
    }

    /// One of these words.
    pub(crate) fn words(&mut self, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
        self.formed(key, Form::Words(words.to_vec()), |value| {
            let found = words.iter().find(|word| value.as_str() == Some(word)).copied();
            found.ok_or_else(|| match words {
                [first, second] => format!("expected {first} or {second}"),
                _ => format!("expected one of {}", words.join(", ")),
            })
        })
    }

    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.formed(key, Form::Flag, |value| value.as_bool().ok_or_else(|| expected("true or false", value)))
    }

    pub(crate) fn number(&mut self, key: &'static str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
        self.formed(key, Form::Number(*range.start(), *range.end()), |value| {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            let expected = || format!("expected a whole number from {} to {}", range.start(), range.end());
            number.filter(|number| range.contains(number)).ok_or_else(expected)
        })
    }

    /// A length of time such as `10s`, `15m`, `1h 30m` or `7d`.
    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.formed(key, Form::Duration(range.clone()), |value| {
            let text = value.as_str().ok_or_else(|| expected("a length of time such as 10s, 15m or 24h", value))?;
            let duration = duration(text)?;
            if range.contains(&duration) {
                Ok(duration)
            } else {
                Err(format!("expected a length of time from {:?} to {:?}", range.start(), range.end()))
            }
        })
    }

    /// A size in bytes, such as `10MiB`.
    pub(crate) fn size(&mut self, key: &'static str) -> Option<u64> {
        self.formed(key, Form::Size, |value| {
            match value {
                Value::Number(number) => number.as_u64(),
                Value::String(text) => size(text),
                _ => None,
            }
            .filter(|size| *size > 0)
            .ok_or_else(|| "expected a size such as 10MiB, 500kB or a number of bytes".to_owned())
        })
    }

    /// A text with references to secrets in it, or without.
    pub(crate) fn template(&mut self, key: &'static str) -> Option<Template> {
        self.formed(key, Form::Template, |value| {
            Template::parse(value.as_str().ok_or_else(|| expected("a text", value))?)
        })
    }

    /// A reference to a secret.
    pub(crate) fn secret(&mut self, key: &'static str) -> Option<SecretRef> {
        self.formed(key, Form::Secret, |value| value.as_str().unwrap_or_default().parse())
    }

    /// A jq program.
    pub(crate) fn jq(&mut self, key: &'static str) -> Option<Program> {
        self.formed(key, Form::Jq, |value| {
            let text = value.as_str().ok_or_else(|| expected("a jq program", value))?;
            Program::compile(text, NO_VARIABLES).map_err(|error| error.to_string())
        })
    }

    /// Reads the object at `key` with `read`; unknown keys in it are refused.
    pub(crate) fn object<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Fields<'_>) -> T) -> Option<T> {
        let map = self.formed(key, Form::Object(None), object)?;
        let prefix = self.path(key);
        let mut inner = Fields { map, prefix, asked: Shape::default(), problems: self.problems };
        let read = read(&mut inner);
        let asked = inner.finish();
        self.asked.ask(key, Form::Object(Some(asked)));
        Some(read)
    }

    /// The object at `key`, whose own keys are free.
    pub(crate) fn entries(&mut self, key: &'static str) -> Option<&'a Map<String, Value>> {
        self.formed(key, Form::Entries, object)
    }

    /// The list at `key`, each element read by `read` under the path `key[n]`.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl FnMut(&mut Self, &str, &'a Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.list_of(key, Form::Any, read)
    }

    /// The list at `key` whose elements are of this form, each read by `read` under the path `key[n]`.
    pub(crate) fn list_of<T>(
        &mut self,
        key: &'static str,
        form: Form,
        mut read: impl FnMut(&mut Self, &str, &'a Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        let form = Form::List(Box::new(form));
        let list = self.formed(key, form, |value| value.as_array().ok_or_else(|| expected("a list", value)))?;
        let mut read_all = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            read_all.extend(read(self, &format!("{key}[{index}]"), value));
        }
        Some(read_all)
    }

    /// Reads an element of a list, an object at `path`, with `read`; unknown keys in it are refused.
    pub(crate) fn element<T>(
        &mut self,
        path: &str,
        value: &Value,
        read: impl FnOnce(&mut Fields<'_>) -> T,
    ) -> Option<T> {
        let Some(map) = value.as_object() else {
            self.problem(path, expected("an object", value));
            return None;
        };
        let prefix = self.path(path);
        let mut inner = Fields { map, prefix, asked: Shape::default(), problems: self.problems };
        let read = read(&mut inner);
        let asked = inner.finish();
        self.asked.element(path.split('[').next().unwrap_or_default(), asked);
        Some(read)
    }

    /// Refuses what nobody asked for; says what was.
    pub(crate) fn finish(mut self) -> Shape {
        let unknown: Vec<&String> = self.map.keys().filter(|key| !self.asked.keys.contains_key(key.as_str())).collect();
        let known = self.asked.keys.keys().copied().collect::<Vec<_>>().join(", ");
        for key in unknown {
            self.problem(key, format!("unknown key: expected one of {known}"));
        }
        self.asked
    }

    /// The value of `key` as `parse` reads it.
    pub(crate) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&'a Value) -> Result<T, String>,
    ) -> Option<T> {
        self.formed(key, Form::Any, parse)
    }

    /// The value of `key`, which is of this form, as `parse` reads it.
    pub(crate) fn formed<T>(
        &mut self,
        key: &'static str,
        form: Form,
        parse: impl FnOnce(&'a Value) -> Result<T, String>,
    ) -> Option<T> {
        self.asked.ask(key, form);
        let result = parse(self.value(key)?);
        let path = self.path(key);
        self.problems.take(&path, result)
    }

    fn path(&self, key: &str) -> String {
        match (self.prefix.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.prefix.clone(),
            (false, false) => format!("{}.{key}", self.prefix),
        }
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| expected("an object", value))
}

pub(crate) fn expected(what: &str, found: &Value) -> String {
    format!("expected {what}, found {}", kind(found))
}

/// What a JSON value is, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Days have 24 hours here; months and years have no fixed length and are refused.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let problem = || "expected a length of time such as 10s, 15m, 1h 30m or 7d".to_owned();
    let span: jiff::Span = text.parse().map_err(|_| problem())?;
    let duration = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| problem())?;
    Duration::try_from(duration).map_err(|_| problem())
}

fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "kib" => 1 << 10,
        "mb" => 1_000_000,
        "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_written_as_people_write_them() {
        for (text, seconds) in
            [("10s", 10), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("1h 30m", 5400), ("PT5S", 5)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "10", "-5s", "2 months", "soon", "1y"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("1", 1), ("10MiB", 10 << 20), ("500 kB", 500_000), ("2gib", 2 << 30)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "10 parsecs", "99999999999GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}

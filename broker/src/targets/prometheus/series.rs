//! What a job says as samples of series, and what is asked of their names (Prometheus, data model).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::{http::place::scalar, programs::context};
use crate::{config::fields::kind, core::Job, jq::Program};

/// The label that is the name of a metric.
pub(super) const NAME: &str = "__name__";
/// The most series of one job.
const MAX_SERIES: usize = 100;
/// The most labels of a series.
const MAX_LABELS: usize = 64;
/// The longest name and the longest value, in bytes.
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 2048;
/// What an object that stands for a sample may say.
const KEYS: [&str; 4] = ["labels", "metric", "time", "value"];

/// The labels of a series with its name among them, each once and in their order.
pub(super) type Labels = BTreeMap<String, String>;

/// What a target's file says of its samples.
#[derive(Debug)]
pub(super) enum Plan {
    /// One of this metric, with what programs give.
    One { metric: String, labels: Option<Program>, value: Option<Program> },
    /// All that a program gives.
    Several(Program),
    /// All that the input says.
    Input,
}

/// A value at a point in time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sampled {
    pub(super) labels: Labels,
    pub(super) value: f64,
    /// Milliseconds since 1970.
    pub(super) at: i64,
}

impl Plan {
    /// The samples of a job; at least one.
    pub(super) fn samples(&self, job: &Job, input: &Value) -> Result<Vec<Sampled>, String> {
        let at = job.event.time.as_millis();
        let sees = || Value::Object(context(job, input, &Value::Null));
        let said = match self {
            Self::One { metric, labels, value } => {
                let sees = sees();
                let given = |program: &Option<Program>, key: &str| {
                    program.as_ref().map(|program| program.only(key, &sees)).transpose()
                };
                let labels = given(labels, "labels")?.unwrap_or_default();
                let value = given(value, "value")?.unwrap_or_else(|| 1.into());
                return Ok(vec![sampled(metric, &labels, &value, at)?]);
            }
            Self::Several(program) => program.only("series", &sees())?,
            Self::Input => input.clone(),
        };
        let each = match &said {
            Value::Array(each) => each.as_slice(),
            one => std::slice::from_ref(one),
        };
        match each.len() {
            0 => return Err("there is no series: expected objects with metric, labels and value".to_owned()),
            more if more > MAX_SERIES => return Err(format!("{more} series; a job may have {MAX_SERIES}")),
            _ => {}
        }
        each.iter().map(|value| object(value, at)).collect()
    }
}

fn object(value: &Value, at: i64) -> Result<Sampled, String> {
    let Value::Object(map) = value else {
        return Err(format!("expected an object with metric, labels and value, found {}", kind(value)));
    };
    if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("a series has {key:?}: expected some of {}", KEYS.join(", ")));
    }
    let metric = map.get("metric").and_then(Value::as_str).ok_or("a series has no metric, which is a text")?;
    let at = match map.get("time") {
        None | Some(Value::Null) => at,
        Some(Value::String(text)) => {
            let time: Timestamp = text.parse().map_err(|error| format!("time: {error}"))?;
            time.as_millisecond()
        }
        Some(other) => return Err(format!("time: expected a point in time (RFC 3339), found {}", kind(other))),
    };
    sampled(metric, map.get("labels").unwrap_or(&Value::Null), map.get("value").unwrap_or(&Value::from(1)), at)
}

fn sampled(metric: &str, labels: &Value, value: &Value, at: i64) -> Result<Sampled, String> {
    check_metric(metric)?;
    let value = match value {
        Value::Number(number) => number.as_f64().ok_or("value: a number too large")?,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        other => return Err(format!("value: expected a number, found {}", kind(other))),
    };
    let none = Map::new();
    let labels = match labels {
        Value::Null => &none,
        Value::Object(labels) => labels,
        other => return Err(format!("labels: expected an object, found {}", kind(other))),
    };
    let mut all = Labels::from([(NAME.to_owned(), metric.to_owned())]);
    for (name, value) in labels {
        check_label(name)?;
        let text = match value {
            Value::Null => continue,
            value => scalar(value).ok_or_else(|| format!("labels.{name}: expected a text, found {}", kind(value)))?,
        };
        if text.len() > MAX_VALUE {
            return Err(format!("labels.{name}: {} bytes; {MAX_VALUE} are allowed", text.len()));
        }
        // An empty label is one that is not there.
        if !text.is_empty() {
            all.insert(name.clone(), text);
        }
    }
    if all.len() > MAX_LABELS {
        return Err(format!("{} labels; a series may have {MAX_LABELS}", all.len()));
    }
    Ok(Sampled { labels: all, value, at })
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub(super) fn check_metric(name: &str) -> Result<(), String> {
    if is_name(name, b"_:") {
        return Ok(());
    }
    Err(format!(
        "{:?} is no metric's name: letters, digits, _ and :, not a digit first",
        crate::config::text::clip(name, 100)
    ))
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`; two underscores are Prometheus' own.
fn check_label(name: &str) -> Result<(), String> {
    let shown = crate::config::text::clip(name, 100);
    if name.starts_with("__") {
        return Err(format!("labels: {shown:?} begins with __, as Prometheus' own do"));
    }
    if is_name(name, b"_") {
        return Ok(());
    }
    Err(format!("labels: {shown:?} is no label's name: letters, digits and _, not a digit first"))
}

fn is_name(name: &str, more: &[u8]) -> bool {
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || more.contains(&byte));
    starts && name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
}

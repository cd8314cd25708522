//! A job as a log record or as a point of a metric, and the resource that it is of.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    super::{programs::context, serial},
    proto::{
        AnyValue, DELTA, Data, Gauge, LogRecord, LogsRequest, Metric, MetricsRequest, Number, Point, Resource,
        ResourceLogs, ResourceMetrics, Scope, ScopeLogs, ScopeMetrics, Sum, pairs,
    },
};
use crate::{config::fields::kind, core::Job, jq::Program};

/// Names of severities with the lowest number of each (OTLP, logs data model).
const SEVERITIES: [(&str, i32); 6] =
    [("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("WARN", 13), ("ERROR", 17), ("FATAL", 21)];
/// The highest number.
const MOST_SEVERE: i64 = 24;
/// The most attributes that a program may give.
const MAX_ATTRIBUTES: usize = 128;
/// The length of the interval that a delta is of, in ns: the event's millisecond.
const INTERVAL: u64 = 1_000_000;

/// What a target's file says of what it sends.
#[derive(Debug)]
pub(super) struct Plan {
    /// Of each resource.
    pub(super) resource: Map<String, Value>,
    /// Attributes beside what every record has, or of a point.
    pub(super) attributes: Option<Program>,
    pub(super) signal: Signal,
}

#[derive(Debug)]
pub(super) enum Signal {
    Logs { severity: Option<Program>, body: Option<Program> },
    Metrics { name: String, unit: String, description: String, value: Option<Program>, is_sum: bool },
}

/// One job's part of a request.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) resource: Map<String, Value>,
    pub(super) of: Of,
}

#[derive(Debug)]
pub(super) enum Of {
    Log(Box<LogRecord>),
    Point(Point),
}

impl Signal {
    /// What is behind the address of a server.
    pub(super) fn path(&self) -> &'static str {
        match self {
            Self::Logs { .. } => "logs",
            Self::Metrics { .. } => "metrics",
        }
    }

    /// What is reported.
    pub(super) fn action(&self) -> &'static str {
        match self {
            Self::Logs { .. } => "otlp_logs",
            Self::Metrics { .. } => "otlp_metrics",
        }
    }
}

impl Plan {
    pub(super) fn item(&self, job: &Job, input: &Value) -> Result<Item, String> {
        let sees = Value::Object(context(job, input, &Value::Null));
        let given =
            |program: &Option<Program>, key: &str| program.as_ref().map(|program| program.only(key, &sees)).transpose();
        let attributes = match given(&self.attributes, "attributes")? {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) if map.len() > MAX_ATTRIBUTES => {
                return Err(format!("{} attributes; {MAX_ATTRIBUTES} are allowed", map.len()));
            }
            Some(Value::Object(map)) => map,
            Some(other) => return Err(format!("attributes: expected an object, found {}", kind(&other))),
        };
        let of = match &self.signal {
            Signal::Logs { severity, body } => {
                let (severity, body) = (given(severity, "severity")?, given(body, "body")?);
                let body = body.unwrap_or_else(|| input.clone());
                Of::Log(Box::new(record(job, &severity.unwrap_or_default(), body, attributes)?))
            }
            Signal::Metrics { value, is_sum, .. } => {
                let value = given(value, "value")?.unwrap_or_else(|| 1.into());
                Of::Point(point(job, &value, attributes, *is_sum)?)
            }
        };
        Ok(Item { resource: self.resource(job), of })
    }

    /// The Mac, and that Emote tells of it (semantic conventions: `host`, `service`).
    fn resource(&self, job: &Job) -> Map<String, Value> {
        let of_node = |key: &str| job.node.as_ref().and_then(|node| node.get(key)).and_then(Value::as_str);
        let name = of_node("name").or(job.event.device.as_ref().and_then(|device| device.name.as_deref()));
        let own = [("service.name", Some("emote")), ("host.id", serial(job)), ("host.name", name)];
        let mut resource: Map<String, Value> =
            own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect();
        resource.extend(self.resource.clone());
        resource
    }

    /// The request with `items`, those of one resource together.
    pub(super) fn request(&self, items: Vec<Item>) -> Request {
        let mut together: Vec<(Map<String, Value>, Vec<Of>)> = Vec::new();
        for Item { resource, of } in items {
            match together.iter_mut().find(|(known, _)| *known == resource) {
                Some((_, all)) => all.push(of),
                None => together.push((resource, vec![of])),
            }
        }
        let together = together.into_iter().map(|(map, of)| (Some(Resource { attributes: pairs(map) }), of));
        let scope = || Some(Scope { name: "emote".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() });
        match &self.signal {
            Signal::Logs { .. } => {
                let each = together.map(|(resource, of)| {
                    let log_records = of.into_iter().filter_map(Of::log).collect();
                    ResourceLogs { resource, scope_logs: vec![ScopeLogs { scope: scope(), log_records }] }
                });
                Request::Logs(LogsRequest { resource_logs: each.collect() })
            }
            Signal::Metrics { name, unit, description, is_sum, .. } => {
                let each = together.map(|(resource, of)| {
                    let data = Some(data(of.into_iter().filter_map(Of::point).collect(), *is_sum));
                    let (name, unit, description) = (name.clone(), unit.clone(), description.clone());
                    let metrics = vec![Metric { name, unit, description, data }];
                    ResourceMetrics { resource, scope_metrics: vec![ScopeMetrics { scope: scope(), metrics }] }
                });
                Request::Metrics(MetricsRequest { resource_metrics: each.collect() })
            }
        }
    }
}

impl Of {
    fn log(self) -> Option<LogRecord> {
        match self {
            Self::Log(record) => Some(*record),
            Self::Point(_) => None,
        }
    }

    fn point(self) -> Option<Point> {
        match self {
            Self::Log(_) => None,
            Self::Point(point) => Some(point),
        }
    }
}

fn data(data_points: Vec<Point>, is_sum: bool) -> Data {
    if is_sum {
        Data::Sum(Sum { data_points, aggregation_temporality: DELTA, is_monotonic: true })
    } else {
        Data::Gauge(Gauge { data_points })
    }
}

/// What is sent.
#[derive(Debug)]
pub(super) enum Request {
    Logs(LogsRequest),
    Metrics(MetricsRequest),
}

impl Request {
    pub(super) fn json(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::Logs(request) => serde_json::to_vec(request),
            Self::Metrics(request) => serde_json::to_vec(request),
        }
        .map_err(|error| error.to_string())
    }

    pub(super) fn protobuf(&self) -> Vec<u8> {
        use prost::Message as _;
        match self {
            Self::Logs(request) => request.encode_to_vec(),
            Self::Metrics(request) => request.encode_to_vec(),
        }
    }
}

/// One of a trace whose id is that of the event at its chain's beginning: what an event has set off stands together.
fn record(job: &Job, severity: &Value, body: Value, own: Map<String, Value>) -> Result<LogRecord, String> {
    let event = &job.event;
    let (severity_number, severity_text) = severe(severity)?;
    let mut attributes = Map::new();
    for (key, value) in [
        ("emote.event.id", json!(event.id)),
        ("emote.event.source", json!(event.source)),
        ("emote.event.trust", json!(event.trust)),
        ("emote.rule", json!(job.rule)),
        ("emote.job", json!(job.id)),
        ("user.id", json!(event.user_id())),
    ] {
        if !value.is_null() {
            attributes.insert(key.to_owned(), value);
        }
    }
    attributes.extend(own);
    let root = event.cause.as_ref().map_or(event.id, |cause| cause.root);
    Ok(LogRecord {
        time_unix_nano: nanos(job)?,
        severity_number,
        severity_text,
        body: Some(AnyValue::from(body)),
        attributes: pairs(attributes),
        trace_id: root.as_bytes().to_vec(),
        span_id: event.id.as_bytes().iter().skip(8).copied().collect(),
        event_name: format!("{}.{}", event.scope, event.action),
    })
}

fn severe(value: &Value) -> Result<(i32, String), String> {
    let of_number = |number: i64| {
        let number = i32::try_from(number).ok().filter(|_| (1..=MOST_SEVERE).contains(&number))?;
        let name = SEVERITIES.iter().rev().find(|(_, lowest)| number >= *lowest)?.0;
        Some((number, name.to_owned()))
    };
    let found = match value {
        Value::Null => of_number(9),
        Value::Number(number) => number.as_i64().and_then(of_number),
        Value::String(text) => {
            let found = SEVERITIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
            found.map(|(name, number)| (*number, (*name).to_owned()))
        }
        _ => None,
    };
    let names: Vec<String> = SEVERITIES.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    found.ok_or_else(|| format!("severity: expected one of {}, or a number from 1 to {MOST_SEVERE}", names.join(", ")))
}

fn point(job: &Job, value: &Value, attributes: Map<String, Value>, is_sum: bool) -> Result<Point, String> {
    let Value::Number(number) = value else {
        return Err(format!("value: expected a number, found {}", kind(value)));
    };
    let number = match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => Number::AsInt(whole),
        (None, Some(number)) => Number::AsDouble(number),
        (None, None) => return Err("value: a number too large".to_owned()),
    };
    let is_negative = match number {
        Number::AsInt(whole) => whole < 0,
        Number::AsDouble(number) => number < 0.0,
    };
    if is_sum && is_negative {
        return Err("value: a sum only grows: use type: gauge for what may fall".to_owned());
    }
    let time = nanos(job)?;
    let start = if is_sum { time.saturating_sub(INTERVAL) } else { 0 };
    Ok(Point { attributes: pairs(attributes), start_time_unix_nano: start, time_unix_nano: time, value: Some(number) })
}

/// The event's time, in ns since 1970.
fn nanos(job: &Job) -> Result<u64, String> {
    let time = Timestamp::from_millisecond(job.event.time.as_millis()).map_err(|error| error.to_string())?;
    u64::try_from(time.as_nanosecond()).map_err(|_| "the event is of before 1970, which OTLP cannot tell".to_owned())
}

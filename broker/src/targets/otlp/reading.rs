//! The file of a target of this kind: read, then made ready with its secrets.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    super::{
        Target,
        http::endpoint::EndpointRef,
        spec::{Setup, Unresolved},
        wire,
    },
    Otlp, Wire,
    record::{Plan, Signal},
};
use crate::config::{
    Problems,
    fields::{Fields, expected},
};

/// The longest name of a metric, in characters (OpenTelemetry, metrics API).
const MAX_NAME: usize = 255;
/// Fields of one signal only.
const OF_LOGS: [&str; 2] = ["severity", "body"];
const OF_METRICS: [&str; 5] = ["metric", "value", "unit", "description", "type"];

#[derive(Debug)]
struct Spec {
    at: EndpointRef,
    wire: Wire,
    plan: Arc<Plan>,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let at = EndpointRef::read(fields, "url: https://otlp.example.com");
    let mut flag = |key: &'static str, [off, on]: [&str; 2]| {
        let found = fields.parsed(key, |value| match value.as_str() {
            Some(text) if text == on => Ok(true),
            Some(text) if text == off => Ok(false),
            _ => Err(format!("expected {off} or {on}")),
        });
        found.unwrap_or_default()
    };
    let is_json = flag("encoding", ["protobuf", "json"]);
    let gzip = flag("compress", ["none", "gzip"]);
    let is_metrics = flag("signal", ["logs", "metrics"]);
    let resource = resource(fields);
    let attributes = fields.jq("attributes");
    let signal = if is_metrics { metrics(fields) } else { logs(fields) };
    let plan = Arc::new(Plan { resource, attributes, signal: signal? });
    Some(Box::new(Spec { at: at?, wire: Wire { is_json, gzip }, plan }))
}

fn logs(fields: &mut Fields<'_>) -> Option<Signal> {
    refuse(fields, &OF_METRICS, "metrics");
    Some(Signal::Logs { severity: fields.jq("severity"), body: fields.jq("body") })
}

fn metrics(fields: &mut Fields<'_>) -> Option<Signal> {
    refuse(fields, &OF_LOGS, "logs");
    let name = fields.parsed("metric", |value| match value.as_str() {
        Some(text) if is_metric(text) => Ok(text.to_owned()),
        _ => Err("expected a name such as emote.events: letters, digits and _ . - /, a letter first".to_owned()),
    });
    let name = fields.require("metric", name, "metric: emote.events");
    let is_sum = fields.parsed("type", |value| match value.as_str() {
        Some("sum") => Ok(true),
        Some("gauge") => Ok(false),
        _ => Err("expected gauge or sum".to_owned()),
    });
    let unit = fields.text("unit").unwrap_or_default();
    let description = fields.text("description").unwrap_or_default();
    let value = fields.jq("value");
    Some(Signal::Metrics { name: name?, unit, description, value, is_sum: is_sum.unwrap_or(true) })
}

fn refuse(fields: &mut Fields<'_>, keys: &[&'static str], signal: &str) {
    for key in keys {
        if fields.has(key) {
            fields.problem(key, format!("is for signal: {signal}"));
        }
    }
}

fn is_metric(name: &str) -> bool {
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    starts && name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte))
}

fn resource(fields: &mut Fields<'_>) -> Map<String, Value> {
    let map: Map<String, Value> = fields.entries("resource").cloned().unwrap_or_default();
    for (key, value) in &map {
        if !matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)) {
            fields.problem(&format!("resource.{key}"), expected("a text, a number, true or false", value));
        }
    }
    map
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let at = self.at.resolve(setup, Vec::new(), problems)?;
        let behind = format!("/v1/{}", self.plan.signal.path());
        let is_whole = at.url.path().trim_end_matches('/').ends_with(&behind);
        let url = if is_whole { at.url.clone() } else { wire::join(&at.url, &["v1", self.plan.signal.path()]) };
        Some(Box::new(Otlp { at, url, wire: self.wire, plan: Arc::clone(&self.plan) }))
    }
}

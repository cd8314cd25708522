//! What the jq programs of a target see.

use serde_json::{Map, Value};

use super::{serial, udid};
use crate::{config::fields::Fields, core::Job, jq::Program};

/// What the programs of every kind see: `{event, node, user, rule, target, job, input}`.
pub(super) fn of_job(job: &Job, input: &Value) -> Value {
    let mut context = job.context();
    if let Value::Object(map) = &mut context {
        map.insert("input".to_owned(), input.clone());
    }
    context
}

/// What those of a kind see that sends something somewhere: `{event, node, user, rule, target, job, input, settings, lookup, serial, udid,
/// command_uuid}`.
///
/// `serial` and `udid` are those of the device that the job is about, or null; `command_uuid` is the job's id as a UUID.
pub(super) fn context(job: &Job, input: &Value, settings: &Value) -> Map<String, Value> {
    let mut context = match of_job(job, input) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for (key, value) in [
        ("settings", settings.clone()),
        ("lookup", Value::Object(Map::new())),
        ("serial", serial(job).into()),
        ("udid", udid(job).into()),
        ("command_uuid", job.id.command_uuid().into()),
    ] {
        context.insert(key.to_owned(), value);
    }
    context
}

/// The text that `program` gives, which people know as `what`; none without a program.
pub(super) fn one_text(program: Option<&Program>, what: &str, input: &Value) -> Result<Option<String>, String> {
    let given = program.map(|program| program.only(what, input)).transpose()?;
    Ok(given.filter(|given| !given.is_null()).map(|given| match given {
        Value::String(text) => text,
        other => other.to_string(),
    }))
}

/// Constants for the programs; a reference among them would be sent as it is written.
pub(super) fn settings(fields: &mut Fields<'_>) -> Value {
    let map: Map<String, Value> = fields.entries("settings").cloned().unwrap_or_default();
    for (key, value) in &map {
        let is_secret = value.as_str().is_some_and(|text| text.contains("${env:") || text.contains("${file:"));
        if is_secret {
            fields.problem(&format!("settings.{key}"), "programs see no secrets: use auth, headers or body_secrets");
        }
    }
    Value::Object(map)
}

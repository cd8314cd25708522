//! What the jq programs of a target see, and that each gives one value.

use serde_json::{Map, Value};

use super::super::{serial, udid};
use crate::{core::Job, jq::Program};

/// What a job's programs see: `{event, node, user, rule, target, job, input, settings, lookup, serial, udid,
/// command_uuid}`.
///
/// `serial` and `udid` are those of the device that the job is about, or null; `command_uuid` is the job's id as a UUID.
pub(super) fn context(job: &Job, input: &Value, settings: &Value) -> Map<String, Value> {
    let mut context = match job.context() {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for (key, value) in [
        ("input", input.clone()),
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

/// The only value that `program` gives, which people know as `what`.
pub(super) fn one(program: &Program, what: &str, input: &Value) -> Result<Value, String> {
    let mut results = program.run(input, &[]).map_err(|error| format!("{what}: {}", said(&error.to_string())))?;
    match (results.pop(), results.len()) {
        (Some(result), 0) => Ok(result),
        (None, _) => Err(format!("{what}: the program gave nothing; it must give one value")),
        (_, more) => Err(format!("{what}: the program gave {} values; it must give one", more.saturating_add(1))),
    }
}

/// What a program says by `error("…")`, which comes as JSON.
fn said(error: &str) -> String {
    serde_json::from_str::<String>(error).unwrap_or_else(|_| error.to_owned())
}

//! What the jq programs of a target see.

use serde_json::{Map, Value};

use super::super::{serial, udid};
use crate::core::Job;

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

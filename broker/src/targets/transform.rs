//! What jq programs of a target file are given of a job, and that each gives one value.

use serde_json::Value;

use crate::{core::Job, jq::Program};

/// What the programs see: `{event, node, user, rule, target, job, input}`.
pub(super) fn context(job: &Job, input: &Value) -> Value {
    let mut context = job.context();
    if let Value::Object(map) = &mut context {
        map.insert("input".to_owned(), input.clone());
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

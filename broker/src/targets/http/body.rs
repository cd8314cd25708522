//! What a request says: of one job, or of several.

use reqwest::header::HeaderValue;
use serde_json::Value;

use crate::{core::Job, jq::Program};

/// A value a line (<https://github.com/ndjson/ndjson-spec>).
const NDJSON: &str = "application/x-ndjson";

/// How it is made.
#[derive(Debug)]
pub(super) struct Body {
    /// Makes it from the job; without one it is the input.
    pub(super) program: Option<Program>,
    pub(super) content_type: HeaderValue,
}

impl Body {
    /// The bytes to send for one job. A text goes as it is unless JSON is declared.
    pub(super) fn of_one(&self, job: &Job, input: &Value) -> Result<Vec<u8>, String> {
        let json = self.content_type.to_str().is_ok_and(|text| text.contains("json"));
        Ok(match self.value(job, input)? {
            Value::String(text) if !json => text.into_bytes(),
            value => value.to_string().into_bytes(),
        })
    }

    /// The bytes to send for several: a JSON array, or a line each where NDJSON is declared.
    pub(super) fn joined(&self, values: Vec<Value>) -> Vec<u8> {
        if self.content_type.to_str().is_ok_and(|text| text.starts_with(NDJSON)) {
            return values.iter().flat_map(|value| format!("{value}\n").into_bytes()).collect();
        }
        Value::Array(values).to_string().into_bytes()
    }

    /// What a job has to say: the body program's only result, or the input.
    pub(super) fn value(&self, job: &Job, input: &Value) -> Result<Value, String> {
        Ok(match &self.program {
            None => input.clone(),
            Some(program) => {
                let mut results = program.run(&context(job, input), &[]).map_err(|error| format!("body: {error}"))?;
                match (results.pop(), results.len()) {
                    (Some(result), 0) => result,
                    (None, _) => return Err("body: the program gave nothing; it must give one value".to_owned()),
                    (_, more) => {
                        return Err(format!(
                            "body: the program gave {} values; it must give one",
                            more.saturating_add(1)
                        ));
                    }
                }
            }
        })
    }
}

/// What a target's jq programs see: `{event, node, rule, target, job, input}`.
fn context(job: &Job, input: &Value) -> Value {
    let mut context = job.context();
    if let Value::Object(map) = &mut context {
        map.insert("input".to_owned(), input.clone());
    }
    context
}

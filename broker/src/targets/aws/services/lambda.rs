//! Lambda `Invoke`: handed over, or with `wait` until the function has ended.

use serde_json::{Value, json};

use super::super::{
    super::wire::{Answer, quote},
    call::Call,
    service::{Does, One, Read, optional, required},
    words::said,
};
use crate::{config::fields::Fields, core::Job};

#[derive(Debug)]
struct Lambda {
    path: String,
    qualifier: Option<String>,
    wait: bool,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let function = required(fields, "function", "function: emote-enrolled, or its ARN");
    let qualifier = optional(fields, "qualifier");
    let wait = fields.flag("wait").unwrap_or_default();
    let function = function?;
    if !function.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:$".contains(&byte)) {
        fields.problem("function", "not the name or the ARN of a function");
        return None;
    }
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let does = Lambda { path, qualifier, wait };
    Some(Read::new("lambda", &function, Does::One(std::sync::Arc::new(does))))
}

impl One for Lambda {
    fn call(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Call, String> {
        let kind = if self.wait { "RequestResponse" } else { "Event" };
        let mut call = Call::rest(&self.path, &said(context, value))
            .header("x-amz-invocation-type", kind)
            .and_then(|call| call.header("x-amz-log-type", "None"))
            .map_err(|error| format!("job {}: {error}", job.id))?;
        call.query.extend(self.qualifier.clone().map(|qualifier| ("Qualifier", qualifier)));
        Ok(call)
    }

    fn accepted(&self, answer: &Answer) -> Result<Value, String> {
        match answer.headers.get("x-amz-function-error").and_then(Value::as_str) {
            Some(error) => Err(format!("the function failed ({}): {}", quote(error), quote(&answer.body))),
            None => Ok(json!({"version": answer.headers.get("x-amz-executed-version")})),
        }
    }
}

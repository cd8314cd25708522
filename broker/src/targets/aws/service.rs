//! What a service of AWS is to this kind: its name, where it is, and how a job becomes a request to it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::wire::Answer,
    answer::{Refusal, passes},
    call::Call,
    services as of,
};
use crate::{
    config::{fields::Fields, shape::Form},
    core::Job,
};

/// A line of [`SERVICES`].
#[derive(Debug)]
pub(super) struct Service {
    /// What `service:` says.
    pub(super) name: &'static str,
    /// What its signatures name.
    pub(super) signs_as: &'static str,
    /// What is reported: the operation.
    pub(super) reports: &'static str,
    /// Whether one request can be for several jobs.
    pub(super) several: bool,
    pub(super) read: fn(&mut Fields<'_>) -> Option<Read>,
}

/// Every service, in the order of their names.
pub(super) const SERVICES: &[Service] = &[
    service("apigateway", "execute-api", "invoke_api", false, of::apigateway::read),
    service("batch", "batch", "submit_job", false, of::batch::read),
    service("codebuild", "codebuild", "start_build", false, of::codebuild::read),
    service("codepipeline", "codepipeline", "start_pipeline_execution", false, of::codepipeline::read),
    service("ecs", "ecs", "run_task", false, of::ecs::read),
    service("eventbridge", "events", "put_events", true, of::eventbridge::read),
    service("firehose", "firehose", "put_record_batch", true, of::firehose::read),
    service("inspector", "inspector2", "inspect", false, of::inspector::read),
    service("kinesis", "kinesis", "put_records", true, of::kinesis::read),
    service("lambda", "lambda", "invoke", false, of::lambda::read),
    service("logs", "logs", "put_log_events", true, of::logs::read),
    service("s3", "s3", "put_object", false, of::s3::read),
    service("sns", "sns", "publish", false, of::sns::read),
    service("sqs", "sqs", "send_message_batch", true, of::sqs::read),
    service("stepfunctions", "states", "start_execution", false, of::stepfunctions::read),
    service("timestream", "timestream", "write_records", true, of::timestream::read),
];

const fn service(
    name: &'static str,
    signs_as: &'static str,
    reports: &'static str,
    several: bool,
    read: fn(&mut Fields<'_>) -> Option<Read>,
) -> Service {
    Service { name, signs_as, reports, several, read }
}

/// A service's own settings.
#[derive(Debug)]
pub(super) struct Read {
    /// What the host's name begins with, before region and domain.
    pub(super) host: String,
    /// The region that the settings name, such as that of an ARN.
    pub(super) region: Option<String>,
    /// Where it is, when the settings themselves say so.
    pub(super) address: Option<String>,
    /// What the requests are about: a name or an ARN, for reports.
    pub(super) about: String,
    pub(super) does: Does,
    /// Whether its address is to be asked for first.
    pub(super) discovers: bool,
}

impl Read {
    /// About `resource`, a name or an ARN, at `host`.
    pub(super) fn new(host: &str, resource: &str, does: Does) -> Self {
        Self {
            host: host.to_owned(),
            region: region_of(resource),
            address: None,
            about: resource.to_owned(),
            does,
            discovers: false,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Does {
    One(Arc<dyn One>),
    Several(Arc<dyn Several>),
}

/// A job is a request.
pub(super) trait One: std::fmt::Debug + Send + Sync {
    /// The request. `value` is what the body program gave, or `None` without one; `context` is what programs see.
    fn call(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Call, String>;

    /// What is reported of an answer of success beside its status, or why it is none after all.
    fn accepted(&self, _answer: &Answer) -> Result<Value, String> {
        Ok(json!({}))
    }

    /// Whether a refusal says that this very job was done before.
    fn is_done(&self, _refusal: &Refusal) -> bool {
        false
    }
}

/// Several jobs can be one request.
pub(super) trait Several: std::fmt::Debug + Send + Sync {
    fn limits(&self) -> Limits;

    /// A job's entry of the request.
    fn entry(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Entry, String>;

    /// The request of these entries.
    fn call(&self, entries: Vec<Value>) -> Call;

    /// What became of each of `count` entries, by an answer of success.
    fn results(&self, reply: &Value, count: usize) -> Vec<Written>;

    /// The same by a refusal, where it is one of some entries only.
    fn refused(&self, _refusal: &Refusal, _count: usize) -> Option<Vec<Written>> {
        None
    }

    /// A request that makes what the refusal says is missing; the first is then sent again.
    fn remedy(&self, _refusal: &Refusal) -> Option<Call> {
        None
    }
}

/// How much a request may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) count: usize,
    /// Bytes of all entries together.
    pub(super) bytes: usize,
    /// Bytes of one.
    pub(super) each: usize,
    /// Milliseconds from the oldest entry to the newest, where entries are to be in the order of their times.
    pub(super) span: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    /// Bytes, as the service counts them.
    pub(super) size: usize,
}

/// What became of an entry.
#[derive(Debug, Clone)]
pub(super) enum Written {
    /// It is there; what is reported of it.
    Done(Value),
    /// It passes by itself.
    Later(String),
    Never(String),
}

impl Written {
    /// Refused for an error of this code.
    pub(super) fn refused(code: &str, message: &str) -> Self {
        let reason = super::super::wire::quote(&format!("{code}: {message}"));
        if passes(code) { Self::Later(reason) } else { Self::Never(reason) }
    }
}

/// What became of `count` entries by a list in their order, at `list`, whose members have an error code where one was
/// refused. `id` is what of the others is reported.
pub(super) fn in_order(reply: &Value, list: &str, count: usize, id: &str) -> Vec<Written> {
    let list = reply.get(list).and_then(Value::as_array);
    let each = |index: usize| {
        let Some(of) = list.and_then(|list| list.get(index)) else {
            return Written::Later("the answer does not say what became of it".to_owned());
        };
        let text = |key| of.get(key).and_then(Value::as_str);
        match text("ErrorCode") {
            Some(code) => Written::refused(code, text("ErrorMessage").unwrap_or_default()),
            None => Written::Done(json!({"id": text(id)})),
        }
    };
    (0..count).map(each).collect()
}

/// The region of an ARN: `arn:aws:lambda:REGION:…`.
pub(super) fn region_of(arn: &str) -> Option<String> {
    let mut parts = arn.split(':');
    let region = parts.next().filter(|first| *first == "arn").and_then(|_| parts.nth(2))?;
    (!region.is_empty()).then(|| region.to_owned())
}

/// The text of a required field.
pub(super) fn required(fields: &mut Fields<'_>, key: &'static str, example: &str) -> Option<String> {
    let text = optional(fields, key);
    fields.require(key, text, example)
}

/// The text of a field that may be missing, but not empty.
pub(super) fn optional(fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
    fields.formed(key, Form::Text(&[]), |value| match value.as_str() {
        Some(text) if !text.is_empty() && !text.chars().any(|c| c.is_control()) => Ok(text.to_owned()),
        _ => Err("expected a text on one line, not an empty one".to_owned()),
    })
}

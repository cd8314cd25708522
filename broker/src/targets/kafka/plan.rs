//! What a job becomes: a record of a topic.

use emote_proto::Name;
use serde_json::Value;

use super::{
    super::{
        http::place::pairs,
        programs::{context, one_text},
        wire::idempotency_key,
    },
    record::Record,
};
use crate::{
    core::{Job, JobId},
    jq::Program,
};

/// The longest name of a topic (`org.apache.kafka.common.internals.Topic`).
const MAX_NAME: usize = 249;
/// The most headers, and the longest of them in bytes.
const MAX_HEADERS: usize = 64;
const MAX_HEADER: usize = 16 * 1024;
/// Headers that every record has.
const CONTENT_TYPE: &str = "content-type";
const EVENT_ID: &str = "event-id";
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// See the module.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) topic: Topic,
    pub(super) key: Option<Program>,
    pub(super) headers: Option<Program>,
    pub(super) body: Option<Program>,
    /// What programs see as `settings`.
    pub(super) settings: Value,
}

/// Where records go.
#[derive(Debug)]
pub(super) enum Topic {
    Fixed(String),
    Of(Program),
}

/// What a job has become.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) topic: String,
    pub(super) target: Name,
    pub(super) job: JobId,
    pub(super) record: Record,
}

impl Plan {
    /// `now` is in milliseconds since 1970.
    pub(super) fn item(&self, job: &Job, input: &Value, now: i64) -> Result<Item, String> {
        let context = Value::Object(context(job, input, &self.settings));
        let topic = match &self.topic {
            Topic::Fixed(name) => name.clone(),
            Topic::Of(program) => {
                let name = one_text(Some(program), "topic", &context)?.unwrap_or_default();
                check_topic(&name).map_err(|error| format!("topic: the program gave {name:?}: {error}"))?;
                name
            }
        };
        let key = match &self.key {
            None => job.node_key(),
            key => one_text(key.as_ref(), "key", &context)?,
        };
        let value = match &self.body {
            None => input.clone(),
            Some(program) => program.only("body", &context)?,
        };
        let (content_type, value) = match value {
            Value::Null if self.body.is_some() => (None, None),
            Value::String(text) => (Some("text/plain; charset=utf-8"), Some(text.into_bytes())),
            value => (Some("application/json"), Some(value.to_string().into_bytes())),
        };
        let own = [
            (CONTENT_TYPE, content_type.map(str::to_owned)),
            (EVENT_ID, Some(job.event.id.to_string())),
            (IDEMPOTENCY_KEY, Some(idempotency_key(&job.id))),
        ];
        let mut headers: Vec<_> = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        headers.extend(self.headers(&context)?);
        // Clocks of Macs go wrong: a time to come would keep the log's segment for longer than it is to be kept.
        let timestamp = job.event.time.as_millis().min(now);
        let record = Record { key: key.map(String::into_bytes), value, headers, timestamp };
        Ok(Item { topic, target: job.target.clone(), job: job.id.clone(), record })
    }

    fn headers(&self, context: &Value) -> Result<Vec<(String, String)>, String> {
        let Some(program) = &self.headers else { return Ok(Vec::new()) };
        let headers = pairs(&program.only("headers", context)?, "headers")?;
        if headers.len() > MAX_HEADERS {
            return Err(format!("headers: {} of them; {MAX_HEADERS} are the most", headers.len()));
        }
        for (name, value) in &headers {
            if [CONTENT_TYPE, EVENT_ID, IDEMPOTENCY_KEY].contains(&name.as_str()) {
                return Err(format!("headers: {name} is Emote's own: leave it out"));
            }
            if name.len().max(value.len()) > MAX_HEADER {
                return Err(format!("headers: {name:.40?} has more than {MAX_HEADER} bytes"));
            }
        }
        Ok(headers)
    }
}

/// Whether a topic may be called so.
pub(super) fn check_topic(name: &str) -> Result<(), String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.starts_with("__") {
        return Err("topics that begin with __ are Kafka's own".to_owned());
    }
    match name.is_empty() || name.len() > MAX_NAME || matches!(name, "." | "..") || !name.chars().all(is_name) {
        true => Err(format!("a topic has letters, digits, dots, _ and -, {MAX_NAME} at most: emote.events")),
        false => Ok(()),
    }
}

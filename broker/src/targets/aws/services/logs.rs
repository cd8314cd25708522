//! CloudWatch Logs `PutLogEvents`. A log stream that is not there is made; its group has to be there.

use serde_json::{Value, json};

use super::super::{
    answer::Refusal,
    call::{Call, JsonVersion},
    service::{Does, Entry, Limits, Read, Several, Written, required},
    words::{bytes, said},
};
use crate::{config::fields::Fields, core::Job};

/// Each event counts for so many bytes more.
const OF_EACH: usize = 26;
const DAY: i64 = 24 * 3600 * 1000;

#[derive(Debug)]
struct Logs {
    group: String,
    stream: String,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let group = required(fields, "log_group", "log_group: /emote/events");
    let stream = super::super::service::optional(fields, "log_stream").unwrap_or_else(|| "emote".to_owned());
    let group = group?;
    let does = Logs { group: group.clone(), stream };
    Some(Read::new("logs", &group, Does::Several(std::sync::Arc::new(does))))
}

impl Several for Logs {
    fn limits(&self) -> Limits {
        Limits { count: 10_000, bytes: 1024 * 1024, each: 1024 * 1024, span: Some(DAY - 1) }
    }

    fn entry(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Entry, String> {
        let message = String::from_utf8(bytes(&said(context, value))).map_err(|error| error.to_string())?;
        if message.is_empty() {
            return Err("body: an event of a log cannot be empty".to_owned());
        }
        let size = message.len().saturating_add(OF_EACH);
        Ok(Entry { value: json!({"timestamp": job.event.time.as_millis(), "message": message}), size })
    }

    fn call(&self, entries: Vec<Value>) -> Call {
        let request = json!({"logGroupName": self.group, "logStreamName": self.stream, "logEvents": entries});
        Call::json(JsonVersion::V1_1, "Logs_20140328.PutLogEvents", &request)
    }

    /// Entries are in the order of their times: up to an index they were too old, from another on too new.
    fn results(&self, reply: &Value, count: usize) -> Vec<Written> {
        let index = |key| {
            let index = reply.pointer("/rejectedLogEventsInfo").and_then(|info| info.get(key)).and_then(Value::as_u64);
            index.and_then(|index| usize::try_from(index).ok())
        };
        let (old, expired) = (index("tooOldLogEventEndIndex"), index("expiredLogEventEndIndex"));
        let new = index("tooNewLogEventStartIndex");
        let each = |at: usize| {
            if old.is_some_and(|end| at < end) {
                Written::Never("older than CloudWatch Logs takes, which is 14 days".to_owned())
            } else if expired.is_some_and(|end| at < end) {
                Written::Never("older than the log group keeps".to_owned())
            } else if new.is_some_and(|start| at >= start) {
                Written::Never("more than two hours in the future".to_owned())
            } else {
                Written::Done(json!({}))
            }
        };
        (0..count).map(each).collect()
    }

    fn remedy(&self, refusal: &Refusal) -> Option<Call> {
        let request = json!({"logGroupName": self.group, "logStreamName": self.stream});
        let missing = refusal.is("ResourceNotFoundException") && !refusal.body.contains("log group");
        missing.then(|| Call::json(JsonVersion::V1_1, "Logs_20140328.CreateLogStream", &request))
    }
}

//! EventBridge `PutEvents`: onto a bus of this account and region, or of any other.

use serde_json::{Value, json};

use super::super::{
    call::{Call, JsonVersion},
    service::{Does, Entry, Limits, Read, Several, Written, in_order, optional},
    words::{Word, said},
};
use crate::{
    config::{
        fields::{Fields, kind},
        shape::Form,
    },
    core::Job,
};

/// An entry's time counts as so many bytes.
const OF_TIME: usize = 14;

#[derive(Debug)]
struct EventBridge {
    bus: String,
    source: String,
    detail_type: Word,
    resources: Vec<String>,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let bus = optional(fields, "bus").unwrap_or_else(|| "default".to_owned());
    let source = optional(fields, "source").unwrap_or_else(|| "emote".to_owned());
    if source.starts_with("aws.") {
        fields.problem("source", "only AWS itself is a source whose name begins with aws.");
    }
    let detail_type = Word::read(fields, "detail_type", 128);
    let resources = fields.list_of("resources", Form::Text(&[]), |fields, path, value| {
        if value.as_str().is_none() {
            fields.problem(path, "expected a text");
        }
        value.as_str().map(str::to_owned)
    });
    let resources = resources.unwrap_or_default();
    let does = EventBridge { bus: bus.clone(), source, detail_type, resources };
    Some(Read::new("events", &bus, Does::Several(std::sync::Arc::new(does))))
}

impl Several for EventBridge {
    fn limits(&self) -> Limits {
        Limits { count: 10, bytes: 256 * 1024, each: 1024 * 1024, span: None }
    }

    fn entry(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Entry, String> {
        let detail = said(context, value);
        if !detail.is_object() {
            return Err(format!("body: the detail of an event is an object, found {}", kind(&detail)));
        }
        let detail = detail.to_string();
        let detail_type = self.detail_type.given(context)?;
        let detail_type = detail_type.unwrap_or_else(|| format!("{}.{}", job.event.scope, job.event.action));
        let texts = [&self.source, &detail_type, &detail].into_iter().chain(&self.resources);
        let size = texts.map(String::len).sum::<usize>().saturating_add(OF_TIME);
        let seconds = job.event.time.as_millis().div_euclid(1000);
        let mut value = json!({
            "EventBusName": self.bus, "Source": self.source, "DetailType": detail_type, "Detail": detail, "Time": seconds,
        });
        if let (Value::Object(map), false) = (&mut value, self.resources.is_empty()) {
            map.insert("Resources".to_owned(), json!(self.resources));
        }
        Ok(Entry { value, size })
    }

    fn call(&self, entries: Vec<Value>) -> Call {
        Call::json(JsonVersion::V1_1, "AWSEvents.PutEvents", &json!({"Entries": entries}))
    }

    fn results(&self, reply: &Value, count: usize) -> Vec<Written> {
        in_order(reply, "Entries", count, "EventId")
    }
}

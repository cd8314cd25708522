//! SQS `SendMessageBatch`. In a FIFO queue a job is there once, and what is of one node is in order.

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::super::{
    super::serial,
    call::{Call, JsonVersion},
    service::{Does, Entry, Limits, Read, Several, Written, required},
    words::{Word, attributes, bytes, said},
};
use crate::{config::fields::Fields, core::Job, jq::Program};

#[derive(Debug)]
struct Sqs {
    queue: String,
    fifo: bool,
    group: Word,
    attributes: Option<Program>,
    delay: Option<u32>,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let example = "queue_url: https://sqs.eu-central-1.amazonaws.com/123456789012/emote";
    let queue = required(fields, "queue_url", example);
    let url = queue.as_deref().and_then(|queue| match queue.parse::<Url>() {
        Ok(url) if url.has_host() && matches!(url.scheme(), "https" | "http") && !queue.contains('@') => Some(url),
        _ => {
            fields.problem("queue_url", format!("not the URL of a queue: for example {example}"));
            None
        }
    });
    let attributes = fields.jq("attributes");
    let group = Word::read(fields, "group", 128);
    let delay = fields.number("delay", 0..=900);
    let (queue, url) = (queue?, url?);
    let fifo = queue.ends_with(".fifo");
    if !fifo && fields.has("group") {
        fields.problem("group", "only a FIFO queue has groups: its name ends with .fifo");
    }
    if fifo && delay.is_some() {
        fields.problem("delay", "a FIFO queue has one delay for all of its messages");
    }
    let region = region(&url);
    let does = Sqs { queue: queue.clone(), fifo, group, attributes, delay };
    let address = Some(url.origin().ascii_serialization());
    Some(Read { region, address, ..Read::new("sqs", &queue, Does::Several(std::sync::Arc::new(does))) })
}

/// `sqs.REGION.amazonaws.com`.
fn region(url: &Url) -> Option<String> {
    let mut labels = url.host_str()?.split('.');
    let region = labels.next().filter(|first| *first == "sqs").and_then(|_| labels.next())?;
    Some(region.to_owned())
}

impl Several for Sqs {
    fn limits(&self) -> Limits {
        Limits { count: 10, bytes: 256 * 1024, each: 1024 * 1024, span: None }
    }

    fn entry(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Entry, String> {
        let message = String::from_utf8(bytes(&said(context, value))).map_err(|error| error.to_string())?;
        let mut size = message.len();
        let mut entry = Map::from_iter([("MessageBody".to_owned(), Value::from(message))]);
        if let Some(program) = &self.attributes {
            let mut all = Map::new();
            for (name, kind, text) in attributes(program, context)? {
                size = size.saturating_add(name.len()).saturating_add(kind.len()).saturating_add(text.len());
                all.insert(name, json!({"DataType": kind, "StringValue": text}));
            }
            entry.insert("MessageAttributes".to_owned(), Value::Object(all));
        }
        if self.fifo {
            let group = match self.group.given(context)? {
                Some(group) => group,
                None => serial(job).unwrap_or("-").to_owned(),
            };
            entry.insert("MessageGroupId".to_owned(), group.into());
            entry.insert("MessageDeduplicationId".to_owned(), job.id.token().into());
        }
        if let Some(delay) = self.delay {
            entry.insert("DelaySeconds".to_owned(), delay.into());
        }
        Ok(Entry { value: Value::Object(entry), size })
    }

    fn call(&self, mut entries: Vec<Value>) -> Call {
        for (index, entry) in entries.iter_mut().enumerate() {
            if let Value::Object(entry) = entry {
                entry.insert("Id".to_owned(), index.to_string().into());
            }
        }
        let request = json!({"QueueUrl": self.queue, "Entries": entries});
        Call::json(JsonVersion::V1_0, "AmazonSQS.SendMessageBatch", &request)
    }

    fn results(&self, reply: &Value, count: usize) -> Vec<Written> {
        let of = |list: &str, id: &str| {
            let list = reply.get(list).and_then(Value::as_array);
            list?.iter().find(|entry| entry.get("Id").and_then(Value::as_str) == Some(id)).cloned()
        };
        let each = |index: usize| {
            let id = index.to_string();
            if let Some(sent) = of("Successful", &id) {
                return Written::Done(json!({"id": sent.get("MessageId")}));
            }
            let Some(failed) = of("Failed", &id) else {
                return Written::Later("the answer does not say what became of it".to_owned());
            };
            let text = |key| failed.get(key).and_then(Value::as_str).unwrap_or_default();
            match (Written::refused(text("Code"), text("Message")), failed.get("SenderFault").and_then(Value::as_bool))
            {
                (Written::Never(reason), Some(false)) => Written::Later(reason),
                (written, _) => written,
            }
        };
        (0..count).map(each).collect()
    }
}

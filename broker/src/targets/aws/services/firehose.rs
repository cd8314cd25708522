//! Firehose `PutRecordBatch`. A record ends with a newline unless it is told otherwise, for it would run into the next.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::super::{
    call::{Call, JsonVersion},
    service::{Does, Entry, Limits, Read, Several, Written, in_order, required},
    words::{bytes, said},
};
use crate::{config::fields::Fields, core::Job};

#[derive(Debug)]
struct Firehose {
    stream: String,
    newline: bool,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let stream = required(fields, "stream", "stream: emote-to-s3");
    let newline = fields.flag("newline").unwrap_or(true);
    let stream = stream?;
    let does = Firehose { stream: stream.clone(), newline };
    Some(Read::new("firehose", &stream, Does::Several(std::sync::Arc::new(does))))
}

impl Several for Firehose {
    fn limits(&self) -> Limits {
        // AWS takes 500; what it answers of so many would be longer than is read.
        Limits { count: 150, bytes: 4 * 1024 * 1024, each: 1_024_000, span: None }
    }

    fn entry(&self, _: &Job, context: &Value, value: Option<Value>) -> Result<Entry, String> {
        let mut data = bytes(&said(context, value));
        if self.newline {
            data.push(b'\n');
        }
        Ok(Entry { value: json!({"Data": BASE64.encode(&data)}), size: data.len() })
    }

    fn call(&self, entries: Vec<Value>) -> Call {
        let request = json!({"DeliveryStreamName": self.stream, "Records": entries});
        Call::json(JsonVersion::V1_1, "Firehose_20150804.PutRecordBatch", &request)
    }

    fn results(&self, reply: &Value, count: usize) -> Vec<Written> {
        in_order(reply, "RequestResponses", count, "RecordId")
    }
}

//! Kinesis `PutRecords`. What is of one node stays in order, by its partition key.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::super::{
    super::serial,
    call::{Call, JsonVersion},
    service::{Does, Entry, Limits, Read, Several, Written, in_order, required},
    words::{Word, bytes, said},
};
use crate::{config::fields::Fields, core::Job};

#[derive(Debug)]
struct Kinesis {
    stream: String,
    partition_key: Word,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let stream = required(fields, "stream", "stream: emote, or its ARN");
    let partition_key = Word::read(fields, "partition_key", 256);
    let stream = stream?;
    let does = Kinesis { stream: stream.clone(), partition_key };
    Some(Read::new("kinesis", &stream, Does::Several(std::sync::Arc::new(does))))
}

impl Several for Kinesis {
    fn limits(&self) -> Limits {
        // AWS takes 500; what it answers of so many would be longer than is read.
        Limits { count: 200, bytes: 5 * 1024 * 1024, each: 10 * 1024 * 1024, span: None }
    }

    fn entry(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Entry, String> {
        let key = match self.partition_key.given(context)? {
            Some(key) => key,
            None => serial(job).map_or_else(|| job.event.id.to_string(), str::to_owned),
        };
        let data = bytes(&said(context, value));
        let size = data.len().saturating_add(key.len());
        Ok(Entry { value: json!({"Data": BASE64.encode(&data), "PartitionKey": key}), size })
    }

    fn call(&self, entries: Vec<Value>) -> Call {
        let named = if self.stream.starts_with("arn:") { "StreamARN" } else { "StreamName" };
        let request = json!({named: self.stream, "Records": entries});
        Call::json(JsonVersion::V1_1, "Kinesis_20131202.PutRecords", &request)
    }

    fn results(&self, reply: &Value, count: usize) -> Vec<Written> {
        in_order(reply, "Records", count, "SequenceNumber")
    }
}

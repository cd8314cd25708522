//! Timestream `WriteRecords`, at the address that it names when asked. The same record twice is one.

use serde_json::{Value, json};

use super::super::{
    super::serial,
    answer::Refusal,
    call::{Call, JsonVersion},
    service::{Does, Entry, Limits, Read, Several, Written, required},
    words::merged,
};
use crate::{config::fields::Fields, core::Job};

#[derive(Debug)]
struct Timestream {
    database: String,
    table: String,
}

/// Asks where to write.
pub(in super::super) fn discovery() -> Call {
    Call::json(JsonVersion::V1_0, "Timestream_20181101.DescribeEndpoints", &json!({}))
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let database = required(fields, "database", "database: emote");
    let table = required(fields, "table", "table: events");
    let discovers = fields.flag("discovery").unwrap_or(true);
    let (database, table) = (database?, table?);
    let about = format!("{database}/{table}");
    let does = Timestream { database, table };
    Some(Read { discovers, ..Read::new("ingest.timestream", &about, Does::Several(std::sync::Arc::new(does))) })
}

impl Several for Timestream {
    fn limits(&self) -> Limits {
        Limits { count: 100, bytes: 1024 * 1024, each: 64 * 1024, span: None }
    }

    /// The event's id is the measure where the body says nothing else.
    fn entry(&self, job: &Job, _: &Value, value: Option<Value>) -> Result<Entry, String> {
        let event = &job.event;
        let dimension = |name: &str, value: &str| json!({"Name": name, "Value": value});
        let mut dimensions = vec![
            dimension("source", event.source.as_str()),
            dimension("scope", event.scope.as_str()),
            dimension("action", event.action.as_str()),
        ];
        dimensions.extend(serial(job).map(|serial| dimension("node", serial)));
        let record = json!({
            "Dimensions": dimensions, "MeasureName": "event", "MeasureValue": event.id.to_string(),
            "MeasureValueType": "VARCHAR", "Time": event.time.as_millis().to_string(), "TimeUnit": "MILLISECONDS",
        });
        let value = match value {
            None => record,
            Some(value) => merged(record, value)?,
        };
        let size = value.to_string().len();
        Ok(Entry { value, size })
    }

    fn call(&self, entries: Vec<Value>) -> Call {
        let request = json!({"DatabaseName": self.database, "TableName": self.table, "Records": entries});
        Call::json(JsonVersion::V1_0, "Timestream_20181101.WriteRecords", &request)
    }

    fn results(&self, _: &Value, count: usize) -> Vec<Written> {
        vec![Written::Done(json!({})); count]
    }

    /// All that are not named were written.
    fn refused(&self, refusal: &Refusal, count: usize) -> Option<Vec<Written>> {
        if !refusal.is("RejectedRecordsException") {
            return None;
        }
        let reply: Value = serde_json::from_str(&refusal.body).ok()?;
        let mut results = vec![Written::Done(json!({})); count];
        for rejected in reply.get("RejectedRecords")?.as_array()? {
            // One that is not named could be any: then it is the refusal of all.
            let index = rejected.get("RecordIndex").and_then(Value::as_u64)?;
            let of = results.get_mut(usize::try_from(index).ok()?)?;
            let reason = rejected.get("Reason").and_then(Value::as_str).unwrap_or("no reason given");
            *of = Written::refused("rejected", reason);
        }
        Some(results)
    }
}

//! AWS Batch `SubmitJob`. The job is told of the event in a variable, unless the body says otherwise. Batch knows no
//! idempotency token: what is repeated after a crash is submitted twice, under the same name.

use serde_json::{Value, json};

use super::super::{
    super::wire::Answer,
    call::Call,
    service::{Does, One, Read, required},
    words::{merged, said},
};
use super::EVENT_VARIABLE;
use crate::{config::fields::Fields, core::Job};

#[derive(Debug)]
struct Batch {
    queue: String,
    definition: String,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let queue = required(fields, "job_queue", "job_queue: emote");
    let definition = required(fields, "job_definition", "job_definition: reimage:3");
    let (queue, definition) = (queue?, definition?);
    let does = Batch { queue: queue.clone(), definition };
    Some(Read::new("batch", &queue, Does::One(std::sync::Arc::new(does))))
}

impl One for Batch {
    fn call(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Call, String> {
        let name = format!("emote-{}", job.id.token());
        let request = json!({"jobName": name, "jobQueue": self.queue, "jobDefinition": self.definition});
        let more = value.unwrap_or_else(|| {
            let event = said(context, None).to_string();
            json!({"containerOverrides": {"environment": [{"name": EVENT_VARIABLE, "value": event}]}})
        });
        Ok(Call::rest("/v1/submitjob", &merged(request, more)?))
    }

    fn accepted(&self, answer: &Answer) -> Result<Value, String> {
        let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        Ok(json!({"id": reply.get("jobId")}))
    }
}

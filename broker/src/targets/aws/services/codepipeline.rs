//! CodePipeline `StartPipelineExecution`, once a job. A body adds to the request, such as `{variables: […]}`.

use serde_json::{Value, json};

use super::super::{
    super::wire::Answer,
    call::{Call, JsonVersion},
    service::{Does, One, Read, required},
    words::merged,
};
use crate::{config::fields::Fields, core::Job};

#[derive(Debug)]
struct CodePipeline {
    pipeline: String,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let pipeline = required(fields, "pipeline", "pipeline: release")?;
    let does = CodePipeline { pipeline: pipeline.clone() };
    Some(Read::new("codepipeline", &pipeline, Does::One(std::sync::Arc::new(does))))
}

impl One for CodePipeline {
    fn call(&self, job: &Job, _: &Value, value: Option<Value>) -> Result<Call, String> {
        let mut request = json!({"name": self.pipeline, "clientRequestToken": job.id.token()});
        if let Some(more) = value {
            request = merged(request, more)?;
        }
        Ok(Call::json(JsonVersion::V1_1, "CodePipeline_20150709.StartPipelineExecution", &request))
    }

    fn accepted(&self, answer: &Answer) -> Result<Value, String> {
        let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        Ok(json!({"id": reply.get("pipelineExecutionId")}))
    }
}

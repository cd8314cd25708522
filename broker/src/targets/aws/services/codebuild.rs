//! CodeBuild `StartBuild`, once a job. The build is told of the event in a variable, unless the body says otherwise.

use serde_json::{Value, json};

use super::super::{
    super::wire::Answer,
    call::{Call, JsonVersion},
    service::{Does, One, Read, optional, required},
    words::{merged, said},
};
use super::EVENT_VARIABLE;
use crate::{config::fields::Fields, core::Job};

#[derive(Debug)]
struct CodeBuild {
    project: String,
    source_version: Option<String>,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let project = required(fields, "project", "project: pkg-builder");
    let source_version = optional(fields, "source_version");
    let project = project?;
    let does = CodeBuild { project: project.clone(), source_version };
    Some(Read::new("codebuild", &project, Does::One(std::sync::Arc::new(does))))
}

impl One for CodeBuild {
    fn call(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Call, String> {
        let mut request = json!({"projectName": self.project, "idempotencyToken": job.id.token()});
        if let (Value::Object(request), Some(version)) = (&mut request, &self.source_version) {
            request.insert("sourceVersion".to_owned(), json!(version));
        }
        let more = value.unwrap_or_else(|| {
            let event = said(context, None).to_string();
            json!({"environmentVariablesOverride": [{"name": EVENT_VARIABLE, "value": event, "type": "PLAINTEXT"}]})
        });
        Ok(Call::json(JsonVersion::V1_1, "CodeBuild_20161006.StartBuild", &merged(request, more)?))
    }

    fn accepted(&self, answer: &Answer) -> Result<Value, String> {
        let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        Ok(json!({"id": reply.pointer("/build/id")}))
    }
}

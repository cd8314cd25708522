//! Inspector (version 2): has a report of findings made in a bucket, or turns scanning on.

use serde_json::{Value, json};

use super::super::{
    super::wire::Answer,
    call::Call,
    service::{Does, One, Read, optional, required},
    words::merged,
};
use crate::{
    config::{fields::Fields, shape::Form},
    core::Job,
};

const OPERATIONS: [&str; 2] = ["create_findings_report", "enable"];
const RESOURCES: [&str; 5] = ["CODE_REPOSITORY", "EC2", "ECR", "LAMBDA", "LAMBDA_CODE"];

#[derive(Debug)]
enum Inspector {
    Report(Value),
    Enable(Value),
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let operation = optional(fields, "operation").unwrap_or_else(|| OPERATIONS[0].to_owned());
    let does = match operation.as_str() {
        "create_findings_report" => Inspector::Report(report(fields)?),
        "enable" => Inspector::Enable(enable(fields)?),
        _ => {
            fields.problem("operation", format!("expected one of {}", OPERATIONS.join(", ")));
            return None;
        }
    };
    Some(Read::new("inspector2", &operation, Does::One(std::sync::Arc::new(does))))
}

fn report(fields: &mut Fields<'_>) -> Option<Value> {
    let format = optional(fields, "format").unwrap_or_else(|| "JSON".to_owned());
    if !["JSON", "CSV"].contains(&format.as_str()) {
        fields.problem("format", "expected one of CSV, JSON");
    }
    let bucket = required(fields, "bucket", "bucket: emote-findings");
    let key = required(fields, "kms_key", "kms_key: arn:aws:kms:eu-central-1:123456789012:key/…");
    let prefix = optional(fields, "prefix");
    let mut destination = json!({"bucketName": bucket?, "kmsKeyArn": key?});
    if let (Value::Object(destination), Some(prefix)) = (&mut destination, prefix) {
        destination.insert("keyPrefix".to_owned(), prefix.into());
    }
    Some(json!({"reportFormat": format, "s3Destination": destination}))
}

fn enable(fields: &mut Fields<'_>) -> Option<Value> {
    let types = fields.list_of("resource_types", Form::Text(&[]), |fields, path, value| {
        let known = value.as_str().filter(|text| RESOURCES.contains(text));
        if known.is_none() {
            fields.problem(path, format!("expected one of {}", RESOURCES.join(", ")));
        }
        known.map(str::to_owned)
    });
    fields.require("resource_types", types, "resource_types: [EC2]").map(|types| json!({"resourceTypes": types}))
}

impl One for Inspector {
    fn call(&self, job: &Job, _: &Value, value: Option<Value>) -> Result<Call, String> {
        let (path, request) = match self {
            Self::Report(request) => ("/reporting/create", request.clone()),
            Self::Enable(request) => ("/enable", merged(request.clone(), json!({"clientToken": job.id.token()}))?),
        };
        let request = match value {
            Some(more) => merged(request, more)?,
            None => request,
        };
        Ok(Call::rest(path, &request))
    }

    fn accepted(&self, answer: &Answer) -> Result<Value, String> {
        let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        Ok(json!({"id": reply.get("reportId")}))
    }
}

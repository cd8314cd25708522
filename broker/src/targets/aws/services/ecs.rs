//! ECS `RunTask`, once a job. `container` names the one that is told of the event in a variable; a body adds to the
//! request whatever else it may hold.

use serde_json::{Value, json};

use super::super::{
    super::wire::{Answer, quote},
    call::{Call, JsonVersion},
    service::{Does, One, Read, optional, required},
    words::{merged, said},
};
use super::EVENT_VARIABLE;
use crate::{
    config::{fields::Fields, shape::Form},
    core::Job,
};

#[derive(Debug)]
struct Ecs {
    task: String,
    cluster: Option<String>,
    container: Option<String>,
    launch_type: Option<String>,
    network: Option<Value>,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let task = required(fields, "task_definition", "task_definition: reimage:3");
    let cluster = optional(fields, "cluster");
    let container = optional(fields, "container");
    let launch_type = optional(fields, "launch_type");
    let texts = |fields: &mut Fields<'_>, key| {
        let read = |fields: &mut Fields<'_>, path: &str, value: &Value| {
            if value.as_str().is_none() {
                fields.problem(path, "expected a text");
            }
            value.as_str().map(str::to_owned)
        };
        fields.list_of(key, Form::Text(&[]), read)
    };
    let subnets = texts(fields, "subnets");
    let groups = texts(fields, "security_groups");
    let public = fields.flag("public_ip").unwrap_or_default();
    if subnets.is_none() && (groups.is_some() || fields.has("public_ip")) {
        fields.problem("subnets", "is missing: for example subnets: [subnet-0a1b2c]");
    }
    let network = subnets.map(|subnets| {
        let assign = if public { "ENABLED" } else { "DISABLED" };
        let groups = groups.unwrap_or_default();
        json!({"awsvpcConfiguration": {"subnets": subnets, "securityGroups": groups, "assignPublicIp": assign}})
    });
    let task = task?;
    let does = Ecs { task: task.clone(), cluster, container, launch_type, network };
    Some(Read::new("ecs", &task, Does::One(std::sync::Arc::new(does))))
}

impl One for Ecs {
    fn call(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Call, String> {
        let mut request = json!({"taskDefinition": self.task, "clientToken": job.id.token(), "count": 1});
        let overrides = self.container.as_ref().map(|container| {
            let event = said(context, None).to_string();
            json!({"containerOverrides": [
                {"name": container, "environment": [{"name": EVENT_VARIABLE, "value": event}]},
            ]})
        });
        let members = [
            ("cluster", self.cluster.clone().map(Value::from)),
            ("launchType", self.launch_type.clone().map(Value::from)),
            ("networkConfiguration", self.network.clone()),
            ("overrides", overrides),
        ];
        if let Value::Object(request) = &mut request {
            request.extend(members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        }
        if let Some(more) = value {
            request = merged(request, more)?;
        }
        Ok(Call::json(JsonVersion::V1_1, "AmazonEC2ContainerServiceV20141113.RunTask", &request))
    }

    /// A status of success with `failures` has placed nothing: no capacity, mostly.
    fn accepted(&self, answer: &Answer) -> Result<Value, String> {
        let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        match reply.pointer("/failures/0") {
            Some(failure) => {
                let text = |key| failure.get(key).and_then(Value::as_str).unwrap_or_default();
                Err(quote(&format!("no task was started: {} {}", text("reason"), text("detail"))))
            }
            None => Ok(json!({"id": reply.pointer("/tasks/0/taskArn")})),
        }
    }
}

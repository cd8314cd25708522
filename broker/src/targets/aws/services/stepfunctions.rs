//! Step Functions `StartExecution`. An execution is named after its job, so that it is started once.

use serde_json::{Value, json};

use super::super::{
    super::wire::Answer,
    answer::Refusal,
    call::{Call, JsonVersion},
    service::{Does, One, Read, required},
    words::said,
};
use crate::{config::fields::Fields, core::Job};

#[derive(Debug)]
struct StepFunctions {
    machine: String,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Read> {
    let example = "state_machine: arn:aws:states:eu-central-1:123456789012:stateMachine:offboard";
    let machine = required(fields, "state_machine", example)?;
    if !machine.starts_with("arn:") {
        fields.problem("state_machine", "a state machine is named by its ARN");
    }
    let does = StepFunctions { machine: machine.clone() };
    Some(Read::new("states", &machine, Does::One(std::sync::Arc::new(does))))
}

impl One for StepFunctions {
    fn call(&self, job: &Job, context: &Value, value: Option<Value>) -> Result<Call, String> {
        let input = said(context, value).to_string();
        let request = json!({"stateMachineArn": self.machine, "name": job.id.token(), "input": input});
        Ok(Call::json(JsonVersion::V1_0, "AWSStepFunctions.StartExecution", &request))
    }

    fn accepted(&self, answer: &Answer) -> Result<Value, String> {
        let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        Ok(json!({"id": reply.get("executionArn")}))
    }

    fn is_done(&self, refusal: &Refusal) -> bool {
        refusal.is("ExecutionAlreadyExists")
    }
}

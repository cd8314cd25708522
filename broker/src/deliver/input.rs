//! What a target is given: the rule's input transform, a jq program over the job's context or one of EventBridge's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use crate::{
    core::{Input, Job},
    jq::Program,
};

/// Compiled programs kept at most; rules have far fewer.
const KEPT: usize = 1_000;

/// Compiled input transforms, by their text.
#[derive(Default)]
pub struct Inputs {
    programs: Mutex<HashMap<String, Arc<Program>>>,
}

/// Compiles a rule's input transform, to find its mistakes before it is used.
pub fn check_program(text: &str) -> Result<(), String> {
    Program::compile(text, &[]).map(|_| ()).map_err(|error| error.to_string())
}

impl Inputs {
    /// The input of `job`: the event where the rule has no transform; `None` where the transform gives nothing, which
    /// means that the target is to do nothing.
    pub fn render(&self, job: &Job) -> Result<Option<Value>, String> {
        let Some(text) = &job.input else {
            return serde_json::to_value(&job.event).map(Some).map_err(|error| error.to_string());
        };
        let failed = |error: &dyn std::fmt::Display| format!("the input of rule {} failed: {error}", job.rule);
        let text = match text {
            Input::Jq(text) => text,
            Input::Bridge(input) => return super::bridge::render(input, job).map_err(|error| failed(&error)),
        };
        let program = self.program(text).map_err(|error| failed(&error))?;
        let mut outputs = program.run(&job.context(), &[]).map_err(|error| failed(&error))?;
        match outputs.len() {
            0 => Ok(None),
            1 => Ok(outputs.pop()),
            many => Err(failed(&format!("it gives {many} values; one is wanted, or none for no effect"))),
        }
    }

    fn program(&self, text: &str) -> Result<Arc<Program>, String> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = programs.get(text) {
            return Ok(Arc::clone(program));
        }
        let program = Arc::new(Program::compile(text, &[]).map_err(|error| error.to_string())?);
        if programs.len() >= KEPT {
            programs.clear();
        }
        programs.insert(text.to_owned(), Arc::clone(&program));
        Ok(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::JobId;
    use emote_proto::{Event, Name};
    use serde_json::json;

    fn job(input: Option<&str>) -> Job {
        let event = json!({"id": "00000000-0000-7000-8000-000000000000", "time": "2026-01-01T00:00:00Z", "source": "s", "scope": "a", "action": "b"});
        let event = Event::parse(event.to_string().as_bytes()).unwrap();
        let name = |text: &str| Name::new(text).unwrap();
        let id = JobId::new(event.id, &name("r"), &name("t"), None);
        Job {
            node: Some(json!({"name": "ada-mbp"}).into()),
            input: input.map(|text| Input::Jq(text.to_owned())),
            ..Job::new(id, name("r"), name("t"), event)
        }
    }

    #[test]
    fn a_transform_sees_event_node_rule_target_and_job() {
        let inputs = Inputs::default();
        let input = inputs
            .render(&job(Some("{n: .node.name, s: .event.scope, r: .rule, t: .target, j: .job}")))
            .unwrap()
            .unwrap();
        assert_eq!(
            input,
            json!({"n": "ada-mbp", "s": "a", "r": "r", "t": "t", "j": "00000000-0000-7000-8000-000000000000/r/t"})
        );
    }

    #[test]
    fn none_is_the_event_and_nothing_is_nothing() {
        let inputs = Inputs::default();
        assert_eq!(inputs.render(&job(None)).unwrap().unwrap()["scope"], "a");
        assert_eq!(inputs.render(&job(Some("empty"))), Ok(None));
        assert!(inputs.render(&job(Some("1, 2"))).unwrap_err().contains("2 values"));
        assert!(inputs.render(&job(Some(".event.scope + 1"))).unwrap_err().contains("rule r"));
        assert!(check_program("{").is_err());
    }
}

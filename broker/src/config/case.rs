//! `tests/<name>.yaml`: given these events, expect these jobs. Played through the very core that runs, in memory.

use std::collections::BTreeMap;

use emote_proto::{Draft, Name, Time, Trust};
use serde_json::{Map, Value};

use super::{Problems, fields::Fields, shape::Form, trust_file};
use crate::{
    core::{CORE_RULE, Changes, Core, Entry, Job, Memory, Overlay, Package},
    deliver::Inputs,
};

/// When the first event of a case is received; each later one a second after the one before.
const BEGIN_MILLIS: i64 = 1_767_225_600_000;

/// A test case: events and the jobs that the last of them are to set off.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The file's name.
    pub name: Name,
    given: Vec<Given>,
    expect: Vec<Expected>,
}

#[derive(Debug, Clone, PartialEq)]
struct Given {
    subject: String,
    body: Value,
    /// What it is believed as, where the case says it.
    trust: Option<Trust>,
}

#[derive(Debug, Clone, PartialEq)]
struct Expected {
    rule: String,
    target: String,
    node: Option<String>,
    input: Option<Value>,
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} → {}", self.rule, self.target)?;
        if let Some(node) = &self.node {
            write!(f, " for {node}")?;
        }
        if let Some(input) = &self.input {
            write!(f, " with {input}")?;
        }
        Ok(())
    }
}

impl Case {
    /// Reads a test file.
    pub(super) fn read(name: Name, map: &Map<String, Value>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(map, problems);
        let case = Self::of(name, &mut fields);
        fields.finish();
        case
    }

    /// Reads the file's fields.
    pub(crate) fn of(name: Name, fields: &mut Fields<'_>) -> Option<Self> {
        fields.text("description");
        let given = fields.list("given", read_given);
        let given = fields.require(
            "given",
            given,
            "given: [{source: okta, event: {scope: user, action: deactivated, user: {id: ada@example.com}}}]",
        );
        let expect = fields.list("expect", |fields, path, value| fields.element(path, value, read_expected).flatten());
        let expect =
            fields.require("expect", expect, "expect: [{rule: lock-leavers, target: mdm-lock}], or expect: []");
        Some(Self { name, given: given?, expect: expect? })
    }

    /// Plays the case; what is not as expected comes back as problems.
    pub fn run(&self, core: &Core) -> Vec<String> {
        let mut memory = Memory::default();
        if core.deploying().is_some() {
            // What is deployed is no file: rules are tried as if something were.
            memory.apply(Changes { package: Some(Package::example()), ..Changes::default() });
        }
        let mut jobs = Vec::new();
        for (sequence, given) in (1_u64..).zip(&self.given) {
            let body = serde_json::to_vec(&given.body).unwrap_or_default();
            let received = i64::try_from(sequence).ok().and_then(|n| Time::from_millis(BEGIN_MILLIS + n * 1000));
            let Some(received) = received else { break };
            let entry = Entry { sequence, received, subject: &given.subject, message_id: None, payload: &body };
            let mut overlay = Overlay::new(&memory);
            let jobs_of = match given.trust {
                Some(trust) => core.apply_as(&mut overlay, &entry, trust),
                None => core.apply(&mut overlay, &entry),
            };
            match jobs_of {
                Ok(of_entry) => jobs.extend(of_entry),
                Err(error) => return vec![error.to_string()],
            }
            let changes = overlay.into_changes();
            memory.apply(changes);
        }
        self.compare(jobs)
    }

    fn compare(&self, jobs: Vec<Job>) -> Vec<String> {
        let inputs = Inputs::default();
        let mut wrong = Vec::new();
        let mut left: BTreeMap<usize, (Job, Option<Value>)> = BTreeMap::new();
        for (index, job) in jobs.into_iter().enumerate() {
            if job.rule.as_str() == CORE_RULE {
                let info = job.event.info.as_deref().unwrap_or(&Value::Null);
                let is_told = job.event.scope.as_str() == "deploy";
                if !is_told && !matches!(job.event.action.as_str(), "no_devices" | "held" | "refused") {
                    wrong.push(format!("{}.{}: {info}", job.event.scope, job.event.action));
                }
                continue;
            }
            match inputs.render(&job) {
                Ok(input) => drop(left.insert(index, (job, input))),
                Err(error) => wrong.push(error),
            }
        }
        for expected in &self.expect {
            let found =
                left.iter().find(|(_, (job, input))| expected.is_met_by(job, input.as_ref())).map(|(index, _)| *index);
            match found {
                Some(index) => drop(left.remove(&index)),
                None => wrong.push(format!("expected, but not set off: {expected}")),
            }
        }
        for (job, input) in left.into_values() {
            let (rule, target, node) = (job.rule.to_string(), job.target.to_string(), job.node_key());
            wrong.push(format!("set off, but not expected: {}", Expected { rule, target, node, input }));
        }
        wrong
    }
}

impl Expected {
    fn is_met_by(&self, job: &Job, input: Option<&Value>) -> bool {
        self.rule == job.rule.as_str()
            && self.target == job.target.as_str()
            && self.node.as_ref().is_none_or(|node| job.node_key().as_ref() == Some(node))
            && self.input.as_ref().is_none_or(|part| input.is_some_and(|input| contains(input, part)))
    }
}

/// Whether `whole` has everything that `part` names.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        _ => whole == part,
    }
}

/// `{source: okta, event: {…}}`: the subject follows from the event. `trust` says what it is believed as, where that is
/// not to be what `trust.yaml` or the event says.
fn read_given(fields: &mut Fields<'_>, path: &str, value: &Value) -> Option<Given> {
    fields.element(path, value, |fields| {
        let source = fields.formed("source", Form::Text(&["okta"]), |value| {
            Name::new(value.as_str().unwrap_or_default()).map_err(|error| error.to_string())
        });
        let source = fields.require("source", source, "source: okta");
        let trust = fields.formed("trust", trust_file::form(), trust_file::level);
        fields.holds("event", Form::Event);
        let event = fields.value("event").cloned();
        let event = fields.require("event", event, "event: {scope: device, action: enroll}")?;
        let draft =
            Draft::from_value(event.clone()).and_then(|draft| source.map(|source| draft.subject(source)).transpose());
        match draft {
            Ok(subject) => Some(Given { subject: subject?.to_string(), body: event, trust }),
            Err(error) => {
                fields.problem("event", error);
                None
            }
        }
    })?
}

fn read_expected(fields: &mut Fields<'_>) -> Option<Expected> {
    let rule = fields.text("rule");
    let rule = fields.require("rule", rule, "rule: lock-leavers");
    let target = fields.text("target");
    let target = fields.require("target", target, "target: mdm-lock");
    let node = fields.text("node");
    let input = fields.value("input").cloned();
    Some(Expected { rule: rule?, target: target?, node, input })
}

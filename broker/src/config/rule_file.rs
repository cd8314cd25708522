//! `rules/<name>.yaml`: a pattern and what it sets off.

use emote_proto::Name;
use emote_rules::Pattern;
use serde_json::{Map, Value};

use super::{Problems, fields::Fields};
use crate::{
    core::{Fanout, Rule, RuleTarget},
    deliver::check_program,
};

/// Targets a rule may name at most.
const MAX_TARGETS: usize = 32;
/// Largest input transform in bytes.
const MAX_INPUT: usize = 64 * 1024;

/// Reads a rule file. `targets` are the names of the targets there are.
pub(super) fn read(name: Name, map: &Map<String, Value>, targets: &[Name], problems: &mut Problems) -> Option<Rule> {
    let mut fields = Fields::new(map, problems);
    fields.text("description");
    let fanout = match fields.text("for_each").as_deref() {
        None => Fanout::Event,
        Some("user_devices") => Fanout::UserDevices,
        Some(_) => {
            fields.problem("for_each", "expected user_devices, or nothing for the event's own node");
            Fanout::Event
        }
    };
    let pattern = fields.parsed("pattern", |value| Pattern::from_value(value).map_err(|error| error.to_string()));
    let pattern = fields.require("pattern", pattern, "pattern: {scope: [device], action: [enroll]}");
    let list = fields.list("targets", |fields, path, value| read_target(fields, path, value, targets));
    let list = fields.require("targets", list, "targets: [slack]").unwrap_or_default();
    if list.len() > MAX_TARGETS {
        fields.problem("targets", format!("{} targets: at most {MAX_TARGETS} are allowed", list.len()));
    }
    for (index, target) in list.iter().enumerate() {
        if list[..index].iter().any(|earlier| earlier.target == target.target) {
            let again = format!("{} is named twice: a rule gives a target one job an event", target.target);
            fields.problem(&format!("targets[{index}]"), again);
        }
    }
    if fields.value("targets").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        fields.problem("targets", "name at least one target");
    }
    fields.finish();
    Some(Rule { name, pattern: pattern?, fanout, targets: list })
}

/// `slack`, or `{target: slack, input: <jq>}`.
fn read_target(fields: &mut Fields<'_>, path: &str, value: &Value, targets: &[Name]) -> Option<RuleTarget> {
    let (text, input) = match value {
        Value::String(text) => (text.clone(), None),
        other => fields.element(path, other, |fields| {
            let target = fields.text("target");
            let target = fields.require("target", target, "target: slack");
            let input = fields.parsed("input", |value| match value.as_str() {
                Some(text) if text.len() > MAX_INPUT => Err(format!("at most {MAX_INPUT} bytes: every job carries it")),
                Some(text) => check_program(text).map(|()| text.to_owned()),
                None => Err("expected a jq program such as '{text: .event.action}'".to_owned()),
            });
            target.map(|target| (target, input))
        })??,
    };
    let found = targets.iter().find(|name| name.as_str() == text);
    if found.is_none() {
        let known: Vec<&str> = targets.iter().map(Name::as_str).collect();
        fields.problem(path, format!("there is no target {text:?}: expected one of {}", known.join(", ")));
    }
    found.map(|name| RuleTarget { target: name.clone(), input })
}

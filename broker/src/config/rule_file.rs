//! `rules/<name>.yaml`: a pattern and what it sets off.

use std::collections::BTreeMap;

use emote_proto::Name;
use emote_rules::{Pattern, Step};
use serde_json::{Map, Value};

use super::{
    Problems,
    fields::{Fields, expected},
    json_text,
    shape::Form,
};
use crate::{
    core::{BridgeInput, Fanout, Input, Rule, RuleTarget},
    deliver::{check_bridge, check_program},
};

/// Where a rule file has its pattern.
pub(super) const PATTERN: &str = "pattern";
/// Targets a rule may name at most.
const MAX_TARGETS: usize = 32;
/// Largest input transform in bytes.
const MAX_INPUT: usize = 64 * 1024;

/// Reads a rule file, as it is written and as values. `targets` are the names of the targets there are.
pub(super) fn read(
    name: Name,
    (yaml, map): (&str, &Map<String, Value>),
    targets: &[Name],
    problems: &mut Problems,
) -> Option<Rule> {
    let mut fields = Fields::new(map, problems);
    let rule = of(name, yaml, &mut fields, targets);
    fields.finish();
    rule
}

/// Reads the fields of a rule file.
pub(crate) fn of(name: Name, yaml: &str, fields: &mut Fields<'_>, targets: &[Name]) -> Option<Rule> {
    fields.text("description");
    fields.holds("for_each", Form::Words(vec!["user_devices"]));
    let fanout = match fields.parsed("for_each", |value| Ok(value.as_str().unwrap_or_default())) {
        None => Fanout::Event,
        Some("user_devices") => Fanout::UserDevices,
        Some(_) => {
            fields.problem("for_each", "expected user_devices, or nothing for the event's own node");
            Fanout::Event
        }
    };
    let pattern = pattern(fields, yaml);
    let list =
        fields.list_of("targets", Form::Text(&[]), |fields, path, value| read_target(fields, path, value, targets));
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
    Some(Rule { name, pattern: pattern?, fanout, targets: list })
}

/// Reads nothing but the pattern of a rule file.
pub(super) fn read_pattern((yaml, map): (&str, &Map<String, Value>), problems: &mut Problems) -> Option<Pattern> {
    pattern(&mut Fields::new(map, problems), yaml)
}

/// A problem with it stands where the wrong part of it does. It is read as it is written, for the values have lost the
/// order of keys and digits of numbers.
fn pattern(fields: &mut Fields<'_>, yaml: &str) -> Option<Pattern> {
    fields.holds(PATTERN, Form::Pattern);
    let written = fields.has(PATTERN).then(|| json_text::of_key(yaml, PATTERN));
    let pattern = match written {
        Some(Some(Ok(json))) => parsed(fields, &json),
        Some(Some(Err(wrong))) => {
            let path = path_of_field(&wrong.steps);
            fields.problem_at(&path, wrong.steps, wrong.message);
            None
        }
        Some(None) => {
            fields.problem(PATTERN, "comes from elsewhere by <<, where its order is not sure: write it here");
            None
        }
        None => None,
    };
    fields.require(PATTERN, pattern, "pattern: {scope: [device], action: [enroll]}")
}

fn parsed(fields: &mut Fields<'_>, json: &str) -> Option<Pattern> {
    match Pattern::parse(json) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let message = format!("{}; {}", error.problem(), error.remedy());
            let path = if error.path().is_empty() { PATTERN.to_owned() } else { format!("{PATTERN}.{}", error.path()) };
            let steps = std::iter::once(Step::Key(PATTERN.to_owned())).chain(error.steps().iter().cloned());
            fields.problem_at(&path, steps.collect(), message);
            None
        }
    }
}

/// `pattern.device.model` for what is in the list of that field, as it is for what is wrong with a pattern itself.
fn path_of_field(steps: &[Step]) -> String {
    let mut names = Vec::new();
    let mut steps = steps.iter();
    while let Some(Step::Key(name)) = steps.next() {
        if name == "$or" {
            steps.next();
        } else {
            names.push(name.as_str());
        }
    }
    names.join(".")
}

/// `slack`, or `{target: slack, input: <jq>}`, or with EventBridge's `InputPath` or `InputTransformer` for `input`.
fn read_target(fields: &mut Fields<'_>, path: &str, value: &Value, targets: &[Name]) -> Option<RuleTarget> {
    let (text, input) = match value {
        Value::String(text) => (text.clone(), None),
        other => fields.element(path, other, |fields| {
            let target = fields.text("target");
            let target = fields.require("target", target, "target: slack");
            let input = read_input(fields);
            target.map(|target| (target, input))
        })??,
    };
    let found = targets.iter().find(|name| name.as_str() == text);
    if found.is_none() {
        let known: Vec<&str> = targets.iter().map(Name::as_str).collect();
        let expected = if known.is_empty() {
            "there are none, describe one in targets/NAME.yaml".to_owned()
        } else {
            format!("expected one of {}", known.join(", "))
        };
        fields.problem(path, format!("there is no target {text:?}: {expected}"));
    }
    found.map(|name| RuleTarget { target: name.clone(), input })
}

/// At most one of `input`, `InputPath` and `InputTransformer`.
fn read_input(fields: &mut Fields<'_>) -> Option<Input> {
    let given: Vec<&str> =
        ["input", "InputPath", "InputTransformer"].into_iter().filter(|key| fields.has(key)).collect();
    if let [_, second, ..] = given[..] {
        fields.problem(second, format!("a target has one input: {} are given", given.join(" and ")));
    }
    let program = fields.formed("input", Form::Jq, |value| match value.as_str() {
        Some(text) if text.len() > MAX_INPUT => Err(format!("at most {MAX_INPUT} bytes: every job carries it")),
        Some(text) => check_program(text).map(|()| Input::Jq(text.to_owned())),
        None => Err("expected a jq program such as '{text: .event.action}'".to_owned()),
    });
    let path = fields.text("InputPath").map(BridgeInput::InputPath);
    let transformer = fields.object("InputTransformer", read_transformer).flatten();
    let bridge = path.or(transformer).filter(|input| match check_bridge(input) {
        Ok(()) => true,
        Err((key, wrong)) => {
            fields.problem(&key, wrong);
            false
        }
    });
    program.or(bridge.map(Input::Bridge))
}

fn read_transformer(fields: &mut Fields<'_>) -> Option<BridgeInput> {
    let template = fields.text("InputTemplate");
    let template = fields.require("InputTemplate", template, "InputTemplate: '{\"serial\": <serial>}'");
    let mut paths = BTreeMap::new();
    for (name, value) in fields.entries("InputPathsMap").into_iter().flatten() {
        match value.as_str() {
            Some(path) => drop(paths.insert(name.clone(), path.to_owned())),
            None => fields.problem(&format!("InputPathsMap.{name}"), expected("a path such as $.info", value)),
        }
    }
    template.map(|template| BridgeInput::InputTransformer { paths, template })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Report, report::Origin};
    use std::path::Path;

    fn told(yaml: &str) -> String {
        let map: Map<String, Value> = crate::config::yaml::read(yaml).unwrap();
        let mut problems = Problems::default();
        read(Name::new("lock").unwrap(), (yaml, &map), &[Name::new("slack").unwrap()], &mut problems);
        let mut report = Report::default();
        report.add_all(&Origin::shown(Path::new("rules/lock.yaml"), yaml), problems);
        report.to_string()
    }

    fn pattern_in(yaml: &str) -> Pattern {
        let yaml = format!("pattern: {yaml}\ntargets: [slack]\n");
        let map = crate::config::yaml::read(&yaml).unwrap();
        read_pattern((&yaml, &map), &mut Problems::default()).unwrap()
    }

    /// Each pattern is JSON, and so YAML too; the other is the same without quotes.
    #[test]
    fn a_pattern_means_the_same_in_yaml_as_in_json() {
        for (json, yaml) in [
            // What is written last counts, whichever way a path is spelled.
            (r#"{"$or": [{"a": [2]}, {"b": [3]}], "a": [1]}"#, "{$or: [{a: [2]}, {b: [3]}], a: [1]}"),
            (r#"{"a": [1], "$or": [{"a": [2]}, {"b": [3]}]}"#, "{a: [1], $or: [{a: [2]}, {b: [3]}]}"),
            (r#"{"a.b": [1], "a": {"b": [2]}}"#, "{a.b: [1], a: {b: [2]}}"),
            (r#"{"a": {"b": [2]}, "a.b": [1]}"#, "{a: {b: [2]}, a.b: [1]}"),
            // Numbers that no double holds are their text.
            (
                r#"{"a": [123456789012345678901, 0.1234567890123456789, 1e400]}"#,
                "{a: [123456789012345678901, 0.1234567890123456789, 1e400]}",
            ),
            (r#"{"a": ["it", true, null, {"prefix": "14"}]}"#, "\n  a: [it, true, null, {prefix: '14'}]"),
            (
                r#"{"at": [{"time-of-day": {"from": "22:00", "to": "06:00"}}]}"#,
                "\n  at:\n  - time-of-day: {from: 22:00, to: 06:00}",
            ),
        ] {
            let pattern = Pattern::parse(json).unwrap();
            assert_eq!(pattern_in(json), pattern, "{json}");
            assert_eq!(pattern_in(yaml), pattern, "{yaml}");
        }
        assert_ne!(pattern_in("{a.b: [1], a: {b: [2]}}"), pattern_in("{a: {b: [2]}, a.b: [1]}"));
    }

    #[test]
    fn the_example_in_the_description_of_the_language_is_a_pattern() {
        let language = include_str!("../../rules/PATTERNS.md");
        let (_, example) = language.split_once("```yaml\n").unwrap();
        let (yaml, _) = example.split_once("```").unwrap();
        let json = r#"{"scope": ["device"], "device.model": [{"prefix": "Mac"}, {"equals-ignore-case": "ipad"}],
            "$or": [{"action": ["enroll"]}, {"info": {"free": [{"numeric": ["<", 5]}]}}]}"#;
        let pattern = read_pattern((yaml, &crate::config::yaml::read(yaml).unwrap()), &mut Problems::default());
        assert_eq!(pattern, Some(Pattern::parse(json).unwrap()));
    }

    #[test]
    fn what_json_has_not_is_told_where_it_stands() {
        insta::assert_snapshot!(told("pattern:\n  device:\n    managed: [on]\ntargets: [slack]\n"), @r#"
        rules/lock.yaml:3:15: pattern.device.managed: on is true to some readers of YAML and a text to others: write "on" or true
          3 |     managed: [on]
            |               ^
        "#);
        for (pattern, said) in [
            ("{serial: ['1', 0123]}", ":1:25: pattern.serial: 0123 is not how JSON writes a number"),
            ("{$or: [{a: [1]}, {b: [{prefix: no}]}]}", ":1:41: pattern.b: no is false to some readers"),
            ("{scope: [!!int 1]}", ":1:25: pattern.scope: the tag !!int means nothing here"),
        ] {
            let told = told(&format!("pattern: {pattern}\ntargets: [slack]\n"));
            assert!(told.starts_with(&format!("rules/lock.yaml{said}")), "{told}");
        }
        let merged = told("pattern:\n  scope: [user]\n  <<: {action: [login]}\ntargets: [slack]\n");
        assert!(merged.starts_with("rules/lock.yaml:3:7: pattern.<<: << would bring in other fields"), "{merged}");
        let merged = told("<<: {pattern: {scope: [device]}}\ntargets: [slack]\n");
        assert!(merged.contains("pattern: comes from elsewhere by <<"), "{merged}");
    }

    #[test]
    fn what_is_wrong_with_a_pattern_is_told_where_it_stands() {
        let all_at_once = "\
description: A Mac that is locked.
pattern:
  scope: [device]
  device:
    model: [{prefix: 14}]
targets: [slack, slakc]
on: {}
";
        insta::assert_snapshot!(told(all_at_once), @r#"
        rules/lock.yaml:5:22: pattern.device.model: prefix takes a string, not a number; write {"prefix": "MacBook"}
          5 |     model: [{prefix: 14}]
            |                      ^
        rules/lock.yaml:6:18: targets[1]: there is no target "slakc": expected one of slack
          6 | targets: [slack, slakc]
            |                  ^
        rules/lock.yaml:7:1: on: unknown key: expected one of description, for_each, pattern, targets
          7 | on: {}
            | ^
        "#);
        let wide = "pattern:\n  部署.名前: [東京, {prefix: 14}]\ntargets: [slack]\n";
        insta::assert_snapshot!(told(wide), @r#"
        rules/lock.yaml:2:24: pattern.部署.名前: prefix takes a string, not a number; write {"prefix": "MacBook"}
          2 |   部署.名前: [東京, {prefix: 14}]
            |                              ^
        "#);
        for (pattern, said) in [
            (" {scope: device}", ":1:18: pattern.scope: a field's pattern is a list, not a string"),
            ("\n  device.model:\n    - {regx: x}", ":3:7: pattern.device.model: there is no operator \"regx\""),
            ("\n  $or:\n    - scope: [device]\n    - scope: []", ":4:14: pattern.scope: an empty list matches nothing"),
            ("\n  a: [1]\n  $or: [{b: [1]}]", ":3:8: pattern.$or: $or has 1 alternatives"),
            (" [scope]", ":1:10: pattern: a pattern is an object, not a list"),
            (" {}", ":1:10: pattern: an empty object matches nothing"),
            ("\n  x.y:\n    z.w: [{numeric: [\">\", x]}]", ":3:27: pattern.x.y.z.w: numeric compares with a number"),
        ] {
            let told = told(&format!("pattern:{pattern}\ntargets: [slack]\n"));
            assert!(told.starts_with(&format!("rules/lock.yaml{said}")), "{pattern}: {told}");
            assert_eq!(told.lines().count(), 3, "{told}");
        }
    }

    #[test]
    fn eventbridges_inputs_are_taken_as_they_are() {
        let of = |entry: &str| told(&format!("pattern: {{scope: [device]}}\ntargets:\n  - target: slack\n{entry}"));
        assert_eq!(of("    InputPath: $.info\n"), "");
        let transformer = "    InputTransformer:\n      InputPathsMap: {id: $.device.uuid}\n      InputTemplate: ";
        assert_eq!(of(&format!("{transformer}'{{\"serial\": <id>}}'\n")), "");
        insta::assert_snapshot!(of(&format!("{transformer}'{{\"serial\": <ID>}}'\n")), @r#"
        rules/lock.yaml:6:7: targets[0].InputTransformer.InputTemplate: there is no variable <ID>: expected one of id, aws.events.rule-name, aws.events.rule-arn, aws.events.event.json, aws.events.event, aws.events.event.ingestion-time
          6 |       InputTemplate: '{"serial": <ID…
            |       ^
        "#);
        insta::assert_snapshot!(of("    input: .event\n    InputPath: info\n"), @r#"
        rules/lock.yaml:5:5: targets[0].InputPath: a target has one input: input and InputPath are given
          5 |     InputPath: info
            |     ^
        rules/lock.yaml:5:5: targets[0].InputPath: does not begin with $: a path is such as $.info.name, $.info.list[0] or $.info.list[*].name
          5 |     InputPath: info
            |     ^
        "#);
        let misspelt = of("    InputTransformer: {InputTemplat: x}\n");
        assert!(
            misspelt.contains("InputTransformer.InputTemplate: is missing") && misspelt.contains("unknown key"),
            "{misspelt}"
        );
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_not_shown() {
        let mut problems = Problems::default();
        problems.add("webhook", "a secret is given by reference");
        let mut report = Report::default();
        report.add_all(&Origin::hidden(Path::new("targets/slack.yaml"), "kind: slack\nwebhook: hunter2\n"), problems);
        assert_eq!(report.to_string(), "targets/slack.yaml:2:1: webhook: a secret is given by reference");
        assert!(!serde_json::to_string(&report.problems).unwrap().contains("hunter2"));
    }
}

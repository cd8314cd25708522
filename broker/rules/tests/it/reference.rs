//! The reference cases beside the project, where they are: what the reference engine said of patterns and events.

use emote_rules::{OPERATORS, Pattern, RuleSet};
use serde_json::Value;
use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/patterns");

#[derive(Default)]
struct Tally {
    passed: usize,
    unsupported: usize,
    extended: usize,
    failed: Vec<String>,
}

/// What became of a case.
enum Verdict {
    /// As in the reference.
    Same,
    /// The reference refuses the pattern for an operator that is our own.
    Extended,
    Different(String),
}

/// Runs every line of a file.
fn run(file: &str, check: impl Fn(&Value) -> Verdict) {
    let Ok(text) = std::fs::read_to_string(Path::new(FOLDER).join(file)) else {
        println!("{file}: not there, nothing run");
        return;
    };
    let mut tally = Tally::default();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        match check(&case) {
            Verdict::Same => tally.passed += 1,
            Verdict::Extended => tally.extended += 1,
            Verdict::Different(wrong) if names_an_unknown_operator(&wrong) => tally.unsupported += 1,
            Verdict::Different(wrong) => tally.failed.push(format!("{}: {wrong}\n{line:.1000}", case["id"])),
        }
    }
    let Tally { passed, unsupported, extended, .. } = tally;
    println!(
        "{file}: {} cases run, {passed} passed, {unsupported} with an unsupported operator, {extended} with one of ours",
        text.lines().count()
    );
    assert!(tally.failed.is_empty(), "{file}: {} failed:\n{}", tally.failed.len(), tally.failed.join("\n"));
}

const KNOWN_TO_THE_REFERENCE: [&str; 9] =
    ["anything-but", "cidr", "equals-ignore-case", "exactly", "exists", "numeric", "prefix", "suffix", "wildcard"];

/// An operator of the reference that is refused as unknown is not supported yet.
fn names_an_unknown_operator(wrong: &str) -> bool {
    let mut missing = KNOWN_TO_THE_REFERENCE.iter().filter(|name| !OPERATORS.contains(name));
    missing.any(|name| wrong.contains(&format!("there is no operator {name:?}")))
}

/// Whether an operator that the reference does not know stands in a list of the pattern.
fn uses_an_operator_of_ours(pattern: &str) -> bool {
    fn used_in(value: &Value, in_list: bool) -> bool {
        let ours = |name: &str| OPERATORS.contains(&name) && !KNOWN_TO_THE_REFERENCE.contains(&name);
        match value {
            Value::Object(members) => {
                members.iter().any(|(name, value)| (in_list && ours(name)) || used_in(value, false))
            }
            Value::Array(elements) => elements.iter().any(|element| used_in(element, true)),
            _ => false,
        }
    }
    serde_json::from_str(pattern).is_ok_and(|pattern| used_in(&pattern, false))
}

/// What the reference refuses and we do not.
fn accepted(patterns: &[&str], accepted: String) -> Verdict {
    match patterns.iter().any(|pattern| uses_an_operator_of_ours(pattern)) {
        true => Verdict::Extended,
        false => Verdict::Different(accepted),
    }
}

fn found(case: &Value) -> Result<Vec<String>, String> {
    let mut rules = Vec::new();
    for rule in case["rules"].as_array().unwrap() {
        let pattern = Pattern::parse(rule["pattern"].as_str().unwrap()).map_err(|error| error.to_string())?;
        rules.push((rule["name"].as_str().unwrap().to_owned(), pattern));
    }
    let event = case["event"].as_str().unwrap();
    let mut found = RuleSet::build(rules).matches(event.as_bytes()).map_err(|error| error.to_string())?;
    found.sort();
    Ok(found)
}

fn check_matches(case: &Value) -> Verdict {
    let rejected = case["rejected"].as_bool().unwrap_or(false);
    match found(case) {
        Err(_) if rejected => Verdict::Same,
        Err(error) => Verdict::Different(error),
        Ok(found) if rejected => {
            let patterns = case["rules"].as_array().unwrap().iter().map(|rule| rule["pattern"].as_str().unwrap());
            accepted(&patterns.collect::<Vec<_>>(), format!("accepted, and matches {found:?}"))
        }
        Ok(found) if Value::from(found.clone()) == case["matches"] => Verdict::Same,
        Ok(found) => Verdict::Different(format!("matches {found:?}")),
    }
}

#[test]
fn events_match_as_they_do_in_the_reference() {
    run("match.jsonl", check_matches);
}

#[test]
fn odd_corners_are_as_they_are_in_the_reference() {
    run("semantics.jsonl", check_matches);
}

#[test]
fn patterns_are_valid_if_they_are_in_the_reference() {
    run("valid.jsonl", |case| {
        let pattern = case["pattern"].as_str().unwrap();
        match (case["valid"].as_bool().unwrap(), Pattern::parse(pattern)) {
            (true, Err(error)) => Verdict::Different(error.to_string()),
            (false, Ok(_)) => accepted(&[pattern], "accepted".to_owned()),
            _ => Verdict::Same,
        }
    });
}

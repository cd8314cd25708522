//! The reference cases beside the project, where they are: what the reference engine said of patterns and events.

use emote_rules::{OPERATORS, Pattern, RuleSet};
use serde_json::Value;
use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/patterns");

#[derive(Default)]
struct Tally {
    passed: usize,
    unsupported: usize,
    failed: Vec<String>,
}

/// Runs every line of a file. `check` answers what is wrong, or nothing.
fn run(file: &str, check: impl Fn(&Value) -> Option<String>) {
    let Ok(text) = std::fs::read_to_string(Path::new(FOLDER).join(file)) else {
        println!("{file}: not there, nothing run");
        return;
    };
    let mut tally = Tally::default();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        match check(&case) {
            None => tally.passed += 1,
            Some(wrong) if names_an_unknown_operator(&wrong) => tally.unsupported += 1,
            Some(wrong) => tally.failed.push(format!("{}: {wrong}\n{line:.1000}", case["id"])),
        }
    }
    let (passed, unsupported) = (tally.passed, tally.unsupported);
    println!("{file}: {} cases run, {passed} passed, {unsupported} with an unsupported operator", text.lines().count());
    assert!(tally.failed.is_empty(), "{file}: {} failed:\n{}", tally.failed.len(), tally.failed.join("\n"));
}

/// An operator of the reference that is refused as unknown is not supported yet.
fn names_an_unknown_operator(wrong: &str) -> bool {
    let known_to_the_reference =
        ["anything-but", "cidr", "equals-ignore-case", "exactly", "exists", "numeric", "prefix", "suffix", "wildcard"];
    let mut missing = known_to_the_reference.iter().filter(|name| !OPERATORS.contains(name));
    missing.any(|name| wrong.contains(&format!("there is no operator {name:?}")))
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

fn check_matches(case: &Value) -> Option<String> {
    let rejected = case["rejected"].as_bool().unwrap_or(false);
    match found(case) {
        Err(_) if rejected => None,
        Err(error) => Some(error),
        Ok(found) if rejected => Some(format!("accepted, and matches {found:?}")),
        Ok(found) => (Value::from(found.clone()) != case["matches"]).then(|| format!("matches {found:?}")),
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
        let pattern = Pattern::parse(case["pattern"].as_str().unwrap());
        match (case["valid"].as_bool().unwrap(), pattern) {
            (true, Err(error)) => Some(error.to_string()),
            (false, Ok(_)) => Some("accepted".to_owned()),
            _ => None,
        }
    });
}

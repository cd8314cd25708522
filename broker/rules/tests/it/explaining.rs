//! What people are told.

use emote_rules::{Outcome, Pattern};
use serde_json::{Value, json};

fn explain(pattern: &str, event: &Value) -> emote_rules::Explanation {
    Pattern::parse(pattern).unwrap().explain(event)
}

#[test]
fn every_field_tells_what_was_expected_and_found() {
    let pattern = r#"{"scope": ["device"], "os": [{"prefix": "15."}, {"numeric": [">=", 15]}], "user": [{"exists": true}],
        "owner": [{"exists": false}], "ip": [{"anything-but": {"suffix": [".1", ".2"]}}]}"#;
    let event = json!({"scope": "device", "os": ["14.7", 14], "owner": "ada", "ip": "10.0.0.1"});
    let explanation = explain(pattern, &event);
    assert_eq!(
        explanation.to_string(),
        "The event does not match.
  ✗ ip: expected anything but suffix \".1\" or suffix \".2\"; found \"10.0.0.1\"
  ✗ os: expected prefix \"15.\" or numeric >= 15; found \"14.7\", 14
  ✗ owner: expected no value; found \"ada\"
  ✓ scope: expected \"device\"; found \"device\"
  ✗ user: expected any value; found nothing"
    );
    let outcomes: Vec<Outcome> = explanation.branches[0].fields.iter().map(|field| field.outcome).collect();
    use Outcome::{Different, Matched, Missing, Unexpected};
    assert_eq!(outcomes, [Different, Different, Unexpected, Matched, Missing]);
}

#[test]
fn the_nearest_alternative_is_told_first() {
    let pattern = r#"{"a": [1], "$or": [{"b": [1], "c": [1]}, {"d": [{"equals-ignore-case": "X"}]}]}"#;
    let explanation = explain(pattern, &json!({"a": 1, "d": "y"}));
    assert_eq!(
        explanation.to_string(),
        "The event does not match. Of 2 alternatives, this one is the nearest:
  ✓ a: expected 1; found 1
  ✗ d: expected \"X\" ignoring case; found \"y\""
    );
    assert!(explain(pattern, &json!({"a": 1, "d": "x"})).to_string().starts_with("The event matches."));
}

#[test]
fn fields_of_different_elements_are_told_apart_from_fields_that_differ() {
    let event = json!({"apps": [{"name": "Xcode", "version": 15}, {"name": "Slack", "version": 16}]});
    let explanation = explain(r#"{"apps": {"name": ["Xcode"], "version": [16]}}"#, &event);
    assert!(!explanation.matched);
    assert!(explanation.to_string().ends_with("not all of them in the same element of an array."), "{explanation}");
}

#[test]
fn an_absence_that_holds_for_its_element_is_no_failure() {
    let explanation = explain(r#"{"d": {"a": [1], "b": [{"exists": false}]}}"#, &json!({"d": [{"a": 1}, {"b": 2}]}));
    assert!(explanation.matched && explanation.branches[0].failures().next().is_none(), "{explanation}");
}

#[test]
fn long_values_and_lists_are_cut() {
    let pattern = format!("{{\"a\": [{:?}, 1, 2, 3, 4, 5, 6]}}", "x".repeat(1_000));
    let explanation = explain(&pattern, &json!({"a": vec!["y".repeat(1_000); 100]}));
    assert!(explanation.to_string().len() < 1_000, "{explanation}");
    assert_eq!(
        (explanation.branches[0].fields[0].expected.len(), explanation.branches[0].fields[0].found.len()),
        (7, 5)
    );
}

#[test]
fn an_event_that_is_no_object_is_a_problem() {
    let explanation = explain(r#"{"a": [{"exists": false}]}"#, &json!([1]));
    assert!(!explanation.matched && explanation.problem.is_some());
    assert!(explanation.to_string().contains("It could not be looked at: the event is not a JSON object."));
}

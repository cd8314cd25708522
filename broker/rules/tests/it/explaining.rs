//! What people are told.

mod bounds;
mod nearest;
mod operators;
mod truth;

use emote_rules::{Explanation, NearMiss, NearRule, Nearest, Outcome, Pattern, RuleSet, SeenPaths, Step};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Instant;

fn explain(pattern: &str, event: &Value) -> Explanation {
    Pattern::parse(pattern).unwrap().explain(event)
}

/// All that is told of an event that does not match.
fn told(pattern: &str, event: &Value) -> String {
    let explanation = explain(pattern, event);
    let text = explanation.to_string();
    let told = text.strip_prefix("The event does not match.").unwrap_or_else(|| panic!("{pattern} {event}: {text}"));
    told.trim_start_matches('\n').to_owned()
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
  ✗ os: expected prefix \"15.\" or numeric >= 15; found \"14.7\" at os[0], 14 at os[1]
      \"14.7\" begins one edit away from \"15.\": is one of them mistyped?
      14 misses numeric >= 15 by 1
  ✗ owner: expected no value; found \"ada\"
  ✓ scope: expected \"device\"; found \"device\"
  ✗ user: expected any value; found nothing"
    );
    let outcomes: Vec<Outcome> = explanation.branches[0].fields.iter().map(|field| field.outcome).collect();
    use Outcome::{Different, Matched, Missing, Unexpected};
    assert_eq!(outcomes, [Different, Different, Unexpected, Matched, Missing]);
}

/// A list of tests for the field `f`, its value, and what is said besides what was expected and found.
#[test]
fn slips_are_recognised() {
    for (tests, value, said) in [
        (
            r#"["Device"]"#,
            json!("device"),
            r#""device" differs from "Device" only in case; to ignore case write {"equals-ignore-case": "Device"}"#,
        ),
        (
            r#"[{"prefix": "MacBook"}]"#,
            json!("macbook pro"),
            r#""macbook pro" differs from "MacBook" only in case; to ignore case write {"prefix": {"equals-ignore-case": "MacBook"}}"#,
        ),
        (
            r#"[{"suffix": "@x.org"}]"#,
            json!("ada@X.ORG"),
            r#""ada@X.ORG" differs from "@x.org" only in case; to ignore case write {"suffix": {"equals-ignore-case": "@x.org"}}"#,
        ),
        (r#"[{"wildcard": "a*z"}]"#, json!("A..Z"), r#""A..Z" differs from wildcard "a*z" only in case"#),
        (r#"["device"]"#, json!(" device\n"), r#"" device\n" differs from "device" only in white space around it"#),
        (r#"["device "]"#, json!("device"), r#""device" differs from "device " only in white space around it"#),
        (r#"["device"]"#, json!("devcie"), r#""devcie" is one edit away from "device": is one of them mistyped?"#),
        (
            r#"["inventory"]"#,
            json!("invetorry"),
            r#""invetorry" is two edits away from "inventory": is one of them mistyped?"#,
        ),
        (
            r#"[{"equals-ignore-case": "Enroll"}]"#,
            json!("enrol"),
            r#""enrol" is one edit away from "Enroll": is one of them mistyped?"#,
        ),
        (
            r#"[{"prefix": "MacBok"}]"#,
            json!("MacBook Pro"),
            r#""MacBook Pro" begins one edit away from "MacBok": is one of them mistyped?"#,
        ),
        (
            r#"[{"suffix": "@example.com"}]"#,
            json!("ada@exmaple.com"),
            r#""ada@exmaple.com" ends one edit away from "@example.com": is one of them mistyped?"#,
        ),
        (
            r#"["admin"]"#,
            json!("staff,admin,ops"),
            r#""staff,admin,ops" has it inside; to match any text around it write {"wildcard": "*admin*"}"#,
        ),
        (
            r#"["Mac"]"#,
            json!("Mac14,2 (M2)"),
            r#""Mac14,2 (M2)" begins with it; to match any text behind it write {"prefix": "Mac"}"#,
        ),
        (
            r#"[{"prefix": "Pro*"}]"#,
            json!("MacBook Pro*!"),
            r#""MacBook Pro*!" has it inside; to match any text around it write {"wildcard": "*Pro\\**"}"#,
        ),
        (
            r#"["example.com"]"#,
            json!("ada@example.com"),
            r#""ada@example.com" ends with it; to match any text before it write {"suffix": "example.com"}"#,
        ),
        (
            r#"["com.example.mail"]"#,
            json!("com.example.browser"),
            r#""com.example.browser" and "com.example.mail" begin with the same 12 characters"#,
        ),
        (
            r#"["mail.example.com"]"#,
            json!("chat.example.com"),
            r#""chat.example.com" and "mail.example.com" end with the same 12 characters"#,
        ),
        (r#"[300]"#, json!("300"), r#""300" is a string; as a number it would match, but a type is never another"#),
        (
            r#"[{"numeric": [">", 5]}]"#,
            json!("7.5"),
            r#""7.5" is a string; as a number it would match, but a type is never another"#,
        ),
        (r#"["300"]"#, json!(300), r"300 is a number; as a string it would match, but a type is never another"),
        (
            r#"[{"prefix": "3"}]"#,
            json!(300),
            r"300 is a number; as a string it would match, but a type is never another",
        ),
        (r#"[true]"#, json!("True"), r#""True" is a string; as a boolean it would match, but a type is never another"#),
        (r#"["false"]"#, json!(false), r"false is a boolean; as a string it would match, but a type is never another"),
        (r#"[null]"#, json!("null"), r#""null" is a string; as null it would match, but a type is never another"#),
        (r#"["null"]"#, json!(null), r"null is null; as a string it would match, but a type is never another"),
        (r#"[{"numeric": [">", 5, "<=", 10]}]"#, json!(12.5), r"12.5 misses numeric > 5 and <= 10 by 2.5"),
        (r#"[{"numeric": [">", 5]}]"#, json!(5), r"5 is the bound of numeric > 5 itself, which does not count"),
        (r#"[300]"#, json!(299), r"299 misses 300 by 1"),
        (
            r#"["ada"]"#,
            json!({"id": "x", "name": "ada"}),
            r"f is an object with the fields id, name, and an object is no value; did you mean f.name?",
        ),
        (
            r#"["eve"]"#,
            json!({"id": "x", "a.b": {"c": 1}}),
            r"f is an object with the fields id, and an object is no value",
        ),
        (r#"[1]"#, json!([]), r"f is an empty list, which is no value"),
        // No advice that would not do: these letters are not the same to equals-ignore-case.
        (r#"["😀A"]"#, json!("😀a"), r#""😀a" differs from "😀A" only in case"#),
        (r#"[{"prefix": "𠮷AB"}]"#, json!("𠮷Abc"), r#""𠮷Abc" differs from "𠮷AB" only in case"#),
        (r#"["STRASSE"]"#, json!("straße"), r#""straße" differs from "STRASSE" only in case"#),
        (r#"["k"]"#, json!("\u{212a}"), "\"\u{212a}\" differs from \"k\" only in case"),
        (
            r#"["Ends…"]"#,
            json!("ends…"),
            r#""ends…" differs from "Ends…" only in case; to ignore case write {"equals-ignore-case": "Ends…"}"#,
        ),
        (r#"[{"prefix": " "}]"#, json!("abc"), ""),
        (r#"[" "]"#, json!(""), ""),
        (
            r#"[{"all-of": [{"prefix": "M"}, {"anything-but": "Mac"}]}]"#,
            json!("Mac"),
            r#""Mac" meets 1 of 2 conditions, but not anything but "Mac""#,
        ),
        (r#"[{"numeric": [">", 5]}]"#, json!(-1e300), "-1e+300 misses numeric > 5 by 1e300"),
        // Nothing to say: no slip, or none that can be told from a difference.
        (r#"["lock"]"#, json!("wipe"), ""),
        (r#"["on"]"#, json!("off"), ""),
        (r#"[{"anything-but": "agent"}]"#, json!("agent"), ""),
        (r#"[true]"#, json!(1), ""),
        (r#"[1]"#, json!({}), "f is an object, and an object is no value"),
    ] {
        let told = told(&format!("{{\"f\": {tests}}}"), &json!({"f": value}));
        let said_of_it: Vec<&str> = told.lines().skip(1).map(str::trim).collect();
        assert_eq!(said_of_it.join("\n"), said, "{tests} {value}");
    }
}

/// The path in the pattern, an event, and what is said.
#[test]
fn a_missing_field_tells_how_far_the_event_goes_and_what_may_be_meant() {
    let device = json!({"device": {"uuid": "C02", "model": "Mac14,2", "os_version": "15.1", "disks": [{"size": 1}]}, "action": "lock"});
    for (path, event, said) in [
        ("device.modle", &device, "device is there, device.modle is not; did you mean device.model?"),
        ("device.Model", &device, "device is there, device.Model is not; did you mean device.model?"),
        ("device.osVersion", &device, "device is there, device.osVersion is not; did you mean device.os_version?"),
        ("device.os.version", &device, "device is there, device.os.version is not; did you mean device.os_version?"),
        ("device.disk.size", &device, "device is there, device.disk.size is not; did you mean device.disks.size?"),
        (
            "device.disks.sizes",
            &device,
            "device.disks is there, device.disks.sizes is not; did you mean device.disks.size?",
        ),
        ("device.serial", &device, "device is there, device.serial is not"),
        ("devcie.model", &device, "the event has no devcie.model; did you mean device.model?"),
        ("model", &device, "the event has no model; did you mean device.model?"),
        ("info.action", &device, "the event has no info.action; did you mean action?"),
        ("action.name", &device, "action is a string, so there is no action.name"),
        ("Action", &device, "the event has no Action; did you mean action?"),
        ("nowhere", &device, ""),
        ("a b\u{1b}[31m", &json!({"a b": 1}), ""),
    ] {
        let told = told(&json!({path: ["x"]}).to_string(), event);
        let mut lines = told.lines();
        assert!(lines.next().unwrap().ends_with(": expected \"x\"; found nothing"), "{told}");
        assert_eq!(lines.next().unwrap_or("").trim(), said, "{path}");
        assert!(lines.next().is_none() && !told.contains('\u{1b}'), "{told}");
    }
}

#[test]
fn the_nearest_alternative_is_told_first() {
    let pattern = r#"{"a": [1], "$or": [{"b": [1], "c": [1]}, {"d": [{"equals-ignore-case": "X"}]}]}"#;
    let explanation = explain(pattern, &json!({"a": 1, "d": "y"}));
    assert_eq!(
        explanation.to_string(),
        "The event does not match. Of 2 alternatives, this one is the nearest:
  ✓ a: expected 1; found 1
  ✗ d: expected \"X\" ignoring case; found \"y\"
  alternative 1: ✗ b: expected 1; found nothing; ✗ c: expected 1; found nothing"
    );
    assert_eq!(
        explain(pattern, &json!({"a": 1, "d": "x"})).to_string(),
        "The event matches. Of 2 alternatives, this one matches:
  ✓ a: expected 1; found 1
  ✓ d: expected \"X\" ignoring case; found \"x\""
    );
    // Of alternatives with as many fields that fail, one that nearly matches is nearer.
    let pattern = r#"{"$or": [{"a": ["device"]}, {"a": ["user"]}, {"b": [1]}, {"c": [1]}, {"d": [1]}, {"e": [1]}]}"#;
    assert_eq!(
        explain(pattern, &json!({"a": "User"})).to_string(),
        "The event does not match. Of 6 alternatives, this one is the nearest:
  ✗ a: expected \"user\"; found \"User\"
      \"User\" differs from \"user\" only in case; to ignore case write {\"equals-ignore-case\": \"user\"}
  alternative 1: ✗ a: expected \"device\"; found \"User\"
  alternative 3: ✗ b: expected 1; found nothing
  alternative 4: ✗ c: expected 1; found nothing
  and 2 more"
    );
}

#[test]
fn fields_of_different_elements_are_told_apart_from_fields_that_differ() {
    let event =
        json!({"apps": [{"name": "Xcode", "version": 15}, {"name": "Slack", "version": 16}, {"name": "Xcode"}]});
    let explanation = explain(r#"{"apps": {"name": ["Xcode"], "version": [16]}}"#, &event);
    assert_eq!(
        explanation.to_string(),
        "The event does not match.
  ✓ apps.name: expected \"Xcode\"; found \"Xcode\" at apps[0].name, \"Xcode\" at apps[2].name, \"Slack\" at apps[1].name
  ✓ apps.version: expected 16; found 16 at apps[1].version, 15 at apps[0].version
  Each field matches, but not all of them in the same element of an array: apps.name in apps[0], apps[2]; apps.version in apps[1]."
    );
}

#[test]
fn an_absence_that_holds_for_its_element_is_no_failure() {
    let pattern = r#"{"d": {"a": [1], "b": [{"exists": false}]}, "e": [2]}"#;
    for (event, matched, failures) in [
        (json!({"d": [{"a": 1}, {"b": 2}], "e": 2}), true, vec![]),
        (json!({"d": [{"a": 1}, {"b": 2}], "e": 3}), false, vec!["e"]),
        (json!({"d": [{"a": 1, "b": 2}], "e": 2}), false, vec!["d.b"]),
        (json!({"d": {"a": 1, "b": 2}, "e": 3}), false, vec!["d.b", "e"]),
    ] {
        let explanation = explain(pattern, &event);
        let failed: Vec<&str> = explanation.branches[0].failures().map(|field| field.path.as_str()).collect();
        assert_eq!((explanation.matched, failed), (matched, failures), "{explanation}");
    }
}

#[test]
fn what_the_text_of_an_event_holds_and_a_value_does_not_is_told() {
    let pattern = Pattern::parse(r#"{"n": [9007199254740993], "a": ["x"]}"#).unwrap();
    let explanation = pattern.explain_json(br#"{"n": 9007199254740993, "a": "y", "a": "x"} and more"#);
    assert!(explanation.matched, "{explanation}");
    assert_eq!(explanation.branches[0].fields[0].found_count, 2);
}

#[test]
fn a_path_that_no_recent_event_had_is_marked() {
    let mut seen = SeenPaths::new(500);
    for n in 0..600 {
        seen.see(format!(r#"{{"scope": "device", "device": {{"model": "Mac14,{n}"}}}}"#).as_bytes()).unwrap();
    }
    let told = |pattern: &str, event: &str| {
        Pattern::parse(pattern).unwrap().explain_with(event.as_bytes(), Some(&seen)).to_string()
    };
    assert_eq!(
        told(r#"{"scope": ["user"], "device": {"model": ["x"], "modle": ["x"]}}"#, r#"{"scope": "user"}"#),
        "The event does not match.
  ✗ device.model: expected \"x\"; found nothing
  ✗ device.modle: expected \"x\"; found nothing
      none of the last 500 events had this path: is it mistyped in the rule? Did you mean device.model?
  ✓ scope: expected \"user\"; found \"user\""
    );
    // Of an absence too: it is always true.
    assert_eq!(
        told(
            r#"{"scpoe": [{"exists": false}], "device.serial": [{"exists": false}]}"#,
            r#"{"device": {"model": "x"}}"#
        ),
        "The event matches.
  ✓ device.serial: expected no value; found nothing
      none of the last 500 events had this path: is it mistyped in the rule?
  ✓ scpoe: expected no value; found nothing
      none of the last 500 events had this path: is it mistyped in the rule? Did you mean scope?"
    );
}

#[test]
fn an_explanation_is_json_too() {
    let pattern = r#"{"$or": [{"a": ["Device"]}, {"b": [{"numeric": ["<", 5]}], "c": [{"exists": false}]}]}"#;
    let explanation = explain(pattern, &json!({"a": "device", "b": [5, 70], "c": null}));
    let field = |path: &str, outcome: &str, expected: &str, found: Value, near: Value| {
        json!({"path": path, "outcome": outcome, "expected": [expected], "expected_count": 1,
            "found_count": found.as_array().unwrap().len(), "found": found, "near": near})
    };
    let found = |value: &str, at: &str| json!({"value": value, "at": at, "accepted": false});
    let write = r#"{"equals-ignore-case": "Device"}"#;
    let case = json!({"kind": "case", "expected": "Device", "found": "device", "part": "whole", "write": write, "is_near": true});
    let number = |found: &str, by: f64, little: bool| json!({"kind": "number", "expected": "numeric < 5", "found": found, "by": by, "little": little, "is_near": little});
    assert_eq!(
        explanation.to_json(),
        json!({"matched": false, "problem": null, "cut_short": false, "alternatives": 2, "branches": [
            {"number": 1, "matched": false, "apart": [], "fields": [
                field("a", "different", "\"Device\"", json!([found("\"device\"", "a")]), json!([case])),
            ]},
            {"number": 2, "matched": false, "apart": [], "fields": [
                field("b", "different", "numeric < 5", json!([found("5", "b[0]"), found("70", "b[1]")]),
                    json!([number("5", 0.0, true), number("70", 65.0, false)])),
                field("c", "unexpected", "no value", json!([found("null", "c")]), json!([])),
            ]},
        ]})
    );
}

#[test]
fn numbers_that_cannot_be_compared_are_explained() {
    let is = "is a number that no double holds: it equals only its own text, and is never less or greater";
    for (pattern, number) in [
        (r#"{"f": [{"numeric": [">", 9007199254740992]}]}"#, "9007199254740993"),
        (r#"{"f": [{"numeric": [">", 1]}]}"#, "1e400"),
        (r#"{"f": [9007199254740992]}"#, "9007199254740993"),
        (r#"{"f": [{"compare-field": ["<", "g"]}]}"#, "0.1000000000000000055511151231257827"),
    ] {
        let event = format!(r#"{{"f": {number}, "g": 5}}"#);
        let said = Pattern::parse(pattern).unwrap().explain_json(event.as_bytes()).to_string();
        assert!(said.contains(&format!("\n      {number} {is}")), "{said}");
    }
}

#[test]
fn an_absence_that_is_looked_at_before_an_element_is_chosen_is_explained() {
    let said = told(r#"{"d": {"b": [1], "a": [{"exists": false}]}}"#, &json!({"d": [{"a": 1}, {"b": 1}]}));
    assert_eq!(
        said,
        "  ✗ d.a: expected no value; found 1 at d[0].a
      d.a comes before d.b, which chooses an element: so it must be absent from each of them
  ✓ d.b: expected 1; found 1 at d[1].b"
    );
    // Not where a field before it chose one.
    let said = told(r#"{"d": {"b": [1], "c": [{"exists": false}]}}"#, &json!({"d": [{"b": 1, "c": 1}, {"b": 2}]}));
    assert!(!said.contains("chooses"), "{said}");
}

#[test]
fn no_advice_is_cut() {
    let wanted = "w".repeat(130);
    for (test, value) in [
        (json!(wanted), format!("{wanted}longer")),
        (json!({"prefix": wanted}), wanted.to_uppercase()),
        (json!({"suffix": wanted}), format!("{wanted}x")),
    ] {
        let said = told(&json!({"f": [test]}).to_string(), &json!({"f": value}));
        assert!(!said.contains("write") && said.lines().count() == 2, "{said}");
    }
}

#[test]
fn a_number_too_far_away_for_a_number_is_still_told_how_far() {
    let explanation = explain(r#"{"a": [{"numeric": [">", 1e308]}]}"#, &json!({"a": -1e308}));
    assert!(explanation.to_json()["branches"][0]["fields"][0]["near"][0]["by"].is_number(), "{explanation}");
    assert!(!explanation.to_string().contains("inf"), "{explanation}");
}

#[test]
fn a_field_without_a_name_is_explained() {
    for (event, names) in [("{\"é\": 1}", "é"), ("{\"device\": {\"a\": 1}}", "device"), ("{\"\": {\"x\": 1}}", "x")] {
        let text = Pattern::parse(r#"{"": ["x"]}"#).unwrap().explain_json(event.as_bytes()).to_string();
        assert!(text.contains(names), "{text}");
    }
}

#[test]
fn an_event_that_cannot_be_looked_at_is_a_problem() {
    for (event, said) in [
        (&b"[1]"[..], "the event is not a JSON object"),
        (b"{\"a\":", "the event is not JSON: the text ends too early (byte 5)"),
        (b"{\"a\": \"\xff\"}", "the event is not UTF-8: the bytes from 7 on are none"),
    ] {
        let explanation = Pattern::parse(r#"{"a": [{"exists": false}]}"#).unwrap().explain_json(event);
        assert!(!explanation.matched && explanation.branches.is_empty());
        assert_eq!(explanation.to_string(), format!("Whether the event matches cannot be said: {said}."));
    }
}

#[test]
fn a_bad_pattern_leads_to_what_is_wrong_in_it() {
    let key = |name: &str| Step::Key(name.into());
    for (pattern, steps) in [
        (
            r#"{"device.model": {"a.b": ["x", {"prefix": 14}]}}"#,
            vec![key("device.model"), key("a.b"), Step::Index(1), key("prefix")],
        ),
        (r#"{"x": [1], "$or": [{"a": [1]}, {"b": []}]}"#, vec![key("$or"), Step::Index(1), key("b")]),
        (r#"{"a": "x"}"#, vec![key("a")]),
        (r#"{"a": [{"anything-but": ["x", 1]}]}"#, vec![key("a"), Step::Index(0), key("anything-but")]),
        ("[]", vec![]),
    ] {
        for error in [Pattern::parse(pattern), Pattern::from_value(&serde_json::from_str(pattern).unwrap())] {
            assert_eq!(error.unwrap_err().steps(), steps, "{pattern}");
        }
    }
    assert!(Pattern::parse("{").unwrap_err().steps().is_empty());
}

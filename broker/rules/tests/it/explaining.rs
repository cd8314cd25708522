//! What people are told.

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
fn what_is_told_is_bounded() {
    let pattern = format!("{{\"a\": [{:?}, 1, 2, 3, 4, 5, 6]}}", "x".repeat(1_000));
    let explanation = explain(&pattern, &json!({"a": vec!["y".repeat(1_000); 100]}));
    assert!(explanation.to_string().len() < 1_500, "{explanation}");
    let field = &explanation.branches[0].fields[0];
    assert_eq!((field.expected.len(), field.found.len(), field.found_count), (7, 5, 100));
    let alternatives: Vec<String> = (0..1_000).map(|n| format!("{{\"a\": [\"v{n:03}\"]}}")).collect();
    let explanation = explain(&format!("{{\"$or\": [{}]}}", alternatives.join(",")), &json!({"a": "v00"}));
    assert_eq!((explanation.alternatives, explanation.branches.len()), (1_000, 10));
    assert!(explanation.to_string().len() < 1_500, "{explanation}");
}

#[test]
fn large_patterns_and_events_are_explained_within_a_bound() {
    let values: Vec<String> = (0..100_000).map(|n| format!("{{\"prefix\": \"{}{n}\"}}", "v".repeat(40))).collect();
    let pattern = Pattern::parse(&format!("{{\"a\": [{}]}}", values.join(","))).unwrap();
    let event = format!("{{\"a\": [{}]}}", vec![format!("\"{}\"", "v".repeat(44)); 20_000].join(","));
    let began = Instant::now();
    let explanation = pattern.explain_json(event.as_bytes());
    assert!(!explanation.matched && explanation.problem.is_none() && explanation.cut_short, "{explanation}");
    let said = "The event does not match. Not all of it was looked at to say why: it has too many values.\n";
    assert!(explanation.to_string().starts_with(said), "{explanation}");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

/// Names under one path, and a field that fails for each of them.
fn many_names(count: usize) -> Value {
    let apps: Vec<Value> = (0..count).map(|n| json!({"name": format!("App {n}")})).collect();
    json!({"apps": apps, "scope": "device"})
}

#[test]
fn what_is_decided_for_all_values_is_decided_once() {
    let explanation =
        explain(r#"{"apps": {"name": [{"contains-all": ["Zoom"]}]}, "scope": ["device"]}"#, &many_names(5_000));
    let outcomes: Vec<Outcome> = explanation.branches[0].fields.iter().map(|field| field.outcome).collect();
    assert_eq!((outcomes, explanation.cut_short), (vec![Outcome::Different, Outcome::Matched], false));
}

#[test]
fn a_field_that_is_not_decided_is_said_to_be_so_and_the_others_are() {
    let versions: Vec<Value> = (0..300).map(|n| json!({"semver": ["<", format!("0.{n}")]})).collect();
    let pattern = json!({"apps": {"name": versions}, "scope": ["device"], "zone": ["x"]}).to_string();
    let explanation = explain(&pattern, &many_names(1_000));
    let outcomes: Vec<Outcome> = explanation.branches[0].fields.iter().map(|field| field.outcome).collect();
    assert_eq!(outcomes, [Outcome::NotLookedAt, Outcome::Matched, Outcome::Missing]);
    assert!(!explanation.matched && explanation.cut_short && explanation.problem.is_none());
    let text = explanation.to_string();
    assert!(
        text.starts_with(
            "The event does not match. Not all of it was looked at to say why: it has too many values.\n  ? apps.name: "
        ),
        "{text}"
    );
    assert!(text.contains("… (1000 values); too many to look at all of them\n  ✓ scope"), "{text}");
    let json = explanation.to_json();
    assert_eq!((&json["cut_short"], &json["problem"]), (&json!(true), &Value::Null));
    let field = &json["branches"][0]["fields"][0];
    assert_eq!((&field["outcome"], &field["near"]), (&json!("not_looked_at"), &json!([])));
    assert_eq!(field["found"][0], json!({"value": "\"App 0\"", "at": "apps[0].name", "accepted": null}));
}

#[test]
fn a_field_without_a_name_is_explained() {
    for (event, names) in [("{\"é\": 1}", "é"), ("{\"device\": {\"a\": 1}}", "device"), ("{\"\": {\"x\": 1}}", "x")] {
        let text = Pattern::parse(r#"{"": ["x"]}"#).unwrap().explain_json(event.as_bytes()).to_string();
        assert!(text.contains(names), "{text}");
    }
}

#[test]
fn a_rule_that_takes_too_long_does_not_hide_the_others() {
    let versions: Vec<Value> = (0..300).map(|n| json!({"semver": ["<", format!("0.{n}")]})).collect();
    let large = json!({"apps": {"name": versions}, "scope": ["device"]}).to_string();
    let small = r#"{"scope": ["device"], "action": ["lock"]}"#;
    let rules: Vec<(usize, Pattern)> =
        (0..40).map(|n| (n, Pattern::parse(if n == 39 { small } else { &large }).unwrap())).collect();
    let event = many_names(1_000).to_string();
    let Nearest { rules: nearest, left_out } = RuleSet::build(rules.clone()).nearest(event.as_bytes(), 5).unwrap();
    assert_eq!((nearest.iter().map(|rule| rule.id).collect::<Vec<_>>(), left_out), (vec![39], 39));
}

/// The largest that is allowed of what explaining is slow at.
#[test]
fn the_worst_patterns_and_events_are_explained_within_a_bound() {
    let timed = |what: &str, pattern: &Pattern, event: &Value, seen: Option<&SeenPaths>| {
        let event = event.to_string();
        let began = Instant::now();
        let text = pattern.explain_with(event.as_bytes(), seen).to_string();
        let took = began.elapsed();
        println!("{what}: {took:?}");
        let seconds = 60;
        assert!(took.as_secs() < seconds && text.len() < 2_000_000, "{what}: {took:?}, {} bytes", text.len());
    };
    let fields = |count: usize, branch: usize, tests: &Value| -> Value {
        (0..count)
            .map(|n| (format!("field.number-{n}-of-{branch}"), tests.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let or = |branches: usize, one: &dyn Fn(usize) -> Value| -> Value { (0..branches).map(one).collect() };
    let parse = |pattern: &Value| Pattern::parse(&pattern.to_string()).unwrap();

    let regex = |n: usize| json!([{"regex": [format!("^[a-zé ]{{1,90}}[0-9]{{{}}}$", n + 1)]}]);
    let with_regexes = json!({"a": regex(1), "b": regex(2), "c": regex(3), "$or": or(10, &|n| json!({"n": [n]}))});
    let texts: Vec<String> = (0..2_000).map(|n| format!("Text {n} {}", "é".repeat(n % 100))).collect();
    timed("regexes", &parse(&with_regexes), &json!({"a": texts, "b": texts, "c": texts}), None);

    let missing = parse(&json!({"$or": or(10, &|branch| fields(25, branch, &json!(["x"])))}));
    let keys: serde_json::Map<String, Value> =
        (0..4_000).map(|n| (format!("field.number-{}-{n}", "k".repeat(480)), json!(1))).collect();
    timed("long keys", &missing, &json!(keys), None);
    let alike: serde_json::Map<String, Value> =
        (0..4_000).map(|n| (format!("number-{n}-fo-{}", n % 10), json!(1))).collect();
    let mut seen = SeenPaths::new(10);
    seen.see(json!({"field": alike}).to_string().as_bytes()).unwrap();
    timed("paths alike", &missing, &json!({"field": alike}), None);
    timed("paths seen", &missing, &json!({}), Some(&seen));

    let many =
        json!({"$or": or(10, &|branch| fields(100, branch, &json!([{"prefix": "Mac"}, {"wildcard": "a*b*c"}, "x"])))});
    let values: serde_json::Map<String, Value> = (0..1_000)
        .map(|n| (format!("number-{}-of-{}", n % 100, n / 100), json!(vec!["Lorem ipsum ".repeat(300); 5])))
        .collect();
    timed("long texts", &parse(&many), &json!({"field": values}), None);

    let versions: Vec<Value> = (0..300).map(|n| json!({"semver": ["<", format!("0.{n}")]})).collect();
    let nested =
        json!({"$or": or(100, &|branch| fields(3, branch, &json!([{"all-of": [versions, {"exists": true}]}])))});
    let values: serde_json::Map<String, Value> =
        (0..300).map(|n| (format!("number-{}-of-{}", n % 3, n / 3), json!(vec!["1"; 100]))).collect();
    timed("conditions", &parse(&nested), &json!({"field": values}), None);

    let object = json!({"o": vec![json!({"regex": ["(a|b)*c"]}); 100]});
    let below: serde_json::Map<String, Value> =
        (0..700).map(|n| (format!("k{n}"), json!("ab".repeat(10_000)))).collect();
    timed("objects", &parse(&object), &json!({"o": below}), None);
}

#[test]
fn the_nearest_of_rules_with_nothing_but_slips_are_found_within_a_bound() {
    let pattern = |n: usize| {
        let fields = (0..10).map(|field| format!(r#""field.number-{field}-of-{n}": ["x"]"#));
        Pattern::parse(&format!(r#"{{"scope": ["device"], {}}}"#, fields.collect::<Vec<_>>().join(","))).unwrap()
    };
    let rules = RuleSet::build((0..2_000).map(|n| (n, pattern(n))));
    let field: serde_json::Map<String, Value> =
        (0..4_000).map(|n| (format!("number-{}-fo-{n}", n % 10), json!("Lorem ipsum ".repeat(100)))).collect();
    let event = json!({"scope": "device", "field": field}).to_string();
    let began = Instant::now();
    let Nearest { rules, left_out } = rules.nearest(event.as_bytes(), 100).unwrap();
    let took = began.elapsed();
    assert!(!rules.is_empty() && left_out > 0, "{} {left_out}", rules.len());
    assert!(took.as_secs() < 60, "{took:?}");
    println!("{} rules, {left_out} left out: {took:?}", rules.len());
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

/// The rules nearest to an event, as `name failed/near/fields`.
fn nearest(rules: &[(&str, &str)], event: &Value, limit: usize) -> Vec<String> {
    let rules = RuleSet::build(rules.iter().map(|(name, pattern)| (*name, Pattern::parse(pattern).unwrap())));
    let Nearest { rules: nearest, left_out } = rules.nearest(event.to_string().as_bytes(), limit).unwrap();
    assert_eq!(left_out, 0);
    assert!(nearest.iter().all(|rule| !rule.explanation.matched && rule.distance() > 0.0 && rule.distance() <= 1.0));
    assert!(nearest.is_sorted_by(|one, other| one.distance() <= other.distance()));
    let shown = |NearRule { id, failed, near, fields, .. }: &NearRule<&str>| format!("{id} {failed}/{near}/{fields}");
    nearest.iter().map(shown).collect()
}

#[test]
fn rules_that_almost_matched_are_ranked() {
    let rules = [
        ("nothing in common", r#"{"scope": ["user"], "action": ["lock"]}"#),
        ("matches", r#"{"scope": ["device"]}"#),
        ("half", r#"{"scope": ["device"], "action": ["lock"]}"#),
        ("mistyped", r#"{"scope": ["device"], "action": ["enrol"]}"#),
        ("a third", r#"{"scope": ["device"], "action": ["enroll"], "source": ["okta"]}"#),
        ("half too", r#"{"action": ["enroll"], "user": [{"exists": true}]}"#),
        ("absence only", r#"{"nobody": [{"exists": false}], "action": ["lock"]}"#),
        (
            "by an alternative",
            r#"{"$or": [{"scope": ["user"]}, {"scope": ["device"], "device": {"modle": ["Mac14,2"]}}]}"#,
        ),
        ("wholly mistyped", r#"{"actoin": ["enroll"]}"#),
        ("other elements", r#"{"apps": {"name": ["Xcode"], "version": [16]}}"#),
    ];
    let event = json!({"scope": "device", "action": "enroll", "source": "agent", "device": {"model": "Mac14,2"},
        "apps": [{"name": "Xcode", "version": 15}, {"name": "Slack", "version": 16}]});
    let expected = [
        "mistyped 1/1/2",
        "by an alternative 1/1/2",
        "other elements 0/0/2",
        "a third 1/0/3",
        "half 1/0/2",
        "half too 1/0/2",
        "wholly mistyped 1/1/1",
    ];
    assert_eq!(nearest(&rules, &event, 20), expected);
    assert_eq!(nearest(&rules, &event, 3), expected[..3]);
    assert!(nearest(&rules, &event, 0).is_empty() && nearest(&[], &event, 5).is_empty());
    assert!(nearest(&rules, &json!({}), 5).is_empty());
    assert!(RuleSet::<u8>::build([]).nearest(b"[]", 5).is_err());
}

#[test]
fn an_id_given_twice_is_ranked_once_by_its_nearer_pattern() {
    let rules = [("both", r#"{"a": [1], "b": [1]}"#), ("both", r#"{"a": [1], "b": [1], "c": [2]}"#)];
    assert_eq!(nearest(&rules, &json!({"a": 1, "c": 2}), 5), ["both 1/0/3"]);
}

#[test]
fn the_nearest_of_ten_thousand_rules_are_found() {
    let pattern = |n: usize| {
        let text = format!(
            r#"{{"scope": ["device"], "action": ["action-{n}", "inventory-{n}"], "device": {{"model": [{{"prefix": "Mac{n},"}}], "field_{n}": [{n}]}}}}"#
        );
        Pattern::parse(&text).unwrap()
    };
    let rules = RuleSet::build((0..10_000).map(|n| (n, pattern(n))));
    let event = json!({"scope": "device", "action": "inventry-7777", "device": {"model": "Mac7777,2", "uuid": "C02"}});
    let began = Instant::now();
    let nearest = rules.nearest(event.to_string().as_bytes(), 5).unwrap().rules;
    let took = began.elapsed();
    assert_eq!((nearest[0].id, nearest[0].failed, nearest[0].near), (7777, 2, 1));
    assert!(
        nearest[0].explanation.branches[0]
            .fields
            .iter()
            .any(|field| matches!(field.near[..], [NearMiss::Edits { .. }, ..]))
    );
    let seconds = 60;
    assert!(took.as_secs() < seconds, "{took:?}");
}

/// What is to be written to match a value, and the value.
fn advice(near: &NearMiss) -> Option<(String, String)> {
    match near {
        NearMiss::Case { write: Some(write), found, .. } | NearMiss::Inside { write: Some(write), found, .. } => {
            Some((write.clone(), found.clone()))
        }
        _ => None,
    }
}

fn any_event() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["1", "2", "\"x\"", "\"X\"", "\" x\"", "null", "[]", "{}", "\"1\"", "1.5"]);
    let value = leaf.prop_map(str::to_owned).prop_recursive(3, 12, 3, |inner| {
        let member = (prop::sample::select(vec!["a", "b", "a.b", "A", ""]), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec(member, 0..3).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    (value.clone(), value).prop_map(|(one, other)| format!("{{\"a\":{one},\"b\":{other}}}"))
}

fn any_pattern() -> impl Strategy<Value = String> {
    let test = prop::sample::select(vec![
        "1",
        "\"x\"",
        "null",
        r#"{"exists":false}"#,
        r#"{"exists":true}"#,
        r#"{"prefix":"x"}"#,
        r#"{"anything-but":"x"}"#,
        r#"{"numeric":[">",1]}"#,
        r#"{"all-of":[{"exists":true},["x",{"anything-but":["x","X"]}]]}"#,
        r#"{"contains-all":["x",{"prefix":""}]}"#,
        r#"{"contains-all":[1]}"#,
        r#"{"all-of":[{"contains-all":["x"]},{"anything-but":1}]}"#,
        r#"{"compare-field":["!=","a.A"]}"#,
        r#"{"regex":["^x$","(?i)X "]}"#,
        r#"{"semver":[">=","1"]}"#,
    ]);
    let path = prop::sample::select(vec!["a", "b", "a.b", "b.a", "a.a", "c", "a.b.a"]);
    let fields = prop::collection::vec((path, prop::collection::vec(test, 1..3)), 1..4).prop_map(|fields| {
        let fields: Vec<String> =
            fields.iter().map(|(path, tests)| format!("{path:?}:[{}]", tests.join(","))).collect();
        format!("{{{}}}", fields.join(","))
    });
    prop_oneof![
        fields.clone(),
        (fields.clone(), fields).prop_map(|(one, other)| format!("{{\"$or\":[{one},{other}]}}"))
    ]
}

/// The fields of a pattern's alternatives: it is an object of lists, or a `$or` of such.
fn alternatives(pattern: &str) -> Vec<Value> {
    match serde_json::from_str::<Value>(pattern).unwrap() {
        Value::Object(mut members) if members.contains_key("$or") => {
            members.remove("$or").unwrap().as_array().unwrap().clone()
        }
        alone => vec![alone],
    }
}

/// Whether an event matches a pattern of this one field.
fn matches_alone(path: &str, tests: &Value, event: &str) -> bool {
    let pattern = Pattern::parse(&json!({path: tests}).to_string()).unwrap();
    !RuleSet::build([((), pattern)]).matches(event.as_bytes()).unwrap().is_empty()
}

proptest! {
    #[test]
    fn a_field_fares_by_itself_as_matching_says(pattern in any_pattern(), event in any_event()) {
        let explanation = Pattern::parse(&pattern).unwrap().explain_json(event.as_bytes());
        let alternatives = alternatives(&pattern);
        for branch in explanation.branches.iter().filter(|branch| !branch.matched) {
            for field in &branch.fields {
                let tests = &alternatives[branch.number - 1][&field.path];
                let matched = matches_alone(&field.path, tests, &event);
                // Among the others, one may be absent from the element that they came through.
                let may_be_absent = tests.as_array().unwrap().contains(&json!({"exists": false}));
                let explained = field.outcome == Outcome::Matched;
                prop_assert!(explained == matched || explained && may_be_absent, "{} {} {}", pattern, event, field);
                for (write, found) in field.near.iter().filter_map(advice) {
                    let pattern = json!({"f": [serde_json::from_str::<Value>(&write).unwrap()]}).to_string();
                    let advised = Pattern::parse(&pattern).unwrap().explain(&json!({"f": found}));
                    prop_assert!(advised.matched, "{} {}", write, found);
                }
            }
        }
    }

    #[test]
    fn an_explanation_says_what_matching_says(patterns in prop::collection::vec(any_pattern(), 1..4), event in any_event()) {
        let patterns: Vec<Pattern> = patterns.iter().map(|pattern| Pattern::parse(pattern).unwrap()).collect();
        let rules = RuleSet::build(patterns.iter().cloned().enumerate());
        let matched = rules.matches(event.as_bytes()).unwrap();
        for (id, pattern) in patterns.iter().enumerate() {
            let explanation = pattern.explain_json(event.as_bytes());
            prop_assert_eq!(explanation.matched, matched.contains(&id));
            prop_assert!(!explanation.to_string().is_empty() && explanation.to_json().is_object());
            for branch in &explanation.branches {
                let failures = branch.failures().count();
                prop_assert!(!branch.matched || failures == 0);
                for field in &branch.fields {
                    let accepted = field.found.iter().any(|found| found.accepted == Some(true));
                    prop_assert!(field.outcome == Outcome::Matched || !accepted, "{}", field);
                    prop_assert_eq!(field.outcome == Outcome::Missing && field.found_count > 0, false);
                }
            }
        }
        let nearest = rules.nearest(event.as_bytes(), 10).unwrap().rules;
        prop_assert!(nearest.iter().all(|rule| !matched.contains(&rule.id) && !rule.explanation.matched));
        prop_assert!(nearest.is_sorted_by(|one, other| (one.distance(), one.id) <= (other.distance(), other.id)));
    }

    #[test]
    fn no_event_and_no_path_panic(event in any::<Vec<u8>>(), text in "\\PC{0,40}", path in "[a.]{0,5}") {
        let pattern = Pattern::parse(&json!({path: [text]}).to_string());
        if let Ok(pattern) = pattern {
            let _ = pattern.explain_json(&event).to_string();
            let _ = pattern.explain_json(text.as_bytes()).to_string();
        }
        let mut seen = SeenPaths::new(1);
        let _ = (seen.see(&event), seen.see(text.as_bytes()));
    }
}

/// A pattern, an event, and what is said of the one field that fails besides what was expected and found.
#[test]
fn operators_beyond_the_reference_say_what_fails() {
    for (pattern, event, said) in [
        (
            r#"{"f": [{"contains-all": ["a", "b", "x"]}]}"#,
            json!({"f": ["b", "z", "a"]}),
            r#"found 2 of 3, missing "x""#,
        ),
        (
            r#"{"f": [{"contains-all": ["admins", {"prefix": "mac-"}, 300]}]}"#,
            json!({"f": ["Admins", "MAC-lab", "300"]}),
            r#"found 0 of 3, missing "admins", prefix "mac-", 300
"300" is a string; as a number it would match, but a type is never another
"Admins" differs from "admins" only in case; to ignore case write {"equals-ignore-case": "admins"}"#,
        ),
        (
            r#"{"f": [{"contains-all": ["admins", "staff"]}]}"#,
            json!({"f": ["admin", "staff"]}),
            "found 1 of 2, missing \"admins\"\n\"admin\" is one edit away from \"admins\": is one of them mistyped?",
        ),
        (
            r#"{"f": [{"contains-all": [1, 2, 3, 4, 5, 6, 7]}]}"#,
            json!({"f": "x"}),
            "found 0 of 7, missing 1, 2, 3, 4, 5, …",
        ),
        (r#"{"f": [{"contains-all": ["alone"]}]}"#, json!({"f": "b"}), ""),
        (
            r#"{"f": [{"all-of": [{"prefix": "Mac"}, {"anything-but": {"suffix": ",1"}}]}]}"#,
            json!({"f": "Mac14,1"}),
            r#""Mac14,1" meets 1 of 2 conditions, but not anything but suffix ",1""#,
        ),
        (
            r#"{"f": [{"all-of": [{"prefix": "Mac"}, ["x", {"suffix": ",2"}]]}]}"#,
            json!({"f": "mac14,2"}),
            r#""mac14,2" differs from "Mac" only in case; to ignore case write {"prefix": {"equals-ignore-case": "Mac"}}
"mac14,2" meets 1 of 2 conditions, but not prefix "Mac""#,
        ),
        (
            r#"{"f": [{"all-of": [{"prefix": "Mac"}, ["x", {"suffix": ",2"}]]}]}"#,
            json!({"f": "Mac14"}),
            r#""Mac14" meets 1 of 2 conditions, but not "x" or suffix ",2""#,
        ),
        (r#"{"f": [{"all-of": [{"prefix": "i"}, {"suffix": ",2"}]}]}"#, json!({"f": "Mac14"}), ""),
        (
            r#"{"f": [{"compare-field": ["<", "g.low"]}]}"#,
            json!({"f": 12, "g": {"low": 10}}),
            "12 is not < 10, the value of g.low\n12 misses < the value of g.low by 2",
        ),
        (
            r#"{"f": [{"compare-field": [">", "g"]}]}"#,
            json!({"f": 10, "g": 10}),
            "10 is not > 10, the value of g\n10 is the bound of > the value of g itself, which does not count",
        ),
        (
            r#"{"f": [{"compare-field": ["=", "g"]}]}"#,
            json!({"f": "Ada", "g": ["bob", "ada"]}),
            "\"Ada\" differs from \"ada\" only in case\n\"Ada\" is not = any of \"bob\", \"ada\", the values of g",
        ),
        (
            r#"{"f": [{"compare-field": ["=", "g"]}]}"#,
            json!({"f": "3", "g": 3}),
            "\"3\" is a string; as a number it would match, but a type is never another\n\"3\" is not = 3, the value of g",
        ),
        (
            r#"{"f": [{"compare-field": ["!=", "g"]}]}"#,
            json!({"f": null, "g": null}),
            "null is not != null, the value of g",
        ),
        (
            r#"{"f": [{"compare-field": ["=", "g"]}]}"#,
            json!({"f": 1, "g": [2, 3, 4, 5, 6, 7]}),
            "1 is not = any of 2, 3, 4, 5, 6, …, the values of g\n1 misses = the value of g by 1",
        ),
        (
            r#"{"f": [{"compare-field": ["=", "info.minimun"]}]}"#,
            json!({"f": 1, "info": {"minimum": 1}}),
            "1 has nothing to be compared with: info.minimun has no value; did you mean info.minimum?",
        ),
        (
            r#"{"a.f": [{"compare-field": ["=", "a.g"]}]}"#,
            json!({"a": [{"f": 1}, {"g": 1}]}),
            "1 has no a.g in its own element of the array to be compared with",
        ),
        (
            r#"{"f": [{"regex": ["^[a-z]+$"]}]}"#,
            json!({"f": "ABC"}),
            r#""ABC" differs from regex "^[a-z]+$" only in case"#,
        ),
        (
            r#"{"f": [{"regex": ["^[0-9]+$"]}]}"#,
            json!({"f": 12}),
            "12 is a number; as a string it would match, but a type is never another",
        ),
        (
            r#"{"f": [{"semver": [">=", "14.2"]}]}"#,
            json!({"f": "14.5 (23F79)"}),
            r#""14.5 (23F79)" is no version, which is numbers with dots between: 14.2, v1.0.3 or 2.0-beta"#,
        ),
        (
            r#"{"f": [{"semver": [">=", "14.2"]}]}"#,
            json!({"f": 14.5}),
            "14.5 is a number; as a string it would match, but a type is never another",
        ),
        (
            r#"{"f": [{"semver": ["<", "15"]}]}"#,
            json!({"f": "15.0.0"}),
            r#""15.0.0" is the bound itself, which does not count"#,
        ),
        (r#"{"f": [{"semver": ["<", "15"]}]}"#, json!({"f": "16"}), r#""16" is later than 15"#),
        // As decimals they would be the other way round.
        (
            r#"{"f": [{"semver": [">=", "14.10", "<", "15"]}]}"#,
            json!({"f": ["14.9", true]}),
            "\"14.9\" is earlier than 14.10\ntrue is a boolean, and what is wanted is a string",
        ),
        (
            r#"{"f": [{"regex": ["^Mac(Book)?$"]}]}"#,
            json!({"f": "macbook"}),
            r#""macbook" differs from regex "^Mac(Book)?$" only in case"#,
        ),
        (
            r#"{"f": [{"wildcard": "Mac*\\*Pro"}]}"#,
            json!({"f": "macBook *pro"}),
            r#""macBook *pro" differs from wildcard "Mac*\\*Pro" only in case"#,
        ),
        (
            r#"{"f": [{"all-of": [{"wildcard": "Mac*o"}, {"exists": true}]}]}"#,
            json!({"f": "macBook Pro"}),
            "\"macBook Pro\" differs from wildcard \"Mac*o\" only in case\n\"macBook Pro\" meets 1 of 2 conditions, but not wildcard \"Mac*o\"",
        ),
        (
            r#"{"f": [{"cidr": "10.20.0.0/16"}]}"#,
            json!({"f": ["10.20", "10.21.0.1", 10]}),
            "\"10.20\" is no IP address\n10 is a number, and what is wanted is a string",
        ),
        (
            r#"{"f": [{"time-window": [">=", "2026-11-01T00:00:00Z"]}]}"#,
            json!({"f": 1_795_519_800}),
            "1795519800 is a number, and what is wanted is a string",
        ),
        (
            r#"{"f": [{"time-window": [">=", "2026-11-01T00:00:00Z"]}]}"#,
            json!({"f": "2026-11-24"}),
            r#""2026-11-24" is no point in time, which has date, time and offset: 2026-11-24T11:30:00Z"#,
        ),
        (
            r#"{"f": [{"time-window": [">=", "2026-11-01T00:00:00Z", "<", "2026-12-01T00:00:00Z"]}]}"#,
            json!({"f": ["2026-10-31T23:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:01Z"]}),
            r#""2026-10-31T23:00:00Z" is 1 hour too early
"2026-12-01T00:00:00Z" is the bound itself, which does not count
"2027-01-01T00:00:01Z" is over 31 days too late"#,
        ),
        (
            r#"{"f": [{"time-window": ["=", "2026-11-01T00:00:00Z"]}]}"#,
            json!({"f": "2026-11-01T00:00:00.5Z"}),
            r#""2026-11-01T00:00:00.5Z" is less than a second too late"#,
        ),
        (
            r#"{"f": [{"time-of-day": {"from": "22:00", "to": "06:00", "days": ["fri"], "offset": "+01:00"}}]}"#,
            json!({"f": "2026-11-28T05:30:00Z"}),
            r#""2026-11-28T05:30:00Z" is sat 06:30:00 at +01:00, within an hour of what is wanted"#,
        ),
        (
            r#"{"f": [{"time-of-day": {"from": "22:00", "to": "06:00", "days": ["fri"], "offset": "+01:00"}}]}"#,
            json!({"f": "2026-11-28T06:30:00Z"}),
            r#""2026-11-28T06:30:00Z" is sat 07:30:00 at +01:00"#,
        ),
        (
            r#"{"f": [{"time-of-day": {"days": ["fri"]}}]}"#,
            json!({"f": "22:30"}),
            r#""22:30" is no point in time, which has date, time and offset: 2026-11-24T11:30:00Z"#,
        ),
    ] {
        let told = told(pattern, &event);
        let said_of_it: Vec<&str> = told.lines().skip(1).map(str::trim).collect();
        assert_eq!(said_of_it.join("\n"), said, "{pattern} {event}\n{told}");
    }
}

#[test]
fn a_part_that_is_there_makes_a_field_near() {
    for (test, value, near) in [
        (r#"{"contains-all": ["a", "b", "c"]}"#, json!(["a", "b"]), true),
        (r#"{"contains-all": ["a", "b", "c"]}"#, json!(["a", "z"]), false),
        (r#"{"all-of": [{"prefix": "Mac"}, {"suffix": ",2"}]}"#, json!("Mac14,1"), false),
        (r#"{"all-of": [{"prefix": "Mac"}, {"suffix": ",2"}]}"#, json!("mac14,2"), true),
        (r#"{"all-of": [{"prefix": "Mac"}, {"suffix": ",2"}, {"exists": true}]}"#, json!("Mac14,1"), true),
        (r#"{"semver": ["<", "15.2"]}"#, json!("15.10"), true),
        (r#"{"semver": ["<", "15.2"]}"#, json!("16"), false),
        (r#"{"wildcard": "Mac*2"}"#, json!("mac14,2"), true),
        (r#"{"cidr": "10.0.0.0/8"}"#, json!("10.0"), false),
        (r#"{"time-of-day": {"from": "22:00", "to": "06:00"}}"#, json!("2026-11-01T06:30:00Z"), true),
        (r#"{"time-of-day": {"from": "22:00", "to": "06:00"}}"#, json!("2026-11-01T21:00:00Z"), true),
        (r#"{"time-of-day": {"from": "22:00", "to": "06:00"}}"#, json!("2026-11-01T12:00:00Z"), false),
        (r#"{"time-window": [">", "2026-11-01T00:00:00Z"]}"#, json!("2026-10-31T01:00:00Z"), true),
        (r#"{"time-window": [">", "2026-11-01T00:00:00Z"]}"#, json!("2025-10-31T01:00:00Z"), false),
        (r#"{"compare-field": ["<", "g"]}"#, json!("z"), false),
        (r#"{"compare-field": ["<", "g"]}"#, json!(10.5), true),
        (r#"{"compare-field": ["<", "g"]}"#, json!(100), false),
    ] {
        let explanation = explain(&format!("{{\"f\": [{test}]}}"), &json!({"f": value, "g": [10, "a"]}));
        assert_eq!(explanation.branches[0].fields[0].is_near(), near, "{explanation}");
        assert!(explanation.to_json()["branches"][0]["fields"][0]["near"].is_array());
    }
}

#[test]
fn what_was_not_looked_at_is_not_said_to_be_missing() {
    let event = json!({"f": (0..20_000).collect::<Vec<u32>>(), "g": (1..3_000).collect::<Vec<u32>>(), "h": "x"});
    for test in [r#"{"contains-all": [0, 19999, "x"]}"#, r#"{"all-of": [{"exists": true}, "x"]}"#] {
        let said = explain(&format!("{{\"f\": [{test}]}}"), &event).to_string();
        assert!(!said.contains("missing 19999") && said.len() < 2_000, "{said}");
    }
    let said = explain(r#"{"h": [{"compare-field": ["=", "g"]}]}"#, &event).to_string();
    assert!(said.contains("\"x\" is not = any of 1, 2, 3, 4, 5, …, the values of g"), "{said}");
}

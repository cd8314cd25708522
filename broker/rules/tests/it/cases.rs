//! Odd corners, as tables.

use crate::matches;
use emote_rules::{EventError, Pattern, RuleSet};

#[track_caller]
fn check(cases: &[(&str, &str, bool)]) {
    for (pattern, event, expected) in cases {
        assert_eq!(matches(pattern, event), *expected, "{pattern} {event}");
    }
}

#[test]
fn an_array_has_no_value_if_it_is_empty_and_an_object_never_has() {
    check(&[
        (r#"{"a": [{"exists": true}]}"#, r#"{"a": []}"#, false),
        (r#"{"a": [{"exists": false}]}"#, r#"{"a": [[], {}]}"#, true),
        (r#"{"a": [{"exists": true}]}"#, r#"{"a": {"b": 1}}"#, false),
        (r#"{"a": [{"exists": true}]}"#, r#"{"a": [{}, null]}"#, true),
        (r#"{"a": [{"anything-but": "x"}]}"#, r#"{"a": []}"#, false),
        (r#"{"a": [null]}"#, r#"{"a": [null]}"#, true),
    ]);
}

#[test]
fn absence_is_judged_by_the_fields_sorted_before() {
    check(&[
        (r#"{"d": {"a": [1], "b": [{"exists": false}]}}"#, r#"{"d": [{"a": 1, "b": 3}, {"a": 1}]}"#, true),
        (r#"{"d": {"b": [1], "a": [{"exists": false}]}}"#, r#"{"d": [{"a": 1}, {"b": 1}]}"#, false),
        (r#"{"d": {"b": [1], "a": [{"exists": false}]}}"#, r#"{"d": [{"c": 1}, {"b": 1}]}"#, true),
        (r#"{"a": [{"exists": false}]}"#, r#"{}"#, true),
        (r#"{"a": [{"exists": false}, 1], "b": [2]}"#, r#"{"a": 3, "b": 2}"#, false),
    ]);
}

#[test]
fn fields_of_nested_arrays_come_from_one_element_of_each() {
    let pattern = r#"{"a": {"x": [1], "b": {"y": [2], "z": [3]}}}"#;
    check(&[
        (pattern, r#"{"a": [{"x": 1, "b": [{"y": 0}, {"y": 2, "z": 3}]}]}"#, true),
        (pattern, r#"{"a": [{"x": 1, "b": [{"y": 2}, {"z": 3}]}]}"#, false),
        (pattern, r#"{"a": [{"x": 1, "b": []}, {"x": 0, "b": [{"y": 2, "z": 3}]}]}"#, false),
        (pattern, r#"{"a": [[{"x": 1}], [{"b": {"y": 2, "z": 3}}]]}"#, false),
        (pattern, r#"{"a": [[{"x": 1, "b": {"y": 2, "z": [4, 3]}}]]}"#, true),
        (r#"{"a": {"x": [1]}, "b": {"x": [1]}}"#, r#"{"a": [{}, {"x": 1}], "b": [{"x": 1}]}"#, true),
        (r#"{"a": [1], "a.b": [2]}"#, r#"{"a": [{"b": 2}, 1]}"#, true),
        (r#"{"a": [1], "a.b": [2]}"#, r#"{"a": [[1], {"b": 2}]}"#, false),
    ]);
}

#[test]
fn names_with_dots_and_without_characters_are_names() {
    check(&[
        (r#"{"a": {"b.c": [1]}}"#, r#"{"a.b": {"c": 1}}"#, true),
        (r#"{"": [1]}"#, r#"{"": 1}"#, true),
        (r#"{"": {"a": [1]}}"#, r#"{"a": 1}"#, true),
        (r#"{".a": [1]}"#, r#"{"": {"a": 1}}"#, true),
        (r#"{"a.": [1]}"#, r#"{"a": {"": 1}}"#, true),
        (r#"{"\u00e9": [1]}"#, r#"{"é": 1}"#, true),
    ]);
}

#[test]
fn or_multiplies_and_the_later_field_counts() {
    let two =
        r#"{"$or": [{"a": [1]}, {"b": [1]}], "d": {"$or": [{"x": [1]}, {"y": [1], "$or": [{"u": [1]}, {"v": [1]}]}]}}"#;
    check(&[
        (two, r#"{"b": 1, "d": {"x": 1}}"#, true),
        (two, r#"{"a": 1, "d": {"y": 1, "v": 1}}"#, true),
        (two, r#"{"a": 1, "d": {"y": 1}}"#, false),
        (two, r#"{"d": {"x": 1}}"#, false),
        (r#"{"a": [1], "$or": [{"a": [2]}, {"b": [3]}]}"#, r#"{"a": 2}"#, true),
        (r#"{"$or": [{"a": [2]}, {"b": [3]}], "a": [1]}"#, r#"{"a": 2}"#, false),
        (r#"{"$or": [{"x": [1]}, {"y": [2]}], "$or": [{"p": [3]}, {"q": [4]}]}"#, r#"{"x": 1, "q": 4}"#, true),
        (r#"{"$or": ["a", {"prefix": "b"}]}"#, r#"{"$or": "bc"}"#, true),
    ]);
}

#[test]
fn a_value_pattern_puts_or_last() {
    let pattern = serde_json::json!({"a": [1], "$or": [{"a": [2]}, {"b": [3]}]});
    let rules = RuleSet::build([((), Pattern::from_value(&pattern).unwrap())]);
    assert_eq!(rules.matches(br#"{"a": 2}"#).unwrap().len(), 1);
    assert_eq!(rules.matches(br#"{"a": 1}"#).unwrap().len(), 0);
}

#[test]
fn ids_come_once_and_in_the_order_given() {
    let pattern = |text| Pattern::parse(text).unwrap();
    let rules = RuleSet::build([
        ("late", pattern(r#"{"z": [{"exists": true}]}"#)),
        ("both", pattern(r#"{"a": [1]}"#)),
        ("never", pattern(r#"{"a": [2]}"#)),
        ("both", pattern(r#"{"b": [1]}"#)),
        ("absent", pattern(r#"{"c": [{"exists": false}]}"#)),
    ]);
    assert_eq!((rules.len(), rules.is_empty()), (4, false));
    assert_eq!(rules.matches(br#"{"b": 1, "a": 1, "z": 0}"#).unwrap(), ["late", "both", "absent"]);
    assert_eq!(rules.matches(br#"{"b": 1, "c": 0}"#).unwrap(), ["both"]);
    assert!(RuleSet::<u8>::build([]).matches(b"{}").unwrap().is_empty());
}

#[test]
fn events_that_are_no_json_objects_are_errors_wherever_they_are_wrong() {
    let rules = RuleSet::build([((), Pattern::parse(r#"{"a": [1]}"#).unwrap())]);
    for event in
        ["", "{\"a\": 1", "{\"a\": 1, \"unused\": [1,}", "{\"a\": 1, \"b\": \"\\x\"}", "{\"a\": 1, \"b\": 01}", "nul"]
    {
        assert!(matches!(rules.matches(event.as_bytes()), Err(EventError::Json { .. })), "{event}");
    }
    for event in ["[1]", "5", "null", "\"a\""] {
        assert_eq!(rules.matches(event.as_bytes()), Err(EventError::NotAnObject), "{event}");
    }
    assert_eq!(rules.matches(b"{\"a\": \"\xff\"}"), Err(EventError::Utf8 { at: 7 }));
    assert_eq!(rules.matches(b" {\"a\":1} xx").unwrap().len(), 1);
}

#[test]
fn wrong_patterns_say_where_what_and_what_would_do() {
    for (pattern, said) in [
        ("[1]", "the pattern (line 1, column 1): a pattern is an object, not a list"),
        ("{}", "an empty object matches nothing"),
        (
            "{\"a\": {\n \"b\": \"x\"}}",
            "a.b (line 2, column 7): a field's pattern is a list, not a string; write [\"x\"]",
        ),
        ("{\"a\": []}", "a (line 1, column 7): an empty list matches nothing"),
        ("{\"a\": [{\"prefix\": 3}]}", "prefix takes a string, not a number; write {\"prefix\": \"MacBook\"}"),
        ("{\"a\": [{\"prefix\": {\"wildcard\": \"x\"}}]}", "an object with equals-ignore-case alone"),
        ("{\"a\": [{\"glob\": \"x\"}]}", "there is no operator \"glob\"; expected one of anything-but, cidr,"),
        ("{\"é\": [{\"exists\": 1}]}", "é (line 1, column 19): exists takes true or false, not a number"),
        ("{\"a\": [{\"numeric\": [\"<\", 5, \">\", 0]}]}", "only as > or >= and then < or <="),
        ("{\"a\": [{\"numeric\": [\">=\", 1, \"<=\", 1]}]}", "nothing in between"),
        ("{\"a\": [{\"numeric\": [\"!=\", 1]}]}", "compares with one of =, <, <=, >, >="),
        ("{\"a\": [{\"numeric\": [\"=\", 123456789012345678901]}]}", "cannot compare 123456789012345678901"),
        ("{\"a\": [{\"wildcard\": \"a**\"}]}", "two asterisks in a row"),
        ("{\"a\": [{\"cidr\": \"10.0.0.1/32\"}]}", "at most 31 bits"),
        ("{\"a\": [{\"anything-but\": [1, \"x\"]}]}", "not both in one list"),
        (
            "{\"a\": [{\"anything-but\": {\"cidr\": \"::/8\"}}]}",
            "one of equals-ignore-case, prefix, suffix, wildcard, regex alone",
        ),
        ("{\"a\": [{\"anything-but\": {\"prefix\": [\"x\", \"\"]}}]}", "prefix would refuse every string"),
        ("{\"d\": {\"$or\": [{\"a\": [1]}]}}", "d.$or (line 1, column 15): $or has 1 alternatives"),
        ("{\"$or\": [{\"a\": [1]}, {\"numeric\": [1]}]}", "\"numeric\" is not a field inside $or"),
        ("{\"a\": [1],}", "the pattern (line 1, column 11): expected a string in double quotes"),
    ] {
        let error = Pattern::parse(pattern).unwrap_err().to_string();
        assert!(error.contains(said), "{pattern}\n{error}");
    }
    let error = Pattern::from_value(&serde_json::json!({"a": {"b": 1}})).unwrap_err();
    assert_eq!((error.path(), error.position(), error.remedy()), ("a.b", None, "write [1]"));
}

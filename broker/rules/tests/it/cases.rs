//! Odd corners, as tables.

use crate::matches;
use emote_rules::{EventError, OPERATORS, Pattern, RuleSet};

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
        // A text that was cut: behind what there is of it, not on an empty line.
        ("{\"a\": [1],\n\n", "the pattern (line 1, column 11): the text ends too early"),
        (" \n", "the pattern (line 1, column 1): the text ends too early"),
    ] {
        let error = Pattern::parse(pattern).unwrap_err().to_string();
        assert!(error.contains(said), "{pattern}\n{error}");
    }
    let error = Pattern::from_value(&serde_json::json!({"a": {"b": 1}})).unwrap_err();
    assert_eq!((error.path(), error.position(), error.remedy()), ("a.b", None, "write [1]"));
}

#[test]
fn names_of_our_own_operators_are_free_for_fields() {
    let reserved = ["regex"];
    let ours = ["all-of", "compare-field", "contains-all", "semver", "time-of-day", "time-window"];
    for name in ours {
        let pattern = format!(r#"{{"$or": [{{"{name}": [1]}}, {{"{name}.x": [2]}}], "{name}": {{"y": [3]}}}}"#);
        check(&[(&pattern, &format!(r#"{{"{name}": [1, {{"y": 3}}]}}"#), true)]);
    }
    for name in OPERATORS.iter().filter(|name| !ours.contains(name)).chain(&reserved) {
        assert!(Pattern::parse(&format!(r#"{{"$or": [{{"{name}": [1]}}, {{"a": [2]}}]}}"#)).is_err(), "{name}");
    }
}

#[test]
fn operators_of_our_own_stand_in_each_other() {
    let between = r#"{"a": [{"all-of": [{"compare-field": [">", "low"]}, {"compare-field": ["<", "high"]}, [1, 2, {"all-of": [{"contains-all": [9]}, {"exists": true}]}]]}]}"#;
    check(&[
        (between, r#"{"a": 2, "low": 1, "high": 3}"#, true),
        (between, r#"{"a": 3, "low": 1, "high": 4}"#, false),
        (between, r#"{"a": [3, 9], "low": 1, "high": 4}"#, true),
        (between, r#"{"a": 2, "low": [5, 1], "high": [0, 3]}"#, true),
        (between, r#"{"a": 2, "low": 2, "high": 3}"#, false),
        (
            r#"{"a": [{"contains-all": [{"all-of": [{"prefix": "a"}, {"suffix": "b"}]}]}]}"#,
            r#"{"a": ["a", "b"]}"#,
            false,
        ),
        (r#"{"a": [{"contains-all": [{"all-of": [{"prefix": "a"}, {"suffix": "b"}]}]}]}"#, r#"{"a": [1, "ab"]}"#, true),
        (r#"{"a": [{"contains-all": [1, null]}, {"exists": false}]}"#, r#"{"a": [null, 1]}"#, true),
        (r#"{"a": [{"contains-all": [1, null]}, {"exists": false}]}"#, r#"{"b": 1}"#, true),
        (r#"{"a": [{"contains-all": [{"anything-but": 1}]}]}"#, r#"{"a": [1, 1]}"#, false),
        (r#"{"a": [{"regex": ["^é.$"]}]}"#, r#"{"a": "\u00e9\ud83d\ude00"}"#, true),
        (r#"{"a": [{"compare-field": ["=", "b.c"]}]}"#, r#"{"a": "x", "b": [{"c": 1}, {"c": "x"}]}"#, true),
        (r#"{"a": [{"compare-field": ["=", "b.c"]}]}"#, r#"{"a": "x", "b.c": "x"}"#, true),
    ]);
}

#[test]
fn wrong_uses_of_our_own_operators_say_what_to_write() {
    for (test, said) in [
        (r#"{"all-of": ["a"]}"#, "all-of has fewer than two conditions: 1; write one condition into the field's list"),
        (r#"{"all-of": {"prefix": "a"}}"#, "all-of takes a list, not an object; write {\"all-of\": ["),
        (r#"{"all-of": [1, []]}"#, "all-of has an empty list, which nothing satisfies"),
        (r#"{"all-of": [1, [[2]]]}"#, "a list inside a list"),
        (r#"{"all-of": [1, {"exists": false}]}"#, "write {\"exists\": false} beside all-of"),
        (r#"{"all-of": [1, {"glob": "x"}]}"#, "there is no operator \"glob\""),
        (r#"{"compare-field": "b"}"#, "compare-field takes a list, not a string"),
        (r#"{"compare-field": ["<"]}"#, "takes a sign and a path, this list has 1 elements"),
        (r#"{"compare-field": ["==", "b"]}"#, "compares with one of =, !=, <, <=, >, >="),
        (r#"{"compare-field": ["<", 5]}"#, "takes the path of another field as a string, not a number"),
        (r#"{"compare-field": ["<", ""]}"#, "this one is empty"),
        (r#"{"compare-field": ["<", "a.b"]}"#, "compares a field with another one, not with itself"),
        (r#"{"contains-all": "a"}"#, "contains-all takes a list, not a string"),
        (r#"{"contains-all": []}"#, "contains-all has an empty list"),
        (r#"{"contains-all": [{"exists": true}]}"#, "leave exists out"),
        (
            r#"{"contains-all": [{"all-of": [1, {"contains-all": [1]}]}]}"#,
            "list all it should contain in the outer one",
        ),
        (r#"{"contains-all": [{"compare-field": ["=", "c"]}]}"#, "which of the values would be compared?"),
        (r#"{"regex": "x"}"#, "regex takes a list of expressions, not a string; write {\"regex\": [\"^Mac"),
        (r#"{"regex": [5]}"#, "regex takes a string, not a number"),
        (r#"{"regex": ["a["]}"#, "regex cannot be read: unclosed character class; write {\"regex\": "),
        (r#"{"anything-but": {"regex": ["a", "("]}}"#, "regex cannot be read: unclosed group"),
        (r#"{"semver": [">", 14]}"#, "semver compares with a string, not a number"),
        (r#"{"semver": [">", "14.x"]}"#, "semver compares with versions, \"14.x\" is none"),
        (r#"{"semver": ["!=", "14"]}"#, "semver compares with one of =, <, <=, >, >="),
        (r#"{"semver": [">=", "14", "<", "14.0"]}"#, "the first bound must be the lesser"),
        (
            r#"{"time-window": [">", "2026-11-01"]}"#,
            "as in RFC 3339, \"2026-11-01\" is none; write {\"time-window\": [",
        ),
        (r#"{"time-window": [">", "2026-11-01T00:00:00Z", "<", "2026-11-01T01:00:00+01:00"]}"#, "nothing in between"),
        (r#"{"time-of-day": "22:00"}"#, "time-of-day takes an object, not a string"),
        (r#"{"time-of-day": {}}"#, "needs from and to, or days"),
        (r#"{"time-of-day": {"from": "22:00", "days": ["mon"]}}"#, "takes from and to together"),
        (r#"{"time-of-day": {"from": "22:00", "to": "22:00:00"}}"#, "for whole days leave out both"),
        (r#"{"time-of-day": {"from": "22:00", "to": "24:00"}}"#, "takes HH:MM or HH:MM:SS, not \"24:00\""),
        (r#"{"time-of-day": {"days": ["Mon"]}}"#, "takes a list of mon, tue, wed, thu, fri, sat, sun as days"),
        (r#"{"time-of-day": {"days": []}}"#, "takes a list of mon,"),
        (r#"{"time-of-day": {"days": ["mon"], "days": ["tue"]}}"#, "has days twice"),
        (r#"{"time-of-day": {"days": ["mon"], "offset": "CET"}}"#, "takes Z or +HH:MM, not \"CET\""),
        (r#"{"time-of-day": {"days": ["mon"], "zone": "CET"}}"#, "takes from, to, days and offset, not \"zone\""),
    ] {
        let error = Pattern::parse(&format!(r#"{{"a": {{"b": [{test}]}}}}"#)).unwrap_err();
        assert!(error.to_string().contains(said) && error.path() == "a.b", "{test}\n{error}");
    }
}

//! Any bytes as an event, for rules that use all of the language. Nothing panics, and what is an event and what is not
//! is what serde_json says, but for what the language allows on purpose: text behind the event, numbers beyond any
//! double, halves of surrogate pairs.
#![no_main]

use emote_rules::{EventError, Pattern, RuleSet, Scratch};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::sync::LazyLock;

const PATTERNS: [&str; 22] = [
    r#"{"a": ["a", 1, true, null]}"#,
    r#"{"a": [{"prefix": "a"}, {"prefix": {"equals-ignore-case": "bÉ"}}]}"#,
    r#"{"a": [{"suffix": "b"}, {"suffix": {"equals-ignore-case": "ßa"}}]}"#,
    r#"{"a": [{"wildcard": "*a*b"}, {"wildcard": "a\\**"}, {"wildcard": "b*a*b*c"}]}"#,
    r#"{"b": [{"equals-ignore-case": "Straße"}, {"exactly": "10.0.0.1"}]}"#,
    r#"{"b": ["10.0.0.1", {"cidr": "10.0.0.0/8"}, {"cidr": "2001:db8::/32"}]}"#,
    r#"{"b": [{"numeric": [">", -1, "<=", 1e3]}, {"numeric": ["=", 0.5]}]}"#,
    r#"{"b": [{"numeric": ["<", -1e10]}], "a": [{"numeric": [">=", 0.1]}]}"#,
    r#"{"c": [{"exists": true}], "a": [{"exists": false}]}"#,
    r#"{"c": [{"anything-but": ["a", "b"]}]}"#,
    r#"{"c": [{"anything-but": [1, 2.5]}]}"#,
    r#"{"c": [{"anything-but": {"prefix": ["a", "ab"]}}]}"#,
    r#"{"c": [{"anything-but": {"wildcard": "*a*"}}], "a": [{"anything-but": {"equals-ignore-case": "A"}}]}"#,
    r#"{"a": {"b": ["a"], "c": ["b"]}}"#,
    r#"{"a": {"b": {"c": [1]}, "c": [{"exists": false}]}, "b": {"a": [2]}}"#,
    r#"{"a.b": ["x"], "a": {"b.c": [{"prefix": ""}]}}"#,
    r#"{"$or": [{"a": ["a"]}, {"b": [{"numeric": ["<", 5]}]}, {"c": {"c": ["c"]}}]}"#,
    r#"{"a": {"$or": [{"a": [1]}, {"b": [1]}]}, "b": {"$or": [{"a": [1]}, {"b": [1]}]}}"#,
    r#"{"é": ["é"], "😀": [{"suffix": "😀"}]}"#,
    r#"{"a\"b": ["\"\\"], "": ["a"]}"#,
    r#"{"a": {"a": {"a": {"a": [{"exists": true}]}}}}"#,
    r#"{"c": [1e400, 123456789012345678901234567890]}"#,
];

static RULES: LazyLock<RuleSet<usize>> = LazyLock::new(|| {
    let patterns = PATTERNS.map(|text| Pattern::parse(text).expect("a pattern"));
    RuleSet::build(patterns.into_iter().enumerate())
});

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fuzz_target!(|data: &[u8]| {
    let new = RULES.matches(data);
    // What is left of the events before must not matter.
    let found =
        SCRATCH.with_borrow_mut(|scratch| RULES.find(data, scratch).map(|found| found.copied().collect::<Vec<_>>()));
    assert_eq!(found, new);
    let first = serde_json::Deserializer::from_slice(data).into_iter::<Value>().next();
    match (&new, first) {
        (Err(error), Some(Ok(Value::Object(_)))) if serde_json::from_slice::<Map<String, Value>>(data).is_ok() => {
            assert!(matches!(error, EventError::TooIntricate { .. }), "refused: {error}");
        }
        (Ok(_), None) => panic!("nothing is accepted"),
        (Ok(_), Some(Ok(value))) => assert!(value.is_object(), "accepted: {value}"),
        (Ok(_), Some(Err(error))) => {
            let reason = error.to_string();
            let allowed =
                ["number out of range", "surrogate", "unexpected end of hex escape", "recursion limit exceeded"];
            assert!(allowed.iter().any(|allowed| reason.contains(allowed)), "accepted, and serde_json says {reason}");
        }
        (Err(_), _) => {}
    }
});

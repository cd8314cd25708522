//! Nothing hostile takes long or goes deep.

use emote_rules::{EventError, Pattern, RuleSet};

fn or_of(branches: usize, levels: usize) -> String {
    let branch = |level: usize| (0..branches).map(|b| format!("{{\"f{level}\": [{b}]}}")).collect::<Vec<_>>().join(",");
    let levels: Vec<String> = (0..levels).map(|level| format!("\"$or\": [{}]", branch(level))).collect();
    format!("{{{}}}", levels.join(","))
}

#[test]
fn patterns_are_bounded() {
    let fields = |count: usize| {
        let fields: Vec<String> = (0..count).map(|field| format!("\"f{field}\": [1]")).collect();
        format!("{{{}}}", fields.join(","))
    };
    let deep = |levels: usize| "{\"a\":".repeat(levels - 1) + "[1]" + &"}".repeat(levels - 1);
    let values = |count: usize| format!("{{\"a\": [{}0]}}", "1,".repeat(count - 1));
    for (good, bad, said) in [
        (deep(128), deep(129), "at most 128 levels"),
        (fields(256), fields(257), "more than 256 fields"),
        (or_of(10, 3), or_of(10, 4), "more than 1000 alternatives"),
        (values(100_000), values(100_001), "more than 100000"),
        (or_of(2, 2), "[".repeat(1_000_000), "128"),
    ] {
        assert!(Pattern::parse(&good).is_ok(), "{said}");
        let error = Pattern::parse(&bad).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(Pattern::parse(&or_of(2, 60)).is_err());
}

#[test]
fn a_long_array_is_not_compared_with_itself() {
    let pattern = r#"{"apps": {"a": [{"exists": true}], "b": [{"exists": true}], "c": [{"exists": false}, 2]}}"#;
    let rules = RuleSet::build([((), Pattern::parse(pattern).unwrap())]);
    let apps = |c: u8| format!("{{\"apps\": [{}]}}", vec![format!("{{\"a\":1,\"b\":2,\"c\":{c}}}"); 20_000].join(","));
    assert_eq!(rules.matches(apps(2).as_bytes()).unwrap().len(), 1);
    assert_eq!(rules.matches(apps(3).as_bytes()).unwrap().len(), 0);
}

#[test]
fn arrays_that_combine_without_end_are_an_error() {
    // Each dotted spelling of one path is an array of its own, and every combination of their elements is a choice.
    let pattern = r#"{"a": {"b": {"c": {"d": [1], "e": [1], "f": [1], "g": [2]}}}}"#;
    let rules = RuleSet::build([((), Pattern::parse(pattern).unwrap())]);
    let elements = |name: &str| format!("{{\"{name}d\":1,\"{name}e\":1,\"{name}f\":1,\"{name}g\":1}}");
    let array =
        |key: &str, name: &str| format!("\"{key}\": [{}, {{\"{name}g\":2}}]", vec![elements(name); 200].join(","));
    let event =
        format!("{{{}, {}, {}, {}}}", array("a.b.c", ""), array("a.b.c", ""), array("a.b", "c."), array("a", "b.c."));
    assert!(matches!(rules.matches(event.as_bytes()), Err(EventError::TooIntricate { .. })));
}

#[test]
fn deep_events_are_an_error() {
    let rules = RuleSet::build([((), Pattern::parse(r#"{"a": {"a": [1]}}"#).unwrap())]);
    let deep = |levels: usize| "{\"a\":".repeat(levels) + "1" + &"}".repeat(levels);
    assert!(rules.matches(deep(128).as_bytes()).is_ok());
    for event in [deep(129), "{\"a\":".repeat(1_000_000), format!("{{\"b\": {}", "[".repeat(1_000_000))] {
        assert!(matches!(rules.matches(event.as_bytes()), Err(EventError::Json { .. })));
    }
}

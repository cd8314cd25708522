//! Against a second implementation, and against noise.

use crate::generate::{
    event, many_patterns_and_events, pattern, pattern_and_table, patterns_and_event, test_and_value,
};
use crate::{matches, slow};
use emote_rules::{OPERATORS, Pattern, RuleSet, Scratch};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// The text of a pattern, with each `$or` behind the fields beside it, as a value has it.
fn text(pattern: &Value) -> String {
    let list = |texts: Vec<String>| texts.join(", ");
    match pattern {
        Value::Object(members) => {
            let (or, fields): (Vec<_>, Vec<_>) = members.iter().partition(|(name, _)| *name == "$or");
            let member = |(name, value)| format!("{}: {}", json!(name), text(value));
            format!("{{\n{}\n}}", list(fields.into_iter().chain(or).map(member).collect()))
        }
        Value::Array(elements) => format!("[{}]", list(elements.iter().map(text).collect())),
        scalar => scalar.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(700))]

    #[test]
    fn operators_that_look_around_see_what_they_do_in_the_obvious_way((pattern, event) in pattern_and_table()) {
        prop_assert_eq!(matches(&pattern.to_string(), &event.to_string()), slow::matches(&pattern, &event));
    }

    #[test]
    fn matching_many_rules_is_matching_each_in_the_obvious_way((patterns, event) in patterns_and_event()) {
        let compiled = |pattern: &Value| Pattern::from_value(pattern).unwrap();
        let rules = RuleSet::build(patterns.iter().map(compiled).enumerate());
        let expected: Vec<usize> = (0..patterns.len()).filter(|rule| slow::matches(&patterns[*rule], &event)).collect();
        prop_assert_eq!(rules.matches(event.to_string().as_bytes()).unwrap(), expected.clone());
        for (rule, pattern) in patterns.iter().enumerate() {
            prop_assert_eq!(compiled(pattern).explain(&event).matched, expected.contains(&rule));
        }
    }

    #[test]
    fn text_and_value_are_the_same_pattern(pattern in pattern()) {
        prop_assert_eq!(Pattern::parse(&text(&pattern)).unwrap(), Pattern::from_value(&pattern).unwrap());
    }
}

/// One set may match none of its events: that something matches is asked of all of them together.
#[test]
fn a_large_set_matches_what_its_rules_do_in_the_obvious_way() {
    let matched = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        max_shrink_iters: 2_000,
        failure_persistence: None,
        ..ProptestConfig::with_cases(40)
    });
    let checked = runner.run(&many_patterns_and_events(), |(patterns, events)| {
        let rules: RuleSet<usize> =
            patterns.iter().map(|pattern| Pattern::from_value(pattern).unwrap()).enumerate().collect();
        let mut scratch = Scratch::default();
        for event in &events {
            let found: Vec<usize> = rules.find(event.to_string().as_bytes(), &mut scratch).unwrap().copied().collect();
            let expected: Vec<usize> =
                (0..patterns.len()).filter(|rule| slow::matches(&patterns[*rule], event)).collect();
            prop_assert_eq!(&found, &expected, "{}", event);
            matched.set(matched.get() + found.len());
        }
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
    assert!(matched.get() > 100, "only {} matches", matched.get());
}

/// How often the tests with an operator accepted a value, and how often not.
type Tally = BTreeMap<String, (usize, usize)>;

#[test]
fn every_operator_accepts_what_it_does_in_the_obvious_way_and_is_seen_to() {
    let tally = RefCell::new(Tally::new());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() });
    let checked = runner.run(&test_and_value(), |(test, value)| {
        let event = json!({"x": {"y": value}, "z": [value, 1]});
        let pattern = json!({"x": {"y": [test]}});
        let compiled = match Pattern::from_value(&pattern) {
            Err(error) if error.problem().contains("not with itself") => return Err(TestCaseError::reject("itself")),
            compiled => compiled.unwrap(),
        };
        let accepted = !RuleSet::build([((), compiled)]).matches(event.to_string().as_bytes()).unwrap().is_empty();
        prop_assert_eq!(accepted, slow::matches(&pattern, &event), "{} {}", test, value);
        let operator = test.as_object().and_then(|test| test.keys().next().cloned());
        let mut tally = tally.borrow_mut();
        let (yes, no) = tally.entry(operator.unwrap_or_else(|| "plain".to_owned())).or_default();
        *(if accepted { yes } else { no }) += 1;
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
    let tally = tally.into_inner();
    for operator in OPERATORS {
        let (yes, no) = tally.get(*operator).copied().unwrap_or_default();
        assert!(yes.min(no) >= 1, "{operator} accepted {yes} times and refused {no} times: {tally:?}");
    }
}

proptest! {
    #[test]
    fn no_pattern_panics(
        text in "[\\[\\]{}:,\"a01.*\\\\/-]{0,40}",
        operator in proptest::sample::select(OPERATORS),
        argument in prop_oneof![
            event(),
            test_and_value().prop_map(|(test, value)| json!([test, value])),
            test_and_value().prop_map(|(test, _)| test.as_object().and_then(|test| test.values().next().cloned()).unwrap_or(test)),
            any::<String>().prop_map(Value::from),
            proptest::collection::vec("[=<>]{1,2}|\\PC{0,4}", 0..5).prop_map(Value::from),
        ],
    ) {
        let _ = Pattern::parse(&text);
        let _ = Pattern::from_value(&argument);
        let pattern = json!({"x": [{operator: argument}, {"anything-but": {operator: argument}}]});
        if let Err(error) = Pattern::from_value(&pattern) {
            prop_assert_eq!(error.path(), "x");
        }
    }

    #[test]
    fn no_event_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[\\[\\]{}:,\"x0.\\\\ud8-]{0,40}") {
        let rules = RuleSet::build([((), Pattern::parse(r#"{"x": [{"cidr": "::/0"}, {"wildcard": "*0*"}]}"#).unwrap())]);
        for event in [bytes, text.clone().into_bytes(), format!("{{\"x\":{text}").into_bytes(), format!("{{\"x\":\"{text}\"}}").into_bytes()] {
            let _ = rules.matches(&event);
        }
    }

    #[test]
    fn strings_find_themselves(text in any::<String>(), other in any::<String>(), at in any::<prop::sample::Index>()) {
        let cut = text.floor_char_boundary(at.index(text.len() + 1));
        let escaped = text.replace('\\', "\\\\").replace('*', "\\*");
        let found = |test: Value, value: &str| {
            RuleSet::build([((), Pattern::from_value(&json!({"x": [test]})).unwrap())])
                .matches(json!({"x": value}).to_string().as_bytes()).unwrap().len() == 1
        };
        prop_assert_eq!(found(json!(text), &text), true);
        prop_assert_eq!(found(json!({"exactly": text}), &text), true);
        prop_assert_eq!(found(json!({"prefix": text[..cut]}), &text), true);
        prop_assert_eq!(found(json!({"suffix": text[cut..]}), &text), true);
        prop_assert_eq!(found(json!({"wildcard": escaped}), &text), true);
        prop_assert_eq!(found(json!({"exactly": other}), &text), other == text);
        prop_assert_eq!(found(json!({"anything-but": other}), &text), other != text);
    }
}

//! Against a second implementation, and against noise.

use crate::slow;
use emote_rules::{Pattern, RuleSet};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => "[ab]{0,2}".prop_map(Value::from),
        4 => (-2..3_i32).prop_map(Value::from),
        1 => (-2..3_i32).prop_map(|number| json!(f64::from(number) / 2.0)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ]
}

fn object(name: &'static str, value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    proptest::collection::vec((name, value), 0..4).prop_map(|members| Value::Object(Map::from_iter(members)))
}

fn event() -> impl Strategy<Value = Value> {
    let value = scalar().prop_recursive(5, 24, 4, |inner| {
        prop_oneof![proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from), object("[xyz]", inner)]
    });
    object("[xyz]|x\\.y", value)
}

fn test() -> impl Strategy<Value = Value> {
    let number = || -2..3_i32;
    prop_oneof![
        4 => scalar(),
        1 => "[ab]{0,2}".prop_map(|text| json!({"prefix": text})),
        2 => any::<bool>().prop_map(|wanted| json!({"exists": wanted})),
        1 => proptest::collection::vec("[ab]{0,2}", 1..3).prop_map(|texts| json!({"anything-but": texts})),
        1 => number().prop_map(|number| json!({"anything-but": number})),
        1 => "[ab]{1,2}".prop_map(|text| json!({"anything-but": {"prefix": text}})),
        1 => ("=|<|<=|>|>=", number()).prop_map(|(sign, number)| json!({"numeric": [sign, number]})),
        1 => (">|>=", number(), "<|<=", 1..3_i32).prop_map(|(one, low, other, more)| {
            json!({"numeric": [one, low, other, low + more]})
        }),
    ]
}

/// Fields inside `$or` have names of their own, for a value does not say whether they come before or after the others.
fn pattern() -> impl Strategy<Value = Value> {
    let fields = |name: &'static str| {
        let list = || proptest::collection::vec(test(), 1..3).prop_map(Value::from);
        let nested = proptest::collection::vec(("[xyz]", list()), 1..3).prop_map(|m| Value::Object(Map::from_iter(m)));
        proptest::collection::vec((name, prop_oneof![list(), nested]), 1..4).prop_map(Map::from_iter)
    };
    (fields("[xy]"), proptest::option::of(proptest::collection::vec(fields("z"), 2..4))).prop_map(|(mut fields, or)| {
        fields.extend(or.map(|branches| ("$or".to_owned(), json!(branches))));
        Value::Object(fields)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn matching_many_rules_is_matching_each_in_the_obvious_way(
        patterns in proptest::collection::vec(pattern(), 1..6),
        event in event(),
    ) {
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
        let text = serde_json::to_string_pretty(&pattern).unwrap();
        prop_assert_eq!(Pattern::parse(&text).unwrap(), Pattern::from_value(&pattern).unwrap());
    }
}

proptest! {
    #[test]
    fn no_pattern_panics(
        text in "[\\[\\]{}:,\"a01.*\\\\/-]{0,40}",
        operator in proptest::sample::select(emote_rules::OPERATORS),
        argument in prop_oneof![event(), test(), scalar(), any::<String>().prop_map(Value::from)],
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

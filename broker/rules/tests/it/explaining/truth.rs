//! What is told is what the engine says, and what is advised works.

use super::*;

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

//! However large a pattern and an event are, explaining ends, and says what it did not look at.

use super::*;

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
fn what_was_not_looked_at_is_not_said_to_be_missing() {
    let event = json!({"f": (0..20_000).collect::<Vec<u32>>(), "g": (1..3_000).collect::<Vec<u32>>(), "h": "x"});
    for test in [r#"{"contains-all": [0, 19999, "x"]}"#, r#"{"all-of": [{"exists": true}, "x"]}"#] {
        let said = explain(&format!("{{\"f\": [{test}]}}"), &event).to_string();
        assert!(!said.contains("missing 19999") && said.len() < 2_000, "{said}");
    }
    let said = explain(r#"{"h": [{"compare-field": ["=", "g"]}]}"#, &event).to_string();
    assert!(said.contains("\"x\" is not = any of 1, 2, 3, 4, 5, …, the values of g"), "{said}");
}

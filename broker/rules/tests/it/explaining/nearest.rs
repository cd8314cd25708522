//! Which rules almost matched.

use super::*;

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

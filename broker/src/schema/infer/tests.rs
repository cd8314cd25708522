use proptest::prelude::*;

use super::*;

fn seen(values: &[Value]) -> Seen {
    let mut seen = Seen::default();
    values.iter().for_each(|value| seen.add(value));
    seen
}

#[test]
fn types_formats_words_and_what_is_always_there_are_found() {
    let of = |n: u32| {
        json!({
            "time": format!("2026-11-26T08:00:{:02}Z", n % 60), "ip": format!("192.0.2.{n}"), "n": n,
            "state": if n.is_multiple_of(2) { "on" } else { "off" }, "name": format!("Mac of {n}"),
            "maybe": if n.is_multiple_of(3) { Value::Null } else { json!(n) },
            "id": format!("0475695a-6825-5747-bfbb-30f190648{n:03}"), "tags": [n, "x"],
            "mail": format!("a{n}@example.com"), "share": f64::from(n) / 4.0,
        })
    };
    let mut values: Vec<Value> = (0..50).map(of).collect();
    values.push(json!({"time": "2026-11-26T08:00:00Z"}));
    let schema = seen(&values).schema();
    insta::assert_snapshot!(serde_json::to_string(&schema).unwrap(), @r#"{"properties":{"id":{"format":"uuid","type":"string"},"ip":{"format":"ipv4","type":"string"},"mail":{"format":"email","type":"string"},"maybe":{"type":["integer","null"]},"n":{"type":"integer"},"name":{"type":"string"},"share":{"type":"number"},"state":{"enum":["off","on"],"type":"string"},"tags":{"items":{"type":["string","integer"]},"type":"array"},"time":{"format":"date-time","type":"string"}},"required":["time"],"type":"object"}"#);
}

#[test]
fn words_of_a_format_and_too_many_words_are_not_kept() {
    let values: Vec<Value> = (0..20)
        .map(|n| {
            json!({"mail": "ada@example.com", "serial": "C02XL0GTJGH5", "on": "2026-11-26", "name": format!("Mac {n}"),
            "odd": if n == 0 { "ada@example.com" } else { "none" }, "state": "locked"})
        })
        .collect();
    let kept = serde_json::to_string(&seen(&values)).unwrap();
    for word in ["ada@", "C02XL", "2026", "Mac 1", "none"] {
        assert!(!kept.contains(word), "{word}: {kept}");
    }
    assert!(kept.contains("locked"), "{kept}");
}

#[test]
fn an_object_of_very_many_keys_is_a_map() {
    let values: Vec<Value> = (0..200).map(|n| json!({"by_serial": {format!("C{n}"): n}})).collect();
    let schema = seen(&values).schema();
    assert_eq!(schema["properties"]["by_serial"]["additionalProperties"], json!({"type": "integer"}));
    assert!(schema["properties"]["by_serial"].get("properties").is_none());
}

#[test]
fn what_was_seen_is_bounded() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!({"a": [deep]});
    }
    let long = json!({"a": "x".repeat(100_000), "y".repeat(1000): 1});
    let size = serde_json::to_vec(&seen(&[deep, long])).unwrap().len();
    assert!(size < 10_000, "{size}");
}

#[test]
fn what_has_very_many_places_is_not_gone_into_so_deep() {
    let keys = |n: usize, value: &Value| (0..n).map(|k| (format!("k{k}"), value.clone())).collect::<Map<_, _>>();
    let values: Vec<Value> = (0..40)
        .map(|n| {
            let wide = Value::Object(keys(60, &Value::Object(keys(60, &json!(n)))));
            json!({"scope": "user", "info": {format!("a{n}"): wide}})
        })
        .collect();
    let mut whole = seen(&values);
    assert!(whole.places() <= MAX_PLACES, "{}", whole.places());
    whole.merge(seen(&values[..1]));
    assert!(whole.places() <= MAX_PLACES, "{}", whole.places());
    let schema = whole.schema();
    assert_eq!(schema["properties"]["scope"]["type"], "string");
    let validator = crate::schema::events::compile(&schema).unwrap();
    assert!(values.iter().chain([&json!({"scope": "user", "info": {"a0": 1}})]).all(|value| validator.is_valid(value)));
    assert!(!validator.is_valid(&json!({"scope": 1, "info": {}})));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-10.0..10.0_f64).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
        Just(json!("2026-11-26T08:00:00Z")),
        Just(json!("192.0.2.1")),
        Just(json!("C02XL0GTJGH5")),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_schema_takes_every_value_that_was_seen(values in prop::collection::vec(any_json(), 1..30)) {
        let schema = seen(&values).schema();
        let validator = crate::schema::events::compile(&schema).unwrap();
        for value in &values {
            let told: Vec<_> = validator.iter_errors(value).map(|error| error.to_string()).collect();
            prop_assert!(told.is_empty(), "{schema} {value}: {told:?}");
        }
    }

    #[test]
    fn two_halves_give_what_the_whole_gives(values in prop::collection::vec(any_json(), 2..20), at in 1_usize..19) {
        let at = at.min(values.len());
        let mut halves = seen(&values[..at]);
        halves.merge(seen(&values[at..]));
        prop_assert_eq!(&halves, &seen(&values));
        let kept: Seen = serde_json::from_slice(&serde_json::to_vec(&halves).unwrap()).unwrap();
        prop_assert_eq!(kept, halves);
    }
}

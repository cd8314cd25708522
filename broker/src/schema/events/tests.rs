use std::{collections::BTreeSet, path::Path};

use emote_proto::Draft;

use super::*;

fn catalog(folder: &str) -> Vec<(String, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog").join(folder);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(entry.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let value: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            found.push((path.display().to_string(), value));
        }
    }
    found
}

fn told(event: &Value) -> Vec<String> {
    let verdict = Vocabulary::built_in().check(event);
    let violations = verdict.into_iter().flat_map(|verdict| verdict.violations);
    violations.map(|violation| format!("{}: {}", violation.pointer, violation.problem)).collect()
}

#[test]
fn every_schema_is_one_and_each_of_its_actions_is_told_apart() {
    let vocabulary = Vocabulary::of(BTreeMap::new()).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    assert!(vocabulary.any.is_some());
    for (scope, schema) in &vocabulary.schemas {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{scope}");
        if scope == ANY {
            continue;
        }
        assert_eq!(schema["$id"], format!("urn:emote:event:{scope}"));
        assert_eq!(schema["$ref"], URN);
        assert_eq!(schema["properties"]["scope"]["const"], scope.as_str());
        for case in schema["allOf"].as_array().unwrap() {
            let action = case["if"]["properties"]["action"]["const"].as_str().unwrap();
            assert_eq!(case["then"]["$ref"], format!("#/$defs/{action}"));
            let about = schema["$defs"][action]["description"].as_str().unwrap_or_default();
            assert!(about.ends_with('.'), "{scope}.{action} says nothing of itself");
            let alone = vocabulary.schema(&format!("{scope}.{action}")).unwrap();
            compile(&alone).unwrap_or_else(|error| panic!("{scope}.{action}: {error}"));
        }
    }
}

#[test]
fn every_event_of_the_catalogues_fixtures_is_as_its_schema_says() {
    let mut used = BTreeSet::new();
    let mut count = 0;
    for (file, fixture) in catalog("fixtures") {
        let of = |at: &str| fixture.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
        for event in [of("/events"), of("/poll/events"), of("/reconcile/events")].concat() {
            assert_eq!(told(&event), Vec::<String>::new(), "{file}: {event}");
            used.insert(format!("{}.{}", event["scope"].as_str().unwrap(), event["action"].as_str().unwrap()));
            count += 1;
        }
    }
    assert!(count > 300, "{count}");
    let unknown: Vec<_> = used
        .iter()
        .filter(|name| {
            let (scope, action) = name.split_once('.').unwrap();
            // What a fixture makes up to try odd input.
            !Vocabulary::built_in().knows(scope, action) && !action.bytes().all(|byte| byte.is_ascii_digit())
        })
        .collect();
    assert!(unknown.len() <= 2, "add them to broker/schemas/events: {unknown:?}");
}

#[test]
fn what_is_an_event_to_the_broker_is_one_to_the_schema_and_nothing_else() {
    let smallest = json!({"scope": "device", "action": "enroll"});
    let with = |key: &str, value: Value| {
        let mut event = smallest.clone();
        event[key] = value;
        event
    };
    for (event, right) in [
        (smallest.clone(), true),
        (json!({"scope": "device"}), false),
        (json!([]), false),
        (with("scope", json!("Device")), false),
        (with("action", json!("en-roll")), false),
        (with("action", json!("x".repeat(64))), true),
        (with("action", json!("x".repeat(65))), false),
        (with("source", json!("jamf-pro")), true),
        (with("source", json!("Jamf")), false),
        (with("id", json!("0475695a-6825-5747-bfbb-30f19064800e")), true),
        (with("id", json!("7")), false),
        (with("time", json!("2026-11-26T08:00:00Z")), true),
        (with("time", json!("yesterday")), false),
        (with("device", json!({"uuid": "C02", "okta_id": 7})), true),
        (with("device", json!({"uuid": 7})), false),
        (with("device", json!("C02")), false),
        (with("user", json!({"id": null})), true),
        (with("user", json!({"id": ["ada"]})), false),
        (with("communicate", json!(true)), true),
        (with("communicate", json!("true")), false),
        (with("trust", json!("verified")), true),
        (with("trust", json!("sure")), false),
        (with("info", json!("anything")), true),
        (with("other", json!(7)), true),
        (with("cause", json!({"depth": 1})), false),
    ] {
        let to_broker = Draft::from_value(event.clone());
        assert_eq!(to_broker.is_ok(), right, "{event}: {to_broker:?}");
        // `info` of an enrolment is an object wherever it is looked into.
        let own = Vocabulary::built_in().any.as_ref().unwrap().is_valid(&event);
        assert_eq!(own, right, "{event}");
    }
}

#[test]
fn a_violation_is_told_at_its_place() {
    let event = json!({"scope": "clock", "action": "jumped", "source": "agent",
        "info": {"seconds": "many", "from": "2026-11-26T08:00:00Z"}});
    let verdict = Vocabulary::built_in().check(&event).unwrap();
    assert_eq!((verdict.schema.as_str(), verdict.more), ("clock", 0));
    insta::assert_snapshot!(told(&event).join("\n"), @r#"
    /info: "to" is a required property
    /info/seconds: "many" is not of type "number"
    "#);
    let unknown = json!({"scope": "coffee", "action": "brewed", "device": {"uuid": 7}});
    assert_eq!(Vocabulary::built_in().check(&unknown).unwrap().schema, ANY);
    let many: Map<String, Value> = (0..100).map(|n| (format!("k{n}"), json!("x"))).collect();
    let own = BTreeMap::from([(
        "coffee".to_owned(),
        json!({"properties": {"info": {"additionalProperties": {"type": "integer"}}}}),
    )]);
    let vocabulary = Vocabulary::of(own).ok().unwrap();
    let verdict = vocabulary.check(&json!({"scope": "coffee", "action": "brewed", "info": many})).unwrap();
    assert_eq!((verdict.violations.len(), verdict.more), (20, 80));
}

#[test]
fn a_schema_of_ones_own_refers_to_nothing_elsewhere_and_costs_no_more_than_it_may() {
    let taken = [
        json!({"$ref": "urn:emote:event", "required": ["info"]}),
        json!({"properties": {"info": {"pattern": "^[a-z]+$"}}}),
    ];
    for schema in taken {
        compile(&schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
    }
    for schema in [
        json!({"$ref": "https://example.com/schema.json"}),
        json!({"$ref": "file:///etc/passwd"}),
        json!({"$ref": "urn:emote:event:nothing"}),
        json!({"type": "strnig"}),
        json!({"properties": {"info": {"pattern": "(?=a)b"}}}),
        json!({"properties": {"info": {"pattern": "((a{1000}){1000}){1000}"}}}),
    ] {
        assert!(compile(&schema).is_err(), "{schema}");
    }
}

#[test]
fn what_the_catalogues_targets_report_is_as_its_schema_says() {
    let mut count = 0;
    for (file, fixture) in catalog("fixtures-targets") {
        let Some((scope, action)) =
            fixture.pointer("/outcome/done").and_then(Value::as_str).and_then(|done| done.split_once('.'))
        else {
            continue;
        };
        let info = fixture.pointer("/outcome/info").cloned().unwrap_or_else(|| json!({}));
        let event = json!({"scope": scope, "action": action, "source": "broker", "info": info});
        assert_eq!(told(&event), Vec::<String>::new(), "{file}: {event}");
        assert!(Vocabulary::built_in().knows(scope, action), "{file}: add {scope}.{action} to broker/schemas/events");
        count += 1;
    }
    assert!(count > 100, "{count}");
}

/// A field of `info` that has a type, where the schema of an action names one, and whether it is the agent's alone.
fn typed(action: &Value) -> Option<(String, bool)> {
    let of = |at: &str| {
        let fields = action.pointer(&format!("{at}/properties/info/properties"))?.as_object()?;
        let fits = |field: &Value| field.get("type").is_some_and(|types| !types.to_string().contains("\"object\""));
        fields.iter().find(|(_, field)| fits(field)).map(|(name, _)| name.clone())
    };
    of("").or_else(|| of("/else")).map(|name| (name, false)).or_else(|| Some((of("/then")?, true)))
}

#[test]
fn every_schema_refuses_what_is_of_another_type_than_it_says() {
    let (mut tried, vocabulary) = (0, Vocabulary::built_in());
    for (scope, schema) in &vocabulary.schemas {
        for (action, of) in schema["$defs"].as_object().into_iter().flatten() {
            let Some((field, of_agent)) = typed(of).filter(|_| vocabulary.knows(scope, action)) else { continue };
            let source = if of_agent { "agent" } else { "okta" };
            let event =
                json!({"scope": scope, "action": action, "source": source, "info": {field.as_str(): {"odd": 1}}});
            let pointer = format!("/info/{field}: ");
            assert!(told(&event).iter().any(|line| line.starts_with(&pointer)), "{event}: {:?}", told(&event));
            tried += 1;
        }
    }
    assert!(tried > 250, "{tried}");
}

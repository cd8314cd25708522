//! Schemas: what agents and brokers say is as the vocabulary says, what is not is told, and what is there is discovered.

use std::process::Output;

use emote::schema::events::Vocabulary;
use emote_agent::vocabulary::Kind;
use emote_tests::{Stack, built, run, until, until_some};
use serde_json::{Value, json};

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn told(event: &Value) -> Vec<String> {
    let violations = Vocabulary::built_in().check(event).into_iter().flat_map(|verdict| verdict.violations);
    violations.map(|violation| format!("{}: {} in {event}", violation.pointer, violation.problem)).collect()
}

#[test]
fn every_kind_of_event_that_the_agent_writes_has_a_schema() {
    let unknown: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| kind.words())
        .filter(|(scope, action)| !Vocabulary::built_in().knows(scope, action))
        .collect();
    assert!(unknown.is_empty(), "add them to broker/schemas/events: {unknown:?}");
}

#[tokio::test]
async fn a_day_of_simulated_macs_is_as_the_vocabulary_says() {
    let args = ["simulate", "--print", "--macs", "20", "--seed", "11", "--day", "2026-11-24"];
    let day = run(&built().join("emote-agent"), &args).await;
    assert!(day.status.success(), "{day:?}");
    let mut kinds = std::collections::BTreeSet::new();
    for line in printed(&day).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(told(&event), Vec::<String>::new());
        kinds.insert(format!("{}.{}", event["scope"], event["action"]));
    }
    assert!(kinds.len() >= 15, "{kinds:?}");
}

const HR: &str =
    "verify: none\ndecode: json\nschema: SCHEMA\nmap: '{scope: \"source\", action: \"poll_failed\", info: .}'\n";

const COFFEE: &str =
    "verify: none\ndecode: json\nschema: SCHEMA\nmap: '{scope: \"coffee\", action: \"brewed\", info: .}'\n";

#[tokio::test]
async fn what_happens_is_as_the_vocabulary_says_what_is_not_is_told_and_all_of_it_is_discovered() {
    let stack = Stack::new()
        .agent("C02XL0GTJGH5")
        .lines("emote.yaml", "schemas: {discover: true, report: [manual]}\n")
        .file("sources/hr.yaml", &HR.replace("SCHEMA", "enforce"))
        .file("schemas/coffee.yaml", "$ref: urn:emote:event\nproperties: {info: {required: [cups]}}\n")
        .file("sources/free.yaml", &COFFEE.replace("SCHEMA", "off"))
        .file("sources/held.yaml", &COFFEE.replace("SCHEMA", "enforce"))
        .file("sources/loose.yaml", &HR.replace("SCHEMA", "report"))
        .start()
        .await;
    // An agent's own, an effect's, and such as are not as they should be.
    stack
        .streams
        .publish(
            "events.manual.C02XL0GTJGH5.device.enroll",
            r#"{"scope":"device","action":"enroll","communicate":true,"log":true,"device":{"uuid":"C02XL0GTJGH5"}}"#,
        )
        .await;
    stack
        .streams
        .publish("events.manual.-.guard.denied", r#"{"scope":"guard","action":"denied","info":{"rule":7}}"#)
        .await;
    stack.streams.publish("events.manual.-.coffee.brewed", r#"{"scope":"coffee","action":"brewed","info":{}}"#).await;
    for source in ["hr", "loose"] {
        let answer = stack.send(stack.http.post(stack.url(source)).json(&json!({"reason": ["away"]}))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for n in 0..4 {
        let order = json!({"scope": "order", "action": "placed", "info": {"n": n, "at": "2026-11-26T08:00:00Z"}});
        stack.streams.publish("events.shop.-.order.placed", order.to_string()).await;
    }
    let violations = async || {
        let events = stack.streams.events().await;
        let of = events.iter().filter(|event| event.subject.ends_with(".schema.violation"));
        of.map(|event| (event.subject.clone(), event.json())).collect::<Vec<_>>()
    };
    until("four violations are told", async || violations().await.len() >= 4).await;
    let told_of = violations().await;
    let of = |subject: &str| &told_of.iter().find(|(found, _)| found == subject).unwrap().1;
    let enforced = of("events.hr.-.schema.violation");
    assert_eq!(enforced["info"]["raw"]["info"]["reason"], json!(["away"]));
    assert_eq!(enforced["info"]["violations"][0]["pointer"], "/info/reason");
    assert!(of("events.loose.-.schema.violation")["info"].get("raw").is_none());
    let of_broker = told_of.iter().filter(|(subject, _)| subject == "events.broker.-.schema.violation");
    let mut of_broker: Vec<_> = of_broker.map(|(_, told)| (&told["info"]["source"], &told["info"]["schema"])).collect();
    of_broker.sort_by_key(|(_, schema)| schema.as_str());
    assert_eq!(of_broker, [(&json!("manual"), &json!("coffee")), (&json!("manual"), &json!("guard"))]);
    let subjects: Vec<String> = stack.streams.events().await.iter().map(|event| event.subject.clone()).collect();
    assert!(!subjects.contains(&"events.hr.-.source.poll_failed".to_owned()), "replaced");
    assert!(subjects.contains(&"events.loose.-.source.poll_failed".to_owned()), "kept");

    // What is discovered is told by an event and can be asked for; the next version says what changed.
    let ls = async || stack.shown(&["schema", "ls", "--discovered", "-o", "json"]).await;
    until("the first version is there", async || ls().await.contains(r#""name":"shop.order.placed","seen":4"#)).await;
    stack
        .streams
        .publish("events.shop.-.order.placed", r#"{"scope":"order","action":"placed","info":{"n":"five"}}"#)
        .await;
    let versions = until_some("a second version", async || {
        let shown = stack.shown(&["schema", "show", "shop.order.placed", "--versions"]).await;
        Some(shown).filter(|shown| shown.contains("version 2"))
    })
    .await;
    assert!(versions.contains("info.n was integer, is integer or string  (breaks forward)"), "{versions}");
    assert!(versions.contains("info.at may be missing  (breaks forward)"), "{versions}");
    let compared = ["schema", "compare", "shop.order.placed@1", "shop.order.placed", "--require", "forward"];
    let compared = stack.emote(&compared).await;
    assert_eq!(compared.status.code(), Some(3));
    assert!(printed(&compared).contains("compatible: backward"), "{compared:?}");
    let schema: Value = serde_json::from_str(&stack.shown(&["schema", "show", "shop.order.placed@1"]).await).unwrap();
    assert_eq!(schema["properties"]["info"]["properties"]["at"]["format"], "date-time");
    let inferred = stack.shown(&["schema", "infer", "--since", "1h", "--source", "shop", "-o", "json"]).await;
    assert!(inferred.contains(r#""events":5"#), "{inferred}");

    // The commands know the folder's own schemas, and what a payload becomes is held against them, whatever its source says.
    let folder = stack.config.to_str().unwrap();
    let known = stack.shown(&["schema", "ls", "--config", folder, "-o", "json"]).await;
    assert!(known.contains(r#"{"actions":[],"own":true,"scope":"coffee"}"#), "{known}");
    let shown: Value =
        serde_json::from_str(&stack.shown(&["schema", "show", "coffee", "--config", folder]).await).unwrap();
    assert_eq!(shown["properties"]["info"]["required"], json!(["cups"]));
    let file = stack.config.join("cup.json");
    std::fs::write(&file, "{}").unwrap();
    let file = file.to_str().unwrap();
    let tried = async |name: &str| {
        let args = ["source", "test", name, "--config", folder, "--file", file, "-o", "json"];
        let tried = run(&built().join("emote"), &args).await;
        assert!(tried.status.success(), "{tried:?}");
        printed(&tried).lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let of_free = tried("free").await;
    assert_eq!((of_free.len(), &of_free[0]["action"]), (2, &json!("brewed")), "{of_free:?}");
    assert_eq!(of_free[1]["violates"]["schema"], "coffee");
    assert_eq!(of_free[1]["violates"]["violations"][0]["pointer"], "/info");
    let of_held = tried("held").await;
    assert_eq!((of_held.len(), &of_held[0]["action"]), (1, &json!("violation")), "{of_held:?}");
    let empty = run(&built().join("emote"), &["schema", "validate", "/dev/null"]).await;
    assert_eq!(empty.status.code(), Some(1), "{empty:?}");

    // All that agent and broker said in between.
    let own = stack.streams.events().await;
    let own =
        own.iter().filter(|event| ["events.agent.", "events.broker."].iter().any(|of| event.subject.starts_with(of)));
    let own: Vec<Value> = own.map(|event| event.json()).collect();
    assert!(own.len() >= 5, "{own:?}");
    for event in own {
        assert_eq!(told(&event), Vec::<String>::new());
    }
}

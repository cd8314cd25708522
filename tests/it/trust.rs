//! What events of sources that are no webhook are believed as, and that nobody is where NATS takes anyone.

use emote_tests::{Stack, emote, until};
use serde_json::{Value, json};

const BELIEVED: &str = "agent: verified\nmanual: authenticated\n";
const LOST: &str = "pattern: {scope: [device], action: [lost], trust: [verified]}\ntargets: [lost]\n";
const TARGET: &str = "kind: log\npath: lost.jsonl\n";

fn lost() -> String {
    json!({"scope": "device", "action": "lost", "trust": "verified"}).to_string()
}

fn done(stack: &Stack) -> Vec<Value> {
    let text = std::fs::read_to_string(stack.config.join("data/lost.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone()).collect()
}

async fn refusals(stack: &Stack) -> Vec<String> {
    let events = stack.streams.read("EVENTS", "events.broker.*.config.refused").await;
    events.iter().map(|event| event.json()["info"]["reason"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn nobody_is_believed_where_nats_takes_anyone() {
    let mut stack = Stack::new().file("rules/lost.yaml", LOST).file("targets/lost.yaml", TARGET).start().await;
    let in_force = stack.shown(&["config", "show", "-o", "json"]).await;
    std::fs::write(stack.config.join("trust.yaml"), BELIEVED).unwrap();
    let folder = stack.config.to_str().unwrap().to_owned();
    assert_eq!(emote(&["check", &folder]).await.status.code(), Some(0), "the folder is fine, this NATS is not");
    assert!(stack.shown(&["plan", &folder]).await.contains("trust.yaml (new)"));
    let applied = stack.emote(&["apply", &folder]).await;
    let said = String::from_utf8_lossy(&applied.stdout).into_owned();
    assert_eq!(applied.status.code(), Some(3), "{applied:?}");
    assert!(said.contains("trust.yaml: this NATS asks nobody for credentials"), "{said}");
    assert!(refusals(&stack).await[0].contains("publish as agent"), "{:?}", refusals(&stack).await);
    assert_eq!(stack.shown(&["config", "show", "-o", "json"]).await, in_force, "what was in force stays");

    std::fs::remove_file(stack.config.join("trust.yaml")).unwrap();
    stack.streams.publish("events.agent.C02.device.lost", lost()).await;
    stack.settled().await;
    assert_eq!(done(&stack), Vec::<Value>::new(), "its own word counts nothing");
    // A store made anew comes to the same end by the log.
    assert_eq!(stack.broker.stop().await, Some(0));
    std::fs::remove_dir_all(stack.config.join("data")).unwrap();
    stack.broker.start().await;
    stack.settled().await;
    assert_eq!(stack.shown(&["config", "show", "-o", "json"]).await, in_force);

    // Another NATS, where nothing was ever applied: this folder would be in force.
    let fresh = Stack::new().without_broker().file("trust.yaml", BELIEVED).start().await;
    let served = emote(&["serve", "--config", fresh.config.to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&served.stderr).into_owned();
    assert_eq!(served.status.code(), Some(3), "{said}");
    assert!(said.contains("trust.yaml: this NATS asks nobody for credentials"), "{said}");
    let dev = emote(&["dev", fresh.config.to_str().unwrap(), "--nats-port", "0"]).await;
    assert_eq!(dev.status.code(), Some(3), "{dev:?}");
}

#[tokio::test]
async fn a_credential_is_believed_for_as_long_as_nats_asks_for_it() {
    let mut stack = Stack::new()
        .password("open sesame")
        .file("trust.yaml", BELIEVED)
        .file("rules/lost.yaml", LOST)
        .file("targets/lost.yaml", TARGET)
        .start()
        .await;
    for source in ["agent", "manual", "script"] {
        stack.streams.publish(&format!("events.{source}.C02.device.lost"), lost()).await;
    }
    until("the agent's is acted upon", async || done(&stack).len() == 1).await;
    stack.settled().await;
    let done_so_far = done(&stack);
    assert_eq!(
        (done_so_far.len(), &done_so_far[0]["source"], &done_so_far[0]["trust"]),
        (1, &json!("agent"), &json!("verified"))
    );

    // Somebody takes the password away: what is published from now on may be anybody's.
    stack.nats.stop().await;
    stack.nats.configure("");
    stack.nats.start_again().await;
    stack.streams.publish("events.agent.C03.device.lost", lost()).await;
    until("the broker stops folding", async || stack.logged().contains("the rules in force must not run here")).await;
    assert_eq!(stack.broker.stop().await, Some(0));
    stack.broker.begin();
    assert_eq!(stack.broker.wait().await, Some(3), "nor does it start");
    assert_eq!(done(&stack).len(), 1);

    // And back again: nothing is lost, and the rules are the same.
    stack.nats.stop().await;
    stack.nats.configure("authorization {user: emote, password: \"open sesame\"}\n");
    stack.nats.start_again().await;
    stack.broker.start().await;
    until("what waited is acted upon", async || done(&stack).len() == 2).await;
}

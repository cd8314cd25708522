//! What people order: rules put in force, held jobs approved and denied, dead letters redriven and dropped. Each is an
//! event, and takes effect at its place in the log.

use std::{path::Path, sync::Arc, sync::atomic::AtomicBool, sync::atomic::Ordering};

use emote_tests::{Stack, Wire, until, until_some};
use serde_json::{Value, json};

const DANGER: &str = "kind: log\npath: danger.jsonl\ndestructive: true\nguard: {limit: 2}\n";
const LOST: &str = "pattern: {scope: [device], action: [lost]}\ntargets: [danger]\n";

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

async fn lost(stack: &Stack, serial: &str) {
    let event = json!({"scope": "device", "action": "lost"}).to_string();
    stack.streams.publish(&format!("events.manual.{serial}.device.lost"), event).await;
}

async fn held(stack: &Stack) -> Vec<Value> {
    let shown = stack.shown(&["held", "ls", "-o", "json"]).await;
    shown.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn told(stack: &Stack, what: &str) -> Vec<Value> {
    let events = stack.streams.read("EVENTS", &format!("events.broker.*.{what}")).await;
    events.iter().map(|event| event.json()["info"].clone()).collect()
}

/// Four Macs are lost: two are dealt with, two are held.
async fn over_budget() -> Stack {
    let files = Stack::new().file("targets/danger.yaml", DANGER).file("rules/lost.yaml", LOST);
    let stack = files.start().await;
    for serial in ["C1", "C2", "C3", "C4"] {
        lost(&stack, serial).await;
    }
    until("two jobs are held", async || held(&stack).await.len() == 2).await;
    stack
}

#[tokio::test]
async fn what_is_over_the_budget_is_done_when_somebody_says_so_and_not_when_somebody_says_no() {
    let stack = over_budget().await;
    let file = stack.config.join("data/danger.jsonl");
    until("two are done", async || lines(&file) == 2).await;
    let told_held = told(&stack, "guard.held").await;
    assert_eq!(
        (told_held.len(), &told_held[0]["reason"]),
        (2, &json!("2 jobs of this rule in 1 h are the budget of danger"))
    );

    assert_eq!(
        stack.shown(&["held", "approve", "--node", "C3", "-m", "HR-4711", "--by", "ada"]).await,
        "1 approved.\n"
    );
    until("the approved one is done", async || lines(&file) == 3).await;
    assert_eq!(stack.streams.read("EVENTS", "events.admin.ada.guard.approved").await.len(), 1);
    let again = stack.emote(&["held", "approve", held(&stack).await[0]["job"]["id"].as_str().unwrap()]).await;
    assert!(again.status.success());
    until("the other one is done", async || lines(&file) == 4).await;

    for serial in ["C5", "C6"] {
        lost(&stack, serial).await;
    }
    until("two more are held", async || held(&stack).await.len() == 2).await;
    assert_eq!(stack.shown(&["held", "deny", "lost", "-m", "a wrong export"]).await, "2 denied.\n");
    assert!(held(&stack).await.is_empty());
    until("their end is told", async || told(&stack, "delivery.denied").await.len() == 2).await;
    stack.settled().await;
    assert_eq!(lines(&file), 4, "what is denied is not done");
    assert_eq!(stack.emote(&["held", "deny", "lost"]).await.status.code(), Some(5));
    assert_eq!(stack.emote(&["held", "approve"]).await.status.code(), Some(1), "which ones must be said");
    assert_eq!(stack.emote(&["held", "approve", "--all"]).await.status.code(), Some(5));
    let nonsense = stack.emote(&["held", "approve", "no-such-job"]).await;
    assert!(String::from_utf8_lossy(&nonsense.stderr).contains("no-such-job is not held"), "{nonsense:?}");
}

#[tokio::test]
async fn a_job_that_an_order_names_twice_is_let_through_once() {
    let stack = over_budget().await;
    let id = held(&stack).await[0]["job"]["id"].clone();
    let order = json!({"scope": "guard", "action": "approved", "info": {"jobs": [id, id]}}).to_string();
    stack.streams.publish("events.admin.ada.guard.approved", order).await;
    until("it is held no longer", async || held(&stack).await.len() == 1).await;
    assert_eq!(stack.streams.read("DELIVERIES", "deliver.danger.lost").await.len(), 3);
}

/// Who looked at the checkpoint before another broker replaced it must not put it back, and what was spent with it.
#[tokio::test]
async fn a_broker_that_is_late_in_taking_over_gives_no_budget_back() {
    let stack = Stack::new().file("targets/danger.yaml", DANGER).file("rules/lost.yaml", LOST).start().await;
    let wire = Wire::to(stack.nats.port).await;
    let mut other = stack.other_broker_at(&wire.url);
    other.start().await;
    let ready = format!("http://127.0.0.1:{}/readyz", other.ops);
    until("the other one stands by", async || {
        let told = stack.http.get(&ready).send().await.unwrap().text().await.unwrap();
        told.contains("standing_by")
    })
    .await;
    stack.broker.freeze(true);
    wire.hold_at("$JS.API.STREAM.INFO.DELIVERIES");
    until("the other one is about to lead", async || wire.is_held()).await;
    stack.broker.freeze(false);
    for serial in ["C1", "C2"] {
        lost(&stack, serial).await;
    }
    let deliveries = stack.streams.js.get_stream("DELIVERIES").await.unwrap();
    until("the budget is spent, and that is behind the last place of the chain", async || {
        let checkpoint = deliveries.get_last_raw_message_by_subject("checkpoint.0").await.unwrap();
        let spent = String::from_utf8_lossy(&checkpoint.payload).matches("danger/lost").count() == 1;
        let jobs = stack.streams.read("DELIVERIES", "deliver.danger.>").await.len();
        spent && jobs == 2 && checkpoint.headers.get("Emote-Place").is_some()
    })
    .await;
    assert!(wire.is_held());
    wire.mend();
    until("the other one leads, or knows better", async || {
        other.last_led().is_some() || stack.logged().contains("standing by reason=")
    })
    .await;
    lost(&stack, "C3").await;
    lost(&stack, "C4").await;
    until("both are held", async || held(&stack).await.len() == 2).await;
    stack.settled().await;
    other.kill();
}

#[tokio::test]
async fn rules_outlive_the_entry_that_put_them_in_force() {
    let mut stack = Stack::new().start().await;
    let folder = stack.config.to_str().unwrap().to_owned();
    std::fs::write(stack.config.join("targets/danger.yaml"), DANGER).unwrap();
    std::fs::write(stack.config.join("rules/lost.yaml"), LOST).unwrap();
    stack.shown(&["apply", &folder]).await;
    stack.settled().await;
    stack.broker.kill();
    std::fs::remove_file(stack.broker.store()).unwrap();
    stack.streams.js.get_stream("EVENTS").await.unwrap().purge().await.unwrap();
    stack.broker.start().await;
    lost(&stack, "C1").await;
    until("it is folded", async || stack.shown(&["nodes"]).await.contains("C1")).await;
    assert_eq!(stack.streams.read("DELIVERIES", "deliver.danger.lost").await.len(), 1);
}

#[tokio::test]
async fn neither_a_new_store_nor_a_new_log_gives_a_budget_back() {
    let mut stack = over_budget().await;
    let file = stack.config.join("data/danger.jsonl");
    stack.settled().await;
    stack.broker.stop().await;
    std::fs::remove_file(stack.broker.store()).unwrap();
    stack.broker.start().await;
    lost(&stack, "C5").await;
    until("it is held", async || held(&stack).await.len() == 3).await;
    stack.broker.kill();
    std::fs::remove_file(stack.broker.store()).unwrap();
    stack.streams.js.delete_stream("EVENTS").await.unwrap();
    stack.broker.start().await;
    until("EVENTS is there again", async || stack.streams.js.get_stream("EVENTS").await.is_ok()).await;
    lost(&stack, "C6").await;
    until("it is held too", async || held(&stack).await.len() == 4).await;
    assert_eq!(lines(&file), 2);
}

#[tokio::test]
async fn rules_are_put_in_force_at_a_place_in_the_log_and_back() {
    let mut stack = Stack::new().start().await;
    let folder = stack.config.to_str().unwrap().to_owned();
    assert!(stack.shown(&["apply", &folder]).await.contains("is in force already"));
    assert!(stack.shown(&["plan", &folder]).await.starts_with("Nothing would change"));
    std::fs::write(stack.config.join("targets/danger.yaml"), DANGER).unwrap();
    std::fs::write(stack.config.join("rules/lost.yaml"), LOST).unwrap();
    lost(&stack, "C1").await;
    let plan = stack.shown(&["plan", &folder]).await;
    assert!(plan.contains("rules/lost.yaml (new)") && plan.contains("+ targets: [danger]"), "{plan}");
    assert!(stack.shown(&["apply", &folder, "-m", "lost Macs"]).await.contains("is in force since entry #"));
    lost(&stack, "C2").await;
    let file = stack.config.join("data/danger.jsonl");
    until("the second is done", async || lines(&file) == 1).await;
    let job = until_some("its job", async || {
        let jobs = stack.streams.read("DELIVERIES", "deliver.danger.lost").await;
        jobs.into_iter().next()
    })
    .await;
    let in_force: Value = serde_json::from_str(&stack.shown(&["config", "show", "-o", "json"]).await).unwrap();
    assert_eq!(job.json()["config"], in_force["hash"], "a job names the rules that made it");
    assert_eq!(in_force["files"]["rules/lost.yaml"], LOST);

    // What a broker does not know by itself it reads from the log.
    stack.broker.kill();
    std::fs::remove_file(stack.broker.store()).unwrap();
    stack.broker.start().await;
    stack.shown(&["config", "rollback", "-m", "too eager"]).await;
    lost(&stack, "C3").await;
    until("it is folded", async || stack.shown(&["nodes"]).await.contains("C3")).await;
    assert_eq!(stack.streams.read("DELIVERIES", "deliver.danger.lost").await.len(), 1);
    let history = stack.shown(&["config", "history"]).await;
    assert_eq!(history.lines().count(), 4, "{history}");
    assert!(history.contains("too eager") && history.contains("lost Macs"), "{history}");
    assert_eq!(stack.emote(&["config", "show", "ffff"]).await.status.code(), Some(1));

    std::fs::write(stack.config.join("rules/lost.yaml"), "pattern: [\n").unwrap();
    assert_eq!(stack.emote(&["apply", &folder]).await.status.code(), Some(3));
    assert_eq!(stack.emote(&["plan", &folder]).await.status.code(), Some(3));
}

#[tokio::test]
async fn a_set_that_cannot_be_run_leaves_the_old_one_running_and_says_why() {
    let stack = Stack::new().start().await;
    let order = |hash: &str| json!({"scope": "config", "action": "applied", "info": {"hash": hash}}).to_string();
    for hash in ["a".repeat(64), "nonsense".to_owned()] {
        stack.streams.publish("events.admin.ada.config.applied", order(&hash)).await;
    }
    let reasons = until_some("both are refused", async || {
        let told = told(&stack, "config.refused").await;
        (told.len() == 2).then_some(told)
    })
    .await;
    assert!(reasons[0]["reason"].as_str().unwrap().contains("there is no set of rules aaaa"), "{reasons:?}");
    assert!(reasons[1]["reason"].as_str().unwrap().contains("info.hash"), "{reasons:?}");
    let posted = stack.okta(&emote_tests::webhook::okta_deactivated(&["ada@example.com"], "h")).await;
    assert_eq!(posted.status, 200);
    assert_eq!(stack.shown(&["config", "history"]).await.lines().count(), 2);
}

#[tokio::test]
async fn a_dead_letter_is_shown_given_out_again_and_thrown_away() {
    let stack = Stack::new().start().await;
    let broken = Arc::new(AtomicBool::new(true));
    let answers = Arc::clone(&broken);
    stack.slack.answer(move |_| {
        if answers.load(Ordering::Relaxed) {
            (404, Vec::new(), "no_team".to_owned())
        } else {
            (200, Vec::new(), "ok".to_owned())
        }
    });
    let event =
        |n: u32| json!({"scope": "device", "action": "enroll", "communicate": true, "info": {"n": n}}).to_string();
    for n in 0..3 {
        stack.streams.publish("events.manual.C02.device.enroll", event(n)).await;
    }
    let letters = until_some("three are dead", async || {
        let listed = stack.shown(&["dead", "ls", "--target", "slack", "-o", "json"]).await;
        let letters: Vec<Value> = listed.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (letters.len() == 3).then_some(letters)
    })
    .await;
    let number = |n: usize| letters[n]["letter"].to_string();
    let shown = stack.shown(&["dead", "show", &number(0)]).await;
    assert!(shown.contains("no_team") && shown.contains("\"scope\": \"device\""), "{shown}");
    assert_eq!(stack.emote(&["dead", "show", "999"]).await.status.code(), Some(5));
    assert_eq!(stack.emote(&["dead", "redrive"]).await.status.code(), Some(1));

    broken.store(false, Ordering::Relaxed);
    stack.shown(&["dead", "drop", &number(2), "-m", "known"]).await;
    stack.shown(&["dead", "redrive", "--node", "C02", "--target", "slack"]).await;
    until("both are delivered", async || told(&stack, "communicate.slack_post").await.len() == 2).await;
    let delivered: Vec<String> = told(&stack, "communicate.slack_post").await.iter().map(Value::to_string).collect();
    let events = stack.streams.read("EVENTS", "events.broker.*.communicate.slack_post").await;
    let mut causes: Vec<String> = events.iter().map(|event| event.json()["cause"]["job"].to_string()).collect();
    let mut ids = [letters[0]["id"].to_string(), letters[1]["id"].to_string()];
    causes.sort();
    ids.sort();
    assert_eq!(causes, ids, "the same jobs: {delivered:?}");
    assert_eq!(stack.shown(&["dead", "ls"]).await, "No dead letters.\n");
    let twice = json!({"scope": "dead", "action": "redriven", "info": {"letters": [{"sequence": letters[0]["letter"], "job": letters[0]["id"]}]}});
    stack.streams.publish("events.admin.ada.dead.redriven", twice.to_string()).await;
    until("that is refused", async || told(&stack, "order.refused").await.len() == 1).await;
    assert_eq!(told(&stack, "communicate.slack_post").await.len(), 2);
}

//! What is done at the console: that it happens, and that the log says who did it and why.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use emote_tests::{Browser, Idp, Stack, until, until_some};
use serde_json::{Value, json};

use super::{ada, url, with_oidc};

const DANGER: &str = "kind: log\npath: danger.jsonl\ndestructive: true\nguard: {limit: 1}\n";
const LOST: &str = "pattern: {scope: [device], action: [lost]}\ntargets: [danger]\n";

async fn as_(stack: &Stack, idp: &Idp, group: &str) -> Browser {
    let browser = Browser::at(&url(stack));
    assert_eq!(browser.sign_in_at(idp, &ada(group)).await.status, 303);
    browser
}

async fn lost(stack: &Stack, serial: &str) {
    let event = json!({"scope": "device", "action": "lost"}).to_string();
    stack.streams.publish(&format!("events.manual.{serial}.device.lost"), event).await;
}

/// What orders of this kind say, and who gave them: the node of the subject.
async fn orders(stack: &Stack, what: &str) -> Vec<Value> {
    let events = stack.streams.read("EVENTS", &format!("events.admin.*.{what}")).await;
    let said = |event: emote_tests::Stored| {
        let subject: emote_proto::Subject = event.subject.parse().unwrap();
        let (mut said, event) = (json!({"by": subject.node}), event.json());
        assert_eq!(event["user"]["id"], said["by"], "{event}");
        said.as_object_mut().unwrap().extend(event["info"].as_object().cloned().unwrap());
        said
    };
    events.into_iter().map(said).collect()
}

#[tokio::test]
async fn approvers_decide_on_what_is_held() {
    let idp = Idp::start().await;
    let files = Stack::new().file("targets/danger.yaml", DANGER).file("rules/lost.yaml", LOST);
    let stack = with_oidc(&idp, files).await;
    let approver = as_(&stack, &idp, "approvers").await;
    for serial in ["C1", "C2", "C3", "C4"] {
        lost(&stack, serial).await;
    }
    let held = async || approver.get("/api/v1/held").await.json()["held"].as_array().cloned().unwrap_or_default();
    let jobs = until_some("three are held", async || Some(held().await).filter(|held| held.len() == 3)).await;
    let id = |n: usize| jobs[n]["job"]["id"].as_str().unwrap().to_owned();
    assert!(approver.get("/").await.body.contains("<strong>3</strong> held jobs"));

    let unknown = approver.post_json("/api/v1/held/approve", &json!({"jobs": ["none"], "reason": "x"})).await;
    assert_eq!(unknown.status, 409);
    assert!(unknown.json()["error"].as_str().unwrap().contains("none is not held"), "{unknown:?}");
    let done = approver.post_json("/api/v1/held/approve", &json!({"jobs": [id(0)], "reason": "HR-4711"})).await;
    assert_eq!((done.status, done.json()["done"].as_str()), (200, Some("1 approved.")), "{done:?}");
    // From the page, two at once; then the rest of the rule.
    let page = approver.get("/held").await.body;
    assert!(page.contains(&format!(r#"name="jobs" value="{}""#, id(1))), "{page}");
    let word = approver.word().await;
    let (one, form) = (id(1), |reason| [("csrf", word.clone()), ("reason", reason)]);
    let mut fields = form("a café in Zürich & <b>".to_owned()).to_vec();
    fields.push(("jobs", one));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let done = approver.post("/held/approve", &fields).await;
    assert!(done.status == 200 && done.body.contains("1 approved."), "{done:?}");
    let done = approver.post("/held/deny", &[("csrf", &word), ("reason", "a wrong export"), ("rule", "lost")]).await;
    assert!(done.status == 200 && done.body.contains("1 denied."), "{done:?}");
    assert!(held().await.is_empty());

    let approved = orders(&stack, "guard.approved").await;
    assert_eq!(approved.len(), 2);
    assert_eq!(approved[0], json!({"by": "ada@example.com (oidc)", "reason": "HR-4711", "jobs": [id(0)]}));
    assert_eq!(approved[1]["reason"], "a café in Zürich & <b>");
    let denied = orders(&stack, "guard.denied").await;
    assert_eq!(denied, [json!({"by": "ada@example.com (oidc)", "reason": "a wrong export", "rule": "lost"})]);
    let file = stack.config.join("data/danger.jsonl");
    until("what was approved is done", async || {
        std::fs::read_to_string(&file).unwrap_or_default().lines().count() == 3
    })
    .await;
}

#[tokio::test]
async fn operators_deal_with_dead_letters() {
    let idp = Idp::start().await;
    let stack = with_oidc(&idp, Stack::new()).await;
    let operator = as_(&stack, &idp, "operators").await;
    let broken = Arc::new(AtomicBool::new(true));
    let answers = Arc::clone(&broken);
    stack.slack.answer(move |_| match answers.load(Ordering::Relaxed) {
        true => (404, Vec::new(), "no_team".to_owned()),
        false => (200, Vec::new(), "ok".to_owned()),
    });
    for n in 0..3 {
        let event = json!({"scope": "device", "action": "enroll", "communicate": true, "info": {"n": n}}).to_string();
        stack.streams.publish("events.manual.C02.device.enroll", event).await;
    }
    let listed =
        async || operator.get("/api/v1/dead?target=slack").await.json()["letters"].as_array().cloned().unwrap();
    let letters = until_some("three are dead", async || Some(listed().await).filter(|all| all.len() == 3)).await;
    let number = |n: usize| letters[n]["letter"].as_u64().unwrap();
    let one = operator.get(&format!("/api/v1/dead/{}", number(0))).await.json();
    assert!(one["body"]["reason"].as_str().unwrap().contains("no_team"), "{one}");
    let page = operator.get(&format!("/dead/{}", number(0))).await;
    assert!(page.status == 200 && page.body.contains("no_team") && page.body.contains("Give out again"), "{page:?}");
    for missing in ["999", "0", "-1", "x", "01", "1e3", "18446744073709551616"] {
        assert_eq!(operator.get(&format!("/api/v1/dead/{missing}")).await.status, 404, "{missing}");
    }

    broken.store(false, Ordering::Relaxed);
    let redriven = json!({"letters": [number(0), number(1)], "reason": "the team is back"});
    let done = operator.post_json("/api/v1/dead/redrive", &redriven).await;
    assert_eq!((done.status, done.json()["done"].as_str()), (200, Some("2 given out again.")), "{done:?}");
    let word = operator.word().await;
    let letter = number(2).to_string();
    let done = operator.post("/dead/drop", &[("csrf", &word), ("reason", "known"), ("letters", &letter)]).await;
    assert!(done.status == 200 && done.body.contains("1 thrown away."), "{done:?}");
    assert!(listed().await.is_empty());
    assert_eq!(operator.post_json("/api/v1/dead/drop", &json!({"letters": [999], "reason": "x"})).await.status, 409);
    for (what, reason) in [("dead.redriven", "the team is back"), ("dead.dropped", "known")] {
        let orders = orders(&stack, what).await;
        assert_eq!((&orders[0]["by"], &orders[0]["reason"]), (&json!("ada@example.com (oidc)"), &json!(reason)));
    }
    until("both are delivered", async || {
        stack.streams.read("EVENTS", "events.broker.*.communicate.slack_post").await.len() == 2
    })
    .await;
}

#[tokio::test]
async fn admins_go_back_to_rules_that_were_in_force() {
    let idp = Idp::start().await;
    let stack = with_oidc(&idp, Stack::new()).await;
    let admin = as_(&stack, &idp, "admins").await;
    let nothing = admin.post_json("/api/v1/config/rollback", &json!({"reason": "x"})).await;
    assert_eq!(nothing.status, 404, "{nothing:?}");
    let before = admin.get("/api/v1/config/current").await.json();
    assert!(before["files"]["targets/slack.yaml"].is_string(), "{before}");
    std::fs::write(stack.config.join("targets/danger.yaml"), DANGER).unwrap();
    std::fs::write(stack.config.join("rules/lost.yaml"), LOST).unwrap();
    stack.shown(&["apply", stack.config.to_str().unwrap(), "-m", "lost Macs"]).await;
    let unknown = admin.post_json("/api/v1/config/rollback", &json!({"hash": "ffff", "reason": "x"})).await;
    assert_eq!(unknown.status, 409);
    let done = admin.post_json("/api/v1/config/rollback", &json!({"reason": "too eager"})).await;
    assert_eq!((done.status, done.json()["state"].as_str()), (200, Some("in_force")), "{done:?}");
    assert_eq!(admin.get("/api/v1/config/current").await.json()["hash"], before["hash"]);
    let history = admin.get("/api/v1/config/history").await.json();
    let last = history["sets"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["by"], &last["order"]["reason"]), (&json!("ada@example.com (oidc)"), &json!("too eager")));
}

#[tokio::test]
async fn what_is_asked_is_what_the_command_line_says() {
    let stack = Stack::new().agent("C02XL0GTJGH5").start().await;
    let browser = super::signed_in(&stack).await;
    for n in 0..60 {
        let event = json!({"scope": "asset", "action": "seen", "info": {"n": n}}).to_string();
        stack.streams.publish("events.manual.C07.asset.seen", event).await;
    }
    until("both are known", async || {
        browser.get("/api/v1/nodes").await.json()["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2)
    })
    .await;
    stack.settled().await;
    let lines = |text: &str| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let nodes = browser.get("/api/v1/nodes").await.json();
    let keys = |nodes: &[Value]| -> Vec<String> { nodes.iter().map(|node| node["key"].to_string()).collect() };
    assert_eq!(keys(nodes["nodes"].as_array().unwrap()), keys(&lines(&stack.shown(&["nodes", "-o", "json"]).await)));
    let after = browser.get("/api/v1/nodes?after=C02XL0GTJGH5").await.json();
    assert_eq!(keys(after["nodes"].as_array().unwrap()), [r#""C07""#]);
    assert_eq!(browser.get("/api/v1/nodes/C07").await.json()["key"], "C07");
    assert_eq!(browser.get("/api/v1/nodes/C08").await.status, 404);
    let events = browser.get("/api/v1/events?node=C07&source=manual&last=5").await.json();
    let numbers: Vec<i64> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event"]["info"]["n"].as_i64().unwrap())
        .collect();
    assert_eq!(numbers, [55, 56, 57, 58, 59], "the last ones, the oldest first");
    let all = browser.get("/api/v1/events?last=100000").await.json();
    assert_eq!(all["events"].as_array().unwrap().len(), stack.streams.events().await.len());
    for wrong in ["last=x", "source=*", "scope=%3E", "node=%00"] {
        assert_eq!(browser.get(&format!("/api/v1/events?{wrong}")).await.status, 400, "{wrong}");
    }
    let targets = browser.get("/api/v1/targets").await.json();
    let names = |rows: &[Value], key: &str| -> Vec<String> { rows.iter().map(|row| row[key].to_string()).collect() };
    let told = lines(&stack.shown(&["targets", "-o", "json"]).await);
    assert_eq!(names(targets["targets"].as_array().unwrap(), "target"), names(&told, "target"));
    let rules = browser.get("/api/v1/rules").await.json();
    let told = lines(&stack.shown(&["rules", "stats", "-o", "json"]).await);
    assert_eq!(rules["rules"].as_array().unwrap(), &told);
    assert_eq!(browser.get("/api/v1/brokers").await.json()["brokers"].as_array().unwrap().len(), 1);
}

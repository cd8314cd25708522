//! What a broker says of itself, and what the command line says of targets and rules.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use emote_tests::{Broker, Stack, StandIn, emote, until, until_some, webhook};
use serde_json::{Value, json};

use crate::counted::{count, rule, target};

/// Status and body; 0 where nobody answers.
async fn get(stack: &Stack, broker: &Broker, path: &str) -> (u16, String) {
    let url = format!("http://127.0.0.1:{}{path}", broker.ops);
    match stack.http.get(url).send().await {
        Ok(response) => (response.status().as_u16(), response.text().await.unwrap_or_default()),
        Err(_) => (0, String::new()),
    }
}

async fn ready(stack: &Stack, broker: &Broker) -> (u16, Value) {
    let (status, body) = get(stack, broker, "/readyz").await;
    (status, serde_json::from_str(&body).unwrap_or_default())
}

/// Each sample by what stands before its value.
async fn metrics(stack: &Stack, broker: &Broker) -> BTreeMap<String, f64> {
    let (_, page) = get(stack, broker, "/metrics").await;
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(key, value)| (key.to_owned(), value.parse().unwrap()))
        .collect()
}

async fn listed(stack: &Stack, args: &[&str], name: &str) -> Value {
    let text = stack.shown(&[args, &["-o", "json"]].concat()).await;
    let mut rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.find(|row| row[args[0].trim_end_matches('s')] == name).unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[tokio::test]
async fn numbers_are_right_after_known_deliveries() {
    let (fine, down) = (StandIn::fine("ok").await, StandIn::start(|_| (503, Vec::new(), "no".to_owned())).await);
    let never = StandIn::start(|_| (422, Vec::new(), String::new())).await;
    let guard = "destructive: true\nguard: {limit: 2}";
    let stack = Stack::new()
        .file("targets/fine.yaml", &target(&fine, guard))
        .file("targets/down.yaml", &target(&down, "breaker: {failures: 3, pause: 60s, max_pause: 60s}\nconcurrency: 1"))
        .file("targets/never.yaml", &target(&never, ""))
        .file("rules/count.yaml", &rule(&["fine", "down", "never"]))
        .file("rules/typo.yaml", "pattern: {scope: [tset]}\ntargets: [fine]\n")
        .start()
        .await;
    for n in 0..5 {
        count(&stack, "C02", n).await;
    }
    assert_eq!(stack.okta(&webhook::okta_deactivated(&["ada@example.com"], "h")).await.status, 200);
    let denied = stack.http.post(stack.url("okta")).header("Authorization", "wrong").json(&json!({}));
    assert_eq!(stack.send(denied).await.status, 401);
    assert_eq!(stack.send(stack.http.post(stack.url("none"))).await.status, 404);
    until("what can end has ended", async || {
        let seen = metrics(&stack, &stack.broker).await;
        seen["emote_rule_results_total{rule=\"count\",result=\"done\"}"] == 2.0
            && seen["emote_rule_results_total{rule=\"count\",result=\"dead\"}"] == 5.0
            && seen["emote_target_breaker_state{target=\"down\"}"] == 2.0
            && seen["emote_checkpoint_lag_entries"] == 0.0
    })
    .await;
    let seen = metrics(&stack, &stack.broker).await;
    for (key, value) in [
        ("emote_leader", 1.0),
        ("emote_takeovers_total", 1.0),
        ("emote_nats_connected", 1.0),
        ("emote_nodes", 1.0),
        ("emote_rule_matched_total{rule=\"count\"}", 5.0),
        ("emote_rule_matched_total{rule=\"typo\"}", 0.0),
        ("emote_rule_jobs_total{rule=\"count\"}", 15.0),
        ("emote_rule_held_total{rule=\"count\"}", 3.0),
        ("emote_target_results_total{target=\"fine\",result=\"done\"}", 2.0),
        ("emote_target_results_total{target=\"never\",result=\"dead\"}", 5.0),
        ("emote_target_attempts_total{target=\"fine\",result=\"done\"}", 2.0),
        ("emote_target_attempts_total{target=\"never\",result=\"never\"}", 5.0),
        ("emote_target_attempts_total{target=\"down\",result=\"retry\"}", 3.0),
        ("emote_target_event_to_delivery_seconds_count{target=\"fine\"}", 2.0),
        ("emote_target_event_to_delivery_seconds_bucket{target=\"fine\",le=\"60\"}", 2.0),
        ("emote_target_attempt_seconds_count{target=\"never\"}", 5.0),
        ("emote_target_backlog{target=\"down\"}", 5.0),
        ("emote_target_backlog{target=\"fine\"}", 0.0),
        ("emote_target_oldest_waiting_seconds{target=\"fine\"}", 0.0),
        ("emote_held_jobs{target=\"fine\"}", 3.0),
        ("emote_dead_letters{target=\"never\"}", 5.0),
        ("emote_ingest_accepted_total{source=\"okta\"}", 1.0),
        ("emote_ingest_events_total{source=\"okta\"}", 1.0),
        ("emote_ingest_refused_total{source=\"okta\",reason=\"denied\"}", 1.0),
        ("emote_ingest_refused_total{source=\"other\",reason=\"no_source\"}", 1.0),
        ("emote_checkpoint_lag_seconds", 0.0),
    ] {
        assert_eq!(seen.get(key), Some(&value), "{key}");
    }
    assert!(seen["emote_target_oldest_waiting_seconds{target=\"down\"}"] > 0.0);
    assert!(seen["emote_stream_messages{stream=\"EVENTS\"}"] >= 6.0 && seen["emote_store_bytes"] > 0.0);
    assert!(!seen.keys().any(|key| key.contains("C02") || key.contains("ada")), "no label out of an event");

    let stats = listed(&stack, &["rules", "stats"], "count").await;
    assert_eq!((&stats["matched"], &stats["jobs"], &stats["held"]), (&json!(5), &json!(15), &json!(3)));
    assert_eq!((&stats["done"], &stats["dead"]), (&json!(2), &json!(5)));
    assert!(stats["last_matched"].as_str().is_some());
    let shown = stack.shown(&["rules", "stats", "--never"]).await;
    assert!(shown.contains("typo") && shown.contains("never") && !shown.contains("\ncount"), "{shown}");
    assert_eq!(stack.emote(&["rules", "stats", "--rule", "made-up"]).await.status.code(), Some(5));
}

#[tokio::test]
async fn a_paused_target_is_shown_with_its_backlog_and_its_last_error_also_without_a_broker() {
    let down = StandIn::start(|_| (503, Vec::new(), "not today".to_owned())).await;
    let mut stack = Stack::new()
        .file("targets/down.yaml", &target(&down, "breaker: {failures: 2, pause: 60s, max_pause: 60s}\nconcurrency: 1"))
        .file("rules/count.yaml", &rule(&["down"]))
        .start()
        .await;
    for n in 0..4 {
        count(&stack, "C02", n).await;
    }
    until("it is left alone", async || listed(&stack, &["targets"], "down").await["state"] == "paused").await;
    let row = listed(&stack, &["targets"], "down").await;
    let first = stack.streams.jobs().await.into_iter().find(|job| job.subject == "deliver.down.count").unwrap();
    let oldest: jiff::Timestamp = row["oldest"].as_str().unwrap().parse().unwrap();
    assert_eq!(i128::from(oldest.as_millisecond()), first.at / 1_000_000);
    assert_eq!((&row["kind"], &row["backlog"], &row["attempts"]), (&json!("http"), &json!(4), &json!(2)));
    assert_eq!((&row["succeeded"], &row["rules"]), (&json!(0), &json!(["count"])));
    let shown = stack.shown(&["targets"]).await;
    assert!(
        shown.contains("paused for ") && shown.contains("ago: answered 503 Service Unavailable: not today"),
        "{shown}"
    );
    let shown = stack.shown(&["targets", "show", "down"]).await;
    assert!(shown.contains("4 jobs, the oldest for ") && shown.contains("leads"), "{shown}");
    assert_eq!(stack.emote(&["targets", "show", "made-up"]).await.status.code(), Some(5));

    stack.broker.kill();
    let row = until_some("nobody answers", async || {
        let row = listed(&stack, &["targets"], "down").await;
        (row["state"] == "no_broker").then_some(row)
    })
    .await;
    assert_eq!((&row["backlog"], &row["oldest"]), (&json!(4), &json!(emote_proto::Time::from(oldest).to_string())));
    let stats = stack.emote(&["rules", "stats"]).await;
    let told = String::from_utf8_lossy(&stats.stderr);
    assert!(stats.status.code() == Some(4) && told.contains("start `emote dev` or `emote serve`"), "{stats:?}");
    // As if no worker of it had ever been there.
    let deliveries = stack.streams.js.get_stream("DELIVERIES").await.unwrap();
    deliveries.delete_consumer("target-down").await.unwrap();
    let row = listed(&stack, &["targets"], "down").await;
    assert_eq!((&row["backlog"], &row["oldest"]), (&json!(4), &json!(emote_proto::Time::from(oldest).to_string())));
}

#[tokio::test]
async fn the_oldest_is_the_oldest_that_has_not_ended_whatever_ended_meanwhile() {
    let fails = Arc::new(Mutex::new(0));
    let failing = Arc::clone(&fails);
    let picky = StandIn::start(move |seen| {
        let failed = seen.json()["n"] == *failing.lock().unwrap();
        (if failed { 503 } else { 200 }, Vec::new(), String::new())
    });
    let picky = picky.await;
    let stack = Stack::new()
        .file("targets/picky.yaml", &target(&picky, "breaker: {failures: 0}"))
        .file("rules/count.yaml", &rule(&["picky"]))
        .start()
        .await;
    for (from, failing) in [(0, 0), (10, 13)] {
        *fails.lock().unwrap() = failing;
        for n in from..from + 8 {
            count(&stack, "C02", n).await;
        }
        until("only one is left", async || {
            let done: Vec<u64> = picky.accepted().iter().filter_map(|seen| seen.json()["n"].as_u64()).collect();
            (from..from + 8).all(|n| n == failing || done.contains(&n))
                && listed(&stack, &["targets"], "picky").await["backlog"] == 1
        })
        .await;
        let jobs = stack.streams.jobs().await;
        let left = jobs.iter().find(|job| job.json()["event"]["info"]["n"] == failing).unwrap();
        let row = listed(&stack, &["targets"], "picky").await;
        let oldest: jiff::Timestamp = row["oldest"].as_str().unwrap().parse().unwrap();
        assert_eq!(i128::from(oldest.as_millisecond()), left.at / 1_000_000);
        assert!(row["retries"].as_u64() > Some(0), "{row}");
        *fails.lock().unwrap() = u64::MAX;
        until("it has ended, too", async || listed(&stack, &["targets"], "picky").await["backlog"] == 0).await;
    }
    assert_eq!(listed(&stack, &["targets"], "picky").await["oldest"], Value::Null);
}

#[tokio::test]
async fn it_is_ready_while_nats_is_there_and_healthy_all_the_time() {
    let mut stack = Stack::new().without_nats().start().await;
    stack.broker.begin();
    until("it says that it waits", async || {
        let (status, body) = ready(&stack, &stack.broker).await;
        status == 503 && body["reasons"] == json!(["it is starting: it waits for NATS, or opens its records"])
    })
    .await;
    assert_eq!(get(&stack, &stack.broker, "/healthz").await.0, 200);
    stack.nats.start_again().await;
    until("it is ready", async || {
        ready(&stack, &stack.broker).await == (200, json!({"ready": true, "role": "leading"}))
    })
    .await;

    stack.nats.kill();
    let body = until_some("it is not ready any more", async || {
        let (status, body) = ready(&stack, &stack.broker).await;
        (status == 503).then_some(body)
    })
    .await;
    assert!(body["reasons"][0].as_str().unwrap().starts_with("NATS is not connected"), "{body}");
    assert_eq!(get(&stack, &stack.broker, "/healthz").await.0, 200, "starting it anew would not help");
    let seen = metrics(&stack, &stack.broker).await;
    assert_eq!((seen["emote_nats_connected"], seen.get("emote_log_end")), (0.0, None));
    stack.nats.start_again().await;
    until("it is ready again", async || ready(&stack, &stack.broker).await.0 == 200).await;
    assert_eq!(get(&stack, &stack.broker, "/healthz").await.0, 200);

    stack.streams.js.delete_stream("DEAD").await.unwrap();
    let body = until_some("a missing stream is told", async || {
        let (status, body) = ready(&stack, &stack.broker).await;
        (status == 503).then_some(body)
    })
    .await;
    assert_eq!(body["reasons"], json!(["there is no stream DEAD: a broker makes it when it starts"]));
}

#[tokio::test]
async fn an_address_that_is_taken_is_told_and_nothing_else_is_served() {
    let stack = Stack::new().start().await;
    until("it is ready", async || ready(&stack, &stack.broker).await.0 == 200).await;
    assert_eq!(get(&stack, &stack.broker, "/healthz").await.0, 200);
    assert_eq!(get(&stack, &stack.broker, "/nothing").await.0, 404);
    let folder = stack.config.with_file_name("second");
    std::fs::create_dir(&folder).unwrap();
    let taken = format!("ops: {{listen: \"127.0.0.1:{}\"}}\ningest: {{listen: \"127.0.0.1:0\"}}\n", stack.broker.ops);
    std::fs::write(folder.join("emote.yaml"), taken).unwrap();
    let served = emote(&["serve", "--config", folder.to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&served.stderr);
    let expected = format!("emote.yaml: ops: cannot listen on 127.0.0.1:{}: ", stack.broker.ops);
    assert!(served.status.code() == Some(1) && told.contains(&expected), "{served:?}");
}

#[tokio::test]
async fn two_brokers_are_told_apart_and_who_takes_over_says_so() {
    let fine = StandIn::fine("ok").await;
    let mut stack = Stack::new()
        .file("targets/fine.yaml", &target(&fine, ""))
        .file("rules/count.yaml", &rule(&["fine"]))
        .start()
        .await;
    until("the first one leads", async || ready(&stack, &stack.broker).await.1["role"] == "leading").await;
    let mut other = stack.other_broker();
    other.start().await;
    until("the other one stands by", async || {
        ready(&stack, &other).await == (200, json!({"ready": true, "role": "standing_by"}))
    })
    .await;
    for n in 0..20 {
        count(&stack, "C02", n).await;
    }
    let row = until_some("all is done", async || {
        let row = listed(&stack, &["targets"], "fine").await;
        (row["succeeded"] == 20).then_some(row)
    })
    .await;
    assert_eq!((row["brokers"].as_array().unwrap().len(), &row["state"]), (2, &json!("working")));
    let (one, two) = (metrics(&stack, &stack.broker).await, metrics(&stack, &other).await);
    assert_eq!((one["emote_leader"], two["emote_leader"]), (1.0, 0.0));
    assert_eq!(two["emote_role{role=\"standing_by\"}"], 1.0);
    assert_eq!((one["emote_takeovers_total"], two["emote_takeovers_total"]), (1.0, 0.0));
    let done = |of: &BTreeMap<String, f64>| of["emote_target_attempts_total{target=\"fine\",result=\"done\"}"];
    assert_eq!(done(&one) + done(&two), 20.0);
    until("both count the same", async || {
        let (one, two) = (metrics(&stack, &stack.broker).await, metrics(&stack, &other).await);
        let key = "emote_rule_results_total{rule=\"count\",result=\"done\"}";
        one[key] == 20.0 && two[key] == 20.0
    })
    .await;
    stack.broker.kill();
    until("the other one leads", async || metrics(&stack, &other).await["emote_leader"] == 1.0).await;
    assert_eq!(metrics(&stack, &other).await["emote_takeovers_total"], 1.0);
    assert_eq!(listed(&stack, &["rules", "stats"], "count").await["matched"], 20);
    other.kill();
}

#[tokio::test]
async fn jobs_of_a_target_that_never_had_a_worker_are_seen_and_given_up_once_it_is_gone() {
    let stack = Stack::new().start().await;
    let folder = stack.config.to_str().unwrap().to_owned();
    let unfit = "kind: http\nurl: https://example.com/${env:EMOTE_TEST_IS_NOT_SET}\n";
    std::fs::write(stack.config.join("targets/unfit.yaml"), unfit).unwrap();
    std::fs::write(stack.config.join("rules/count.yaml"), rule(&["unfit"])).unwrap();
    stack.shown(&["apply", &folder]).await;
    for n in 0..3 {
        count(&stack, "C02", n).await;
    }
    let row = until_some("its jobs wait", async || {
        let row = listed(&stack, &["targets"], "unfit").await;
        (row["backlog"] == 3).then_some(row)
    })
    .await;
    let reason = row["reason"].as_str().unwrap();
    assert!(row["state"] == "not_ready" && reason.contains("EMOTE_TEST_IS_NOT_SET is not set"), "{row}");
    assert!(row["oldest"].as_str().is_some());
    let ready = ready(&stack, &stack.broker).await;
    assert_eq!(ready.0, 200, "the others work: {ready:?}");
    std::fs::remove_file(stack.config.join("targets/unfit.yaml")).unwrap();
    std::fs::remove_file(stack.config.join("rules/count.yaml")).unwrap();
    stack.shown(&["apply", &folder]).await;
    until("they are dead letters", async || {
        metrics(&stack, &stack.broker).await.get("emote_dead_letters{target=\"other\"}") == Some(&3.0)
    })
    .await;
    let shown = stack.shown(&["dead", "ls", "--target", "unfit"]).await;
    assert!(shown.contains("not in the configuration any more"), "{shown}");
}

/// As systemd starts a unit with `Type=notify` and a watchdog.
#[tokio::test]
async fn systemd_is_told_that_it_runs_waits_serves_is_well_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let notified = folder.path().join("notify");
    let socket = tokio::net::UnixDatagram::bind(&notified).unwrap();
    let env = Stack::new().env("NOTIFY_SOCKET", notified.to_str().unwrap()).env("WATCHDOG_USEC", "200000");
    let mut stack = env.start().await;
    let told = Mutex::new(String::new());
    let hears = async |wanted: &str| {
        let mut message = [0; 256];
        let mut told = told.lock().unwrap();
        while let Ok(length) = socket.try_recv(&mut message) {
            told.push_str(&String::from_utf8_lossy(&message[..length]));
            told.push('\n');
        }
        told.contains(wanted)
    };
    for wanted in ["STATUS=waiting for NATS", "STATUS=serving", "WATCHDOG=1"] {
        until(wanted, async || hears(wanted).await).await;
    }
    assert!(told.lock().unwrap().starts_with("READY=1"), "{told:?}");
    assert_eq!(stack.broker.stop().await, Some(0));
    until("it says that it stops", async || hears("STOPPING=1").await).await;
}

//! Deliveries that can be trusted: what fails is left alone, order is kept, and nothing is lost on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use emote_tests::{Seen, Stack, StandIn, until};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::counted::{COUNTED, count, rule, target};

/// The keys of the requests that were taken, each with how often.
fn taken(stand_in: &StandIn) -> BTreeMap<String, usize> {
    let mut keys = BTreeMap::new();
    for seen in stand_in.accepted() {
        *keys.entry(seen.key()).or_default() += 1;
    }
    keys
}

/// One that notes when it was asked.
async fn timed(
    mut status: impl FnMut(usize) -> (u16, Vec<(&'static str, String)>) + Send + 'static,
) -> (StandIn, Arc<Mutex<Vec<Instant>>>) {
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = Arc::clone(&times);
    let stand_in = StandIn::start(move |_| {
        let mut times = noted.lock().unwrap();
        times.push(Instant::now());
        let (status, headers) = status(times.len());
        (status, headers, String::new())
    });
    (stand_in.await, times)
}

#[tokio::test]
async fn a_target_that_fails_is_left_alone_and_gets_its_backlog_later() {
    let (down, fine) = (StandIn::start(|_| (500, Vec::new(), "down".to_owned())).await, StandIn::fine("ok").await);
    let stack = Stack::new()
        .file("targets/down.yaml", &target(&down, "breaker: {failures: 3, pause: 2s, max_pause: 4s}\nconcurrency: 2"))
        .file("targets/fine.yaml", &target(&fine, ""))
        .file("rules/count.yaml", &rule(&["down", "fine"]))
        .start()
        .await;
    let begun = Instant::now();
    for n in 0..60 {
        count(&stack, "C02", n).await;
    }
    until("the other target has all of its jobs", || async { fine.accepted().len() >= 60 }).await;
    until("the failing one is asked once more after its pause", || async { down.seen().len() >= 5 }).await;
    // Three failures, what was under way beside them, and one attempt a pause.
    let (asked, most) = (down.seen().len() as u64, 3 + 2 + begun.elapsed().as_secs() / 2 + 1);
    assert!(asked <= most, "{asked} requests, at most {most} were expected");
    down.answer(|_| (200, Vec::new(), String::new()));
    until("it has its backlog", || async { taken(&down).len() >= 60 }).await;
    stack.settled().await;
    for stand_in in [&down, &fine] {
        assert!(taken(stand_in).len() == 60 && taken(stand_in).values().all(|times| *times == 1));
    }
    assert_eq!(stack.streams.dead().await.len(), 0);
}

#[tokio::test]
async fn a_nodes_jobs_are_done_in_the_order_of_the_log_even_if_the_broker_is_killed() {
    let mut random = StdRng::seed_from_u64(20_261_125);
    let shaky = StandIn::start(move |_| (if random.random_bool(0.3) { 503 } else { 200 }, Vec::new(), String::new()));
    let shaky = shaky.await;
    let settings = "ordered: true\nconcurrency: 8\nbreaker: {failures: 0}";
    let mut stack = Stack::new()
        .file("targets/shaky.yaml", &target(&shaky, settings))
        .file("rules/count.yaml", &rule(&["shaky"]))
        .start()
        .await;
    for n in 0..12 {
        for mac in 0..8 {
            count(&stack, &format!("C02-{mac}"), n).await;
        }
    }
    until("some jobs are done", || async { shaky.accepted().len() >= 20 }).await;
    stack.broker.kill();
    stack.broker.start().await;
    stack.settled().await;
    let mut order: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for body in shaky.accepted().iter().map(Seen::json) {
        order.entry(body["serial"].as_str().unwrap().to_owned()).or_default().push(body["n"].as_u64().unwrap());
    }
    assert_eq!(order.len(), 8);
    for (serial, mut done) in order {
        // What was under way when the broker was killed may be done again.
        done.dedup();
        assert_eq!(done, (0..12).collect::<Vec<_>>(), "{serial}");
    }
}

#[tokio::test]
async fn a_rate_is_kept_to() {
    let (paced, times) = timed(|_| (200, Vec::new())).await;
    let stack = Stack::new()
        .without_broker()
        .file("targets/paced.yaml", &target(&paced, "rate: {per_second: 10, burst: 5}"))
        .file("rules/count.yaml", &rule(&["paced"]))
        .start();
    let mut stack = stack.await;
    stack.broker.start().await;
    for n in 0..25 {
        count(&stack, "C02", n).await;
    }
    stack.settled().await;
    let times = times.lock().unwrap().clone();
    assert_eq!(times.len(), 25);
    // Five at once, then twenty at ten a second; the first one may have been slow on its way.
    let took = times[24].duration_since(times[0]);
    assert!(took >= Duration::from_millis(1_500), "{took:?}");
}

#[tokio::test]
async fn several_jobs_go_in_one_request_and_each_once() {
    let many = StandIn::fine("ok").await;
    let mut stack = Stack::new()
        .without_broker()
        .file("targets/many.yaml", &target(&many, "batch: {max: 10, wait: 200ms}"))
        .file("rules/count.yaml", &rule(&["many"]))
        .start()
        .await;
    stack.broker.start().await;
    for n in 0..35 {
        count(&stack, "C02", n).await;
    }
    stack.settled().await;
    let requests = many.seen();
    let bodies: Vec<Vec<Value>> = requests.iter().map(|seen| seen.json().as_array().unwrap().clone()).collect();
    assert!(bodies.len() < 35 && bodies.iter().all(|body| (1..=10).contains(&body.len())), "{}", bodies.len());
    let mut counted: Vec<u64> = bodies.iter().flatten().map(|body| body["n"].as_u64().unwrap()).collect();
    counted.sort_unstable();
    assert_eq!(counted, (0..35).collect::<Vec<_>>());
    let keys: BTreeSet<String> = requests.iter().map(Seen::key).collect();
    assert_eq!(keys.len(), requests.len());
}

#[tokio::test]
async fn a_dead_letter_tells_every_attempt() {
    let mut asked = 0;
    let failing = StandIn::start(move |_| {
        asked += 1;
        (if asked < 3 { 503 } else { 422 }, Vec::new(), format!("no {asked}"))
    });
    let failing = failing.await;
    let stack = Stack::new()
        .file("targets/failing.yaml", &target(&failing, ""))
        .file("rules/count.yaml", &rule(&["failing"]))
        .start()
        .await;
    count(&stack, "C02", 7).await;
    let events = stack.settled().await;
    let dead = stack.streams.dead().await;
    assert_eq!((dead.len(), dead[0].subject.as_str()), (1, "dead.failing.count"));
    let letter = dead[0].json();
    assert_eq!((&letter["attempts"], &letter["unknown"], &letter["input"]["n"]), (&json!(3), &Value::Null, &json!(7)));
    let history: Vec<String> = letter["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| format!("{} {}", attempt["outcome"].as_str().unwrap(), attempt["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        history,
        [
            "retry answered 503 Service Unavailable: no 1",
            "retry answered 503 Service Unavailable: no 2",
            "never answered 422 Unprocessable Entity: no 3",
        ]
    );
    assert_eq!(letter["job"]["event"]["info"]["n"], 7);
    let told = events.iter().find(|event| event.subject.ends_with(".delivery.dead")).unwrap().json();
    assert_eq!(told["info"]["attempts"], 3);
}

#[tokio::test]
async fn eventbridges_input_transformer_makes_the_input() {
    let bridge = StandIn::fine("ok").await;
    let entry = "    InputTransformer:\n      InputPathsMap: {serial: $.device.uuid, n: $.info.n, info: $.info}\n      \
                 InputTemplate: '{\"text\": \"<serial> counts <n>\", \"n\": <n>, \"info\": <info>}'\n";
    let stack = Stack::new()
        .file("targets/bridge.yaml", &target(&bridge, ""))
        .file("rules/count.yaml", &format!("{COUNTED}targets:\n  - target: bridge\n{entry}"))
        .start()
        .await;
    count(&stack, "C02", 7).await;
    stack.settled().await;
    let bodies: Vec<Value> = bridge.accepted().iter().map(Seen::json).collect();
    assert_eq!(bodies, [json!({"text": "C02 counts 7", "n": 7, "info": {"n": 7}})]);
}

#[tokio::test]
async fn the_time_that_the_other_side_names_is_waited_for() {
    let (busy, times) = timed(|asked| match asked {
        1 => (429, vec![("retry-after", "2".to_owned())]),
        _ => (200, Vec::new()),
    })
    .await;
    let stack = Stack::new()
        .file("targets/busy.yaml", &target(&busy, ""))
        .file("rules/count.yaml", &rule(&["busy"]))
        .start()
        .await;
    count(&stack, "C02", 1).await;
    stack.settled().await;
    let times = times.lock().unwrap().clone();
    assert_eq!(times.len(), 2);
    assert!(times[1].duration_since(times[0]) >= Duration::from_millis(1_990), "{times:?}");
}

#[tokio::test]
async fn old_news_is_not_acted_upon_however_long_the_target_was_away() {
    let away = StandIn::start(|_| (503, Vec::new(), String::new())).await;
    let stack = Stack::new()
        .file("targets/away.yaml", &target(&away, "max_age: 2s\nbreaker: {failures: 0}"))
        .file("rules/count.yaml", &rule(&["away"]))
        .start()
        .await;
    count(&stack, "C02", 1).await;
    stack.settled().await;
    let letter = stack.streams.dead().await[0].json();
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.contains("old: away acts on news of 2s at most"), "{reason}");
    assert_eq!(letter["attempts"], away.seen().len(), "{letter}");
    assert!(!away.seen().is_empty());
}

#[tokio::test]
async fn what_could_not_be_folded_is_a_dead_letter_too() {
    let stack = Stack::new().start().await;
    stack.streams.publish("events.manual.-.test.counted", "{no json").await;
    stack.settled().await;
    let dead = stack.streams.dead().await;
    assert_eq!((dead.len(), dead[0].subject.as_str()), (1, "dead.core.core"));
    let letter = dead[0].json();
    assert_eq!((&letter["poison"]["body"], &letter["poison"]["sequence"]), (&json!("{no json"), &json!(1)));
}

#[tokio::test]
async fn two_brokers_keep_to_one_rate_and_the_other_goes_on_alone() {
    let (paced, times) = timed(|_| (200, Vec::new())).await;
    let mut stack = Stack::new()
        .file("targets/paced.yaml", &target(&paced, "rate: {per_second: 10}"))
        .file("rules/count.yaml", &rule(&["paced"]))
        .start()
        .await;
    let mut other = stack.other_broker();
    other.start().await;
    for n in 0..25 {
        count(&stack, "C02", n).await;
    }
    stack.settled().await;
    let asked = times.lock().unwrap().clone();
    let took = asked[24].duration_since(asked[0]);
    assert!(asked.len() == 25 && took >= Duration::from_millis(1_900), "{took:?}");
    stack.broker.kill();
    for n in 25..30 {
        count(&stack, "C02", n).await;
    }
    // The records are not asked for: only one of two brokers is left to answer.
    until("the other one goes on", || async { taken(&paced).len() == 30 }).await;
    other.kill();
}

#[tokio::test]
async fn jobs_of_a_target_that_is_gone_are_dead_letters_and_their_consumer_is_kept_as_long_as_they_are() {
    use async_nats::jetstream::consumer::{AckPolicy, pull};
    let fine = StandIn::fine("ok").await;
    let stack = Stack::new()
        .file("targets/fine.yaml", &target(&fine, ""))
        .file("rules/count.yaml", &rule(&["fine"]))
        .start()
        .await;
    count(&stack, "C02", 1).await;
    stack.settled().await;
    // As a target leaves them that is taken out of the configuration.
    let deliveries = stack.streams.js.get_stream("DELIVERIES").await.unwrap();
    let consumer = pull::Config {
        durable_name: Some("target-ghost".to_owned()),
        filter_subject: "deliver.ghost.*".to_owned(),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    let mut consumer = deliveries.create_consumer(consumer).await.unwrap();
    let jobs = stack.streams.read("DELIVERIES", "deliver.fine.*").await;
    let mut job = jobs[0].json();
    (job["id"], job["target"]) = (json!(job["id"].as_str().unwrap().replace("/fine", "/ghost")), json!("ghost"));
    stack.streams.publish("deliver.ghost.count", job.to_string()).await;
    until("it is given up", || async { !stack.streams.dead().await.is_empty() }).await;
    let dead = stack.streams.dead().await;
    assert_eq!(dead[0].subject, "dead.ghost.count");
    let letter = dead[0].json();
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.starts_with("the target ghost is not in the configuration any more: put it back"), "{reason}");
    assert_eq!((&letter["attempts"], &letter["job"]["id"]), (&json!(0), &job["id"]));
    until("and is acknowledged", async || consumer.info().await.is_ok_and(|info| info.num_ack_pending == 0)).await;
    deliveries.purge().filter("deliver.ghost.*").await.unwrap();
    until("nothing of it is left", || async { deliveries.consumer_info("target-ghost").await.is_err() }).await;
}

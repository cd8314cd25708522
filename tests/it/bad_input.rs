//! Whatever comes in, the core goes on, and says once what it did not take.

use emote_tests::{Stack, until, until_some, webhook};
use serde_json::{Value, json};

const LOG_ALL: &str = "pattern: {scope: [test]}\ntargets: [log]\n";

/// The reasons of `event.rejected`, by the number of the entry that they are about.
async fn rejections(stack: &Stack) -> Vec<(u64, String)> {
    let events = stack.streams.read("EVENTS", "events.broker.*.event.rejected").await;
    let infos = events.iter().map(|event| event.json()["info"].clone());
    infos.map(|info| (info["sequence"].as_u64().unwrap(), info["reason"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn a_webhook_that_is_not_as_it_should_be_is_refused_with_what_is_wrong() {
    let stack = Stack::new().start().await;
    let body = webhook::authenticate("C02XL0GTJGH5", "U-1", "a").to_string();
    let sign = |body: &str| webhook::hmac_base64(&stack.secret("nanomdm-webhook-key"), body.as_bytes());
    let (nanomdm, assets) = (stack.url("nanomdm"), stack.url("assets"));
    let token = stack.secret("assets-token");
    let post = |url: &str| stack.http.post(url).header("Content-Type", "application/json");
    let large = format!("{{\"serial\":\"{}\"}}", "x".repeat((1 << 20) + 1));
    let table = [
        ("no signature", 401, post(&nanomdm).body(body.clone())),
        ("an empty signature", 401, post(&nanomdm).header("X-Hmac-Signature", "").body(body.clone())),
        ("no base64", 401, post(&nanomdm).header("X-Hmac-Signature", "%%%").body(body.clone())),
        ("another body's", 401, post(&nanomdm).header("X-Hmac-Signature", sign("{}")).body(body.clone())),
        ("no secret", 401, post(&stack.url("okta")).body("{}")),
        ("a wrong secret", 401, post(&stack.url("okta")).header("Authorization", "wrong").body("{}")),
        ("a wrong token", 401, post(&assets).bearer_auth(format!("{token}x")).body("{}")),
        ("an unknown source", 404, post(&stack.url("nobody")).body("{}")),
        ("no source", 404, stack.http.get(stack.url("").replace("/in/", "/"))),
        ("a path beside it", 404, post(&format!("{assets}/../../secrets")).body("{}")),
        ("GET", 405, stack.http.get(&assets)),
        ("PUT", 405, stack.http.put(&assets).body("{}")),
        ("too large", 413, post(&assets).bearer_auth(&token).body(large)),
        (
            "another notation",
            415,
            stack.http.post(&assets).bearer_auth(&token).header("Content-Type", "text/css").body("a{}"),
        ),
        ("no JSON", 400, post(&assets).bearer_auth(&token).body("{\"serial\":")),
        ("not UTF-8", 400, post(&assets).bearer_auth(&token).body(vec![b'"', 0xff, b'"'])),
        ("too deep", 400, post(&assets).bearer_auth(&token).body("[".repeat(100_000))),
        ("no serial number's type", 422, post(&assets).bearer_auth(&token).body("{\"serial\":7}")),
        (
            "a serial number no subject can hold",
            422,
            post(&assets).bearer_auth(&token).body("{\"serial\":\"a\\u0000b\"}"),
        ),
        ("no object", 422, post(&assets).bearer_auth(&token).body("[1]")),
    ];
    for (what, status, request) in table {
        let again = request.try_clone().unwrap();
        let mut posted = stack.send(request).await;
        // Whoever is still sending when the refusal comes may find the connection closed before it has read it.
        if posted.status == 0 && status == 413 {
            posted = until_some("the refusal is read", async || {
                Some(stack.send(again.try_clone().unwrap()).await).filter(|posted| posted.status != 0)
            })
            .await;
        }
        assert_eq!(posted.status, status, "{what}: {posted:?}");
        assert!(posted.body["error"].as_str().is_some_and(|error| !error.is_empty()), "{what}: {posted:?}");
    }
    assert_eq!(stack.streams.events().await.len(), 0, "nothing of it is an event");
    let fine = json!({"serial": "C02XL0GTJGH5", "name": "ada-mbp"});
    assert_eq!(stack.asset(&fine).await.status, 200);
    assert_eq!(stack.settled().await.len(), 1);
}

#[tokio::test]
async fn what_is_no_event_is_rejected_once_and_the_core_goes_on() {
    let mut stack = Stack::new().file("rules/log-all.yaml", LOG_ALL).start().await;
    let event = |more: Value| {
        let mut event = json!({"scope": "test", "action": "counted"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event.to_string().into_bytes()
    };
    let table: Vec<(&str, Vec<u8>, &str)> = vec![
        ("events.manual.-.test.counted", b"".to_vec(), "not JSON"),
        ("events.manual.-.test.counted", b"{".to_vec(), "not JSON"),
        ("events.manual.-.test.counted", vec![0xff, 0xfe], "not JSON"),
        ("events.manual.-.test.counted", "[".repeat(100_000).into_bytes(), "not JSON"),
        ("events.manual.-.test.counted", b"[1]".to_vec(), "an event is a JSON object"),
        ("events.manual.-.test.counted", b"{}".to_vec(), "\"scope\" is missing"),
        ("events.manual.-.test.counted", event(json!({"id": "x"})), "\"id\""),
        ("events.manual.-.test.counted", event(json!({"time": "soon"})), "\"time\""),
        ("events.manual.-.test.counted", event(json!({"device": 1})), "\"device\""),
        ("events.manual.-.test.counted", event(json!({"cause": {}})), "\"cause"),
        ("events.manual.-.test.counted", event(json!({"source": "okta"})), "the subject says"),
        ("events.manual.-.test.other", event(json!({})), "the subject says"),
        ("events.manual.C02.test.counted", event(json!({"device": {"uuid": "C03"}})), "the subject says"),
        ("events.agent.C02.test.counted", event(json!({"device": {"uuid": "C03"}})), "the subject says"),
        ("events.manual.-.test.counted", event(json!({"info": "x".repeat(300 << 10)})), "bytes"),
        ("events.Manual.-.test.counted", event(json!({})), "source"),
        ("events.manual.%zz.test.counted", event(json!({})), "node"),
        ("events.manual.test", event(json!({})), "is not events."),
        ("events.manual.-.test.counted.more", event(json!({})), "is not events."),
    ];
    let mut expected = Vec::new();
    for (subject, body, said) in table {
        expected.push((stack.streams.publish(subject, body).await, said));
    }
    let good = stack.streams.publish("events.manual.-.test.counted", event(json!({}))).await;
    stack.settled().await;
    let check = |found: Vec<(u64, String)>| {
        for (sequence, said) in &expected {
            let of_it: Vec<&String> = found.iter().filter(|(of, _)| of == sequence).map(|(_, reason)| reason).collect();
            assert!(of_it.len() == 1 && of_it[0].contains(said), "#{sequence}, {said}: {of_it:?}");
        }
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().all(|(of, _)| *of != good));
    };
    check(rejections(&stack).await);
    assert_eq!(stack.streams.read("DELIVERIES", "deliver.log.*").await.len(), 1);
    // Folded anew, it says the same and says it no second time.
    stack.broker.stop().await;
    std::fs::remove_file(stack.broker.store()).unwrap();
    stack.broker.start().await;
    stack.settled().await;
    check(rejections(&stack).await);
}

#[tokio::test]
async fn an_entry_that_grows_when_it_is_told_of_holds_nothing_up() {
    let stack = Stack::new().file("rules/log-all.yaml", LOG_ALL).start().await;
    for byte in [0x01_u8, 0xff, b'"'] {
        stack.streams.publish("events.agent.C02.test.counted", vec![byte; 900 << 10]).await;
    }
    stack.streams.publish("events.agent.C02.test.counted", r#"{"scope":"test","action":"counted"}"#).await;
    stack.settled().await;
    assert_eq!(rejections(&stack).await.len(), 3);
    let dead = stack.streams.dead().await;
    assert!(dead.iter().all(|letter| letter.json()["poison"]["body"].as_str().is_some_and(|body| !body.is_empty())));
}

#[tokio::test]
async fn records_stay_small_enough_for_every_job_to_be_stored() {
    let stack = Stack::new().file("rules/log-all.yaml", LOG_ALL).start().await;
    let long = "x".repeat(200 << 10);
    for n in 0..8 {
        let set = json!({"scope": "asset", "action": "updated", "info": {"set": {format!("f{n}"): long}}});
        stack.streams.publish("events.manual.C02.asset.updated", set.to_string()).await;
        let named = json!({"scope": "test", "action": "counted", "device": {"name": long, "uuid": "C02"}});
        stack.streams.publish(&format!("events.manual{n}.C02.test.counted"), named.to_string()).await;
    }
    let events = stack.settled().await;
    assert_eq!(events.iter().filter(|event| event.subject.ends_with("log.written")).count(), 8);
}

#[tokio::test]
async fn what_somebody_wrote_among_the_jobs_becomes_a_dead_letter() {
    let stack = Stack::new().start().await;
    let bodies = ["", "{}", "[]", "not json", "{\"id\":1}"];
    let mut acks = Vec::new();
    for body in bodies {
        // All at once: they are told apart even within the same millisecond.
        acks.push(stack.streams.js.publish("deliver.log.by-hand", body.into()).await.unwrap());
    }
    for ack in acks {
        ack.await.unwrap();
    }
    until("every one is a dead letter", async || stack.streams.dead().await.len() == bodies.len()).await;
    let mut found: Vec<String> =
        stack.streams.dead().await.iter().map(|dead| dead.json()["body"].as_str().unwrap().to_owned()).collect();
    found.sort();
    let mut wanted: Vec<String> = bodies.map(str::to_owned).into();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn a_rule_that_sets_itself_off_is_stopped() {
    let own_effect =
        "pattern: {scope: [asset], action: [updated]}\ntargets: [{target: assets, input: '{seen: .event.id}'}]\n";
    let ping = "pattern: {scope: [ping]}\ntargets: [{target: assets, input: '{ping: .event.id}'}]\n";
    let stack = Stack::new().file("rules/own-effect.yaml", own_effect).file("rules/ping.yaml", ping).start().await;
    stack.streams.publish("events.manual.C02.ping.sent", r#"{"scope":"ping","action":"sent"}"#).await;
    let events = stack.settled().await;
    let stopped: Vec<Value> =
        events.iter().filter(|event| event.subject.ends_with(".rule.loop_stopped")).map(|event| event.json()).collect();
    assert_eq!(stopped.len(), 1, "{stopped:?}");
    assert_eq!(stopped[0]["info"]["rule"], "own-effect");
    assert_eq!(events.len(), 4, "the ping, its effect, that one's effect, the stop");
}

#[tokio::test]
async fn two_rules_that_set_each_other_off_are_stopped() {
    let one = "pattern: {scope: [asset], info: {set: {a: [{exists: true}]}}}\ntargets: [{target: assets, input: '{b: .event.id}'}]\n";
    let other = "pattern: {scope: [asset], info: {set: {b: [{exists: true}]}}}\ntargets: [{target: assets, input: '{a: .event.id}'}]\n";
    let stack = Stack::new().file("rules/one.yaml", one).file("rules/other.yaml", other).start().await;
    let set = r#"{"scope":"asset","action":"updated","info":{"set":{"a":"x"}}}"#;
    stack.streams.publish("events.manual.C02.asset.updated", set).await;
    let events = stack.settled().await;
    assert_eq!(events.iter().filter(|event| event.subject.ends_with(".rule.loop_stopped")).count(), 1);
    assert_eq!(events.len(), 4);
}

#[tokio::test]
async fn a_target_that_says_never_gets_no_second_try_and_everyone_is_told() {
    let stack = Stack::new().start().await;
    stack.slack.answer(|_| (404, Vec::new(), "no_service".to_owned()));
    let event = r#"{"scope":"test","action":"counted","communicate":true}"#;
    stack.streams.publish("events.manual.C02.test.counted", event).await;
    let events = stack.settled().await;
    assert_eq!(stack.slack.seen().len(), 1);
    let told = events.iter().find(|event| event.subject == "events.broker.C02.delivery.dead").unwrap().json();
    let reason = told["info"]["reason"].as_str().unwrap();
    assert!(reason.contains("404") && reason.contains("no_service"), "{reason}");
    let dead = stack.streams.dead().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].json()["job"]["id"], told["cause"]["job"]);
    assert_eq!(dead[0].subject, "dead.slack.communicate");
}

#[tokio::test]
async fn a_target_that_is_tired_is_asked_again_when_it_says_and_gets_it_once() {
    let stack = Stack::new().start().await;
    let mut replies = [(500, ""), (429, "1"), (503, "0")].into_iter();
    stack.slack.answer(move |_| match replies.next() {
        Some((status, "")) => (status, Vec::new(), "oops".to_owned()),
        Some((status, after)) => (status, vec![("retry-after", after.to_owned())], String::new()),
        None => (200, Vec::new(), "ok".to_owned()),
    });
    let event = r#"{"scope":"test","action":"counted","communicate":true}"#;
    let begun = std::time::Instant::now();
    stack.streams.publish("events.manual.C02.test.counted", event).await;
    let events = stack.settled().await;
    let told = events.iter().find(|event| event.subject.ends_with(".communicate.slack_post")).unwrap().json();
    assert_eq!(told["info"]["attempts"], 4);
    assert!(begun.elapsed().as_millis() >= 1000, "it is asked again no sooner than it wants");
    assert_eq!(stack.slack.accepted().len(), 1);
    let keys: std::collections::BTreeSet<String> = stack.slack.seen().iter().map(|seen| seen.key()).collect();
    assert_eq!((stack.slack.seen().len(), keys.len()), (4, 1));
    assert!(stack.streams.dead().await.is_empty());
}

#[tokio::test]
async fn a_vendor_that_sends_again_after_the_streams_own_memory_doubles_nothing() {
    let stack = Stack::new().start().await;
    let mut config = stack.streams.js.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    config.duplicate_window = std::time::Duration::from_millis(100);
    stack.streams.js.update_stream(config).await.unwrap();
    assert_eq!(stack.asset(&json!({"serial": "C02", "owner": "ada@example.com"})).await.status, 200);
    assert_eq!(stack.nanomdm(&webhook::authenticate("C02", "U-1", "a")).await.status, 200);
    let hook = webhook::okta_deactivated(&["ada@example.com"], "h1");
    until("the stream has forgotten and stored it twice", async || {
        assert_eq!(stack.okta(&hook).await.status, 200);
        stack.streams.read("EVENTS", "events.okta.>").await.len() >= 2
    })
    .await;
    until("the lock is sent", async || !stack.mdm.seen().is_empty()).await;
    assert_eq!(stack.streams.read("DELIVERIES", "deliver.mdm-lock.*").await.len(), 1);
    assert_eq!(stack.mdm.seen().len(), 1);
}

//! The real program and a nats-server in operator mode: a Mac that has an enrolment token and nothing else comes to a
//! credential of its own, keeps it, changes it, and loses it.

mod authority;
mod broker;
mod stack;

use std::time::Duration;

use async_nats::HeaderMap;
use emote_agent::health::Standing;
use emote_proto::enroll::{EnrollAnswer, IdentityNotice, UserKey};
use emote_proto::header;
use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use authority::Authority;
use broker::Answer;
use stack::Stack;

use crate::programs::until;

const MONTH: i64 = 30 * 86_400;

fn pending(seconds: u32) -> Answer {
    Answer::Say(EnrollAnswer::Pending { reason: "by hand".into(), retry_after: seconds })
}

/// Lets time go by in which nothing must happen.
async fn watch(seconds: u64, mut nothing: impl FnMut()) {
    let (begun, mut tick) = (Instant::now(), interval(Duration::from_millis(50)));
    while begun.elapsed() < Duration::from_secs(seconds) {
        tick.tick().await;
        nothing();
    }
}

#[tokio::test]
async fn a_mac_with_a_token_is_enrolled_and_speaks_and_its_seed_is_nowhere_else() {
    let mut stack = Stack::start(Answer::Enrol, MONTH).await;
    let token = stack.enrol_agent().await;
    let key = stack.key().await.unwrap();
    assert_eq!(stack.broker.asked().iter().map(UserKey::as_str).collect::<Vec<_>>(), [key.as_str()]);
    until("it is told", || async { stack.told("agent.credential_changed").await.len() == 1 }).await;
    let told = &stack.told("agent.credential_changed").await[0];
    assert_eq!((&told["how"], &told["public_key"]), (&json!("enrolled"), &json!(key)));
    let seed = std::fs::read_to_string(stack.path(&format!("agent/identity/{key}.seed"))).unwrap();
    let state = std::fs::read_to_string(stack.path("agent/identity/state.json")).unwrap();
    for (text, place) in [(stack.log(), "log"), (state, "state"), (format!("{:?}", stack.status().await), "status")] {
        assert!(!text.contains(seed.trim()) && !text.contains(token.seed()), "{place}");
    }
    // The token is not needed any more, and a restart asks for nothing.
    stack.settings(None);
    stack.kill_agent().await;
    stack.restart_server().await;
    stack.start_agent().await;
    stack.until_standing(Standing::Enrolled).await;
    stack.check().await;
    assert_eq!(stack.broker.asked().len(), 1);
}

#[tokio::test]
async fn a_mac_that_waits_to_be_approved_says_so_keeps_its_events_and_is_let_in() {
    let mut stack = Stack::start(pending(1), MONTH).await;
    stack.settings(Some(&stack.authority.token("fleet2026")));
    stack.start_agent().await;
    stack.until_standing(Standing::Pending).await;
    stack.until_trouble("not enrolled yet: by hand").await;
    let log = stack.log();
    assert!(
        log.contains("not enrolled yet: by hand") && !log.contains("connect"),
        "one thing is said, and it is so: {log}"
    );
    stack.emit(7).await;
    until("it asks again", || async { stack.broker.asked().len() > 2 }).await;
    assert!(stack.broker.asked().windows(2).all(|keys| keys[0] == keys[1]), "always for the same key");
    // Killed meanwhile, it goes on with that key.
    stack.kill_agent().await;
    stack.start_agent().await;
    stack.broker.answers(Answer::Enrol);
    stack.until_standing(Standing::Enrolled).await;
    stack.check().await;
    assert_eq!(stack.told("test.counted").await, [json!({"n": 7})]);
    assert!(stack.broker.asked().windows(2).all(|keys| keys[0] == keys[1]), "always for the same key");
}

#[tokio::test]
async fn a_mac_that_is_denied_comes_back_slowly_and_with_another_token_at_once() {
    let denied = EnrollAnswer::Denied { reason: "used up".into() };
    let mut stack = Stack::start(Answer::Say(denied), MONTH).await;
    stack.settings(Some(&stack.authority.token("fleet2026")));
    stack.start_agent().await;
    stack.until_standing(Standing::Denied).await;
    stack.until_trouble("the broker does not enrol this machine: used up").await;
    watch(3, || assert_eq!(stack.broker.asked().len(), 1)).await;
    stack.broker.answers(Answer::Enrol);
    stack.settings(Some(&stack.authority.token("fleet2027")));
    stack.nudge();
    stack.until_standing(Standing::Enrolled).await;
    stack.check().await;
}

#[tokio::test]
async fn whoever_waits_or_is_denied_says_when_it_asks_next_and_asks_at_once_when_told_to() {
    let denied = Answer::Say(EnrollAnswer::Denied { reason: "not on the list".into() });
    let mut stack = Stack::start(pending(3_600), MONTH).await;
    stack.settings(Some(&stack.authority.token("fleet2026")));
    stack.start_agent().await;
    let mut asked = 0;
    for (standing, answer) in [(Standing::Pending, denied), (Standing::Denied, Answer::Enrol)] {
        stack.until_standing(standing).await;
        let status = stack.status().await.unwrap().identity;
        let wait = status.asks_next.unwrap().millis_since(jiff::Timestamp::now().into());
        assert!((3_500_000..5_500_000).contains(&wait) && status.expires.is_none(), "{wait} {status:?}");
        asked += 1;
        assert_eq!(stack.broker.asked().len(), asked);
        stack.broker.answers(answer);
        stack.nudge();
    }
    stack.until_standing(Standing::Enrolled).await;
    stack.check().await;
    let status = stack.status().await.unwrap().identity;
    assert!(status.asks_next < status.expires && status.expires.is_some(), "when it is renewed: {status:?}");
}

#[tokio::test]
async fn whoever_has_neither_credential_nor_token_is_told_what_to_set_and_where() {
    let mut stack = Stack::start(Answer::Enrol, MONTH).await;
    stack.settings(None);
    stack.start_agent().await;
    let place = stack.path("agent.toml");
    let place = if cfg!(target_os = "macos") { "the profile".into() } else { place.display().to_string() };
    stack.until_trouble(&format!("set enrollment_token in {place}")).await;
    stack.until_standing(Standing::None).await;
}

#[tokio::test]
async fn a_token_that_no_server_takes_is_told_and_not_tried_again_and_again() {
    let mut stack = Stack::start(Answer::Enrol, MONTH).await;
    stack.settings(Some(&Authority::new().token("fleet2026")));
    stack.start_agent().await;
    stack.until_trouble("the enrolment token fleet2026 is revoked or over").await;
    let before = stack.connections().1;
    watch(3, || assert!(stack.connections().1 <= before + 1, "{:?}", stack.connections())).await;
    assert_eq!(stack.broker.asked(), []);
}

#[tokio::test]
async fn answers_that_are_none_or_for_somebody_else_are_told_and_change_nothing() {
    let mut stack = Stack::start(Answer::Enrol, MONTH).await;
    let long = serde_json::to_vec(&EnrollAnswer::Denied { reason: "x".repeat(20_000) }).unwrap();
    let json = |text: &str| Answer::Bytes(text.as_bytes().to_vec());
    for (answer, said) in [
        (json("soon"), "is none"),
        (json(r#"{"state":"enrolled","jwt":"a.b.c"}"#), "no NATS JWT"),
        (Answer::Bytes(long), "more than 16384 bytes"),
        (Answer::OtherKey, "another key"),
        (Answer::Serial("T2"), "\"T2\""),
    ] {
        stack.broker.answers(answer);
        stack.settings(Some(&stack.authority.token("fleet2026")));
        stack.start_agent().await;
        stack.until_trouble(said).await;
        stack.kill_agent().await;
        let state = std::fs::read_to_string(stack.path("agent/identity/state.json")).unwrap();
        let state: Value = serde_json::from_str(&state).unwrap();
        assert_eq!((&state["current"], &state["next"]["jwt"]), (&Value::Null, &Value::Null), "{said}");
    }
    // What a broker that is there and says nothing leaves open is asked again.
    stack.broker.answers(Answer::Enrol);
    stack.start_agent().await;
    stack.until_standing(Standing::Enrolled).await;
}

#[tokio::test]
async fn a_jwt_is_renewed_before_it_ends_over_restarts_and_what_is_unanswered_is_asked_again() {
    let mut stack = Stack::start(Answer::Enrol, 24).await;
    stack.broker.renews(false, 24);
    stack.enrol_agent().await;
    until("it asks twice", || async { stack.broker.due().len() >= 2 }).await;
    stack.broker.renews(true, 15);
    stack.kill_agent().await;
    stack.start_agent().await;
    for _ in 0..2 {
        let before = stack.told("agent.credential_changed").await.len();
        until("it is renewed", || async { stack.told("agent.credential_changed").await.len() > before }).await;
    }
    stack.check().await;
    let changes = stack.told("agent.credential_changed").await;
    assert!(changes.len() >= 3 && changes[1..].iter().all(|told| told["how"] == "renewed"), "{changes:?}");
    let keys = stack.broker.due().iter().map(|due| due.next_key.to_string()).collect::<Vec<_>>();
    assert!(keys.iter().all(|key| *key == keys[0]), "the same key");
    assert_eq!(stack.broker.asked().len(), 1, "it was never without");
}

#[tokio::test]
async fn a_credential_that_ended_while_nobody_was_there_is_asked_for_anew_if_there_is_a_token() {
    let mut stack = Stack::start(Answer::Enrol, 3).await;
    stack.broker.renews(false, 3);
    stack.enrol_agent().await;
    let key = stack.key().await;
    stack.settings(None);
    stack.kill_agent().await;
    watch(4, || ()).await;
    stack.start_agent().await;
    stack.until_trouble("revoked or over, and there is no enrolment token").await;
    stack.until_standing(Standing::Refused).await;
    stack.broker.renews(true, MONTH);
    stack.settings(Some(&stack.authority.token("fleet2027")));
    stack.nudge();
    stack.until_standing(Standing::Enrolled).await;
    stack.check().await;
    assert_eq!(stack.key().await, key, "the same key");
    assert_eq!(stack.told("agent.credential_refused").await.len(), 1);
    until("it is told", || async { stack.told("agent.credential_changed").await.len() == 2 }).await;
    assert_eq!(stack.told("agent.credential_changed").await[1]["how"], "reenrolled");
}

#[tokio::test]
async fn a_mac_that_is_revoked_is_dropped_at_once_tells_it_once_and_does_not_hammer_the_server() {
    let mut stack = Stack::start(Answer::Enrol, MONTH).await;
    stack.enrol_agent().await;
    stack.settings(None);
    stack.nudge();
    stack.until_stored().await;
    let key = UserKey::new(stack.key().await.unwrap()).unwrap();
    let dropped = Instant::now();
    stack.revoke(std::slice::from_ref(&key)).await;
    until("it is dropped", || async { stack.status().await.is_some_and(|status| !status.uplink.connected) }).await;
    assert!(dropped.elapsed() < Duration::from_secs(5), "{:?}", dropped.elapsed());
    stack.until_trouble("revoked or over, and there is no enrolment token").await;
    let before = stack.connections();
    watch(8, || {
        let (connects, refusals) = stack.connections();
        assert!(connects == before.0 && refusals <= before.1 + 3, "{before:?} {connects} {refusals}");
    })
    .await;
    stack.emit(9).await;
    // Over a restart of the server, too.
    stack.restart_server().await;
    stack.kill_agent().await;
    stack.start_agent().await;
    stack.until_trouble("revoked or over").await;
    // Taken back: it goes on where it was.
    stack.revoke(&[]).await;
    stack.until_standing(Standing::Enrolled).await;
    stack.check().await;
    assert_eq!(stack.told("test.counted").await, [json!({"n": 9})]);
}

#[tokio::test]
async fn keys_are_changed_when_a_broker_says_so_however_often_the_agent_is_killed_meanwhile() {
    let mut stack = Stack::start(Answer::Enrol, MONTH).await;
    stack.enrol_agent().await;
    let mut key = stack.key().await.unwrap();
    stack.settings(None);
    for round in 0..6_u64 {
        stack.broker.tell("T1", &IdentityNotice::Rotate).await;
        // Somewhere in between: before the key is made, asked for, given, or taken up.
        let (begun, mut tick) = (Instant::now(), interval(Duration::from_millis(1)));
        while begun.elapsed() < Duration::from_millis(round * 12) {
            tick.tick().await;
        }
        stack.kill_agent().await;
        stack.start_agent().await;
        stack.broker.tell("T1", &IdentityNotice::Rotate).await;
        let changed = || async {
            let status = stack.status().await;
            if status.as_ref().is_some_and(|status| status.uplink.connected) {
                stack.broker.tell("T1", &IdentityNotice::Rotate).await;
            }
            status.is_some_and(|status| status.identity.public_key.is_some_and(|new| new != key))
        };
        until("another key is in use", changed).await;
        let status = stack.status().await.unwrap();
        assert_eq!(status.identity.standing, Standing::Enrolled);
        key = stack.key().await.unwrap();
    }
    stack.check().await;
    assert_eq!(stack.broker.asked().len(), 1, "it was never without");
    let rotated = stack.told("agent.credential_changed").await.iter().filter(|told| told["how"] == "rotated").count();
    assert!(rotated >= 6, "{rotated}");
    stack.kill_agent().await;
    stack.start_agent().await;
    stack.until_stored().await;
    let seeds = std::fs::read_dir(stack.path("agent/identity")).unwrap();
    let seeds = seeds.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "seed")).count();
    assert!(seeds <= 2, "{seeds} seeds are left");
}

#[tokio::test]
async fn a_brokers_no_is_told_and_the_mac_goes_on_with_what_it_has() {
    let mut stack = Stack::start(Answer::Enrol, MONTH).await;
    stack.enrol_agent().await;
    stack.broker.tell("T1", &IdentityNotice::Refused { reason: "not any more".into() }).await;
    until("it is told", || async { stack.told("agent.credential_refused").await.len() == 1 }).await;
    let told = &stack.told("agent.credential_refused").await[0];
    assert_eq!((&told["by"], &told["reason"]), (&json!("broker"), &json!("not any more")));
    assert!(stack.status().await.unwrap().uplink.connected);
}

#[tokio::test]
async fn somebody_else_under_the_same_serial_number_is_told_at_once_and_then_not_again() {
    let mut stack = Stack::start(Answer::Enrol, MONTH).await;
    stack.enrol_agent().await;
    assert_eq!(stack.status().await.unwrap().uplink.conflict, None);
    for n in 0..5 {
        stack.service.publish("events.agent.T1.stranger.here", "{}".into()).await.unwrap();
        stack.service.flush().await.unwrap();
        stack.emit(n).await;
        let seen =
            |status: emote_agent::health::Status| status.uplink.conflict.is_some_and(|conflict| conflict.count > n);
        until("it is noticed", || async { stack.status().await.is_some_and(seen) }).await;
    }
    stack.until_stored().await;
    assert_eq!(stack.told("test.counted").await.len(), 5);
    let told = stack.told("agent.conflict").await;
    assert!(told.len() == 1 && told[0]["found"].as_u64() > told[0]["expected"].as_u64(), "{told:?}");
}

#[tokio::test]
async fn a_server_tells_a_device_the_last_sequence_of_one_of_its_subjects_and_stores_nothing() {
    let stack = Stack::start(Answer::Enrol, MONTH).await;
    let publish = async |subject: &'static str, headers| {
        let answer = stack.service.request_with_headers(subject, headers, "{}".into()).await.unwrap();
        serde_json::from_slice::<Value>(&answer.payload).unwrap()
    };
    for (subject, sequence) in [("events.agent.T1.a.b", 1), ("events.agent.T1.c.d", 2), ("events.agent.T2.a.b", 3)] {
        assert_eq!(publish(subject, HeaderMap::new()).await["seq"], sequence);
    }
    for (subject, last) in [("events.agent.T1.a.b", 1), ("events.agent.T1.c.d", 2), ("events.agent.T1.e.f", 0)] {
        let mut headers = HeaderMap::new();
        headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE, i64::MAX.to_string());
        headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, subject);
        let answer = publish(subject, headers).await;
        assert_eq!(answer["error"]["description"], format!("wrong last sequence: {last}"), "{answer}");
    }
}

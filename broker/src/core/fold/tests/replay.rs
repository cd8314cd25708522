//! Replays: what is carried, what it sets off, and what is refused.

use emote_proto::Replay;

use super::*;
use crate::core::{Policy, REPLAYED, Terms, replay_info, replayed_id};

const BODY: &str = r#"{"id":"00000000-0000-7000-8000-000000000001","scope":"device","action":"lost","time":"2025-12-31T00:00:00Z","info":{"n":1}}"#;

fn original() -> EventId {
    "00000000-0000-7000-8000-000000000001".parse().unwrap()
}

fn terms(id: &str) -> Terms {
    Terms { id: id.to_owned(), rules: Vec::new(), destructive: false }
}

/// The order as the command line gives it.
fn order(terms: &Terms, subject: &str, body: &str) -> Value {
    let received = Time::from_millis(1_767_000_000_000).unwrap();
    let entry = Entry { sequence: 7, received, subject, message_id: None, payload: body.as_bytes() };
    let info = replay_info(terms, original(), &entry).unwrap();
    let (scope, action) = REPLAYED.split_once('.').unwrap();
    json!({"id": replayed_id(&terms.id, original()), "scope": scope, "action": action, "info": info})
}

fn log() -> Log {
    let policies = [(name("wipe"), Policy { guard: Some(Guard::default()), ..Policy::default() })].into();
    let lost = json!({"scope": ["device"], "action": ["lost"]});
    let rules = vec![
        rule("tell", &lost, Fanout::Event, "slack"),
        rule("wipe", &lost, Fanout::Event, "wipe"),
        rule("after", &json!({"scope": ["chat"]}), Fanout::Event, "wipe"),
        rule("refusals", &json!({"scope": ["guard"]}), Fanout::Event, "wipe"),
    ];
    Log::of(RuleBook { rules, policies, sources: sources(), ..RuleBook::default() })
}

const ORDER: &str = "events.admin.ada.event.replayed";
const LOST: &str = "events.agent.C02.device.lost";

#[test]
fn what_is_played_again_is_the_event_in_its_own_name_once_a_replay() {
    let mut log = log();
    assert_eq!(what(&log.raw(LOST, None, BODY.as_bytes())), ["tell>slack@C02", "wipe>wipe@C02"]);
    let jobs = log.entry(ORDER, &order(&terms("r1"), LOST, BODY));
    assert_eq!(what(&jobs), ["tell>slack@C02", "core>emit@C02"]);
    let event = &jobs[0].event;
    assert_eq!(
        (event.source.as_str(), event.serial(), event.id),
        ("agent", Some("C02"), replayed_id("r1", original()))
    );
    let mark = event.info_at(&["replay"]).unwrap();
    assert_eq!((&mark["id"], &mark["original"]), (&json!("r1"), &json!(original())));
    assert_eq!(event.info_at(&["n"]), Some(&json!(1)));
    assert_eq!(event.time.to_string(), "2025-12-31T00:00:00.000Z", "it happened when it happened");
    let (told_of, reason) = told(&jobs[1..]);
    assert_eq!(told_of, "guard.refused");
    assert!(reason.contains("of the replay r1: wipe is destructive"), "{reason}");
    assert_eq!(what(&log.entry(ORDER, &order(&terms("r1"), LOST, BODY))), [""; 0], "the same replay is the same event");
    assert_eq!(log.entry(ORDER, &order(&terms("r2"), LOST, BODY)).len(), 2, "another is another");
}

#[test]
fn what_a_replay_sets_off_is_bound_by_it_too() {
    for (destructive, expected) in [(false, vec!["core>emit@C02"]), (true, vec!["after>wipe@C02"])] {
        let mut log = log();
        let terms = Terms { destructive, rules: vec![name("tell"), name("after"), name("refusals")], ..terms("r1") };
        let jobs = log.entry(ORDER, &order(&terms, LOST, BODY));
        assert_eq!(what(&jobs), ["tell>slack@C02"], "only the rules that it names act");
        let report = json!({"scope": "chat", "action": "sent", "trust": "verified", "device": {"uuid": "C02"}, "cause": jobs[0].cause()});
        assert_eq!(what(&log.entry("events.broker.C02.chat.sent", &report)), expected);
    }
    let mut log = log();
    let refusal = log.entry(ORDER, &order(&terms("r1"), LOST, BODY)).remove(1);
    let told: Replay = serde_json::from_value(refusal.event.info_at(&["replay"]).unwrap().clone()).unwrap();
    assert_eq!((told.id.as_str(), told.destructive), ("r1", false));
    let jobs = log.raw("events.broker.C02.guard.refused", None, refusal.event.json().as_bytes());
    assert_eq!(what(&jobs), ["core>emit@C02"], "a rule that acts on the refusal does not get round it");
}

#[test]
fn a_mark_that_nobody_ordered_is_only_text() {
    let mut log = log();
    let body = json!({"scope": "device", "action": "lost", "info": {"replay": {"id": "x", "original": original(),
        "time": "2026-01-01T00:00:00Z", "rules": ["tell"]}}});
    assert_eq!(what(&log.entry(LOST, &body)), ["tell>slack@C02", "wipe>wipe@C02"]);
}

#[test]
fn a_replay_that_carries_no_event_is_told() {
    let good = order(&terms("r"), LOST, BODY);
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut order = good.clone();
        change(&mut order);
        order
    };
    for (order, said) in [
        (changed(&|order| order["id"] = json!("00000000-0000-7000-8000-00000000000f")), "its id is not the one"),
        (
            changed(&|order| order["info"]["entry"]["subject"] = json!("events.admin.ada.config.applied")),
            "events of admin are not",
        ),
        (
            changed(&|order| order["info"]["entry"]["subject"] = json!("events.broker.-.delivery.dead")),
            "events of broker are not",
        ),
        (changed(&|order| order["info"]["entry"]["subject"] = json!("events.agent.C03.device.enroll")), "its event: "),
        (changed(&|order| order["info"]["event"]["id"] = json!(EventId::derived(&["x"]))), "not the one that it names"),
        (changed(&|order| order["info"]["event"] = json!(3)), "its event: "),
        (changed(&|order| order["info"] = json!({})), "its info: missing field"),
        (changed(&|order| order["info"]["replay"] = json!("")), "its name has"),
    ] {
        let (event, reason) = told(&log().entry(ORDER, &order));
        assert_eq!(event, "event.rejected");
        assert!(reason.starts_with("a replay that cannot be: ") && reason.contains(said), "{said}: {reason}");
    }
}

#[test]
fn what_is_carried_is_believed_no_more_than_who_orders_it() {
    use Trust::{Authenticated, Unverified, Verified};
    for (admin, agent, found) in [
        (Verified, Authenticated, Authenticated),
        (Authenticated, Verified, Authenticated),
        (Unverified, Verified, Unverified),
    ] {
        let book =
            RuleBook { believed: [(name("admin"), admin), (name("agent"), agent)].into(), ..RuleBook::default() };
        let received = Time::from_millis(1_767_225_600_000).unwrap();
        let body = order(&terms("r"), LOST, BODY).to_string();
        let entry = Entry { sequence: 9, received, subject: ORDER, message_id: None, payload: body.as_bytes() };
        assert_eq!(Core::new(book).open(&entry).unwrap().trust, found);
    }
}

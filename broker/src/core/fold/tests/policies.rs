//! What targets ask: budgets, age, order; and what is counted.

use super::*;

#[test]
fn over_its_budget_a_jobs_waits_for_somebodys_word() {
    let guard = Guard { limit: 2, rule_limit: 2, ..Guard::default() };
    let mut log = guarded(Policy { guard: Some(guard), ..Policy::default() });
    let event = json!({"scope": "d", "action": "a"});
    for _ in 0..2 {
        assert_eq!(shown(&log.entry("events.manual.C02.d.a", &event)), ["lock>mdm"]);
    }
    let held = log.entry("events.manual.C02.d.a", &event);
    assert_eq!(shown(&held), ["guard.held: 2 jobs of this rule in 1 h are the budget of mdm", "held lock>mdm"]);
    assert_eq!((held[0].node_key().as_deref(), held[1].config.as_deref()), (Some("C02"), Some(&*"h".repeat(64))));
    let tally = log.memory.tally(&Tallied::Rule("lock".to_owned())).unwrap();
    assert_eq!((tally.matched, tally.jobs, tally.held), (3, 3, 1));
    log.millis += 3_600_000;
    assert_eq!(shown(&log.entry("events.manual.C02.d.a", &event)), ["lock>mdm"]);
}

#[test]
fn old_news_and_what_is_not_trusted_set_off_nothing_and_spend_nothing() {
    let guard = Guard { limit: 1, rule_limit: 1, trust: Some(Trust::Authenticated), ..Guard::default() };
    let mut log = guarded(Policy { guard: Some(guard), max_age: Some(60_000), ..Policy::default() });
    let ago = |log: &Log, seconds: i64| Time::from_millis(log.millis + 1000 - seconds * 1000).unwrap().to_string();
    let old = json!({"scope": "d", "action": "a", "trust": "verified", "time": ago(&log, 61)});
    assert_eq!(
        shown(&log.entry("events.okta.C02.d.a", &old)),
        ["guard.refused: the event was 61 s old when it came: mdm acts on none older than 60 s"]
    );
    let said_by_itself = json!({"scope": "d", "action": "a", "trust": "verified"});
    assert_eq!(
        shown(&log.entry("events.manual.C02.d.a", &said_by_itself)),
        ["guard.refused: the event, or what led to it, is unverified: mdm acts on authenticated ones only"]
    );
    let effect = json!({"scope": "d", "action": "a", "trust": "verified", "cause": {"event": "00000000-0000-7000-8000-000000000001",
        "rule": "x", "target": "y", "root": "00000000-0000-7000-8000-000000000001", "depth": 1, "trust": "unverified"}});
    assert!(shown(&log.entry("events.broker.C02.d.a", &effect))[0].contains("unverified"), "trust is not laundered");
    let checked = json!({"scope": "d", "action": "a", "trust": "authenticated"});
    assert_eq!(shown(&log.entry("events.okta.C02.d.a", &checked)), ["lock>mdm"]);
}

#[test]
fn a_nodes_jobs_follow_each_other_where_order_is_kept() {
    let mut log = guarded(Policy { ordered: true, ..Policy::default() });
    let event = json!({"scope": "d", "action": "a"});
    let first = log.entry("events.manual.C02.d.a", &event).remove(0);
    let other = log.entry("events.manual.C03.d.a", &event).remove(0);
    let second = log.entry("events.manual.C02.d.a", &event).remove(0);
    assert_eq!((first.after, other.after, second.after), (None, None, Some(first.result_id())));
    let mut overlay = Overlay::new(&log.memory);
    let by = EventId::derived(&["order"]);
    let dead = log.core.redrive(&mut overlay, first.clone(), by, first.event.time).unwrap().unwrap();
    assert_eq!((dead.after, dead.id.clone(), dead.redriven), (Some(second.result_id()), first.id.clone(), 1));
    assert_ne!(dead.result_id(), first.result_id(), "it may end once more");
    assert_eq!(log.core.redrive(&mut overlay, first.clone(), by, first.event.time).unwrap(), None);
}

#[test]
fn how_jobs_ended_is_counted() {
    let mut log = guarded(Policy::default());
    let job = log.entry("events.manual.C02.d.a", &json!({"scope": "d", "action": "a"})).remove(0);
    let mut ended = |scope: &str, action: &str, n: u32| {
        let event = json!({"scope": scope, "action": action, "cause": Job { redriven: n, ..job.clone() }.cause(),
            "id": Job { redriven: n, ..job.clone() }.result_id(), "info": {"reason": "no such Mac"}});
        for _ in 0..2 {
            log.entry(&format!("events.broker.C02.{scope}.{action}"), &event);
        }
    };
    ended("delivery", "dead", 0);
    ended("mdm", "device_lock", 1);
    for of in [Tallied::Rule("lock".to_owned()), Tallied::Target("mdm".to_owned())] {
        let tally = log.memory.tally(&of).unwrap();
        assert_eq!((tally.jobs, tally.done, tally.dead), (1, 1, 1), "{of:?}");
        assert_eq!(tally.last_error.as_deref(), Some("no such Mac"));
    }
}

//! Effects that come back: loops, and how deep a chain may be.

use super::*;

#[test]
fn a_rule_that_meets_its_own_effect_stops() {
    let mut log = Log::new(vec![rule("a", &json!({"scope": ["d"]}), Fanout::Event, "t")]);
    let first = log.entry("events.manual.C02.d.a", &json!({"scope": "d", "action": "a"}));
    let (subject, body) = result_of(&first[0], 1);
    let (event, reason) = told(&log.entry(&subject, &body));
    assert_eq!(event, "rule.loop_stopped");
    assert!(reason.contains("own effect"), "{reason}");
    let tally = log.memory.tally(&Tallied::Rule("a".to_owned())).unwrap();
    assert_eq!((tally.matched, tally.jobs, tally.loops_stopped), (2, 1, 1));
    assert_eq!(tally.last_matched, tally.last);
    let mut forged = body.clone();
    forged["id"] = json!("00000000-0000-7000-8000-000000000009");
    assert_eq!(
        what(&log.entry("events.manual.C02.d.a", &forged)),
        ["a>t@C02"],
        "a cause is believed of the broker only"
    );
}

#[test]
fn a_chain_ends_at_its_greatest_depth() {
    let rules = (0..12).map(|n| rule(&format!("r{n}"), &json!({"info": {"step": [n]}}), Fanout::Event, "t")).collect();
    let mut log = Log::new(rules);
    let mut jobs = log.entry("events.manual.C02.d.a", &json!({"scope": "d", "action": "a", "info": {"step": 0}}));
    let mut depth = 0;
    while jobs[0].rule.as_str() != "core" {
        depth += 1;
        let (subject, mut body) = result_of(&jobs[0], depth);
        body["info"] = json!({"step": depth});
        jobs = log.entry(&subject, &body);
    }
    assert_eq!(u32::from(depth), limits::MAX_DEPTH);
    assert!(told(&jobs).1.contains("8 effects deep"));
}

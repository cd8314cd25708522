//! Who is believed, and how far that carries.

use super::*;
use crate::core::JobId;

#[test]
fn what_only_emote_writes_is_believed_of_emote_only() {
    let trusted = json!({"trust": ["verified"]});
    let mut log = Log::new(vec![rule("a", &trusted, Fanout::Event, "t")]);
    let body = json!({"scope": "d", "action": "a", "trust": "verified"});
    assert_eq!(log.entry("events.okta.-.d.a", &body).len(), 1);
    assert_eq!(log.entry("events.manual.-.d.a", &body).len(), 0);
    assert_eq!(log.entry("events.agent.C02.d.a", &body).len(), 0);
}

#[test]
fn a_rule_that_demands_trust_gets_it_from_the_set_and_from_the_whole_chain() {
    let trusted = json!({"trust": ["verified"]});
    let rules = || vec![rule("a", &trusted, Fanout::Event, "t")];
    let believed = |level| -> Log {
        let believed = [(name("agent"), level)].into();
        Log::of(RuleBook { rules: rules(), sources: sources(), believed, ..RuleBook::default() })
    };
    let body = json!({"scope": "d", "action": "a", "trust": "verified"});
    assert_eq!(believed(Trust::Verified).entry("events.agent.C02.d.a", &body).len(), 1);
    assert_eq!(
        believed(Trust::Authenticated).entry("events.agent.C02.d.a", &body).len(),
        0,
        "its own word counts nothing"
    );
    assert_eq!(believed(Trust::Verified).entry("events.manual.C02.d.a", &body).len(), 0, "another source");
    for (root, jobs) in [("agent", 1), ("manual", 0)] {
        let mut log = believed(Trust::Verified);
        let root = log.core.open(&Entry {
            sequence: 1,
            received: Time::from_millis(log.millis).unwrap(),
            subject: &format!("events.{root}.C02.x.a"),
            message_id: None,
            payload: br#"{"scope":"x","action":"a"}"#,
        });
        let id = |text: &str| JobId::new(EventId::derived(&[text]), &name("other"), &name("u"), None);
        let (subject, mut effect) = result_of(&Job::new(id("j"), name("other"), name("u"), root.unwrap()), 1);
        effect["trust"] = json!("verified");
        assert_eq!(log.entry(&subject, &effect).len(), jobs, "an effect is worth as much as what led to it");
    }
}

#[test]
fn what_the_core_tells_of_an_event_is_worth_no_more_than_the_event() {
    let guard = Guard { trust: Some(Trust::Authenticated), ..Guard::default() };
    let mut log = guarded(Policy { guard: Some(guard), ..Policy::default() });
    let refused = log.entry("events.manual.C02.d.a", &json!({"scope": "d", "action": "a"}));
    assert_eq!((refused[0].event.action.as_str(), refused[0].event.trust), ("refused", Trust::Unverified));
}

#[test]
fn what_a_mac_says_of_its_user_proves_nothing_about_the_users_other_macs() {
    let lock = || vec![rule("lock", &json!({"scope": ["user"]}), Fanout::UserDevices, "lock")];
    let guard = Guard { limit: 9, rule_limit: 9, trust: Some(Trust::Verified), ..Guard::default() };
    let policies = [(name("lock"), Policy { guard: Some(guard), ..Policy::default() })].into();
    let believed = [(name("agent"), Trust::Verified)].into();
    let mut log = Log::of(RuleBook { rules: lock(), sources: sources(), believed, policies, ..RuleBook::default() });
    for serial in ["C02", "C03"] {
        let body =
            json!({"scope": "asset", "action": "updated", "info": {"set": {"owner": "ada@x.io"}}, "trust": "verified"});
        log.entry(&format!("events.assets.{serial}.asset.updated"), &body);
    }
    let body = json!({"scope": "user", "action": "deactivated", "user": {"id": "ada@x.io"}, "trust": "verified"});
    let jobs = log.entry("events.agent.C03.user.deactivated", &body);
    assert_eq!(jobs.len(), 2);
    assert!(shown(&jobs)[0].contains("unverified"), "{:?}", shown(&jobs));
    assert_eq!((jobs[1].node_key().as_deref(), jobs[1].trust()), (Some("C03"), Trust::Verified), "of itself it may");
    let jobs = log.entry("events.okta.ada@x%2Eio.user.deactivated", &body);
    assert!(jobs.iter().all(|job| job.trust() == Trust::Verified && job.target == name("lock")), "{:?}", what(&jobs));
}

#[test]
fn what_is_proven_of_a_user_proves_nothing_about_macs_that_nobody_proved_to_be_theirs() {
    let mut log = Log::new(vec![rule("lock", &json!({"scope": ["user"]}), Fanout::UserDevices, "lock")]);
    let mut own = |trust: &str, what: &str, body: Value| {
        let mut body = body;
        body["trust"] = json!(trust);
        log.entry(&format!("events.assets.{what}"), &body);
    };
    let asset = |owner: &str| json!({"scope": "asset", "action": "updated", "info": {"set": {"owner": owner}}});
    let enrolled = |user: &str| json!({"scope": "device", "action": "enroll", "user": {"id": user}});
    own("verified", "A1.asset.updated", asset("eve@x.io"));
    // Forged: that Macs are eve's, who is about to leave.
    own("unverified", "A2.asset.updated", asset("eve@x.io"));
    own("unverified", "A3.device.enroll", enrolled("eve@x.io"));
    own("verified", "A4.device.enroll", enrolled("ada@x.io"));
    own("unverified", "A4.asset.updated", asset("eve@x.io"));
    let leaves = json!({"scope": "user", "action": "deactivated", "user": {"id": "eve@x.io"}, "trust": "verified"});
    let jobs = log.entry("events.okta.eve@x%2Eio.user.deactivated", &leaves);
    let trusted: Vec<_> = jobs.iter().map(|job| (job.node_key().unwrap(), job.trust())).collect();
    let expected = [("A1", Trust::Verified), ("A2", Trust::Unverified), ("A3", Trust::Unverified)];
    assert_eq!(trusted, expected.map(|(node, trust)| (node.to_owned(), trust)), "A4 is ada's, which was proven");
    assert_eq!(jobs[1].cause().trust, Some(Trust::Unverified));
}

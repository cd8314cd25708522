use emote_proto::Name;
use emote_rules::Pattern;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::core::{DEDUPE_WINDOW_MILLIS, EMIT_TARGET, Guard, Memory, Records};

mod replay;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn rule(rule_name: &str, pattern: &Value, fanout: Fanout, target: &str) -> Rule {
    let targets = vec![RuleTarget { target: name(target), input: None }];
    Rule { name: name(rule_name), pattern: Pattern::from_value(pattern).unwrap(), fanout, targets }
}

fn sources() -> Vec<Name> {
    ["nanomdm", "okta", "assets"].map(name).to_vec()
}

/// A core with its memory, fed with entries one by one.
struct Log {
    core: Core,
    memory: Memory,
    sequence: u64,
    millis: i64,
}

impl Log {
    fn new(rules: Vec<Rule>) -> Self {
        Self::of(RuleBook { rules, sources: sources(), ..RuleBook::default() })
    }

    fn of(book: RuleBook) -> Self {
        let (core, memory) = (Core::new(book), Memory::default());
        Self { core, memory, sequence: 0, millis: 1_767_225_600_000 }
    }

    /// Folds one entry; gives its jobs.
    fn entry(&mut self, subject: &str, body: &Value) -> Vec<Job> {
        self.raw(subject, None, body.to_string().as_bytes())
    }

    fn raw(&mut self, subject: &str, message_id: Option<&str>, payload: &[u8]) -> Vec<Job> {
        self.sequence += 1;
        self.millis += 1000;
        let received = Time::from_millis(self.millis).unwrap();
        let entry = Entry { sequence: self.sequence, received, subject, message_id, payload };
        let mut overlay = Overlay::new(&self.memory);
        let jobs = self.core.apply(&mut overlay, &entry).unwrap();
        let changes = overlay.into_changes();
        self.memory.apply(changes);
        jobs
    }

    fn node(&self, key: &str) -> Option<Arc<Node>> {
        self.memory.node(key).unwrap()
    }
}

fn what(jobs: &[Job]) -> Vec<String> {
    jobs.iter().map(|job| format!("{}>{}@{}", job.rule, job.target, job.node_key().unwrap_or_default())).collect()
}

fn told(jobs: &[Job]) -> (String, String) {
    assert_eq!(jobs.len(), 1, "{:?}", what(jobs));
    let event = &jobs[0].event;
    let reason = event.info_at(&["reason"]).and_then(Value::as_str).unwrap_or_default();
    (format!("{}.{}", event.scope, event.action), reason.to_owned())
}

#[test]
fn an_event_sets_off_a_job_for_each_target_of_each_rule_that_matches() {
    let enroll = json!({"scope": ["device"], "action": ["enroll"]});
    let mut log = Log::new(vec![
        rule("a", &enroll, Fanout::Event, "t"),
        rule("b", &json!({"scope": ["user"]}), Fanout::Event, "t"),
        rule("c", &enroll, Fanout::Event, "u"),
    ]);
    let body = json!({"scope": "device", "action": "enroll", "id": "00000000-0000-7000-8000-000000000001"});
    let jobs = log.entry("events.manual.C02.device.enroll", &body);
    assert_eq!(what(&jobs), ["a>t@C02", "c>u@C02"]);
    assert_eq!(jobs[0].id.as_str(), "00000000-0000-7000-8000-000000000001/a/t");
    assert_eq!(jobs[0].node.as_ref().unwrap().value()["sources"]["manual"]["enrolled"]["value"], true);
}

#[test]
fn what_comes_again_sets_off_nothing_unless_it_is_long_ago() {
    let mut log = Log::new(vec![rule("a", &json!({"scope": ["d"]}), Fanout::Event, "t")]);
    let body = br#"{"scope":"d","action":"a"}"#;
    let folded = |log: &mut Log, id| log.raw("events.okta.-.d.a", Some(id), body).len();
    assert_eq!((folded(&mut log, "x"), folded(&mut log, "x"), folded(&mut log, "y")), (1, 0, 1));
    log.millis += DEDUPE_WINDOW_MILLIS;
    assert_eq!(folded(&mut log, "x"), 1);
}

#[test]
fn an_entry_that_is_no_event_is_told_and_the_fold_goes_on() {
    let mut log = Log::new(vec![rule("a", &json!({"scope": ["d"]}), Fanout::Event, "t")]);
    for (subject, payload, reason) in [
        ("events.x.-.d.a", &b"{"[..], "not JSON"),
        ("events.x.-.d.a", br#"{"scope":"d"}"#, "\"action\" is missing"),
        ("events.x.-.d.a", br#"{"scope":"d","action":"b"}"#, "publish under the subject"),
        ("events.x", br#"{"scope":"d","action":"b"}"#, "is not events."),
        ("events.x.%zz.d.a", br#"{"scope":"d","action":"a"}"#, "node"),
    ] {
        let (event, said) = told(&log.raw(subject, None, payload));
        assert_eq!(event, "event.rejected");
        assert!(said.contains(reason), "{subject}: {said}");
    }
    assert_eq!(log.entry("events.x.-.d.a", &json!({"scope": "d", "action": "a"})).len(), 1);
}

#[test]
fn a_udid_is_joined_to_its_serial_number_once_that_is_known() {
    let checkin = json!({"scope": ["device"], "action": ["checkin"]});
    let mut log = Log::new(vec![rule("a", &checkin, Fanout::Event, "t")]);
    let by_udid = json!({"scope": "device", "action": "checkin", "device": {"udid": "U1", "os_version": "15.1"}});
    assert_eq!(what(&log.entry("events.nanomdm.U1.device.checkin", &by_udid)), ["a>t@U1"]);
    assert!(log.node("U1").is_some());

    let both = json!({"scope": "device", "action": "enroll_start", "device": {"uuid": "C02", "udid": "U1"}});
    log.entry("events.nanomdm.C02.device.enroll_start", &both);
    assert!(log.node("U1").is_none(), "one Mac, one node");
    let node = log.node("C02").unwrap();
    assert_eq!(node.sources["nanomdm"]["os_version"].value, "15.1");
    assert_eq!((node.serial.as_deref(), node.udid.as_deref()), (Some("C02"), Some("U1")));

    assert_eq!(what(&log.entry("events.nanomdm.U1.device.checkin", &by_udid)), ["a>t@C02"]);
}

#[test]
fn what_nobody_proved_of_a_udid_is_followed_by_nothing_that_was_proven() {
    let checkin = json!({"scope": ["device"], "action": ["checkin"]});
    let device = |action: &str, device: Value, trust: &str| json!({"scope": "device", "action": action, "device": device, "trust": trust});
    let by_udid = device("checkin", json!({"udid": "U1", "os_version": "15.1"}), "verified");
    let forged = device("enroll", json!({"uuid": "EVE", "udid": "U1"}), "verified");
    let truth = device("enroll", json!({"uuid": "C02", "udid": "U1"}), "verified");
    for (source, trust) in [("forged", "verified"), ("nanomdm", "unverified")] {
        let mut log = Log::new(vec![rule("a", &checkin, Fanout::Event, "t")]);
        let forge = |log: &mut Log| {
            let event = Value::Object(
                forged.as_object().unwrap().clone().into_iter().chain([("trust".to_owned(), json!(trust))]).collect(),
            );
            log.entry(&format!("events.{source}.EVE.device.enroll"), &event);
        };
        forge(&mut log);
        assert_eq!(what(&log.entry("events.nanomdm.U1.device.checkin", &by_udid)), ["a>t@U1"], "{source}");
        let unproven = json!({"scope": "device", "action": "checkin", "device": {"udid": "U1"}});
        assert_eq!(what(&log.entry("events.forged.U1.device.checkin", &unproven)), ["a>t@EVE"], "of its own kind");
        forge(&mut log);
        assert!(log.node("U1").unwrap().proven, "what was proven of it stays where it is");

        log.entry("events.nanomdm.C02.device.enroll", &truth);
        forge(&mut log);
        let node = log.node("C02").unwrap();
        assert_eq!((node.udid.as_deref(), node.udid_unverified), (Some("U1"), false));
        assert_eq!(node.sources["nanomdm"]["os_version"].value, "15.1");
        assert_eq!(what(&log.entry("events.nanomdm.U1.device.checkin", &by_udid)), ["a>t@C02"], "{source}");
        assert_eq!(what(&log.entry("events.forged.U1.device.checkin", &unproven)), ["a>t@C02"], "once it is known");
    }
}

#[test]
fn a_command_goes_to_no_udid_that_nobody_proved() {
    let lock = json!({"scope": ["device"], "action": ["lost"]});
    let mut log = Log::new(vec![rule("lock", &lock, Fanout::Event, "mdm")]);
    let enroll = |udid: &str| json!({"scope": "device", "action": "enroll", "device": {"uuid": "C02", "udid": udid}, "trust": "verified"});
    let mut udid_of = |source: &str, told: Option<(&str, &str)>| {
        if let Some((by, udid)) = told {
            log.entry(&format!("events.{by}.C02.device.enroll"), &enroll(udid));
        }
        let jobs = log.entry(
            &format!("events.{source}.C02.device.lost"),
            &json!({"scope": "device", "action": "lost", "trust": "verified"}),
        );
        jobs[0].node.as_ref().unwrap().value()["udid"].clone()
    };
    assert_eq!(udid_of("nanomdm", Some(("forged", "OF-ANOTHER"))), Value::Null);
    assert_eq!(udid_of("forged", None), "OF-ANOTHER");
    assert_eq!(udid_of("nanomdm", Some(("nanomdm", "ITS-OWN"))), "ITS-OWN");
    assert_eq!(udid_of("nanomdm", Some(("forged", "OF-ANOTHER"))), "ITS-OWN");
    assert_eq!(udid_of("forged", None), "ITS-OWN");
}

#[test]
fn a_mac_is_one_node_however_its_serial_number_is_written() {
    let mut log = Log::new(vec![rule("a", &json!({"device": {"uuid": ["C02"]}}), Fanout::Event, "t")]);
    let device = |uuid: &str| json!({"scope": "device", "action": "enroll", "device": {"uuid": uuid, "udid": "U1"}, "trust": "verified"});
    for (subject, uuid) in [("events.nanomdm.C02", "c02"), ("events.nanomdm.c02", "C02"), ("events.okta.c02", "c02")] {
        assert_eq!(what(&log.entry(&format!("{subject}.device.enroll"), &device(uuid))), ["a>t@C02"], "{subject}");
    }
    let by_udid = json!({"scope": "device", "action": "checkin", "device": {"udid": "U1"}, "trust": "verified"});
    assert_eq!(what(&log.entry("events.nanomdm.U1.device.checkin", &by_udid)), ["a>t@C02"]);
    let boot = json!({"scope": "device", "action": "boot"});
    assert_eq!(what(&log.entry("events.agent.C02.device.boot", &boot)), ["a>t@C02"]);
    assert_eq!(told(&log.entry("events.agent.c02.device.boot", &boot)).0, "event.rejected", "it has no credential");
    assert!(log.node("c02").is_none());
    let owner = json!({"scope": "asset", "action": "updated", "info": {"set": {"owner": "ada@x.io"}}});
    log.entry("events.assets.c02.asset.updated", &owner);
    assert_eq!(log.memory.devices_of("ada@x.io").unwrap(), ["C02".to_owned()].into());
}

#[test]
fn an_agent_speaks_for_its_own_mac_only() {
    let mut log = Log::new(Vec::new());
    let asset = json!({"scope": "asset", "action": "updated", "info": {"set": {"owner": "eve@x.io", "name": "mine"}}});
    log.entry("events.agent.C02.asset.updated", &asset);
    let udid =
        json!({"scope": "device", "action": "boot", "device": {"udid": "U-OF-ANOTHER"}, "user": {"id": "boss@x.io"}});
    log.raw("events.agent.C02.device.boot", None, json!({"device": {"uuid": "C02", "udid": "U-OF-ANOTHER"}, "scope": "device", "action": "boot", "user": udid["user"]}).to_string().as_bytes());
    let node = log.node("C02").unwrap();
    assert!(node.asset.is_empty(), "the asset record is not the Mac's to write");
    assert_eq!(node.owner(), None, "nor is its owner");
    assert_eq!((node.udid.as_deref(), log.memory.serial_of("U-OF-ANOTHER").unwrap()), (None, None));
    assert_eq!(log.memory.devices_of("boss@x.io").unwrap().len(), 0);
}

#[test]
fn a_users_event_fans_out_to_the_devices_they_own() {
    let mut log = Log::new(vec![rule("lock", &json!({"action": ["deactivated"]}), Fanout::UserDevices, "mdm")]);
    let own = |owner: &str| json!({"scope": "asset", "action": "updated", "info": {"set": {"owner": owner}}});
    for (node, owner) in [("A1", "ada@x.io"), ("A2", "Ada@X.io"), ("G1", "grace@x.io"), ("A3", "ada@x.io")] {
        log.entry(&format!("events.assets.{node}.asset.updated"), &own(owner));
    }
    log.entry("events.assets.A3.asset.updated", &own("grace@x.io"));
    let body = json!({"scope": "user", "action": "deactivated", "user": {"id": "ada@x.io"}, "id": "00000000-0000-7000-8000-000000000001"});
    let jobs = log.entry("events.okta.ada@x%2Eio.user.deactivated", &body);
    assert_eq!(what(&jobs), ["lock>mdm@A1", "lock>mdm@A2"]);
    assert_eq!(jobs[0].id.as_str(), "00000000-0000-7000-8000-000000000001/lock/mdm/A1");
    let nobody = json!({"scope": "user", "action": "deactivated", "user": {"id": "zed@x.io"}});
    let (event, reason) = told(&log.entry("events.okta.zed@x%2Eio.user.deactivated", &nobody));
    assert_eq!((event.as_str(), reason.as_str()), ("rule.no_devices", "no device is known to belong to zed@x.io"));
}

#[test]
fn who_signs_in_on_a_mac_does_not_come_to_own_it() {
    let mut log = Log::new(Vec::new());
    let say = |scope: &str, action: &str, user: &str| json!({"scope": scope, "action": action, "device": {"uuid": "C02"}, "user": {"id": user}});
    log.entry("events.nanomdm.C02.device.enroll", &say("device", "enroll", "ada@x.io"));
    log.entry("events.okta.C02.session.login", &say("session", "login", "grace@x.io"));
    log.entry("events.nanomdm.C02.device.checkin", &say("device", "checkin", "ada"));
    let node = log.node("C02").unwrap();
    assert_eq!((node.owner(), &node.sources["okta"]["last_user"].value), (Some("ada@x.io"), &json!("grace@x.io")));
}

#[test]
fn what_is_told_stays_small_whatever_was_found() {
    let mut log = Log::new(vec![rule("a", &json!({"scope": ["d"]}), Fanout::Event, "t")]);
    let long = format!(r#"{{"scope":"{}","action":"a"}}"#, "\\u007f".repeat(30_000));
    // Written on one line, they are written as numbers are.
    let numbers = format!(r#"{{"scope":"d","action":"a","info":[{}]}}"#, vec!["1e15"; 40_000].join(",\n"));
    for payload in [long, numbers] {
        let jobs = log.raw("events.manual.-.d.a", None, payload.as_bytes());
        assert_eq!(told(&jobs).0, "event.rejected");
        assert!(jobs[0].event.to_json().len() < 4_000);
    }
}

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

/// The event that reports on `job`, as the broker would publish it.
fn result_of(job: &Job, n: u8) -> (String, Value) {
    let cause = serde_json::to_value(job.cause()).unwrap();
    let body =
        json!({"scope": "d", "action": "a", "id": format!("00000000-0000-7000-8000-0000000001{n:02}"), "cause": cause});
    ("events.broker.C02.d.a".to_owned(), body)
}

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

fn any_entry() -> impl Strategy<Value = (String, String)> {
    let subjects = prop_oneof![
        Just("events.nanomdm.U1.device.checkin"),
        Just("events.nanomdm.C02.device.enroll"),
        Just("events.okta.ada@x%2Eio.user.deactivated"),
        Just("events.assets.C02.asset.updated"),
        Just("events.agent.C02.session.login"),
        Just("events.broker.C02.asset.updated"),
    ];
    let bodies = prop_oneof![
        Just(r#"{"scope":"device","action":"checkin","device":{"udid":"U1"}}"#.to_owned()),
        Just(r#"{"scope":"device","action":"enroll","device":{"uuid":"C02","udid":"U1"}}"#.to_owned()),
        Just(r#"{"scope":"user","action":"deactivated"}"#.to_owned()),
        Just(r#"{"scope":"asset","action":"updated","info":{"set":{"owner":"ada@x.io"}}}"#.to_owned()),
        Just(r#"{"scope":"session","action":"login","user":{"id":"ada"}}"#.to_owned()),
        "[a-z{}\":,]{0,20}",
    ];
    (subjects.prop_map(str::to_owned), bodies)
}

proptest! {
    /// The same log gives the same jobs and the same records, however it is cut into runs.
    #[test]
    fn the_fold_depends_on_the_log_alone(entries in proptest::collection::vec(any_entry(), 0..30), cut in 1..7usize) {
        let rules = || vec![
            rule("all", &json!({"scope": [{"exists": true}]}), Fanout::Event, "t"),
            rule("lock", &json!({"action": ["deactivated"]}), Fanout::UserDevices, "t"),
        ];
        let mut one_by_one = Log::new(rules());
        let jobs: Vec<Job> = entries.iter().flat_map(|(subject, body)| one_by_one.raw(subject, None, body.as_bytes())).collect();

        let core = Core::new(RuleBook { rules: rules(), sources: sources(), ..RuleBook::default() });
        let mut memory = Memory::default();
        let mut in_runs = Vec::new();
        let numbered: Vec<_> = (1_u64..).zip(&entries).collect();
        for run in numbered.chunks(cut) {
            let mut overlay = Overlay::new(&memory);
            for (sequence, (subject, body)) in run {
                let received = Time::from_millis(1_767_225_600_000 + i64::try_from(*sequence).unwrap() * 1000).unwrap();
                let entry = Entry { sequence: *sequence, received, subject, message_id: None, payload: body.as_bytes() };
                in_runs.extend(core.apply(&mut overlay, &entry).unwrap());
            }
            let changes = overlay.into_changes();
            memory.apply(changes);
        }
        prop_assert_eq!(jobs, in_runs);
        prop_assert_eq!(one_by_one.memory, memory);
    }
}

/// A rule `lock` for the target `mdm`, on every event of scope `d`.
fn guarded(policy: Policy) -> Log {
    let rules = vec![rule("lock", &json!({"scope": ["d"]}), Fanout::Event, "mdm")];
    let policies = [(name("mdm"), policy)].into();
    Log::of(RuleBook { rules, policies, sources: sources(), hash: Some("h".repeat(64)), ..RuleBook::default() })
}

fn shown(jobs: &[Job]) -> Vec<String> {
    let reason = |job: &Job| job.event.info_at(&["reason"]).and_then(Value::as_str).unwrap_or_default().to_owned();
    jobs.iter()
        .map(|job| match job.target.as_str() {
            EMIT_TARGET => format!("{}.{}: {}", job.event.scope, job.event.action, reason(job)),
            target if job.held.is_some() => format!("held {}>{target}", job.rule),
            target => format!("{}>{target}", job.rule),
        })
        .collect()
}

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

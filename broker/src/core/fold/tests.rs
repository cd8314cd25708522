//! The fold, entry by entry, with records in memory.

use emote_proto::Name;
use emote_rules::Pattern;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::core::{DEDUPE_WINDOW_MILLIS, EMIT_TARGET, Guard, Memory, Records};

mod chains;
mod nodes;
mod policies;
mod replay;
mod trust;

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

/// The event that reports on `job`, as the broker would publish it.
fn result_of(job: &Job, n: u8) -> (String, Value) {
    let cause = serde_json::to_value(job.cause()).unwrap();
    let body =
        json!({"scope": "d", "action": "a", "id": format!("00000000-0000-7000-8000-0000000001{n:02}"), "cause": cause});
    ("events.broker.C02.d.a".to_owned(), body)
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

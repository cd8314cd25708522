use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::core::{Core, Entry, Job, Memory, Overlay, Policy, Records, RuleBook};

mod shown;

const TARGET: &str = "install-agent";
const HOUR: i64 = 3_600_000;
const BEGIN: i64 = 1_772_600_000_000;

struct Log {
    core: Core,
    memory: Memory,
    sequence: u64,
    millis: i64,
}

/// The package of this version.
fn package(version: &str) -> Value {
    json!({"package": Package { version: version.to_owned(), ..Package::example() }})
}

impl Log {
    /// With a Mac of the serial number C02 that the MDM knows as U-1.
    fn new() -> Self {
        let name = |text: &str| Name::new(text).unwrap();
        let policies = BTreeMap::from([(name(TARGET), Policy { installs_agent: true, ..Policy::default() })]);
        let deploying = Deploying { url: "https://e.example".to_owned(), target: name(TARGET), overdue_after: HOUR };
        let rules = [("enrolled", json!({"scope": ["device"], "action": ["enroll"], "info": {"install": [true]}}))];
        let rules = rules.map(|(rule, pattern)| crate::core::Rule {
            name: name(rule),
            pattern: emote_rules::Pattern::from_value(&pattern).unwrap(),
            fanout: crate::core::Fanout::Event,
            targets: vec![crate::core::RuleTarget { target: name(TARGET), input: None }],
        });
        let sources = vec![name("nanomdm")];
        let book =
            RuleBook { policies, sources, rules: rules.to_vec(), deploying: Some(deploying), ..RuleBook::default() };
        let mut log = Self { core: Core::new(book), memory: Memory::default(), sequence: 0, millis: BEGIN };
        log.mdm("device.enroll", json!({}));
        log
    }

    fn deploying(version: &str) -> Self {
        let mut log = Self::new();
        assert!(log.admin("deploy.package_set", package(version)).is_empty());
        log
    }

    /// Folds an event, a second after the last; the jobs that it comes to.
    fn fold(&mut self, subject: &str, body: &Value) -> Vec<Job> {
        self.sequence += 1;
        self.millis += 1000;
        let (payload, received) = (body.to_string(), Time::from_millis(self.millis).unwrap());
        let entry = Entry { sequence: self.sequence, received, subject, message_id: None, payload: payload.as_bytes() };
        let mut overlay = Overlay::new(&self.memory);
        let jobs = self.core.apply(&mut overlay, &entry).unwrap();
        let changes = overlay.into_changes();
        self.memory.apply(changes);
        jobs
    }

    fn event(&mut self, of: &str, what: &str, mut body: Value) -> Vec<Job> {
        let (scope, action) = what.split_once('.').unwrap();
        (body["scope"], body["action"], body["trust"]) = (json!(scope), json!(action), json!("verified"));
        let time = Time::from_millis(self.millis + 1000).unwrap();
        body["time"] = json!(time);
        self.fold(&format!("events.{of}.{what}"), &body)
    }

    fn admin(&mut self, what: &str, info: Value) -> Vec<Job> {
        self.event("admin.ada", what, json!({"info": info}))
    }

    /// What the MDM's webhook tells.
    fn mdm(&mut self, what: &str, info: Value) -> Vec<String> {
        told(self.event("nanomdm.C02", what, json!({"device": {"uuid": "C02", "udid": "U-1"}, "info": info})))
    }

    fn agent(&mut self, what: &str, info: Value) -> Vec<String> {
        told(self.event("agent.C02", what, json!({"info": info})))
    }

    fn order(&mut self) -> Vec<Job> {
        self.admin("deploy.ordered", json!({"nodes": ["C02"]}))
    }

    /// The job that the order comes to.
    fn ordered(&mut self) -> Job {
        let mut jobs = self.order();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    /// How the job ended, as its target reports it.
    fn ended(&mut self, job: &Job, what: &str, info: Value) -> Vec<String> {
        let body = json!({"device": {"uuid": "C02"}, "info": info, "cause": job.cause(), "id": job.result_id()});
        told(self.event("broker.C02", what, body))
    }

    fn sent(&mut self, job: &Job) -> Vec<String> {
        self.ended(job, "mdm.command_sent", json!({"command_uuid": job.id.command_uuid()}))
    }

    fn answered(&mut self, job: &Job, action: &str, status: &str) -> Vec<String> {
        let errors = json!([{"code": 12, "domain": "MDMErrorDomain", "description": "no room"}]);
        let errors = if action == "command_error" { errors } else { json!([]) };
        let info =
            json!({"command_uuid": job.id.command_uuid().to_lowercase(), "status": status, "error_chain": errors});
        self.mdm(&format!("mdm.{action}"), info)
    }

    fn timer(&mut self, job: &Job) -> Vec<String> {
        let info = json!({"timer": "deploy", "node": "C02", "job": job.id});
        told(self.event("broker.-", "timer.due", json!({"info": info})))
    }

    fn deployment(&self) -> Deployment {
        self.memory.deployment("C02").unwrap().unwrap()
    }
}

/// The events among the jobs: `scope.action`, with the reason where there is one.
fn told(jobs: Vec<Job>) -> Vec<String> {
    let told = jobs.into_iter().map(|job| {
        let reason = job.event.info_at(&["reason"]).and_then(Value::as_str).map(|reason| format!(": {reason}"));
        format!("{}.{}{}", job.event.scope, job.event.action, reason.unwrap_or_default())
    });
    told.collect()
}

#[test]
fn an_install_is_proven_by_the_agent_alone() {
    let mut log = Log::deploying("1.2.3");
    let job = log.ordered();
    assert_eq!((job.rule.as_str(), job.target.as_str(), job.node_key().as_deref()), ("deploy", TARGET, Some("C02")));
    let manifest = job.installs.clone().unwrap();
    assert_eq!(manifest.about().url, "https://e.example/deploy/EmoteAgent-1.2.3.pkg");
    assert_eq!(log.deployment().state, State::Ordered);
    assert_eq!(log.sent(&job), ["deploy.started"]);
    assert_eq!(log.answered(&job, "command_not_now", "NotNow"), ["deploy.deferred"]);
    assert_eq!(log.answered(&job, "command_not_now", "NotNow"), [""; 0], "once");
    assert_eq!(log.answered(&job, "command_acknowledged", "Acknowledged"), ["deploy.acknowledged"]);
    assert_eq!(log.deployment().state, State::Acknowledged);
    assert_eq!(log.agent("agent.heartbeat", json!({"version": "1.2.2"})), [""; 0], "the one that was there");
    assert_eq!(log.agent("device.boot", json!({"version": "1.2.3"})), [""; 0], "that says nothing of the agent");
    assert_eq!(log.agent("agent.upgraded", json!({"from": "1.2.2", "to": "1.2.3"})), ["deploy.installed"]);
    assert_eq!(log.agent("agent.started", json!({"version": "1.2.3"})), [""; 0], "once");
    assert_eq!(log.timer(&job), [""; 0]);
    let ended = log.deployment();
    assert_eq!(
        (ended.state, ended.due, ended.said.unwrap().status),
        (State::Installed, None, "Acknowledged".to_owned())
    );
}

#[test]
fn what_is_told_is_of_the_orders_chain_and_about_the_mac() {
    let mut log = Log::deploying("1.2.3");
    let job = log.ordered();
    log.sent(&job);
    let jobs = log.event("agent.C02", "agent.started", json!({"info": {"version": "1.2.3"}}));
    let event = &jobs[0].event;
    let cause = event.cause.as_ref().unwrap();
    assert_eq!((event.serial(), cause.root, cause.rule.as_str()), (Some("C02"), job.event.id, "deploy"));
    assert_eq!(event.info_at(&["took_s"]), Some(&json!(2)));
    assert_eq!(event.info_at(&["installed"]), Some(&json!("1.2.3")));
}

#[test]
fn an_error_of_the_mac_and_a_job_given_up_are_failures_until_the_agent_speaks() {
    let mut log = Log::deploying("1.2.3");
    let job = log.ordered();
    log.sent(&job);
    assert_eq!(log.answered(&job, "command_error", "Error"), ["deploy.failed: no room"]);
    assert_eq!(log.timer(&job), [""; 0]);
    let other = log.ordered();
    assert_ne!(other.id, job.id);
    assert_eq!(log.answered(&job, "command_acknowledged", "Acknowledged"), [""; 0], "of the command before");
    assert_eq!(
        log.ended(&other, "delivery.dead", json!({"reason": "401: check the api_key"})),
        ["deploy.failed: 401: check the api_key"]
    );
    assert_eq!(log.agent("agent.started", json!({"version": "1.3.0"})), ["deploy.installed"], "a later one will do");
    assert_eq!(log.deployment().reason, None);
}

/// All that is known of installs is in the log: who leads and who looks on come to the same.
#[test]
fn a_job_that_is_given_out_again_is_what_it_was_and_goes_on_once_it_is_done() {
    let mut log = Log::deploying("1.2.3");
    let job = log.ordered();
    assert_eq!(log.ended(&job, "delivery.dead", json!({"reason": "away"})), ["deploy.failed: away"]);
    log.admin("deploy.package_set", package("1.2.4"));
    let before = log.deployment();
    let by = emote_proto::EventId::derived(&["redrive"]);
    let mut overlay = Overlay::new(&log.memory);
    let received = Time::from_millis(log.millis).unwrap();
    let again = log.core.redrive(&mut overlay, job.clone(), by, received).unwrap().unwrap();
    assert!(overlay.into_changes().deployments.is_empty());
    assert_eq!((again.installs.as_ref(), log.deployment()), (job.installs.as_ref(), before));
    assert_eq!(log.sent(&again), ["deploy.started"]);
    let due = log.deployment().due.unwrap();
    assert_eq!((log.deployment().state, due.as_millis() - log.millis), (State::Sent, HOUR));
    assert_eq!(log.answered(&job, "command_error", "Error"), ["deploy.failed: no room"]);
    assert_eq!(log.sent(&again), [""; 0], "the Mac has refused it, whenever that comes");
}

#[test]
fn one_that_goes_back_is_proven_by_that_very_version() {
    let mut log = Log::deploying("1.2.3");
    log.agent("agent.heartbeat", json!({"version": "1.3.0"}));
    assert_eq!(log.admin("deploy.ordered", json!({"nodes": ["C02"], "again": true})).len(), 1);
    assert_eq!(log.agent("agent.started", json!({"version": "1.3.0"})), [""; 0], "that is the one that was there");
    assert_eq!(log.agent("agent.started", json!({"version": "1.2.3"})), ["deploy.installed"]);
}

#[test]
fn an_install_is_overdue_once_and_waited_for_further() {
    let mut log = Log::deploying("1.2.3");
    let job = log.ordered();
    log.sent(&job);
    assert_eq!(log.timer(&job), [""; 0], "too early");
    log.millis += HOUR;
    let info = json!({"timer": "deploy", "node": "C02", "job": job.id});
    assert_eq!(told(log.event("nanomdm.-", "timer.due", json!({"info": info}))), [""; 0], "only a broker says so");
    assert_eq!(log.timer(&job), ["deploy.overdue"]);
    assert_eq!(log.timer(&job), [""; 0]);
    assert_eq!((log.deployment().state, log.deployment().due), (State::Overdue, None));
    assert_eq!(log.answered(&job, "command_acknowledged", "Acknowledged"), ["deploy.acknowledged"], "it woke up");
    assert_eq!(log.deployment().state, State::Overdue);
    assert_eq!(log.agent("agent.started", json!({"version": "1.2.3"})), ["deploy.installed"]);
}

#[test]
fn what_the_mac_said_before_the_job_was_known_to_be_sent_is_not_lost() {
    let mut log = Log::deploying("1.2.3");
    let job = log.ordered();
    assert_eq!(log.answered(&job, "command_acknowledged", "Acknowledged"), ["deploy.acknowledged"]);
    assert_eq!(log.sent(&job), ["deploy.started"]);
    assert_eq!(log.deployment().state, State::Acknowledged);
}

#[test]
fn installed_once_more_only_an_agent_that_begins_proves_it() {
    let mut log = Log::deploying("1.2.3");
    log.agent("agent.heartbeat", json!({"version": "1.2.3"}));
    assert_eq!(
        told(log.order()),
        ["guard.refused: it has 1.2.3 already: `emote deploy send --again` installs it once more"]
    );
    let jobs = log.admin("deploy.ordered", json!({"nodes": ["C02"], "again": true}));
    assert_eq!((jobs.len(), log.deployment().had.as_deref()), (1, Some("1.2.3")));
    assert_eq!(log.agent("agent.heartbeat", json!({"version": "1.2.3"})), [""; 0]);
    let old = json!({"scope": "agent", "action": "started", "time": Time::from_millis(BEGIN).unwrap(), "info": {"version": "1.2.3"}});
    assert_eq!(told(log.fold("events.agent.C02.agent.started", &old)), [""; 0], "it had waited on the Mac");
    assert_eq!(log.agent("agent.started", json!({"version": "1.2.3"})), ["deploy.installed"]);
}

#[test]
fn what_cannot_be_done_is_refused_with_what_to_do() {
    let refused = |log: &mut Log, nodes: Value, said: &str| {
        let told = told(log.admin("deploy.ordered", json!({"nodes": nodes})));
        assert!(told.len() == 1 && told[0].contains(said), "{said}: {told:?}");
    };
    let mut log = Log::new();
    refused(&mut log, json!(["C02"]), "guard.refused: no package is deployed: `emote deploy add");
    log.admin("deploy.package_set", package("1.2.3"));
    refused(&mut log, json!(["C99"]), "order.refused: no event has named a node C99");
    log.event("agent.C03", "agent.started", json!({"info": {"version": "1.0.0"}}));
    refused(&mut log, json!(["C03"]), "guard.refused: the node C03 has no known UDID");
    for nodes in [json!([]), json!("C02"), json!([3]), json!([""]), json!(vec!["C02"; MAX_NODES + 1])] {
        refused(&mut log, nodes, "order.refused: deploy.ordered without info.nodes");
    }
    log.ordered();
    refused(&mut log, json!(["c02"]), "guard.refused: 1.2.3 is being installed there since");
    for wrong in ["../x", "1/2", "", "1..2"] {
        let told = told(log.admin("deploy.package_set", package(wrong)));
        assert!(told.len() == 1 && told[0].starts_with("order.refused: deploy.package_set"), "{wrong}: {told:?}");
    }
    let mut more = package("1.2.3");
    more["package"]["sha256"] = json!("x");
    assert_eq!(log.admin("deploy.package_set", more).len(), 1);
}

#[test]
fn where_no_terms_are_in_force_nothing_is_installed() {
    let log = Log::deploying("1.2.3");
    let mut log = Log {
        core: Core::new(RuleBook { sources: vec![Name::new("nanomdm").unwrap()], ..RuleBook::default() }),
        ..log
    };
    let told = told(log.order());
    assert!(told[0].starts_with("order.refused: there is no deploy.yaml"), "{told:?}");
}

#[test]
fn a_mac_of_a_user_is_not_reached_by_the_udid_of_another() {
    let mut log = Log::deploying("1.2.3");
    let body = json!({"device": {"uuid": "C02", "udid": "U-1"}, "info": {"install": true}});
    let job = log.event("nanomdm.C02", "device.enroll", body).remove(0);
    let mut job = Job { node: Some(json!({"serial": "C07"}).into()), ..job };
    let (state, at) = (Overlay::new(&log.memory), Time::from_millis(log.millis).unwrap());
    let reason = prepare(&state, &mut job, log.core.deploying(), at).unwrap().unwrap_err();
    assert!(reason.starts_with("the node C07 has no known UDID"), "{reason}");
}

#[test]
fn an_install_that_went_to_a_claimed_udid_is_in_nobodys_way() {
    let mut log = Log::deploying("1.2.3");
    let body = json!({"device": {"uuid": "C07", "udid": "X-7"}, "info": {"install": true}});
    assert_eq!(log.event("manual.C07", "device.enroll", body).len(), 1);
    log.event("nanomdm.C07", "device.checkin", json!({"device": {"uuid": "C07", "udid": "U-7"}}));
    let jobs = log.admin("deploy.ordered", json!({"nodes": ["C07"]}));
    assert_eq!((jobs.len(), jobs[0].rule.as_str()), (1, "deploy"), "{jobs:?}");
    assert_eq!(log.memory.deployment("C07").unwrap().unwrap().udid, "U-7");
}

#[test]
fn a_mac_that_an_order_names_twice_is_told_once() {
    let mut log = Log::deploying("1.2.3");
    for again in [false, true] {
        let jobs = log.admin("deploy.ordered", json!({"nodes": ["C02", "c02", "U-1"], "again": again}));
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        assert_eq!((jobs[0].rule.as_str(), jobs[0].installs.is_some()), ("deploy", true));
        log.ended(&jobs[0], "delivery.dead", json!({"reason": "away"}));
    }
}

#[test]
fn an_install_that_a_replay_set_off_is_followed_too() {
    let mut log = Log::deploying("1.2.3");
    let job = log.ordered();
    let (id, original) = ("r1".to_owned(), job.event.id);
    let time = Time::from_millis(log.millis).unwrap();
    let replay = emote_proto::Replay { id, original, time, rules: Vec::new(), destructive: false };
    let job = Job { replay: Some(replay), ..job };
    assert_eq!(log.sent(&job), ["deploy.started"]);
    assert_eq!(log.answered(&job, "command_error", "Error"), ["deploy.failed: no room"]);
}

#[test]
fn a_rule_installs_it_by_the_same_way() {
    let mut log = Log::deploying("1.2.3");
    let body = json!({"device": {"uuid": "C02", "udid": "U-1"}, "info": {"install": true}});
    let jobs = log.event("nanomdm.C02", "device.enroll", body.clone());
    assert_eq!((jobs[0].rule.as_str(), jobs[0].installs.is_some()), ("enrolled", true));
    let again = told(log.event("nanomdm.C02", "device.enroll", body));
    assert!(again.len() == 1 && again[0].starts_with("guard.refused: 1.2.3 is being installed"), "{again:?}");
    assert_eq!(log.sent(&jobs[0]), ["deploy.started"]);
    assert_eq!(log.agent("agent.started", json!({"version": "1.2.3"})), ["deploy.installed"]);
}

#[test]
fn a_mac_that_was_known_by_its_udid_alone_is_followed_under_its_serial_number() {
    let mut log = Log::deploying("1.2.3");
    let hook = |device: Value, what: &str, log: &mut Log| log.event("nanomdm.U-9", what, json!({"device": device}));
    hook(json!({"udid": "U-9"}), "device.checkin", &mut log);
    let jobs = log.admin("deploy.ordered", json!({"nodes": ["U-9"]}));
    assert_eq!(jobs[0].node_key().as_deref(), Some("U-9"));
    log.event("nanomdm.C09", "device.checkin", json!({"device": {"uuid": "C09", "udid": "U-9"}}));
    assert_eq!(log.memory.deployment("U-9").unwrap(), None);
    let told = told(log.event("agent.C09", "agent.started", json!({"info": {"version": "1.2.3"}})));
    assert_eq!(told, ["deploy.installed"]);
}

#[test]
fn a_mac_proves_nothing_of_another_whose_udid_it_takes() {
    let mut log = Log::deploying("1.2.3");
    log.event("nanomdm.U-9", "device.checkin", json!({"device": {"udid": "U-9"}}));
    assert_eq!(log.admin("deploy.ordered", json!({"nodes": ["U-9"]})).len(), 1);
    for agent in ["C05", "U-9"] {
        let body = json!({"device": {"uuid": agent, "udid": "U-9"}, "info": {"version": "1.2.3"}});
        assert_eq!(told(log.event(&format!("agent.{agent}"), "agent.started", body)), [""; 0], "{agent}");
        assert_eq!(log.memory.deployment("U-9").unwrap().unwrap().state, State::Ordered, "{agent}");
    }
}

#[test]
fn versions_are_compared_by_their_numbers() {
    for (one, wanted, expected) in [
        ("1.2.3", "1.2.3", true),
        ("1.10.0", "1.9.9", true),
        ("1.2", "1.2.1", false),
        ("2", "1.9", true),
        ("1.2.3-rc1", "1.2.3", false),
        ("dev", "dev", true),
    ] {
        assert_eq!(is_at_least(one, wanted), expected, "{one} {wanted}");
    }
}

proptest! {
    /// Whatever comes in whatever order: each step is told once at most, and nothing follows the proof.
    #[test]
    fn however_it_goes_an_install_has_one_end(steps in proptest::collection::vec(0_u8..7, 1..40)) {
        let mut log = Log::deploying("1.2.3");
        let job = log.ordered();
        let (mut all, mut proven) = (Vec::new(), false);
        for step in steps {
            let told = match step {
                0 => log.sent(&job),
                1 => log.answered(&job, "command_not_now", "NotNow"),
                2 => log.answered(&job, "command_acknowledged", "Acknowledged"),
                3 => log.answered(&job, "command_error", "Error"),
                4 => { log.millis += HOUR; log.timer(&job) }
                5 => log.agent("agent.heartbeat", json!({"version": "1.0.0"})),
                _ => log.agent("agent.heartbeat", json!({"version": "1.2.3"})),
            };
            prop_assert!(!proven || told.is_empty(), "after the proof: {told:?}");
            proven |= step == 6;
            all.extend(told);
        }
        for once in ["deploy.started", "deploy.installed", "deploy.overdue", "deploy.failed: no room"] {
            prop_assert!(all.iter().filter(|told| *told == once).count() <= 1, "{once}: {all:?}");
        }
        prop_assert_eq!(all.iter().any(|told| told == "deploy.installed"), proven);
    }
}

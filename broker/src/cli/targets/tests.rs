use std::collections::BTreeMap;

use super::*;
use crate::{
    bus::Backlog,
    console::{
        BrokerReport, TargetReport,
        view::in_force::{InForceNow, Known},
    },
    core::{Tallied, Tally},
    deliver::{LastError, Running},
    engine::Role,
};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn at(seconds: i64) -> Time {
    Time::from_millis(seconds * 1000).unwrap()
}

fn report(state: Running, attempts: u64, succeeded: u64, error: Option<&str>) -> TargetReport {
    let last_error = error.map(|reason| LastError { at: at(880), reason: reason.to_owned() });
    TargetReport { state, attempts, succeeded, retries: 2, in_flight: 1, parked: 0, took_ms: 1_000, last_error }
}

fn broker(id: &str, role: Role, targets: BTreeMap<Name, TargetReport>) -> BrokerReport {
    let (host, version) = ("emote-1".to_owned(), "0.1.0".to_owned());
    BrokerReport {
        id: id.to_owned(),
        host,
        version,
        started: at(0),
        role,
        position: 9,
        trouble: None,
        targets,
        sources: BTreeMap::new(),
    }
}

fn view() -> View {
    let known = |kind, rule: &str| Known { kind, rules: vec![rule.to_owned()] };
    let targets = [(name("mdm"), known("mdm", "lock")), (name("slack"), known("slack", "tell"))].into();
    let down = "answered 503 Service Unavailable: upstream connect error or disconnect/reset before headers";
    let paused = report(Running::Paused { until: at(1_010) }, 12, 0, Some(down));
    let one = [(name("mdm"), report(Running::Running, 999, 998, None)), (name("slack"), paused)].into();
    let other = [(name("mdm"), report(Running::StandingBy, 0, 0, None)), (name("slack"), paused_too())].into();
    let tally = Tally { jobs: 1_000, done: 998, dead: 1, last_error: Some("no such Mac".into()), ..Tally::default() };
    let tally = Tally { last_error_at: Some(at(100)), ..tally };
    View {
        now: at(1_000),
        brokers: vec![broker("a1", Role::Leading, one), broker("b2", Role::StandingBy, other)],
        in_force: InForceNow { rules: vec![name("lock"), name("tell")], targets, sources: BTreeMap::new() },
        tallies: Some([(Tallied::Target("mdm".to_owned()), tally)].into()),
        backlogs: [
            (name("slack"), Backlog { jobs: 412, oldest: Some(at(700)) }),
            (name("gone"), Backlog { jobs: 2, oldest: Some(at(0)) }),
            (name("old"), Backlog::default()),
            (name("emit"), Backlog { jobs: 1, oldest: None }),
        ]
        .into(),
        held: [("mdm".to_owned(), 3)].into(),
        dead: [("mdm".to_owned(), 1)].into(),
        archive: Some(Backlog { jobs: 5, oldest: Some(at(940)) }),
    }
}

fn paused_too() -> TargetReport {
    report(Running::Paused { until: at(1_090) }, 3, 0, None)
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn all_brokers_come_to_one_table_and_errors_stand_below() {
    let view = view();
    insta::assert_snapshot!(plain(&shown(&view.rows(), view.now, 70)), @r"
    TARGET  KIND   STATE           BACKLOG  OLDEST  ATTEMPTS  SUCCESS
    mdm     mdm    working         0        -       999       99.8 %
        15m ago: no such Mac
    slack   slack  paused for 10s  412      5m      15        0 %
        2m ago: answered 503 Service Unavailable: upstream connect error …
    gone    -      removed         2        16m     -         -
    ");
    assert_eq!(view.note(), None);
}

#[test]
fn one_target_is_shown_with_all_that_is_known() {
    let view = view();
    insta::assert_snapshot!(plain(&one(&view.rows()[0], &view)), @r"
    mdm  mdm
      state         working
      waiting       0 jobs
      rules         lock
      jobs          1000 given out, 998 done, 1 given up, 0 skipped, 0 denied, 0 refused by its guard
      held          3 (emote held ls --target mdm)
      dead letters  1 (emote dead ls --target mdm)
      attempts      999, 99.8 % of them succeeded, 4 were repeats
      last error    15m ago: no such Mac

    BROKER  HOST     PART       STATE               ATTEMPTS  SUCCESS  MEAN  NOW  PARKED
    a1      emote-1  leads      working             999       99.8 %   1 ms  1    0
    b2      emote-1  stands by  left to the leader  0         -        -     1    0
    ");
}

#[test]
fn without_a_broker_the_backlog_is_there_all_the_same() {
    let view = View { brokers: Vec::new(), tallies: None, ..view() };
    let text = plain(&shown(&view.rows(), view.now, 70));
    assert!(text.contains("slack   slack  no broker runs  412      5m      -         -"), "{text}");
    assert!(view.note().unwrap().starts_with("No broker runs on this NATS"));
    let json = json_of(&view.rows()[1], &view);
    assert_eq!((&json["state"], &json["backlog"], &json["counts"]), (&json!("no_broker"), &json!(412), &json!(null)));
}

#[test]
fn what_waits_for_the_archive_is_told_to_people_and_to_programs() {
    let view = view();
    assert_eq!(plain(&archive_shown(&view).unwrap()), "archive  5 events not archived yet, the oldest for 60s");
    let json = archive_json(&view).unwrap();
    assert_eq!(json, json!({"backlog": 5, "oldest": at(940)}));
    let without = View { archive: None, ..view };
    assert_eq!((archive_shown(&without), archive_json(&without)), (None, None));
}

#[test]
fn a_share_that_is_not_all_is_never_shown_as_all() {
    for (part, of, text) in [(0, 0, "-"), (3, 3, "100 %"), (99_999, 100_000, "99.9 %"), (1, 3, "33.3 %"), (0, 5, "0 %")]
    {
        assert_eq!(percent(part, of), text);
    }
}

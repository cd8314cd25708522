use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use emote_proto::Name;

use super::*;
use crate::{
    archive,
    bus::{Backlog, StreamState},
    core::{Tallied, Tally},
    deliver::{BUCKETS_MS, Latency, Running, TargetSnapshot},
    engine::{Role, Status},
    identity::{Counted, Fleet},
    ingest::SourceCounts,
    ops::observe::InNats,
};

/// A page, read as strictly as Prometheus' own parsers do and a little more. Gives each sample by what stands before its
/// value.
fn read(page: &str) -> BTreeMap<String, f64> {
    let (mut families, mut samples) = (BTreeMap::<&str, &str>::new(), BTreeMap::new());
    let mut family = ("", "");
    assert!(page.ends_with('\n'));
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind) && text.ends_with('.'), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "{line}");
            assert!(families.insert(name, kind).is_none(), "{name} is there twice");
            family = (name, kind);
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap();
        let name = key.split('{').next().unwrap();
        let suffix = name.strip_prefix(family.0).unwrap_or_else(|| panic!("{line} is not of {}", family.0));
        let suffixes: &[&str] = if family.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(suffixes.contains(&suffix), "{line}");
        let labels = key[name.len()..].strip_prefix('{').map(|labels| labels.strip_suffix('}').unwrap());
        for label in labels.into_iter().flat_map(|labels| labels.split(',')) {
            let (label, text) = label.split_once('=').unwrap();
            assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
            assert!(text.starts_with('"') && text.ends_with('"') && text.len() > 2, "{line}");
        }
        assert!(samples.insert(key.to_owned(), value.parse().unwrap()).is_none(), "{key} is there twice");
    }
    samples
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// When it is looked, in seconds since 1970.
const NOW: i64 = 10_000;

fn at(seconds: i64) -> Time {
    Time::from_millis(seconds * 1000).unwrap()
}

fn backlog(jobs: u64, ago: Option<i64>) -> Backlog {
    Backlog { jobs, oldest: ago.map(|ago| at(NOW - ago)) }
}

fn observed() -> Observed {
    let latency = Latency { sum_ms: 1_500, count: 3, buckets: [1; BUCKETS_MS.len()] };
    let slack = TargetSnapshot {
        state: Running::Paused { until: at(0) },
        attempts: 9,
        succeeded: 3,
        failed: 6,
        never: 1,
        retries: 4,
        latency: latency.clone(),
        since_event: latency,
        ..TargetSnapshot::default()
    };
    let tally = Tally {
        matched: 5,
        jobs: 7,
        done: 3,
        dead: 1,
        held: 2,
        refused: 1,
        last_matched: Some(at(77)),
        ..Tally::default()
    };
    let event = StreamState { messages: 10, bytes: 1_000, last: 12 };
    let nats = InNats {
        streams: [("EVENTS", event)].into(),
        backlogs: [("slack", backlog(4, Some(60))), ("gone", backlog(1, Some(9))), ("lost", backlog(2, None))]
            .map(|(target, backlog)| (name(target), backlog))
            .into(),
        held: Some([("slack".to_owned(), 2)].into()),
        dead: [("core".to_owned(), 1), ("slack".to_owned(), 1), ("gone".to_owned(), 5)].into(),
        behind: 2,
        behind_since: backlog(0, Some(30)).oldest,
        archive: Some(backlog(6, Some(90))),
    };
    let counts = SourceCounts { taken: 2, events: 3, refused: [("denied", 1)].into(), not_published: 0 };
    Observed {
        archive: Some(archive::Status { active: true, events: 12, stops: 1, ..archive::Status::default() }),
        started: at(1_000),
        now: at(NOW),
        silence: Some(Duration::from_millis(500)),
        connected: true,
        engine: Some(Status {
            role: Role::Leading,
            takeovers: 1,
            folding: Duration::from_millis(250),
            ..Status::default()
        }),
        position: 10,
        rules: vec![name("tell"), name("typo")],
        targets: vec![name("slack"), name("quiet"), name("emit")],
        tallies: [
            (Tallied::Rule("tell".to_owned()), tally.clone()),
            (Tallied::Rule("removed".to_owned()), tally.clone()),
            (Tallied::Target("slack".to_owned()), tally),
        ]
        .into(),
        live: [(name("slack"), slack), (name("gone"), TargetSnapshot::default())].into(),
        sources: [("okta".to_owned(), counts)].into(),
        sockets: Vec::new(),
        polls: BTreeMap::new(),
        folders: BTreeMap::new(),
        nowhere: 8,
        identity: Some(Counted {
            enrollments: [("enrolled", 4)].into(),
            renewals: [("issued", 6)].into(),
            fleet: Some(Fleet { states: [("enrolled", 3)].into(), waiting: 1, expiring: 2, ..Fleet::default() }),
        }),
        nodes: Some(42),
        installs: [(crate::core::State::Failed, 3)].into(),
        store: Some(4_096),
        nats: Some(Arc::new(nats)),
    }
}

#[test]
fn everything_is_told_and_nothing_twice() {
    let samples = read(&page(&observed()));
    for (key, value) in [
        ("process_start_time_seconds", 1_000.0),
        ("emote_leader", 1.0),
        ("emote_role{role=\"standing_by\"}", 0.0),
        ("emote_takeovers_total", 1.0),
        ("emote_fold_seconds_total", 0.25),
        ("emote_nodes", 42.0),
        ("emote_agent_installs{state=\"failed\"}", 3.0),
        ("emote_agent_installs{state=\"installed\"}", 0.0),
        ("emote_store_bytes", 4_096.0),
        ("emote_log_end", 12.0),
        ("emote_checkpoint_lag_entries", 2.0),
        ("emote_ingest_accepted_total{source=\"okta\"}", 2.0),
        ("emote_ingest_refused_total{source=\"okta\",reason=\"denied\"}", 1.0),
        ("emote_ingest_refused_total{source=\"other\",reason=\"no_source\"}", 8.0),
        ("emote_rule_matched_total{rule=\"tell\"}", 5.0),
        ("emote_rule_matched_total{rule=\"typo\"}", 0.0),
        ("emote_rule_results_total{rule=\"tell\",result=\"dead\"}", 1.0),
        ("emote_rule_last_matched_timestamp_seconds{rule=\"tell\"}", 77.0),
        ("emote_target_results_total{target=\"slack\",result=\"done\"}", 3.0),
        ("emote_target_refused_total{target=\"slack\"}", 1.0),
        ("emote_target_attempts_total{target=\"slack\",result=\"done\"}", 3.0),
        ("emote_target_attempts_total{target=\"slack\",result=\"retry\"}", 5.0),
        ("emote_target_attempts_total{target=\"slack\",result=\"never\"}", 1.0),
        ("emote_target_retries_total{target=\"slack\"}", 4.0),
        ("emote_target_breaker_state{target=\"slack\"}", 2.0),
        ("emote_target_state{target=\"slack\",state=\"paused\"}", 1.0),
        ("emote_target_event_to_delivery_seconds_bucket{target=\"slack\",le=\"7200\"}", 1.0),
        ("emote_target_event_to_delivery_seconds_bucket{target=\"slack\",le=\"+Inf\"}", 3.0),
        ("emote_target_attempt_seconds_sum{target=\"slack\"}", 1.5),
        ("emote_target_backlog{target=\"slack\"}", 4.0),
        ("emote_target_backlog{target=\"quiet\"}", 0.0),
        ("emote_target_oldest_waiting_seconds{target=\"slack\"}", 60.0),
        ("emote_checkpoint_lag_seconds", 30.0),
        ("emote_log_silence_seconds", 0.5),
        ("emote_enrollments_total{outcome=\"enrolled\"}", 4.0),
        ("emote_enrollments_total{outcome=\"forged\"}", 0.0),
        ("emote_credential_renewals_total{outcome=\"issued\"}", 6.0),
        ("emote_agents{state=\"enrolled\"}", 3.0),
        ("emote_agents_waiting", 1.0),
        ("emote_credentials_expiring", 2.0),
        ("emote_held_jobs{target=\"slack\"}", 2.0),
        ("emote_dead_letters{target=\"slack\"}", 1.0),
        ("emote_archive_behind", 6.0),
        ("emote_archive_oldest_seconds", 90.0),
        ("emote_archive_active", 1.0),
        ("emote_archive_events_total", 12.0),
        ("emote_archive_stops_total", 1.0),
    ] {
        assert_eq!(samples.get(key), Some(&value), "{key}");
    }
}

#[test]
fn what_is_not_configured_has_no_label_of_its_own() {
    let text = page(&observed());
    let samples = read(&text);
    assert_eq!(samples["emote_target_backlog{target=\"other\"}"], 3.0);
    assert_eq!(samples["emote_dead_letters{target=\"other\"}"], 6.0);
    assert_eq!(samples["emote_target_oldest_waiting_seconds{target=\"other\"}"], 9.0);
    for label in ["target=\"gone\"", "target=\"lost\"", "target=\"core\"", "rule=\"removed\""] {
        assert!(!text.contains(label), "{label}");
    }
}

#[test]
fn what_is_not_known_is_not_there() {
    let seen = Observed { nats: None, nodes: None, store: None, ..observed() };
    let without: BTreeSet<String> = read(&page(&seen)).into_keys().collect();
    let gone: Vec<String> = read(&page(&observed())).into_keys().filter(|key| !without.contains(key)).collect();
    assert!(gone.iter().any(|key| key == "emote_log_end") && gone.iter().any(|key| key == "emote_nodes"));
    let nothing = read(&page(&Observed::of_nothing(at(5))));
    assert_eq!(nothing["emote_nats_connected"], 0.0);
    assert!(!nothing.contains_key("emote_leader"));
}

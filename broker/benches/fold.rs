//! What folding an event costs without any network: completing it, matching it against a thousand rules, its records,
//! its job.
//!
//! `cargo bench -p emote-broker --bench fold [-- EVENTS]`
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on must stop")]
#![allow(missing_docs, clippy::allow_attributes, reason = "a program")]

use std::{hint::black_box, time::Instant};

use emote::{
    bus::job_message,
    core::{Core, Entry, Fanout, Known, Overlay, Rule, RuleBook, RuleTarget},
    store::Store,
};
use emote_proto::{Draft, EventId, Name, Time};
use emote_rules::Pattern;
use serde_json::json;

const RULES: u64 = 1_000;
const NODES: u64 = 1_000;
/// Records are stored so often, in events.
const SAVE_EVERY: usize = 10_000;

struct Stored {
    subject: String,
    id: String,
    body: Vec<u8>,
}

fn main() {
    let count = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(100_000_u64);
    let events: Vec<Stored> = (0..count).map(event).collect();
    println!("{count} events of {} bytes, {RULES} rules, {NODES} nodes; ns an event\n", events[0].body.len());
    let time = |what: &str, of: &mut dyn FnMut(u64, &Stored)| {
        let began = Instant::now();
        for (n, event) in (1..).zip(&events) {
            of(n, event);
        }
        println!("{what:<44}{:>8}", began.elapsed().as_nanos() / u128::from(count));
    };
    time("parse", &mut |_, event| drop(black_box(Draft::parse(&event.body))));
    let quiet = Core::new(book("other"));
    time("parse, complete", &mut |n, event| drop(black_box(quiet.open(&entry(n, event)))));
    time("parse, complete, write", &mut |n, event| drop(black_box(quiet.open(&entry(n, event)).unwrap().to_json())));
    for (what, scope) in [("nothing matches: fold", "other"), ("one job an event: fold", "bench")] {
        let core = Core::new(book(scope));
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("store.redb")).unwrap();
        let (began, mut done, mut known, mut jobs, mut bytes) = (Instant::now(), 0, Known::default(), 0, 0);
        let mut saving = std::time::Duration::ZERO;
        for part in events.chunks(SAVE_EVERY) {
            let snapshot = store.snapshot().unwrap();
            let mut overlay = Overlay::resume(&snapshot, known, emote::core::Changes::default());
            for event in part {
                done += 1;
                for job in core.apply(&mut overlay, &entry(done, event)).unwrap() {
                    jobs += 1;
                    bytes += job_message(&job).payload.len();
                }
            }
            let changes;
            (known, changes) = overlay.into_parts();
            let saves = Instant::now();
            store.commit(&changes, done, Time::from_millis(1_800_000_000_000).unwrap()).unwrap();
            known.learn(changes);
            saving += saves.elapsed();
        }
        let per = |time: std::time::Duration| time.as_nanos() / u128::from(count);
        println!("{what:<44}{:>8}   {jobs} jobs, {bytes} bytes", per(began.elapsed() - saving));
        println!("{:<44}{:>8}", "  store", per(saving));
    }
}

fn entry(sequence: u64, event: &Stored) -> Entry<'_> {
    let received = Time::from_millis(1_800_000_000_000).unwrap();
    Entry { sequence, received, subject: &event.subject, message_id: Some(&event.id), payload: &event.body }
}

fn book(scope: &str) -> RuleBook {
    let rules = (0..RULES).map(|n| {
        let pattern = format!(r#"{{"scope": ["{scope}"], "info": {{"kind": ["k{n}"]}}}}"#);
        Rule {
            name: Name::new(&format!("rule-{n:04}")).unwrap(),
            pattern: Pattern::parse(&pattern).unwrap(),
            fanout: Fanout::Event,
            targets: vec![RuleTarget { target: Name::new("log").unwrap(), input: None }],
        }
    });
    RuleBook { rules: rules.collect(), hash: Some("0".repeat(64)), ..RuleBook::default() }
}

/// Some 600 bytes, as an agent tells of an app that was installed.
fn event(n: u64) -> Stored {
    let serial = format!("C02{:09}", n % NODES);
    let id = EventId::derived(&["fold", &n.to_string()]).to_string();
    let body = json!({
        "id": id, "time": "2026-11-25T12:00:00.000Z", "source": "manual", "scope": "bench", "action": "installed",
        "device": {"uuid": serial, "name": format!("mac-{}", n % NODES), "model": "Mac14,2", "os_version": "15.1"},
        "info": {
            "kind": format!("k{}", n % RULES), "name": "Some Application", "version": "12.4.1",
            "path": "/Applications/Some Application.app", "bundle": "com.example.some-application",
            "signed_by": "Developer ID Application: Example Limited (ABCDE12345)", "size": 123_456_789,
            "notes": "x".repeat(120),
        },
    });
    Stored { subject: format!("events.manual.{serial}.bench.installed"), id, body: body.to_string().into_bytes() }
}

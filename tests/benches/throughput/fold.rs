//! What folding an event costs without any network: completing it, matching it against a thousand rules, its records,
//! its job.

use std::{hint::black_box, time::Instant};

use emote::{
    bus::job_message,
    core::{Core, Entry, Fanout, Known, Overlay, Rule, RuleBook, RuleTarget},
    store::Store,
};
use emote_proto::{Draft, Name, Time};
use emote_rules::Pattern;

use crate::{
    RULES,
    core::{MATCHING, OTHERS},
    log, pattern,
};

const NODES: u64 = 1_000;
/// Records are stored so often, in events.
const SAVE_EVERY: usize = 10_000;

struct Stored {
    subject: String,
    id: String,
    body: Vec<u8>,
}

/// Folds so many events in memory, a stage more each time.
pub(crate) fn alone(count: u64) {
    let events: Vec<Stored> = (0..count)
        .map(|n| {
            let (id, subject, body) = log::event(n, NODES);
            Stored { id, subject, body }
        })
        .collect();
    println!("the fold alone, {count} events, ns an event\n");
    let time = |what: &str, of: &mut dyn FnMut(u64, &Stored)| {
        let began = Instant::now();
        for (n, event) in (1..).zip(&events) {
            of(n, event);
        }
        println!("{what:<44}{:>8}", began.elapsed().as_nanos() / u128::from(count));
    };
    time("parse", &mut |_, event| drop(black_box(Draft::parse(&event.body))));
    let quiet = Core::new(book(OTHERS));
    time("parse, complete", &mut |n, event| drop(black_box(quiet.open(&entry(n, event)))));
    time("parse, complete, write", &mut |n, event| drop(black_box(quiet.open(&entry(n, event)).unwrap().to_json())));
    for (what, scope) in [("nothing matches: fold", OTHERS), ("one job an event: fold", MATCHING)] {
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
            known.learn(changes, &emote::core::Changes::default());
            saving += saves.elapsed();
        }
        let per = |time: std::time::Duration| time.as_nanos() / u128::from(count);
        println!("{what:<44}{:>8}   {jobs} jobs, {bytes} bytes", per(began.elapsed() - saving));
        println!("{:<44}{:>8}", "  store", per(saving));
    }
    println!();
}

fn entry(sequence: u64, event: &Stored) -> Entry<'_> {
    let received = Time::from_millis(1_800_000_000_000).unwrap();
    Entry { sequence, received, subject: &event.subject, message_id: Some(&event.id), payload: &event.body }
}

fn book(scope: &str) -> RuleBook {
    let rules = (0..RULES).map(|n| Rule {
        name: Name::new(format!("rule-{n:04}")).unwrap(),
        pattern: Pattern::parse(&pattern(scope, n)).unwrap(),
        fanout: Fanout::Event,
        targets: vec![RuleTarget { target: Name::new("log").unwrap(), input: None }],
    });
    RuleBook { rules: rules.collect(), hash: Some("0".repeat(64)), ..RuleBook::default() }
}

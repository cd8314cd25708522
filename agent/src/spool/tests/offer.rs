//! The next events put in flight by whoever writes them.

use super::*;
use crate::uplink::Flight;

const MOST: usize = 3;

fn expecting(sequence: u64) -> Saved {
    Saved { servers: "a".into(), expectation: sequence, flight: None }
}

fn events(class: Class, count: usize) -> Vec<Record> {
    (1..).take(count).map(|n| record(class, n, 100)).collect()
}

/// What is in flight after `waiting` and then, with the offer open, `written` were committed.
fn check(waiting: Vec<Record>, written: Vec<Record>, expected: Option<RangeInclusive<u64>>) {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, 1 << 20).spool;
    write(&spool, waiting);
    spool.settle(&[], &expecting(7)).unwrap();
    spool.offer(&expecting(7), MOST, 250);
    write(&spool, Vec::new());
    write(&spool, written);
    let begun = spool.withdraw();
    assert_eq!(begun.as_ref().and_then(Saved::in_flight), expected);
    let saved = spool.saved().unwrap();
    assert_eq!(saved, begun.unwrap_or(expecting(7)), "what is told is what is on the disk");
    assert_eq!(spool.withdraw(), None);
    drop(spool);
    assert_eq!(open(&dir, 1 << 20).spool.saved().unwrap(), saved);
}

#[test]
fn events_that_one_flight_may_hold_are_in_flight_when_they_are_written() {
    let heartbeat = key::key(1, Class::Heartbeat);
    check(Vec::new(), events(Class::Lifecycle, 1), Some(1..=1));
    check(Vec::new(), events(Class::Lifecycle, 2), Some(1..=2));
    check(Vec::new(), events(Class::Heartbeat, 1), Some(heartbeat..=heartbeat));
    check(Vec::new(), vec![record(Class::Lifecycle, 1, 9_000)], Some(1..=1));
}

#[test]
fn others_are_left_to_the_uplink() {
    let mixed = [events(Class::Lifecycle, 1), events(Class::Heartbeat, 1)].concat();
    check(events(Class::Heartbeat, 1), events(Class::Lifecycle, 1), None);
    check(events(Class::Lifecycle, 1), events(Class::Lifecycle, 1), None);
    check(Vec::new(), mixed, None);
    check(Vec::new(), events(Class::Lifecycle, MOST), None);
    check(Vec::new(), events(Class::Lifecycle, MOST + 1), None);
    check(Vec::new(), Vec::new(), None);
}

#[test]
fn an_offer_is_taken_up_once_and_not_when_it_was_taken_back() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, 1 << 20).spool;
    spool.offer(&expecting(7), MOST, 1_000);
    assert_eq!(spool.withdraw(), None);
    write(&spool, events(Class::Lifecycle, 1));
    assert_eq!(spool.saved().unwrap().flight, None);
    spool.settle(&[1..=1], &expecting(8)).unwrap();
    spool.offer(&expecting(8), MOST, 1_000);
    write(&spool, events(Class::Lifecycle, 1));
    write(&spool, events(Class::Lifecycle, 1));
    let Saved { expectation, flight, .. } = spool.withdraw().unwrap();
    assert!(matches!(flight, Some(Flight { first: 2, last: 2, .. })) && expectation == 8, "{flight:?}");
}

#[test]
fn a_full_spool_takes_no_offer_up() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, 2_000).spool;
    spool.offer(&expecting(7), MOST, 1 << 20);
    write(&spool, vec![record(Class::Lifecycle, 1, 3_000)]);
    assert_eq!((spool.withdraw(), spool.saved().unwrap().flight), (None, None));
}

use std::sync::Arc;

use emote_proto::{EventId, Trust};

use super::{
    seen::{IDS_AT_ONCE, RUN_AT},
    *,
};
use crate::core::{DEDUPE_WINDOW_MILLIS, Deployment, Known, Layer, Memory, Node, Overlay, Package, Records, Tallied};
use proptest::prelude::*;
use serde_json::json;

fn at(millis: i64) -> Time {
    Time::from_millis(millis).unwrap()
}

fn id(n: u8) -> EventId {
    EventId::derived(&[&n.to_string()])
}

/// One random step of a run, played on any records through the overlay.
#[derive(Debug, Clone)]
enum Step {
    Owner(u8, u8),
    Take(u8),
    Alias(u8, u8, bool),
    Seen(u8),
    Count(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..5u8, 0..4u8).prop_map(|(node, user)| Step::Owner(node, user)),
        (0..5u8).prop_map(Step::Take),
        (0..5u8, 0..5u8, any::<bool>()).prop_map(|(udid, serial, proven)| Step::Alias(udid, serial, proven)),
        (0..9u8).prop_map(Step::Seen),
        (0..2u8).prop_map(Step::Count),
    ]
}

fn play(records: &dyn Records, steps: &[Step], now: Time) -> (Changes, Vec<bool>) {
    let (_, changes, seen) = play_on(records, Known::default(), steps, now);
    (changes, seen)
}

fn play_on(records: &dyn Records, known: Known, steps: &[Step], now: Time) -> (Known, Changes, Vec<bool>) {
    let mut overlay = Overlay::resume(records, known, Changes::default());
    let mut seen = Vec::new();
    for step in steps {
        match step {
            Step::Owner(node, user) => {
                let key = format!("N{node}");
                let set = |node: &mut Node| node.set_asset("owner", json!(format!("u{user}")), now, false);
                overlay.update_node((&key, now), true, set).unwrap();
            }
            Step::Take(node) => {
                overlay.take_node(&format!("N{node}")).unwrap();
            }
            Step::Alias(udid, serial, proven) => {
                let trust = if *proven { Trust::Verified } else { Trust::Unverified };
                overlay.put_alias(&format!("U{udid}"), &format!("N{serial}"), trust).unwrap();
            }
            Step::Seen(n) => seen.push(overlay.seen_before(id(*n), now).unwrap()),
            Step::Count(rule) => {
                overlay.count(&Tallied::Rule(format!("r{rule}")), |tally| tally.matched += 1).unwrap();
            }
        }
    }
    let (known, changes) = overlay.into_parts();
    (known, changes, seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn disk_and_memory_remember_the_same(runs in proptest::collection::vec(proptest::collection::vec(any_step(), 0..12), 1..8)) {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("s.redb")).unwrap();
        let mut memory = Memory::default();
        let mut before = (store.snapshot().unwrap(), Changes::default());
        for (n, steps) in runs.iter().enumerate() {
            let now = at(i64::try_from(n).unwrap() * DEDUPE_WINDOW_MILLIS / 2);
            let (from_memory, seen_memory) = play(&memory, steps, now);
            let (from_disk, seen_disk) = play(&store.snapshot().unwrap(), steps, now);
            prop_assert_eq!(&from_memory, &from_disk);
            prop_assert_eq!(&seen_memory, &seen_disk);
            // What was on its way into the store was read as what is stored.
            let layer = Layer { base: &before.0, changes: &before.1 };
            let (from_layer, seen_layer) = play(&layer, steps, now);
            prop_assert_eq!((&from_layer, seen_layer), (&from_disk, seen_disk));
            before = (store.snapshot().unwrap(), from_layer);
            store.commit(&from_disk, n as u64 + 1, now).unwrap();
            memory.apply(from_memory);
            let snapshot = store.snapshot().unwrap();
            for user in 0..4 {
                let user = format!("u{user}");
                prop_assert_eq!(memory.devices_of(&user).unwrap(), snapshot.devices_of(&user).unwrap());
            }
            for udid in (0..5).map(|udid| format!("U{udid}")) {
                for trust in [Trust::Verified, Trust::Unverified] {
                    prop_assert_eq!(memory.serial_for(&udid, trust).unwrap(), snapshot.serial_for(&udid, trust).unwrap());
                }
            }
        }
        prop_assert_eq!(store.position(), runs.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// As the engine does it: while one run is stored the next is folded, with what is at hand carried on.
    #[test]
    fn runs_that_are_stored_while_the_next_is_folded_come_to_the_same(
        runs in proptest::collection::vec(proptest::collection::vec(any_step(), 0..8), 1..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("s.redb")).unwrap();
        let (mut memory, mut known, mut saving) = (Memory::default(), Known::default(), Changes::default());
        for (n, steps) in runs.iter().enumerate() {
            let now = at(i64::try_from(n).unwrap() * DEDUPE_WINDOW_MILLIS / 2);
            let (expected, expected_seen) = play(&memory, steps, now);
            let snapshot = store.snapshot().unwrap();
            let layer = Layer { base: &snapshot, changes: &saving };
            let (at_hand, changes, seen) = play_on(&layer, known, steps, now);
            prop_assert_eq!((&changes, seen), (&expected, expected_seen));
            memory.apply(expected);
            store.commit(&saving, n as u64 + 1, now).unwrap();
            known = at_hand;
            known.learn(saving, &changes);
            saving = changes;
        }
    }
}

#[tokio::test]
async fn what_is_stored_beside_is_stored_whoever_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("s.redb")).unwrap();
    let store = Arc::new(store);
    for position in 1..20 {
        let changes = Changes { seen: [(id(0), at(0))].into_iter().collect(), ..Changes::default() };
        let mut storing = store.commit_beside(Arc::new(changes), position, at(0)).await;
        if position % 3 == 0 {
            storing.stored().await.unwrap();
            assert_eq!(store.position(), position);
        } else {
            // Once nothing is done beside, it is stored or never will be: what is written next stays.
            drop(storing);
            store.settled().await;
            store.commit(&Changes::default(), 100 + position, at(0)).unwrap();
            store.settled().await;
            assert_eq!(store.position(), 100 + position);
        }
    }
}

#[test]
fn a_reopened_store_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    {
        let (store, opened) = Store::open(&path).unwrap();
        assert_eq!(opened, Opened::Sound);
        assert!(!store.belong_to("a").unwrap());
        assert!(matches!(Store::open(&path), Err(StoreError::InUse(_))));
        let mut changes = Changes::default();
        changes.nodes.insert("C02".into(), Some(Arc::new(Node::new("C02", at(1)))));
        store.commit(&changes, 7, at(1)).unwrap();
        store.flush().unwrap();
    }
    let (store, _) = Store::open(&path).unwrap();
    assert_eq!(store.position(), 7);
    assert!(!store.belong_to("a").unwrap());
    assert_eq!(store.snapshot().unwrap().nodes("", 10).unwrap().len(), 1);
    assert!(store.belong_to("b").unwrap(), "another stream's store is emptied");
    assert_eq!((store.position(), store.snapshot().unwrap().nodes("", 10).unwrap().len()), (0, 0));
}

/// An install on the node `key` that will be overdue at `due`.
fn install(key: &str, due: Option<i64>) -> Deployment {
    let cause = json!({"event": id(0), "rule": "r", "target": "t", "root": id(0), "depth": 1});
    let install = json!({"serial": key, "udid": "U", "job": "e/r/t", "target": "t", "version": "1", "state": "sent",
        "since": at(0), "ordered": at(0), "due": due.map(at), "cause": cause});
    serde_json::from_value(install).unwrap()
}

#[test]
fn what_is_due_is_what_installs_say_and_goes_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("s.redb")).unwrap();
    let commit = |position, installs: &[(&str, Option<Deployment>)]| {
        let deployments = installs.iter().map(|(key, install)| ((*key).to_owned(), install.clone())).collect();
        let changes = Changes { deployments, package: Some(Package::example()), ..Changes::default() };
        store.commit(&changes, position, at(0)).unwrap();
    };
    let due = |now| {
        let due = store.snapshot().unwrap().due_deployments(at(now), 10).unwrap();
        due.iter().map(|install| install.key().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let [first, second, third] = [("N1", Some(20)), ("N2", Some(10)), ("N3", None)].map(|(key, due)| install(key, due));
    commit(1, &[("N1", Some(first)), ("N2", Some(second.clone())), ("N3", Some(third))]);
    assert_eq!([9, 10, 20].map(due), ["", "N2", "N2 N1"]);
    assert_eq!(store.snapshot().unwrap().deployment("N2").unwrap(), Some(second));
    commit(2, &[("N2", Some(install("N2", Some(30)))), ("N1", None)]);
    assert_eq!([20, 30].map(due), ["", "N2"]);
    assert_eq!(store.snapshot().unwrap().package().unwrap(), Some(Package::example()));
    store.clear().unwrap();
    let empty = store.snapshot().unwrap();
    assert_eq!(
        (due(30), empty.deployments("", 10).unwrap(), empty.package().unwrap()),
        (String::new(), Vec::new(), None)
    );
}

#[test]
fn a_damaged_file_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    std::fs::write(&path, b"this is no database, whatever it once was").unwrap();
    let (store, opened) = Store::open(&path).unwrap();
    assert_eq!(opened, Opened::SetAside(folder.path().join("s.damaged")));
    assert_eq!(store.position(), 0);
}

#[test]
fn ids_are_dropped_once_they_leave_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("s.redb")).unwrap();
    let changes = Changes { seen: [(id(1), at(0))].into_iter().collect(), ..Changes::default() };
    store.commit(&changes, 1, at(0)).unwrap();
    assert_eq!(store.snapshot().unwrap().seen(&id(1)).unwrap(), Some(at(0)));
    store.commit(&Changes::default(), 2, at(DEDUPE_WINDOW_MILLIS + 2)).unwrap();
    assert_eq!(store.snapshot().unwrap().seen(&id(1)).unwrap(), None);
}

#[test]
fn many_ids_are_dropped_a_part_at_a_time_and_those_that_came_again_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("s.redb")).unwrap();
    let id = |n: u32| EventId::derived(&[&n.to_string()]);
    let many = 3 * u32::try_from(IDS_AT_ONCE).unwrap() + 1;
    let changes = Changes { seen: (0..many).map(|n| (id(n), at(i64::from(n)))).collect(), ..Changes::default() };
    store.commit(&changes, 1, at(i64::from(many))).unwrap();
    let left = || (0..many).filter(|n| store.snapshot().unwrap().seen(&id(*n)).unwrap().is_some()).count();
    assert_eq!(left(), many as usize);
    let later = at(DEDUPE_WINDOW_MILLIS + i64::from(many) + 2);
    let again = Changes { seen: [(id(0), later)].into_iter().collect(), ..Changes::default() };
    let (none, mut commits) = (Changes::default(), 0);
    while left() > 1 {
        commits += 1;
        store.commit(if commits == 1 { &again } else { &none }, 1 + commits, later).unwrap();
        assert!(commits <= 4, "{} are left", left());
    }
    assert!(commits > 1, "not all at once");
    assert_eq!(store.snapshot().unwrap().seen(&id(0)).unwrap(), Some(later));
}

#[test]
fn what_was_seen_is_known_before_and_after_it_becomes_a_run_and_to_whom_looked_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    let id = |n: usize| EventId::derived(&[&n.to_string()]);
    let commit = |store: &Store, ids: std::ops::Range<usize>, position| {
        let changes = Changes { seen: ids.map(|n| (id(n), at(7))).collect(), ..Changes::default() };
        store.commit(&changes, position, at(7)).unwrap();
    };
    let known = |snapshot: &Snapshot| (0..RUN_AT + 20).filter(|n| snapshot.seen(&id(*n)).unwrap().is_some()).count();
    {
        let (store, _) = Store::open(&path).unwrap();
        commit(&store, 0..10, 1);
        commit(&store, 10..20, 1);
        store.flush().unwrap();
    }
    let (store, _) = Store::open(&path).unwrap();
    let before = store.snapshot().unwrap();
    assert_eq!(known(&before), 20, "both commits of one position");
    commit(&store, 20..30, 2);
    let between = store.snapshot().unwrap();
    commit(&store, 30..RUN_AT + 10, 3);
    let run = store.snapshot().unwrap();
    commit(&store, RUN_AT + 10..RUN_AT + 20, 4);
    assert_eq!((known(&before), known(&between), known(&run)), (20, 30, RUN_AT + 10));
    assert_eq!(known(&store.snapshot().unwrap()), RUN_AT + 20);
    store.flush().unwrap();
    drop((before, between, run, store));
    let (store, _) = Store::open(&path).unwrap();
    assert_eq!(known(&store.snapshot().unwrap()), RUN_AT + 20);
    store.clear().unwrap();
    assert_eq!(known(&store.snapshot().unwrap()), 0);
}

#[test]
fn a_run_goes_as_a_whole_and_what_came_again_is_known_as_of_the_last_time() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&folder.path().join("s.redb")).unwrap();
    let id = |n: usize| EventId::derived(&[&n.to_string()]);
    let commit = |ids: std::ops::Range<usize>, position, now| {
        let changes = Changes { seen: ids.map(|n| (id(n), at(now))).collect(), ..Changes::default() };
        store.commit(&changes, position, at(now)).unwrap();
    };
    let seen = |n| store.snapshot().unwrap().seen(&id(n)).unwrap();
    commit(0..20, 1, 0);
    commit(20..RUN_AT, 2, 100);
    assert_eq!(
        [0, 19, 20, RUN_AT - 1, RUN_AT].map(seen),
        [Some(at(0)), Some(at(0)), Some(at(100)), Some(at(100)), None]
    );
    // The first twenty are out of the window, the rest of their run is not.
    let again = DEDUPE_WINDOW_MILLIS + 50;
    commit(0..10, 3, again);
    assert_eq!([0, 20].map(seen), [Some(at(again)), Some(at(100))]);
    commit(RUN_AT..2 * RUN_AT, 4, again);
    assert_eq!([0, 20, RUN_AT].map(seen), [Some(at(again)), Some(at(100)), Some(at(again))]);
    commit(0..0, 5, DEDUPE_WINDOW_MILLIS + 101);
    assert_eq!([0, 20, RUN_AT].map(seen), [Some(at(again)), None, Some(at(again))]);
    commit(0..0, 6, 3 * DEDUPE_WINDOW_MILLIS);
    assert_eq!([0, 20, RUN_AT].map(seen), [None; 3]);
}

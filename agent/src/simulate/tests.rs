//! A fleet's days: what holds of every event, and how many there are.

use std::collections::BTreeMap;
use std::time::Duration;

use emote_proto::{Draft, EventId, Name, limits};
use proptest::prelude::*;

use super::*;
use crate::spool::Record;
use crate::vocabulary::Kind;

const MONDAY: &str = "2026-11-23";
const SATURDAY: &str = "2026-11-28";

fn world(seed: u64, day: &str) -> World {
    World { seed, start: format!("{day}T00:00:00Z").parse().unwrap(), heartbeat: Duration::from_secs(300) }
}

fn day(world: &World, index: u32) -> Vec<Record> {
    let mut life = Life::new(world, index).unwrap();
    let mut records = Vec::new();
    while let Some(due) = life.due(world) {
        assert!((world.starts()..world.ends()).contains(&due));
        records.extend(life.step(world).unwrap());
    }
    records
}

fn drafts(records: &[Record]) -> Vec<Draft> {
    records.iter().map(|record| Draft::parse(&record.json).unwrap()).collect()
}

/// How often each kind of event is in a day of so many Macs.
fn counts(world: &World, macs: u32) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in (0..macs).flat_map(|index| day(world, index)) {
        let kind = record.subject.splitn(4, '.').nth(3).unwrap().to_owned();
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

fn check_event(world: &World, serial: &str, record: &Record) {
    let draft = Draft::parse(&record.json).unwrap();
    assert!(record.json.len() < limits::MAX_EVENT);
    assert!(Kind::ALL.iter().any(|kind| kind.is(&draft)), "{}.{}", draft.scope, draft.action);
    assert_eq!(draft.node().unwrap().unwrap().as_str(), serial);
    assert_eq!(draft.subject(Name::new("agent").unwrap()).unwrap().to_string(), record.subject);
    assert_eq!((draft.id, draft.time, draft.trust), (Some(record.id), Some(record.time), None));
    assert!((world.starts()..world.ends()).contains(&record.time.as_millis()), "{record:?}");
    for time in ["since", "until"].map(|key| draft.info.as_ref().unwrap().get(key).cloned()).into_iter().flatten() {
        let time: emote_proto::Time = serde_json::from_value(time).unwrap();
        assert!(time <= record.time && time.as_millis() >= world.starts(), "{record:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_that_is_shown_goes_on_while_nobody_has_anything_to_say() {
    let world = world(99, MONDAY);
    let start = world.starts();
    assert!(Life::new(&world, 0).unwrap().due(&world).unwrap() > start + 600_000, "a quiet night");
    let tally = std::sync::Arc::new(Tally::default());
    let show = Show { world, macs: 1, speed: Speed::Times(60.0), only: Vec::new() };
    let end = tokio::time::sleep(Duration::from_millis(4_500));
    play(show, Stage::Print, std::sync::Arc::clone(&tally), end).await.unwrap();
    assert_eq!(tally.moment().clock, start + 240_000);
}

/// A process of the agent begins with `started`, and nothing is said between `stopped` and the next one.
fn check_order(records: &[Record]) {
    let drafts = drafts(records);
    let mut runs = false;
    for draft in &drafts {
        assert!(runs || Kind::AgentStarted.is(draft), "{draft:?}");
        runs = !Kind::AgentStopped.is(draft);
    }
    let previous = |draft: &Draft| draft.info.clone().unwrap()["previous"].as_str().map(str::to_owned);
    let first = drafts.iter().filter(|draft| Kind::AgentStarted.is(draft)).map(previous).next();
    assert!(first.is_none_or(|first| first.as_deref() == Some("first")));
    assert!(drafts.get(1).is_none_or(|second| Kind::DeviceInventory.is(second)));
    assert!(drafts.iter().filter(|draft| Kind::DeviceInventory.is(draft)).count() <= 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_event_of_every_mac_is_one_that_an_agent_could_write(seed: u64, index in 0_u32..20_000, weekend: bool) {
        let world = world(seed, if weekend { SATURDAY } else { MONDAY });
        let serial = Life::new(&world, index).unwrap().serial(&world).unwrap();
        let records = day(&world, index);
        records.iter().for_each(|record| check_event(&world, serial.as_str(), record));
        prop_assert!(records.windows(2).all(|two| two[0].time < two[1].time), "in order, none at once");
        check_order(&records);
        let mut ids: Vec<EventId> = records.iter().map(|record| record.id).collect();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), records.len());
        prop_assert!(records.len() < 600);
    }

    #[test]
    fn the_same_seed_and_start_give_the_same_events(seed: u64, index in 0_u32..20_000, minutes in 0_u32..1_440) {
        let start = format!("2026-11-23T{:02}:{:02}:00Z", minutes / 60, minutes % 60).parse().unwrap();
        let world = World { start, ..world(seed, MONDAY) };
        prop_assert_eq!(day(&world, index), day(&world.clone(), index));
    }
}

#[test]
fn other_seeds_and_days_are_other_events() {
    let ids = |world| (0..20).flat_map(|index| day(&world, index)).map(|record| record.id).collect::<Vec<_>>();
    let mut all: Vec<EventId> = [ids(world(7, MONDAY)), ids(world(8, MONDAY)), ids(world(7, SATURDAY))].concat();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn a_day_of_a_fleet_is_plausible() {
    let (week, weekend) = (counts(&world(7, MONDAY), 600), counts(&world(7, SATURDAY), 600));
    let of = |counts: &BTreeMap<String, usize>, kind: Kind| {
        let (scope, action) = kind.words();
        counts.get(&format!("{scope}.{action}")).copied().unwrap_or(0)
    };
    for (kind, least, most) in [
        (Kind::DeviceInventory, 500, 600),
        (Kind::AgentHeartbeat, 40_000, 75_000),
        (Kind::NetworkChanged, 600, 2_400),
        (Kind::DeviceBoot, 5, 90),
        (Kind::OsUpdated, 2, 30),
        (Kind::DiskMounted, 5, 40),
        (Kind::DiskLow, 1, 15),
        (Kind::AccountPromoted, 1, 20),
    ] {
        assert!((least..=most).contains(&of(&week, kind)), "{kind:?}: {}", of(&week, kind));
    }
    assert!(of(&weekend, Kind::AgentHeartbeat) * 2 < of(&week, Kind::AgentHeartbeat));
    assert!(of(&weekend, Kind::NetworkChanged) * 3 < of(&week, Kind::NetworkChanged));
}

#[test]
fn what_is_said_offline_is_sent_together_afterwards() {
    let world = world(7, MONDAY);
    let backlog = (0..600).map(|index| {
        let mut life = Life::new(&world, index).unwrap();
        let mut waiting = 0;
        while let Some(due) = life.due(&world) {
            let said = life.step(&world).unwrap();
            let late = said.iter().filter(|record| due - record.time.as_millis() > 600_000).count();
            waiting += late;
        }
        waiting
    });
    assert!((50..5_000).contains(&backlog.sum::<usize>()));
}

#[test]
fn a_mac_takes_a_few_hundred_bytes() {
    let world = world(7, MONDAY);
    let sizes = (0..1_000).map(|index| Life::new(&world, index).unwrap().bytes());
    assert!(sizes.sum::<usize>() / 1_000 < 600);
}

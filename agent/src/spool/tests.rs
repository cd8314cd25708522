//! The spool on a real disk; and on one that fails, in the modules.

mod contents;
mod corrupt;
mod disk;
mod full;
mod offer;
mod power;
mod process;
mod quota;

use super::record::tests::record;
use super::*;
use tempfile::TempDir;

fn teller() -> TellGap {
    Box::new(|gap| {
        let json = serde_json::to_vec(gap).unwrap();
        Some(Record { json, ..record(Class::Lifecycle, 0, 0) })
    })
}

fn open(dir: &TempDir, quota: u64) -> Opened {
    Spool::open(dir.path(), quota, now(), teller()).unwrap()
}

fn open_on(disk: &disk::Disk, dir: &TempDir, quota: u64) -> Result<Opened, SpoolError> {
    Spool::open_on(disk.medium(), dir.path(), quota, now(), teller())
}

fn now() -> Time {
    Time::from_millis(1_700_000_000_000).unwrap()
}

fn write(spool: &Spool, records: Vec<Record>) {
    spool.commit(&Commit { records, ..Commit::default() }).unwrap();
}

fn all(spool: &Spool) -> Vec<(u64, Record)> {
    spool.read(&(1..=u64::MAX)).unwrap()
}

fn gaps(spool: &Spool) -> Vec<Gap> {
    all(spool).iter().filter_map(|(_, record)| serde_json::from_slice(&record.json).ok()).collect()
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    let dir = TempDir::new().unwrap();
    let Opened { spool, previous } = open(&dir, 1 << 20);
    assert_eq!(previous, Previous::First);
    let run = RunState { version: "1".into(), clean: false, alive: 5, observed: BTreeMap::new() };
    let records: Vec<_> = (1..4).map(|n| record(Class::Lifecycle, n, 10)).collect();
    let snapshots = vec![("disk".to_owned(), vec![1, 2])];
    spool.commit(&Commit { records: records.clone(), snapshots, run: Some(run.clone()) }).unwrap();
    let totals = spool.totals();
    drop(spool);
    let Opened { spool, previous } = open(&dir, 1 << 20);
    assert_eq!(previous, Previous::Crashed(run));
    assert_eq!(all(&spool), (1..).zip(records).collect::<Vec<_>>());
    assert_eq!(spool.snapshot("disk").unwrap(), Some(vec![1, 2]));
    assert_eq!((spool.totals(), totals.count, totals.oldest), (totals, 3, Some(1_700_000_000_001)));
}

#[test]
fn sequences_go_on_when_the_spool_was_empty_in_between() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, 1 << 20).spool;
    write(&spool, vec![record(Class::Lifecycle, 1, 0), record(Class::Lifecycle, 2, 0)]);
    let saved = Saved { servers: "a".into(), expectation: 7, flight: None };
    spool.settle(&[1..=1, 2..=2], &saved).unwrap();
    assert_eq!(spool.totals(), Totals::default());
    drop(spool);
    let spool = open(&dir, 1 << 20).spool;
    assert_eq!(spool.saved().unwrap(), saved);
    write(&spool, vec![record(Class::Lifecycle, 3, 0)]);
    assert_eq!(all(&spool)[0].0, 3);
}

#[test]
fn a_file_that_was_full_once_is_small_again_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let size = || std::fs::metadata(dir.path().join(FILE)).unwrap().len();
    let spool = open(&dir, 64 << 20).spool;
    write(&spool, (1..=100).map(|n| record(Class::Lifecycle, n, 80_000)).collect());
    spool.settle(&[1..=99], &Saved::default()).unwrap();
    let full = size();
    drop(spool);
    let spool = open(&dir, 64 << 20).spool;
    assert!(size() < full / 4, "{full} {}", size());
    assert_eq!(all(&spool).len(), 1);
}

#[test]
fn ranges_are_bounded_by_count_and_bytes_but_never_empty() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, 1 << 20).spool;
    write(&spool, (1..=5).map(|n| record(Class::Lifecycle, n, 1000)).collect());
    for (after, count, bytes, range) in [
        (&[][..], 100, 1 << 20, Some(1..=5)),
        (&[], 2, 1 << 20, Some(1..=2)),
        (&[1..=2], 100, 2_500, Some(3..=4)),
        (&[1..=1, 2..=4], 9, 1, Some(5..=5)),
        (&[1..=5], 9, 9, None),
    ] {
        assert_eq!(spool.next_range(after, count, bytes).unwrap(), range, "behind {after:?}");
    }
}

/// Takes everything off as the uplink does, at most `most` at once; gives the events' numbers.
fn drain(spool: &Spool, most: usize) -> Vec<u64> {
    let (mut taken, mut order) = (Vec::new(), Vec::new());
    while let Some(range) = spool.next_range(&taken, most, 1 << 20).unwrap() {
        let records = spool.read(&range).unwrap();
        assert!(!records.is_empty() && records.len() <= most);
        order.extend(records.iter().map(|(key, _)| sequence(*key)));
        taken.push(range);
        if order.len() % 3 == 0 {
            spool.settle(&std::mem::take(&mut taken), &Saved::default()).unwrap();
        }
    }
    spool.settle(&taken, &Saved::default()).unwrap();
    assert_eq!(spool.totals(), Totals::default());
    order
}

#[test]
fn heartbeats_wait_until_there_is_nothing_else() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, 1 << 20).spool;
    let class = |kind| if kind == 'h' { Class::Heartbeat } else { Class::Lifecycle };
    for (kinds, order) in [("hlhl", &[2, 4, 1, 3][..]), ("h", &[5]), ("ll", &[6, 7]), ("lhhhl", &[8, 12, 9, 10, 11])] {
        write(&spool, (1..).zip(kinds.chars()).map(|(n, kind)| record(class(kind), n, 10)).collect());
        assert_eq!(spool.totals().oldest, Some(1_700_000_000_001));
        assert_eq!(drain(&spool, 2), order, "{kinds}");
    }
}

#[test]
fn what_an_agent_wrote_that_knew_no_lanes_is_carried_over() {
    let dir = TempDir::new().unwrap();
    let flight = crate::uplink::Flight { first: 1, last: 3, tried_at: 5 };
    let saved = Saved { servers: "a".into(), expectation: 7, flight: Some(flight) };
    let spool = open(&dir, 1 << 20).spool;
    let old: Vec<Record> = "lhlhl"
        .chars()
        .zip(1..)
        .map(|(kind, n)| record(if kind == 'h' { Class::Heartbeat } else { Class::Lifecycle }, n, 10))
        .collect();
    spool
        .with(|db| {
            let txn = db.begin_write()?;
            for (key, record) in (1_u64..).zip(&old) {
                txn.open_table(RECORDS)?.insert(key, record.encode().as_slice())?;
            }
            set_state(&txn, "uplink", &saved)?;
            tables::set_next(&txn, 6)?;
            Ok(txn.commit()?)
        })
        .unwrap();
    drop(spool);
    let spool = open(&dir, 1 << 20).spool;
    assert_eq!((spool.saved().unwrap(), spool.totals().count), (saved, 5));
    let in_flight: Vec<Record> = spool.read(&(1..=3)).unwrap().into_iter().map(|(_, record)| record).collect();
    assert_eq!(in_flight, old[..3], "what was tried is tried again, heartbeats and all");
    write(&spool, vec![record(Class::Heartbeat, 6, 10), record(Class::Lifecycle, 7, 10)]);
    assert_eq!(drain(&spool, 3), [1, 2, 3, 4, 5, 7, 6]);
}

#[test]
fn a_second_agent_is_told_that_one_runs() {
    let dir = TempDir::new().unwrap();
    let _first = open(&dir, 1 << 20);
    let second = Spool::open(dir.path(), 1 << 20, now(), teller());
    assert!(matches!(second, Err(SpoolError::AlreadyRunning(_))));
}

#[test]
fn a_full_spool_drops_heartbeats_first_and_tells() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, 20_000).spool;
    for n in 1..60 {
        write(&spool, vec![record(if n % 2 == 0 { Class::Heartbeat } else { Class::Lifecycle }, n, 400)]);
    }
    assert!(spool.totals().bytes <= 20_000, "{:?}", spool.totals());
    let kept = all(&spool);
    let lifecycle =
        (1..60).step_by(2).filter(|n| kept.iter().any(|(_, kept)| kept.id == record(Class::Lifecycle, *n, 0).id));
    assert_eq!(lifecycle.count(), 30, "all that is no heartbeat");
    let (gaps, heartbeats) = (gaps(&spool), kept.iter().filter(|(_, record)| record.class == Class::Heartbeat).count());
    assert!(gaps.iter().all(|gap| gap.reason == GapReason::Quota && gap.count == gap.heartbeats));
    let dropped: u64 = gaps.iter().filter_map(|gap| gap.count).sum();
    assert_eq!(dropped, 29 - heartbeats as u64);
}

#[test]
fn a_damaged_record_is_set_aside_and_told() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, 1 << 20).spool;
    write(&spool, (1..=3).map(|n| record(Class::Lifecycle, n, 10)).collect());
    spool
        .with(|db| {
            let txn = db.begin_write()?;
            txn.open_table(RECORDS)?.insert(2, &[1, 2, 3][..])?;
            Ok(txn.commit()?)
        })
        .unwrap();
    let read: Vec<u64> = spool.read(&(1..=3)).unwrap().iter().map(|(key, _)| *key).collect();
    assert_eq!(read, [1, 3]);
    assert_eq!(spool.next_range(&[1..=1], 1, 1).unwrap(), Some(3..=3));
    let gap = &gaps(&spool)[0];
    assert_eq!((gap.reason, gap.count, gap.first_sequence), (GapReason::DamagedRecord, Some(1), Some(2)));
    let aside = spool.with(|db| Ok(db.begin_read()?.open_table(DAMAGED)?.get(2)?.map(|value| value.value().to_vec())));
    assert_eq!(aside.unwrap(), Some(vec![1, 2, 3]));
}

#[test]
fn an_unreadable_file_is_set_aside_and_told_and_a_new_one_begun() {
    for damage in [&b"no database"[..], &[0; 8192], &[0xFF; 70_000]] {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join(FILE), damage).unwrap();
        let Opened { spool, previous } = open(&dir, 1 << 20);
        assert_eq!(previous, Previous::Lost);
        assert_eq!(gaps(&spool).iter().map(|gap| gap.reason).collect::<Vec<_>>(), [GapReason::CorruptFile]);
        let kept = dir.path().join(format!("spool-{}.corrupt", now().as_millis()));
        assert_eq!(std::fs::read(kept).unwrap(), damage);
    }
}

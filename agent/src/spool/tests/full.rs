//! The disk is full, or fails, from any operation on: nothing is half written, and it goes well again once there is room.

use super::contents::Contents;
use super::disk::{Disk, Fault};
use super::*;

fn commit_of(number: u64, size: usize) -> Commit {
    let run = RunState { version: "1".into(), clean: false, alive: 5, observed: BTreeMap::new() };
    let records = (0..3).map(|n| record(Class::Lifecycle, number * 10 + n, size)).collect();
    Commit { records, snapshots: vec![("disk".into(), number.to_le_bytes().to_vec())], run: Some(run) }
}

/// Opens, commits, settles a part and commits again, while the disk fails from its operation `at` on. Returns whether it did.
fn check(fault: Fault, at: u64) -> bool {
    // Large enough for the file to grow, where that is what fails.
    let size = if fault == Fault::FullForMore { 60_000 } else { 300 };
    let (dir, disk) = (TempDir::new().unwrap(), Disk::default());
    let spool = open_on(&disk, &dir, 1 << 20).unwrap().spool;
    spool.commit(&commit_of(0, size)).unwrap();
    drop(spool);
    let begun = disk.operations();
    disk.fail_after(at, fault);
    let Ok(Opened { spool, previous }) = open_on(&disk, &dir, 1 << 20) else {
        disk.repair();
        let Opened { spool, previous } = open_on(&disk, &dir, 1 << 20).unwrap();
        assert!(matches!(previous, Previous::Crashed(_)), "a full disk is no corrupt file");
        assert_eq!(Contents::of(&spool).records.len(), 3);
        return true;
    };
    assert!(matches!(previous, Previous::Crashed(_)));
    disk.repair();
    let (mut before, mut used, mut failed) = (Contents::of(&spool), 3, false);
    for number in 1..4 {
        disk.fail_after((begun + at).saturating_sub(disk.operations()), fault);
        let commit = commit_of(number, size);
        let done = spool.commit(&commit).is_ok();
        disk.repair();
        let after = Contents::of(&spool);
        if done || (fault == Fault::Sync && after != before) {
            before.leads_to(&after, &commit, &mut used).unwrap_or_else(|why| panic!("{fault:?} at {at}: {why}"));
        } else {
            assert_eq!(after, before, "{fault:?} at {at}");
        }
        failed |= !done;
        before = after;
        if number == 2 {
            let first = *before.records.keys().next().unwrap();
            let (taken, saved) = ([first..=first + 2], Saved { expectation: number, ..Saved::default() });
            disk.fail_after((begun + at).saturating_sub(disk.operations()), fault);
            let done = spool.settle(&taken, &saved).is_ok();
            disk.repair();
            let (after, settled) = (Contents::of(&spool), before.settled(&taken, &saved));
            assert!(after == settled || (!done && after == before), "{fault:?} at {at}");
            failed |= !done;
            before = after;
        }
    }
    let commit = commit_of(9, size);
    spool.commit(&commit).unwrap();
    before.leads_to(&Contents::of(&spool), &commit, &mut used).unwrap();
    failed
}

#[test]
fn a_full_disk_fails_what_is_written_whole_and_goes_well_again_with_room() {
    for (fault, step) in [(Fault::Full, 1), (Fault::FullForMore, 3), (Fault::Sync, 2)] {
        let failed: Vec<u64> = (0..60).step_by(step).filter(|at| check(fault, *at)).collect();
        assert!(failed.len() > 2 && *failed.last().unwrap() < 50, "{fault:?}: {failed:?}");
    }
}

#[test]
fn what_is_given_up_goes_only_together_with_the_event_that_tells_of_it() {
    let (dir, disk) = (TempDir::new().unwrap(), Disk::default());
    let spool = open_on(&disk, &dir, 1 << 20).unwrap().spool;
    write(&spool, vec![record(Class::Lifecycle, 1, 300)]);
    let gap = Gap::refused(1, now());
    let give_up = || spool.give_up(&[1..=1], &Saved::default(), &gap);
    let mut failures = 0;
    loop {
        disk.fail_after(failures, Fault::Full);
        let done = give_up().is_ok();
        disk.repair();
        if done {
            break;
        }
        let there = (all(&spool).iter().any(|(key, _)| *key == 1), gaps(&spool) == [gap.clone()]);
        assert!([(true, false), (false, true)].contains(&there), "{there:?} after {failures}");
        failures += 1;
    }
    assert!(failures > 1, "{failures}");
    assert_eq!((all(&spool).len(), spool.totals().count), (1, 1));
    assert_eq!(gaps(&spool), [gap]);
}

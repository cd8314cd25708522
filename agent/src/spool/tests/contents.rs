//! All that a spool holds, and what an operation may make of it: the model that faults are checked against.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::*;

/// What is in a spool, read through it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Contents {
    pub(super) records: BTreeMap<u64, Record>,
    pub(super) snapshot: Option<Vec<u8>>,
    pub(super) run: Option<RunState>,
    pub(super) saved: Saved,
}

impl Contents {
    /// Reads it, and checks that what the spool counts is what it holds.
    pub(super) fn of(spool: &Spool) -> Self {
        let contents = Self {
            records: all(spool).into_iter().collect(),
            snapshot: spool.snapshot("disk").unwrap(),
            run: spool.with(|db| state(db, "run")).unwrap(),
            saved: spool.saved().unwrap(),
        };
        let bytes = contents.records.values().map(|record| record.encode().len() as u64).sum();
        // The event of a gap is written with a time of its own: the first of a lane need not be the first of all.
        let first = |is_heartbeat: bool| {
            let mut lane = contents.records.iter().filter(|(key, _)| (sequence(**key) != **key) == is_heartbeat);
            lane.next().map(|(_, record)| record.time.as_millis())
        };
        let oldest = [false, true].into_iter().filter_map(first).min();
        let totals = spool.totals();
        assert_eq!(totals, Totals { count: contents.records.len() as u64, bytes, oldest });
        contents
    }

    /// Every sequence that the spool will never give again.
    fn used(&self) -> u64 {
        self.records.keys().map(|key| sequence(*key)).max().unwrap_or(0)
    }

    /// What gaps say was dropped for the quota.
    fn told(&self) -> u64 {
        let gaps = self.records.values().filter_map(|record| serde_json::from_slice::<Gap>(&record.json).ok());
        gaps.filter(|gap| gap.reason == GapReason::Quota).filter_map(|gap| gap.count).sum()
    }

    /// Whether `commit`, in one piece, leads from here to `after`; what went for the quota is told and was not in flight.
    pub(super) fn leads_to(&self, after: &Self, commit: &Commit, used: &mut u64) -> Result<(), String> {
        *used = (*used).max(self.used());
        let is_gap = |record: &Record| serde_json::from_slice::<Gap>(&record.json).is_ok();
        let news = after.records.iter().map(|(key, record)| (sequence(*key), record));
        let news: BTreeMap<u64, &Record> = news.filter(|(sequence, _)| *sequence > *used).collect();
        let sequences: Vec<u64> = news.keys().copied().collect();
        let events: Vec<&Record> = news.into_values().filter(|record| !is_gap(record)).collect();
        if events != commit.records.iter().collect::<Vec<_>>() {
            return Err(format!("{} of {} new events", events.len(), commit.records.len()));
        }
        if sequences != (*used + 1..=*used + sequences.len() as u64).collect::<Vec<_>>() {
            return Err(format!("new sequences {sequences:?} behind {used}"));
        }
        let kept: BTreeSet<u64> = after.records.keys().copied().collect();
        let lost: Vec<(&u64, &Record)> = self.records.iter().filter(|(key, _)| !kept.contains(key)).collect();
        let flight = self.saved.in_flight();
        if lost.iter().any(|(key, _)| flight.as_ref().is_some_and(|flight| flight.contains(key))) {
            return Err("what was in flight is gone".into());
        }
        if after.told() != self.told() + lost.len() as u64 {
            return Err(format!("{} lost, {} told, then {}", lost.len(), self.told(), after.told()));
        }
        let same =
            |(key, record): (&u64, &Record)| after.records.get(key).is_none_or(|now| now == record || is_gap(now));
        if !self.records.iter().all(same) {
            return Err("an event has become another".into());
        }
        let snapshot = commit.snapshots.last().map(|(_, bytes)| bytes.clone()).or_else(|| self.snapshot.clone());
        let rest = (&after.snapshot, &after.run, &after.saved);
        if rest != (&snapshot, &commit.run.clone().or_else(|| self.run.clone()), &self.saved) {
            return Err(format!("snapshot, run and uplink are {rest:?}"));
        }
        *used += sequences.len() as u64;
        Ok(())
    }

    /// What settling makes of it.
    pub(super) fn settled(&self, taken: &[RangeInclusive<u64>], saved: &Saved) -> Self {
        let records =
            self.records.clone().into_iter().filter(|(key, _)| !taken.iter().any(|range| range.contains(key)));
        Self { records: records.collect(), saved: saved.clone(), ..self.clone() }
    }
}

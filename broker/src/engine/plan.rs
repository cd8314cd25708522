//! How the jobs of a run are cut into atomic batches.

use emote_proto::limits;

use crate::core::Job;

/// Jobs of a batch at most; the checkpoint is one more message.
const MAX_JOBS: usize = limits::MAX_BATCH - 1;

/// A job with its entry's sequence and its index among the entry's jobs.
pub(super) type Placed = (u64, usize, Job);

/// A batch: its jobs, and the checkpoint that is true once they are stored.
#[derive(Debug, PartialEq)]
pub(super) struct Chunk {
    pub(super) jobs: Vec<Job>,
    /// Every entry up to this one is done.
    pub(super) sequence: u64,
    /// Jobs of the next entry that are stored too.
    pub(super) jobs_of_next: usize,
}

/// Cuts `jobs`, in order, of a run that ends with `last`. A run without jobs needs
/// no batch.
pub(super) fn chunks(jobs: Vec<Placed>, last: u64) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut jobs = jobs.into_iter().peekable();
    while jobs.peek().is_some() {
        let mut chunk = Vec::new();
        let mut reached = (0, 0);
        while chunk.len() < MAX_JOBS
            && let Some((entry, index, job)) = jobs.next()
        {
            reached = (entry, index + 1);
            chunk.push(job);
        }
        let (sequence, jobs_of_next) = match jobs.peek() {
            None => (last, 0),
            Some((entry, ..)) if *entry == reached.0 => (reached.0 - 1, reached.1),
            Some((entry, ..)) => (*entry - 1, 0),
        };
        chunks.push(Chunk { jobs: chunk, sequence, jobs_of_next });
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use emote_proto::{Event, Name};
    use proptest::prelude::*;

    fn job(entry: u64, index: usize) -> Job {
        let event = br#"{"id":"00000000-0000-7000-8000-000000000000","time":"2026-01-01T00:00:00Z","source":"s","scope":"a","action":"b"}"#;
        let event = Event::parse(event).unwrap();
        let name = |text: &str| Name::new(text).unwrap();
        let target = name("t");
        let id = crate::core::JobId::new(event.id, &name("r"), &target, Some(&format!("{entry}-{index}")));
        Job { id, rule: name("r"), target, event, node: None, input: None }
    }

    proptest! {
        /// Whatever batch is the last one stored, its checkpoint says exactly which jobs are.
        #[test]
        fn every_checkpoint_is_true(counts in proptest::collection::vec(prop_oneof![3 => 0..4usize, 1 => 900..2100usize], 1..6)) {
            let jobs: Vec<_> = counts.iter().enumerate().flat_map(|(n, count)| {
                let entry = n as u64 + 10;
                (0..*count).map(move |index| (entry, index, job(entry, index)))
            }).collect();
            let last = counts.len() as u64 + 9;
            let total = jobs.len();
            let chunks = chunks(jobs, last);
            let mut stored = 0;
            for chunk in &chunks {
                prop_assert!(!chunk.jobs.is_empty() && chunk.jobs.len() <= MAX_JOBS);
                stored += chunk.jobs.len();
                let whole: usize = counts.iter().enumerate().filter(|(n, _)| *n as u64 + 10 <= chunk.sequence).map(|(_, count)| count).sum();
                prop_assert_eq!(stored, whole + chunk.jobs_of_next);
            }
            prop_assert_eq!(stored, total);
            prop_assert!(chunks.last().is_none_or(|chunk| chunk.sequence == last && chunk.jobs_of_next == 0));
        }
    }
}

//! Where in the log the core is behind each job, and how jobs are cut into atomic batches.

use emote_proto::{header, limits};

use crate::bus::{Outgoing, Place};

/// Jobs of a batch at most; the checkpoint is one more message.
const MAX_JOBS: usize = limits::MAX_BATCH - 1;
/// A batch is closed once its bodies come to this many bytes: the server keeps it in memory until it is whole.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// A job's message with its entry's sequence and its index among the entry's jobs.
pub(super) type Placed = (u64, usize, Outgoing);

/// A batch: its jobs, and the checkpoint that is true once they are stored.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) jobs: Vec<Outgoing>,
    /// Every entry up to this one is done.
    pub(super) sequence: u64,
    /// Jobs of the next entry that are stored too.
    pub(super) jobs_of_next: usize,
}

/// Cuts `jobs`, in order, of a run that ends with `last`. A run without jobs needs no batch. What ends a job's being held
/// is never parted from what becomes of the job: were it stored alone, the order would not find the job again.
pub(super) fn chunks(jobs: Vec<Placed>, last: u64) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut jobs = jobs.into_iter().peekable();
    while jobs.peek().is_some() {
        let mut chunk = Vec::new();
        let mut reached = (0, 0);
        let mut bytes = 0;
        while chunk.len() < MAX_JOBS
            && bytes < MAX_BYTES
            && let Some((entry, index, job)) =
                jobs.next_if(|(_, _, job)| chunk.len() + 1 < MAX_JOBS || !has_a_second(job))
        {
            reached = (entry, index + 1);
            bytes += job.payload.len();
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

/// Each of `jobs`, in order, of a run that ends with `last`, with the place behind it.
pub(super) fn places(jobs: Vec<Placed>, last: u64) -> Vec<(Outgoing, Place)> {
    let mut placed = Vec::with_capacity(jobs.len());
    let mut jobs = jobs.into_iter().peekable();
    while let Some((entry, index, job)) = jobs.next() {
        let place = match jobs.peek() {
            None => Place { sequence: last, jobs: 0 },
            Some((next, ..)) if *next == entry => Place { sequence: entry - 1, jobs: index + 1 },
            Some((next, ..)) => Place { sequence: *next - 1, jobs: 0 },
        };
        placed.push((job, place));
    }
    placed
}

/// Whether the next message tells what becomes of the job that this one lets go.
fn has_a_second(message: &Outgoing) -> bool {
    message.headers.iter().any(|(name, _)| *name == header::ORDER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn job(size: usize) -> Outgoing {
        Outgoing { subject: "deliver.t.r".to_owned(), headers: Vec::new(), payload: vec![0; size].into() }
    }

    #[test]
    fn a_held_job_and_what_becomes_of_it_are_in_one_batch() {
        let let_go = || Outgoing { headers: vec![(header::ORDER, "order".to_owned())], ..job(0) };
        for (before, size) in [(0, 10), (1, 10), (0, 60_000), (1, 60_000)] {
            let own = (0..before).map(|_| job(10));
            let jobs = own.chain((0..1_200).flat_map(|_| [let_go(), job(size)]));
            let jobs = jobs.enumerate().map(|(index, message)| (7, index, message)).collect();
            let chunks = chunks(jobs, 7);
            assert!(chunks.len() > 2);
            assert_eq!(chunks.iter().map(|chunk| chunk.jobs.len()).sum::<usize>(), before + 2_400);
            assert!(chunks.iter().all(|chunk| !chunk.jobs.last().is_some_and(has_a_second)), "{before}, {size}");
        }
    }

    proptest! {
        /// Whatever batch is the last one stored, its checkpoint says exactly which jobs are.
        #[test]
        fn every_checkpoint_is_true(counts in proptest::collection::vec(prop_oneof![3 => 0..4usize, 1 => 900..2100usize], 1..6), size in prop_oneof![Just(10_usize), Just(60_000)]) {
            let jobs: Vec<_> = counts.iter().enumerate().flat_map(|(n, count)| {
                let entry = n as u64 + 10;
                (0..*count).map(move |index| (entry, index, job(size)))
            }).collect();
            let last = counts.len() as u64 + 9;
            let total = jobs.len();
            let chunks = chunks(jobs, last);
            let mut stored = 0;
            for chunk in &chunks {
                prop_assert!(!chunk.jobs.is_empty() && chunk.jobs.len() <= MAX_JOBS);
                prop_assert!((chunk.jobs.len() - 1) * size < MAX_BYTES);
                stored += chunk.jobs.len();
                let whole: usize = counts.iter().enumerate().filter(|(n, _)| *n as u64 + 10 <= chunk.sequence).map(|(_, count)| count).sum();
                prop_assert_eq!(stored, whole + chunk.jobs_of_next);
            }
            prop_assert_eq!(stored, total);
            prop_assert!(chunks.last().is_none_or(|chunk| chunk.sequence == last && chunk.jobs_of_next == 0));
        }
    }
}

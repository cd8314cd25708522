//! What became of requests and of messages, counted by source. Whoever sends to a source that there is not adds to one count for all.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Refusal;

/// What became of the requests to a source, and of the messages that its sockets took, since this process started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Requests that became events, or none because the map asked for none.
    pub taken: u64,
    /// Events they became.
    pub events: u64,
    /// Requests that were refused, by [`Refusal::word`].
    pub refused: BTreeMap<&'static str, u64>,
    /// Times that the stream did not take events.
    pub not_published: u64,
}

/// The counts of all sources.
#[derive(Debug, Default)]
pub struct Counts(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    sources: BTreeMap<String, SourceCounts>,
    nowhere: u64,
}

impl Counts {
    /// As of now, by source.
    pub fn by_source(&self) -> BTreeMap<String, SourceCounts> {
        self.lock().sources.clone()
    }

    /// Requests to sources that there are not.
    pub fn nowhere(&self) -> u64 {
        self.lock().nowhere
    }

    /// Counts for these sources, from nothing where one is new; forgets the others.
    pub(super) fn keep<'a>(&self, names: impl Iterator<Item = &'a String>) {
        let mut all = self.lock();
        let mut before = std::mem::take(&mut all.sources);
        all.sources = names.map(|name| (name.clone(), before.remove(name).unwrap_or_default())).collect();
    }

    pub(super) fn taken(&self, source: &str, events: usize) {
        self.several_taken(source, 1, events);
    }

    /// So many requests or messages became so many events.
    pub(crate) fn several_taken(&self, source: &str, requests: usize, events: usize) {
        self.count(source, |counts| {
            counts.taken += requests as u64;
            counts.events += events as u64;
        });
    }

    pub(super) fn refused(&self, source: Option<&str>, refusal: &Refusal) {
        match source {
            Some(source) => self.several_refused(source, refusal.word(), 1),
            None => self.lock().nowhere += 1,
        }
    }

    /// So many were refused for this reason, a [`Refusal::word`].
    pub(crate) fn several_refused(&self, source: &str, word: &'static str, count: u64) {
        self.count(source, |counts| *counts.refused.entry(word).or_default() += count);
    }

    pub(crate) fn not_published(&self, source: &str) {
        self.count(source, |counts| counts.not_published += 1);
    }

    fn count(&self, source: &str, what: impl FnOnce(&mut SourceCounts)) {
        if let Some(counts) = self.lock().sources.get_mut(source) {
            what(counts);
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_that_there_are_have_counts_of_their_own() {
        let (counts, okta) = (Counts::default(), "okta".to_owned());
        counts.keep([okta.clone(), "jamf".to_owned()].iter());
        counts.taken("okta", 3);
        counts.refused(Some("okta"), &Refusal::Busy);
        counts.refused(None, &Refusal::NoSource);
        counts.not_published("okta");
        counts.taken("made-up", 1);
        counts.keep([okta.clone()].iter());
        let expected = SourceCounts { taken: 1, events: 3, refused: [("busy", 1)].into(), not_published: 1 };
        assert_eq!((counts.by_source(), counts.nowhere()), ([(okta, expected)].into(), 1));
    }
}

//! What is asked of an engine.

use super::Events;

/// Rules, compiled by one engine.
pub(super) trait Engine {
    /// Matches an event, and counts the rules it matches.
    fn tally(&mut self, event: &[u8], tally: &mut Tally);

    /// Matches `count` events from `start` on, and says how many rules they matched.
    fn run(&mut self, events: &Events, start: usize, count: usize) -> usize;
}

/// What one pass over the events matched.
#[derive(Debug, PartialEq)]
pub(super) struct Tally {
    /// How often, by the rule's place in its class.
    pub(super) matches: Vec<usize>,
    /// Events that were no events to the engine.
    pub(super) refused: usize,
}

impl Tally {
    pub(super) fn of(rules: usize) -> Self {
        Self { matches: vec![0; rules], refused: 0 }
    }

    pub(super) fn sum(&self) -> usize {
        self.matches.iter().sum()
    }

    /// What two engines do not agree on, in words.
    pub(super) fn difference(&self, other: &Self, other_name: &str) -> Option<String> {
        let pairs = self.matches.iter().zip(&other.matches);
        let rules: Vec<String> = pairs
            .enumerate()
            .filter(|(_, (ours, theirs))| ours != theirs)
            .map(|(rule, (ours, theirs))| {
                format!("rule {} matches {ours} events, {theirs} with {other_name}", rule + 1)
            })
            .collect();
        let refused = (self.refused != other.refused)
            .then(|| format!("{} events are refused, {} by {other_name}", self.refused, other.refused));
        let more = rules.len().saturating_sub(3);
        let more = (more > 0).then(|| format!("{more} more rules differ"));
        let all: Vec<String> = rules.into_iter().take(3).chain(more).chain(refused).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

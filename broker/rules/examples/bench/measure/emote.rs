//! Our engine.

use super::Events;
use super::engine::{Engine, Tally};
use emote_rules::{Pattern, RuleSet, Scratch};

pub(super) struct Emote {
    rules: RuleSet<usize>,
    scratch: Scratch,
}

impl Emote {
    pub(super) fn compile(patterns: &[String]) -> Result<Self, String> {
        let parse = |(place, text): (usize, &String)| match Pattern::parse(text) {
            Ok(pattern) => Ok((place, pattern)),
            Err(error) => Err(format!("rule {}: {error}", place + 1)),
        };
        let patterns: Vec<_> = patterns.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { rules: RuleSet::build(patterns), scratch: Scratch::default() })
    }
}

impl Engine for Emote {
    fn tally(&mut self, event: &[u8], tally: &mut Tally) {
        match self.rules.find(event, &mut self.scratch) {
            Ok(found) => found.for_each(|rule| tally.matches[*rule] += 1),
            Err(_) => tally.refused += 1,
        }
    }

    fn run(&mut self, events: &Events, start: usize, count: usize) -> usize {
        let each = (start..start + count).map(|place| events.get(place));
        each.map(|event| self.rules.find(event, &mut self.scratch).map_or(0, |found| found.len())).sum()
    }
}

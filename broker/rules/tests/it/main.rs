//! The pattern language, tested from outside.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that finds something else than it expects fails")]

mod cases;
mod explaining;
mod generate;
mod language;
mod limits;
mod live;
mod properties;
mod reference;
mod slow;

use emote_rules::{Pattern, RuleSet};

/// Whether the pattern matches the event, both as JSON text.
fn matches(pattern: &str, event: &str) -> bool {
    let pattern = Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    let rules = RuleSet::build([("rule", pattern)]);
    !rules.matches(event.as_bytes()).unwrap_or_else(|error| panic!("{event}: {error}")).is_empty()
}

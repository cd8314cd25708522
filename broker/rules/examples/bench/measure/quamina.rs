//! The crate `quamina`, the fastest engine of this kind that we know. It reads no more of an event than its rules need.

use super::Events;
use super::engine::{Engine, Tally};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::time::{Duration, Instant};

/// How long it may take to compile a class.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Quamina(quamina::Quamina<usize>);

impl Quamina {
    pub(super) fn compile(patterns: &[String]) -> Result<Self, String> {
        let began = Instant::now();
        let mut rules = quamina::Quamina::new();
        for (place, pattern) in patterns.iter().enumerate() {
            rules.add_pattern(place, pattern).map_err(|error| format!("rule {}: {error}", place + 1))?;
            if began.elapsed() > PATIENCE {
                return Err(format!("only {} rules were compiled in {PATIENCE:?}", place + 1));
            }
        }
        // It compiles some of it only when it sees an event.
        rules.matches_for_event(b"{}").map_err(|error| error.to_string())?;
        Ok(Self(rules))
    }
}

impl Engine for Quamina {
    fn tally(&mut self, event: &[u8], tally: &mut Tally) {
        match self.0.matches_for_event(event) {
            Ok(found) => found.into_iter().for_each(|rule| tally.matches[rule] += 1),
            Err(_) => tally.refused += 1,
        }
    }

    fn run(&mut self, events: &Events, start: usize, count: usize) -> usize {
        let each = (start..start + count).map(|place| events.get(place));
        each.map(|event| self.0.matches_for_event(event).map_or(0, |found| found.len())).sum()
    }
}

/// Runs something of quamina's that may panic; the reason, if it does or returns an error.
pub(super) fn guarded<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(run));
    set_hook(hook);
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
        Err(format!("panics: {}", text.unwrap_or("for no reason it gives")))
    })
}

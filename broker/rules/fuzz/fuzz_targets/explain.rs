//! The first line is a pattern, the second an event: what an explanation says matched, does, and the other way round.
#![no_main]

use emote_rules::{Pattern, RuleSet};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Some((pattern, event)) = std::str::from_utf8(data).ok().and_then(|text| text.split_once('\n')) else { return };
    let Ok(pattern) = Pattern::parse(pattern) else { return };
    let Ok(event @ Value::Object(_)) = serde_json::from_str::<Value>(event) else { return };
    let explained = pattern.explain(&event);
    // A value keeps neither repeated keys nor how a number was written; so both look at the value.
    let found = RuleSet::build([((), pattern)]).matches(event.to_string().as_bytes());
    assert_eq!(explained.problem, found.as_ref().err().cloned());
    assert_eq!(explained.matched, found.is_ok_and(|found| !found.is_empty()), "{explained}");
    assert!(explained.problem.is_some() || explained.matched == explained.branches.iter().any(|branch| branch.matched));
});

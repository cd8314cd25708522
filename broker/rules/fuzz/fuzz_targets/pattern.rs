//! A pattern's text: the first line is the event it meets, the rest the pattern. Nothing panics, whatever is accepted
//! matches and is explained; and its place in the text is in the text.
#![no_main]

use emote_rules::{Pattern, RuleSet, Scratch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (event, pattern) = text.split_once('\n').unwrap_or(("{}", text));
    match Pattern::parse(pattern) {
        Ok(pattern) => {
            let explained = serde_json::from_str(event).map(|event| pattern.explain(&event).to_string());
            assert!(explained.is_err() || explained.is_ok_and(|text| !text.is_empty()));
            let rules = RuleSet::build([(0, pattern)]);
            let mut scratch = Scratch::default();
            let found = rules.find(event.as_bytes(), &mut scratch).map(|found| found.count());
            assert_eq!(found.ok(), rules.matches(event.as_bytes()).map(|found| found.len()).ok());
        }
        Err(error) => {
            assert!(!error.problem().is_empty() && !error.remedy().is_empty());
            let position = error.position().expect("a text has positions");
            assert!(position.line >= 1 && position.line <= pattern.matches('\n').count() + 1, "{error}");
        }
    }
    // By value, it is the same pattern unless a key is repeated, or a number is written in a way of its own.
    if let Ok(value) = serde_json::from_str(pattern) {
        let _ = Pattern::from_value(&value);
    }
});

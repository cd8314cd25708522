//! The first line is an event, each further line a rule: a set of many rules says what sets of one rule each say, in
//! whatever order they are given.
#![no_main]

use emote_rules::{Pattern, RuleSet, Scratch};
use libfuzzer_sys::fuzz_target;

/// Rules of one set.
const MOST: usize = 24;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let event = lines.next().unwrap_or_default();
    let texts = lines.filter_map(|line| std::str::from_utf8(line).ok()).take(MOST);
    let patterns: Vec<Pattern> = texts.filter_map(|text| Pattern::parse(text).ok()).collect();
    if patterns.is_empty() {
        return;
    }
    let rules: Vec<(usize, Pattern)> = patterns.into_iter().enumerate().collect();
    let mut scratch = Scratch::default();
    let together = RuleSet::build(rules.clone());
    let found = together.find(event, &mut scratch).map(|found| found.copied().collect::<Vec<_>>());
    let each: Result<Vec<_>, _> = rules.iter().map(|rule| RuleSet::build([rule.clone()]).matches(event)).collect();
    // Together they may be too much work where each alone is not.
    if let (Ok(found), Ok(each)) = (&found, each) {
        assert_eq!(found, &each.concat());
    }
    let backwards = RuleSet::build(rules.into_iter().rev()).matches(event);
    let backwards = backwards.map(|found| found.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(found.ok(), backwards.ok());
});

//! The examples of `PATTERNS.md`.

use crate::matches;
use emote_rules::OPERATORS;

const PATTERNS: &str = include_str!("../../PATTERNS.md");

#[test]
fn the_examples_of_the_language_are_true() {
    let mut events = 0;
    for example in PATTERNS.split("```pattern\n").skip(1) {
        let example = example.split("```").next().unwrap();
        let (pattern, lines) = example.split_once('\n').unwrap();
        for line in lines.lines() {
            let (verdict, event) = line.split_at(4);
            let expected = match verdict {
                "yes " => true,
                "no  " => false,
                other => panic!("{other:?} is neither yes nor no: {line}"),
            };
            assert_eq!(matches(pattern, event), expected, "{pattern}\n{line}");
            events += 1;
        }
    }
    assert!(events > 60, "{events}");
}

#[test]
fn every_operator_is_described_with_an_example() {
    for operator in OPERATORS {
        let section = PATTERNS.split(&format!("\n### {operator}\n")).nth(1).unwrap_or_else(|| panic!("{operator}"));
        let example = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
        assert!(example.contains("```pattern\n") && example.contains(&format!("\"{operator}\":")), "{operator}");
    }
}

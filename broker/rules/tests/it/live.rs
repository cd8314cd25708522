//! Rules that change while events are matched.

use emote_rules::{LiveRules, Pattern, RuleSet, Scratch};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

const EVENT: &[u8] = br#"{"a": 1}"#;

/// A pattern that matches the event.
fn pattern() -> Pattern {
    Pattern::parse(r#"{"a": [1]}"#).unwrap()
}

fn matched(rules: &LiveRules<u32>) -> Vec<u32> {
    rules.load().matches(EVENT).unwrap()
}

#[test]
fn changes_take_the_place_of_what_was_there_and_give_it_back() {
    let live = LiveRules::default();
    assert!(live.add([(1, pattern()), (2, pattern())]).is_empty());
    assert_eq!(live.add([(3, pattern()), (1, Pattern::parse(r#"{"b": [1]}"#).unwrap())]).len(), 2);
    assert_eq!(matched(&live), [1, 2, 3]);
    assert_eq!(live.load().matches(br#"{"b": 1}"#).unwrap(), [1], "an id that was there has both patterns");
    let kept = live.current();
    assert_eq!(live.remove([2, 7]).len(), 3);
    assert_eq!((matched(&live), kept.matches(EVENT).unwrap()), (vec![1, 3], vec![1, 2, 3]));
    let before = live.replace([(4, pattern())].into_iter().collect());
    assert_eq!((matched(&live), before.len()), (vec![4], 2));
}

#[test]
fn a_change_that_fails_or_panics_leaves_the_rules_and_later_changes_as_they_were() {
    let live = LiveRules::new(RuleSet::build([(1, pattern())]));
    let failed = live.try_update(|rules| Ok(rules.with([(2, Pattern::parse("{}")?)])));
    assert!(failed.is_err_and(|error: emote_rules::PatternError| error.problem().contains("empty object")));
    let panicked = catch_unwind(AssertUnwindSafe(|| live.update(|_| panic!("halfway"))));
    assert!(panicked.is_err());
    assert_eq!(matched(&live), [1]);
    live.add([(2, pattern())]);
    assert_eq!(matched(&live), [1, 2]);
}

/// Each writer adds its rules two at a time, then takes all but the last two away again. So no two sets are the same, and
/// the rules of a set tell how many changes led to it.
#[test]
fn readers_see_every_set_whole_and_writers_lose_nothing() {
    const WRITERS: u32 = 3;
    const PAIRS: u32 = 40;
    const CHANGES: u32 = 2 * PAIRS - 1;
    let pair = |writer: u32, pair: u32| [2 * pair, 2 * pair + 1].map(|rule| writer * 1_000 + rule);
    let live = LiveRules::default();
    let existed: Mutex<BTreeSet<Vec<u32>>> = Mutex::default();
    let writing = AtomicU32::new(WRITERS);
    let write = |writer: u32| {
        for change in 0..CHANGES {
            let before = match change.checked_sub(PAIRS) {
                None => live.add(pair(writer, change).map(|id| (id, pattern()))),
                Some(removed) => live.remove(pair(writer, removed)),
            };
            existed.lock().unwrap().insert(before.matches(EVENT).unwrap());
        }
        writing.fetch_sub(1, Ordering::SeqCst);
    };
    let read = || {
        let (mut scratch, mut seen) = (Scratch::default(), Vec::new());
        loop {
            let last = writing.load(Ordering::SeqCst) == 0;
            let found: Vec<u32> = live.load().find(EVENT, &mut scratch).unwrap().copied().collect();
            if seen.last() != Some(&found) {
                seen.push(found);
            }
            if last {
                return seen;
            }
        }
    };
    let seen: Vec<Vec<Vec<u32>>> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(read)).collect();
        for writer in 0..WRITERS {
            scope.spawn(move || write(writer));
        }
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let last = matched(&live);
    assert_eq!(changes(&last), WRITERS * CHANGES);
    let mut existed = existed.into_inner().unwrap();
    existed.insert(last.clone());
    let all: BTreeSet<u32> = existed.iter().map(|rules| changes(rules)).collect();
    assert!(all.into_iter().eq(0..=WRITERS * CHANGES), "each change was made to the set of the one before");
    for seen in seen {
        assert!(seen.iter().all(|rules| existed.contains(rules)));
        assert!(seen.is_sorted_by_key(|rules| changes(rules)), "nobody sees an older set than before");
        assert_eq!(seen.last(), Some(&last));
    }
}

/// How many changes led to these rules: of each writer, the pairs that were added and those that were taken away.
fn changes(rules: &[u32]) -> u32 {
    let mut writers: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
    for rule in rules {
        let pair = rule % 1_000 / 2;
        let (removed, added) = writers.entry(rule / 1_000).or_insert((pair, pair + 1));
        (*removed, *added) = ((*removed).min(pair), (*added).max(pair + 1));
    }
    writers.values().map(|(removed, added)| removed + added).sum()
}

//! Which rules almost matched an event.
//!
//! Every rule is held against the event's values cheaply, by its failing fields; how near those came is looked at only
//! for rules that can still be among the nearest, and only the nearest are explained.

use super::meant::miss_of_path;
use super::near::misses_of_values;
use super::seen::{SeenPaths, read};
use super::shape::{Shape, Tests};
use super::{Explaining, Explanation, NearMiss};
use crate::compile::{Alternative, Field};
use crate::error::EventError;
use crate::pattern::Pattern;
use crate::ruleset::RuleSet;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// How many rules are told at most.
const MAX_NEAREST: usize = 100;
/// How many tests of values may be made to find them.
const MAX_TESTS: usize = 5_000_000;
/// How many of these for each rule: few at first, so that large rules do not keep others from being looked at.
const MAX_RULE_TESTS: [usize; 2] = [5_000, 200_000];
/// How many pairs of a value and a test are looked at for how near they came.
const MAX_PAIRS: usize = 200_000;
/// How many of these for each field.
const MAX_FIELD_PAIRS: usize = 64;
/// How many paths are looked at for those that may have been meant, long ones counted several times.
const MAX_NAMES: usize = 1_000_000;
/// How many alternatives of a rule are looked at for how near they came.
const MAX_NEAR_BRANCHES: usize = 8;

/// The rules that almost matched an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearest<Id> {
    /// The rules, the nearest first.
    pub rules: Vec<NearRule<Id>>,
    /// Of how many others it is not known how near they came: to find out would take too long.
    pub left_out: usize,
}

/// A rule that does not match an event, but almost.
#[derive(Debug, Clone, PartialEq)]
pub struct NearRule<Id> {
    /// Which rule.
    pub id: Id,
    /// How many fields of its nearest alternative fail; 0 if each matches, but not in the same element of an array.
    pub failed: usize,
    /// How many of those are near misses.
    pub near: usize,
    /// How many fields that alternative has.
    pub fields: usize,
    /// What became of each.
    pub explanation: Explanation,
}

impl<Id> NearRule<Id> {
    /// By how much it missed: the part of its fields that fail, near misses counting half; above 0, at most 1.
    pub fn distance(&self) -> f64 {
        let Distance { halves, fields } = Distance::new(self.failed, self.near, self.fields);
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        number(halves) / number(fields * 2)
    }
}

impl<Id: Clone + Eq + Hash> RuleSet<Id> {
    /// The rules that do not match an event but almost did, the nearest first: those with the least part of fields that
    /// fail, where a near miss counts half; else in the order in which they were given. At most `limit`, and at most 100.
    ///
    /// Rules of which no value of the event is right or nearly right are not among them. The work is bounded: how many
    /// rules were left out for that is said.
    ///
    /// ```
    /// use emote_rules::{Pattern, RuleSet};
    ///
    /// let locked = Pattern::parse(r#"{"scope": ["device"], "action": ["lock"]}"#)?;
    /// let wiped = Pattern::parse(r#"{"scope": ["device"], "action": ["wipe"], "trust": ["verified"]}"#)?;
    /// let rules = RuleSet::build([("wiped", wiped), ("locked", locked)]);
    /// let nearest = rules.nearest(br#"{"scope": "device", "action": "lokc"}"#, 5)?;
    /// let [locked, wiped] = nearest.rules.as_slice() else { panic!("{nearest:?}") };
    /// assert_eq!((locked.id, locked.failed, locked.near), ("locked", 1, 1));
    /// assert_eq!((wiped.id, wiped.failed, wiped.near), ("wiped", 2, 0));
    /// assert_eq!(nearest.left_out, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`RuleSet::matches`].
    pub fn nearest(&self, event_json: &[u8], limit: usize) -> Result<Nearest<Id>, EventError> {
        self.nearest_with(event_json, limit, None)
    }

    /// As [`RuleSet::nearest`]; missing fields are marked as [`Pattern::explain_with`] does it.
    ///
    /// # Errors
    /// As [`RuleSet::matches`].
    pub fn nearest_with(
        &self,
        event_json: &[u8],
        limit: usize,
        seen: Option<&SeenPaths>,
    ) -> Result<Nearest<Id>, EventError> {
        let matched = self.matches(event_json)?;
        let matched: HashSet<&Id> = matched.iter().collect();
        let tree = read(event_json)?;
        let mut paths = HashSet::new();
        self.iter().for_each(|(_, pattern)| pattern.tell_paths(&mut paths));
        let shape = Shape::new(&tree, &paths);
        let others: Vec<(&Id, &Pattern)> = self.iter().filter(|(id, _)| !matched.contains(id)).collect();
        let mut ranking = Ranking::new(&shape);
        let nearest = ranking.nearest(&others, limit.min(MAX_NEAREST));
        let count = nearest.len();
        let explained = nearest.into_iter().map(|Ranked { place, score }| {
            let (id, pattern) = others[place];
            let Score { failed, near, fields, .. } = score;
            let explaining = Explaining::new(event_json, &shape, seen, count);
            let explanation = explaining.explain(pattern, &HashSet::new(), None);
            NearRule { id: id.clone(), failed, near, fields, explanation }
        });
        Ok(Nearest { rules: explained.collect(), left_out: ranking.left_out })
    }
}

/// A part of all fields, near misses counted as halves; compared exactly.
#[derive(Debug, Clone, Copy)]
struct Distance {
    halves: usize,
    fields: usize,
}

impl Distance {
    /// All fields matching, but not together, is as one near miss.
    fn new(failed: usize, near: usize, fields: usize) -> Self {
        Self { halves: (failed * 2 - near).max(1), fields: fields.max(1) }
    }

    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.halves * other.fields).cmp(&(other.halves * self.fields))
    }
}

/// How an alternative fared.
#[derive(Debug, Clone, Copy)]
struct Score {
    failed: usize,
    near: usize,
    fields: usize,
    /// Whether some value of the event is as a field wants it.
    right: bool,
}

impl Score {
    fn distance(&self) -> Distance {
        Distance::new(self.failed, self.near, self.fields)
    }

    /// What the distance comes to if all that fails is near.
    fn least(&self) -> Distance {
        Distance::new(self.failed, self.failed, self.fields)
    }
}

struct Ranked {
    place: usize,
    score: Score,
}

struct Ranking<'s, 't> {
    shape: &'s Shape<'t>,
    tests: Tests,
    pairs: Tests,
    names: Tests,
    judged: HashMap<*const Field, Judged>,
    near_paths: HashMap<&'s str, bool>,
    /// Rules of which it is not known how near they came.
    left_out: usize,
}

/// How a field fared.
#[derive(Debug, Clone, Copy)]
struct Judged {
    fails: bool,
    /// Whether a value is right.
    right: bool,
}

impl<'s, 't> Ranking<'s, 't> {
    fn new(shape: &'s Shape<'t>) -> Self {
        let (tests, pairs, names) = (Tests::new(MAX_TESTS), Tests::new(MAX_PAIRS), Tests::new(MAX_NAMES));
        Self { shape, tests, pairs, names, judged: HashMap::new(), near_paths: HashMap::new(), left_out: 0 }
    }

    fn nearest(&mut self, rules: &[(&impl Eq, &'s Pattern)], limit: usize) -> Vec<Ranked> {
        let mut candidates: Vec<(usize, Distance)> = Vec::new();
        let mut left: Vec<usize> = (0..rules.len()).collect();
        for limit in MAX_RULE_TESTS {
            left.retain(|place| {
                let least = self.least(rules[*place].1, limit);
                candidates.extend(least.map(|least| (*place, least)));
                least.is_none()
            });
        }
        self.left_out = left.len();
        candidates.sort_by(|(one_place, one), (other_place, other)| one.cmp(other).then(one_place.cmp(other_place)));
        let mut nearest: Vec<Ranked> = Vec::new();
        for (index, (place, least)) in candidates.iter().copied().enumerate() {
            let full = nearest.len() == limit;
            let too_far =
                |least: &Distance| full && nearest.last().is_none_or(|last| least.cmp(&last.score.distance()).is_gt());
            if too_far(&least) {
                break;
            }
            let score = self.score(rules[place].1);
            if self.pairs.are_over() || self.names.are_over() {
                self.left_out += candidates[index..].iter().take_while(|(_, least)| !too_far(least)).count();
                break;
            }
            let Some(score) = score else { continue };
            let order = |ranked: &Ranked| {
                ranked.score.distance().cmp(&score.distance()).then_with(|| ranked.place.cmp(&place)).is_lt()
            };
            nearest.insert(nearest.partition_point(order), Ranked { place, score });
            nearest.truncate(limit);
        }
        nearest
    }

    /// How near a rule can be at best, told by what fails; nothing if that takes more tests.
    fn least(&mut self, pattern: &Pattern, limit: usize) -> Option<Distance> {
        let Self { shape, tests, judged, .. } = self;
        let all_judged = tests.at_most(limit, |tests| {
            pattern.alternatives.iter().flatten().all(|field| {
                let known = match judged.entry(Arc::as_ptr(field)) {
                    Entry::Occupied(_) => true,
                    Entry::Vacant(new) => judge(field, shape, tests).map(|judged| new.insert(judged)).is_some(),
                };
                known && tests.spend(1)
            })
        });
        let scores = pattern.alternatives.iter().map(|alternative| self.cheap_score(alternative));
        scores.map(|score| score.least()).min_by(Distance::cmp).filter(|_| all_judged)
    }

    fn cheap_score(&self, alternative: &Alternative) -> Score {
        let mut score = Score { failed: 0, near: 0, fields: alternative.len(), right: false };
        for Judged { fails, right } in alternative.iter().filter_map(|field| self.judged.get(&Arc::as_ptr(field))) {
            score.failed += usize::from(*fails);
            score.right |= right;
        }
        score
    }

    /// The score of a rule's nearest alternative; nothing if no value of the event is right or nearly right.
    fn score(&mut self, pattern: &'s Pattern) -> Option<Score> {
        let alternatives = pattern.alternatives.iter();
        let mut scores: Vec<(Score, &Alternative)> =
            alternatives.map(|alternative| (self.cheap_score(alternative), alternative)).collect();
        scores.sort_by(|(one, _), (other, _)| one.least().cmp(&other.least()));
        scores.truncate(MAX_NEAR_BRANCHES);
        for (score, alternative) in &mut scores {
            for field in alternative.iter() {
                let fails = self.judged.get(&Arc::as_ptr(field)).is_some_and(|judged| judged.fails);
                score.near += usize::from(fails && self.is_near(field));
            }
        }
        let common = scores.into_iter().map(|(score, _)| score).filter(|score| score.right || score.near > 0);
        common.min_by(|one, other| one.distance().cmp(&other.distance()))
    }

    fn is_near(&mut self, field: &'s Field) -> bool {
        let Self { shape, pairs, names, near_paths, .. } = self;
        match shape.at(&field.path) {
            [] => {
                let look = || miss_of_path(field, shape, names).is_some_and(|miss| miss.is_near());
                // Whether an object is a near miss depends on what is wanted in its place.
                let is_object = shape.entry(&field.path).is_some_and(|entry| entry.object);
                if is_object { look() } else { *near_paths.entry(&field.path).or_insert_with(look) }
            }
            leaves => {
                let misses = |pairs: &Tests| misses_of_values(field, leaves, shape, pairs);
                pairs.at_most(MAX_FIELD_PAIRS, misses).iter().any(NearMiss::is_near)
            }
        }
    }
}

/// How a field fares; nothing if there are not enough tests left to know.
fn judge(field: &Field, shape: &Shape<'_>, tests: &Tests) -> Option<Judged> {
    let right = shape.accepts_some(field, tests)?;
    let absent = shape.at(&field.path).is_empty() && field.may_be_absent;
    Some(Judged { fails: !right && !absent, right })
}

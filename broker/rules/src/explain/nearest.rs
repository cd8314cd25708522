//! Which rules almost matched an event.
//!
//! Every rule is held against the event's values cheaply, by its failing fields; how near those came is looked at only
//! for rules that can still be among the nearest, and only the nearest are explained.

use super::near::{miss_of_path, misses_of_values};
use super::seen::read;
use super::shape::{Shape, Tests};
use super::{Explanation, NearMiss};
use crate::compile::{Alternative, Field};
use crate::error::EventError;
use crate::pattern::Pattern;
use crate::ruleset::RuleSet;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// How many rules are told at most.
const MAX_NEAREST: usize = 100;
/// How many tests of values may be made to find them.
const MAX_TESTS: usize = 2_000_000;
/// How many pairs of a value and a test of one field are looked at for how near they came.
const MAX_PAIRS: usize = 64;
/// How many alternatives of a rule are looked at for how near they came.
const MAX_NEAR_BRANCHES: usize = 8;

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
    /// Rules of which no value of the event is right or nearly right are left out. The work is bounded: of very many or
    /// very large rules, those behind the bound are left out as well.
    ///
    /// ```
    /// use emote_rules::{Pattern, RuleSet};
    ///
    /// let locked = Pattern::parse(r#"{"scope": ["device"], "action": ["lock"]}"#)?;
    /// let wiped = Pattern::parse(r#"{"scope": ["device"], "action": ["wipe"], "trust": ["verified"]}"#)?;
    /// let rules = RuleSet::build([("wiped", wiped), ("locked", locked)]);
    /// let nearest = rules.nearest(br#"{"scope": "device", "action": "lokc"}"#, 5)?;
    /// assert_eq!((nearest[0].id, nearest[0].failed, nearest[0].near), ("locked", 1, 1));
    /// assert_eq!((nearest[1].id, nearest[1].failed, nearest[1].near), ("wiped", 2, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`RuleSet::matches`].
    pub fn nearest(&self, event_json: &[u8], limit: usize) -> Result<Vec<NearRule<Id>>, EventError> {
        let matched = self.matches(event_json)?;
        let matched: HashSet<&Id> = matched.iter().collect();
        let tree = read(event_json)?;
        let mut paths = HashSet::new();
        self.iter().for_each(|(_, pattern)| pattern.tell_paths(&mut paths));
        let shape = Shape::new(&tree, &paths);
        let others: Vec<(&Id, &Pattern)> = self.iter().filter(|(id, _)| !matched.contains(id)).collect();
        let ranking = Ranking { shape: &shape, tests: Tests::new(MAX_TESTS) };
        let nearest = ranking.nearest(&others, limit.min(MAX_NEAREST)).into_iter();
        Ok(nearest
            .map(|Ranked { place, score }| {
                let (id, pattern) = others[place];
                let Score { failed, near, fields, .. } = score;
                NearRule { id: id.clone(), failed, near, fields, explanation: pattern.explain_json(event_json) }
            })
            .collect())
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
}

impl Ranking<'_, '_> {
    fn nearest(&self, rules: &[(&impl Eq, &Pattern)], limit: usize) -> Vec<Ranked> {
        let scored = rules.iter().enumerate().map(|(place, (_, pattern))| (place, self.least(pattern)));
        let within = scored.take_while(|_| !self.tests.are_over());
        let mut candidates: Vec<(usize, Distance)> =
            within.filter_map(|(place, least)| Some((place, least?))).collect();
        candidates.sort_by(|(_, one), (_, other)| one.cmp(other));
        let mut near_paths = HashMap::new();
        let mut nearest: Vec<Ranked> = Vec::new();
        for (place, least) in candidates {
            let full = nearest.len() == limit;
            if full && nearest.last().is_none_or(|last| least.cmp(&last.score.distance()).is_gt()) {
                break;
            }
            let Some(score) = self.score(rules[place].1, &mut near_paths) else { continue };
            let order = |ranked: &Ranked| {
                ranked.score.distance().cmp(&score.distance()).then_with(|| ranked.place.cmp(&place)).is_lt()
            };
            nearest.insert(nearest.partition_point(order), Ranked { place, score });
            nearest.truncate(limit);
        }
        nearest
    }

    /// How near a rule can be at best, told by what fails.
    fn least(&self, pattern: &Pattern) -> Option<Distance> {
        let mut known = HashMap::new();
        let scores = pattern.alternatives.iter().map(|alternative| self.cheap_score(alternative, &mut known));
        scores.map(|score| score.least()).min_by(Distance::cmp)
    }

    fn cheap_score(&self, alternative: &Alternative, known: &mut HashMap<*const Field, (bool, bool)>) -> Score {
        let mut score = Score { failed: 0, near: 0, fields: alternative.len(), right: false };
        for field in alternative {
            let (fails, right) = *known.entry(Arc::as_ptr(field)).or_insert_with(|| self.field(field));
            score.failed += usize::from(fails);
            score.right |= right;
        }
        score
    }

    /// Whether a field fails, and whether a value is right.
    fn field(&self, field: &Field) -> (bool, bool) {
        let leaves = self.shape.at(&field.path);
        let accepts = |leaf| self.shape.accepts(field, leaf, &self.tests);
        let right = leaves.iter().any(accepts);
        let absent = leaves.is_empty() && field.may_be_absent;
        (!right && !absent, right)
    }

    /// The score of a rule's nearest alternative; nothing if no value of the event is right or nearly right.
    fn score<'f>(&self, pattern: &'f Pattern, near_paths: &mut HashMap<&'f str, bool>) -> Option<Score> {
        let mut known = HashMap::new();
        let mut scores: Vec<(Score, &Alternative)> = pattern
            .alternatives
            .iter()
            .map(|alternative| (self.cheap_score(alternative, &mut known), alternative))
            .collect();
        scores.sort_by(|(one, _), (other, _)| one.least().cmp(&other.least()));
        scores.truncate(MAX_NEAR_BRANCHES);
        for (score, alternative) in &mut scores {
            let fails = |field: &&Arc<Field>| known.get(&Arc::as_ptr(field)).is_some_and(|(fails, _)| *fails);
            score.near = alternative.iter().filter(fails).filter(|field| self.is_near(field, near_paths)).count();
        }
        let common = scores.into_iter().map(|(score, _)| score).filter(|score| score.right || score.near > 0);
        common.min_by(|one, other| one.distance().cmp(&other.distance()))
    }

    fn is_near<'f>(&self, field: &'f Field, near_paths: &mut HashMap<&'f str, bool>) -> bool {
        match self.shape.at(&field.path) {
            [] => {
                let look = || miss_of_path(field, self.shape).is_some_and(|miss| miss.is_near());
                // Whether an object is a near miss depends on what is wanted in its place.
                let is_object = self.shape.entry(&field.path).is_some_and(|entry| entry.object);
                if is_object { look() } else { *near_paths.entry(&field.path).or_insert_with(look) }
            }
            leaves => misses_of_values(field, leaves, self.shape, &Tests::new(MAX_PAIRS)).iter().any(NearMiss::is_near),
        }
    }
}

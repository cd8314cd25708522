//! Why a pattern matches an event or does not: what each field was to be, what it was, and how near that came.
//!
//! Whether something matches is asked of the engine that matches events, never judged here. What is told is bounded,
//! whatever the pattern and the event.

mod json;
mod made;
mod near;
mod nearest;
mod seen;
mod shape;
mod text;

use crate::compile::{Alternative, Field};
use crate::error::EventError;
use crate::pattern::Pattern;
use crate::ruleset::RuleSet;
use crate::shown::cut;
pub use near::{NearMiss, Part};
pub use nearest::NearRule;
pub use seen::SeenPaths;
use shape::{Leaf, Shape, Tests};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How many alternatives are told, the nearest ones.
const MAX_BRANCHES: usize = 10;
/// How many values that a field should have are told.
const MAX_EXPECTED: usize = 20;
/// How many values that a field has are told, and how many elements that they came through.
const MAX_FOUND: usize = 5;
/// How many tests of values an explanation may make.
const MAX_TESTS: usize = 1_000_000;
/// How many pairs of a value and a test are looked at for how near they came, for each field.
const MAX_PAIRS: usize = 2_000;
/// How often it is asked whether a field that may be absent is, in the element that the others came through.
const MAX_ABSENCES: usize = 8;

/// Why a pattern matches an event or does not; displayed as lines of text.
///
/// ```
/// use emote_rules::{NearMiss, Outcome, Pattern};
///
/// let pattern = Pattern::parse(r#"{"scope": ["device"], "device": {"model": ["MacBook"]}}"#)?;
/// let explanation = pattern.explain_json(br#"{"scope": "device", "device": {"model": "macbook"}}"#);
/// let model = &explanation.branches[0].fields[0];
/// assert_eq!((model.path.as_str(), model.outcome), ("device.model", Outcome::Different));
/// assert!(matches!(model.near[0], NearMiss::Case { .. }));
/// assert_eq!(explanation.to_json()["branches"][0]["fields"][0]["near"][0]["kind"], "case");
/// # Ok::<(), emote_rules::PatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Whether the pattern matches.
    pub matched: bool,
    /// Why the event could not be looked at, or not all of it.
    pub problem: Option<EventError>,
    /// How many alternatives the pattern has. Without `$or` it has one.
    pub alternatives: usize,
    /// What became of the alternatives, the nearest first; at most ten, none if the event could not be read.
    pub branches: Vec<Branch>,
}

/// One alternative of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Which alternative it is, from 1, in the order in which the `$or`s list them.
    pub number: usize,
    /// Whether all its fields match together.
    pub matched: bool,
    /// What became of each of its fields.
    pub fields: Vec<FieldReport>,
    /// Where each field matches but all of them do not: the elements of arrays in which each one does.
    pub apart: Vec<Apart>,
}

/// A field that matches in some elements of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// Its dotted path.
    pub path: String,
    /// The innermost elements that its matching values came through, such as `apps[1]`; at most five.
    pub elements: Vec<String>,
}

/// What one field should have been and was.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldReport {
    /// Its dotted path.
    pub path: String,
    /// What that means.
    pub outcome: Outcome,
    /// What would have matched, any of these; at most twenty, cut to 120 characters.
    pub expected: Vec<String>,
    /// How many it would be without that bound.
    pub expected_count: usize,
    /// The values it had, those that match first; at most five.
    pub found: Vec<FoundValue>,
    /// How many it would be without that bound.
    pub found_count: usize,
    /// Where it is not as expected: how near it came and what may have been meant, the likeliest first; at most four.
    /// Also told where it is absent as expected, but no recent event had such a field.
    pub near: Vec<NearMiss>,
}

/// A value of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundValue {
    /// The value, a string in double quotes; cut to 120 characters.
    pub value: String,
    /// Where in the event it stands, such as `apps[1].name`.
    pub at: String,
    /// Whether it is as expected, for itself.
    pub accepted: bool,
}

/// How a field fared by itself, whatever the others did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is as expected.
    Matched,
    /// It has no value, and should have.
    Missing,
    /// It has a value, and should have none.
    Unexpected,
    /// It has a value, and none that was expected.
    Different,
}

impl Pattern {
    /// As [`Pattern::explain_with`], of an event's JSON text.
    pub fn explain_json(&self, event_json: &[u8]) -> Explanation {
        self.explain_with(event_json, None)
    }

    /// Why this pattern matches an event or does not, field by field.
    ///
    /// `seen` are the paths that recent events had, if they are known: a missing field that none of them had either is
    /// marked, for then the rule rather than the event may be wrong.
    ///
    /// ```
    /// use emote_rules::{Pattern, SeenPaths};
    ///
    /// let mut seen = SeenPaths::new(500);
    /// seen.see(br#"{"device": {"model": "Mac14,2"}}"#)?;
    /// let pattern = Pattern::parse(r#"{"device": {"modle": ["Mac14,2"]}}"#)?;
    /// let said = pattern.explain_with(br#"{"scope": "user"}"#, Some(&seen)).to_string();
    /// assert!(said.contains("Did you mean device.model?"), "{said}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain_with(&self, event_json: &[u8], seen: Option<&SeenPaths>) -> Explanation {
        let verdicts = verdicts(&self.alternatives, event_json);
        let (matched, problem) = match verdicts {
            Ok(matched) => (matched, None),
            Err(error) => (HashSet::new(), Some(error)),
        };
        let mut explanation = Explanation {
            matched: !matched.is_empty(),
            problem,
            alternatives: self.alternatives.len(),
            branches: vec![],
        };
        if let Ok(tree) = seen::read(event_json) {
            let mut paths = HashSet::new();
            self.tell_paths(&mut paths);
            let shape = Shape::new(&tree, &paths);
            let explaining = Explaining { json: event_json, shape: &shape, seen, tests: Tests::new(MAX_TESTS) };
            explanation.branches = explaining.branches(&self.alternatives, &matched, explanation.problem.is_none());
            if explaining.tests.are_over() {
                explanation.problem.get_or_insert(EventError::TooIntricate { limit: MAX_TESTS });
            }
        }
        explanation
    }

    /// Adds every path whose values are looked at.
    fn tell_paths(&self, paths: &mut HashSet<String>) {
        for field in self.alternatives.iter().flatten() {
            let mut tell = |path: &str| _ = paths.contains(path) || paths.insert(path.to_owned());
            tell(&field.path);
            field.matchers.iter().for_each(|matcher| matcher.paths(&mut tell));
        }
    }
}

pub(crate) fn explain(pattern: &Pattern, event: &serde_json::Value) -> Explanation {
    pattern.explain_json(event.to_string().as_bytes())
}

/// Which of these alternatives match, by their place.
fn verdicts(alternatives: &[Alternative], json: &[u8]) -> Result<HashSet<usize>, EventError> {
    let alone = |alternative: &Alternative| Pattern { alternatives: vec![alternative.clone()] };
    let rules = RuleSet::build(alternatives.iter().map(alone).enumerate());
    Ok(rules.matches(json)?.into_iter().collect())
}

/// An event that is being held against a pattern.
struct Explaining<'x, 't> {
    json: &'x [u8],
    shape: &'x Shape<'t>,
    seen: Option<&'x SeenPaths>,
    tests: Tests,
}

impl<'x, 't> Explaining<'x, 't> {
    /// The nearest alternatives: first by fields that fail, then with those that nearly match counting half.
    fn branches(&self, alternatives: &[Alternative], matched: &HashSet<usize>, decided: bool) -> Vec<Branch> {
        let mut outcomes = HashMap::new();
        let mut failures = |alternative: &Alternative| {
            let failed = |field: &&Arc<Field>| {
                *outcomes.entry(Arc::as_ptr(field)).or_insert_with(|| self.outcome(field)) != Outcome::Matched
            };
            alternative.iter().filter(failed).count()
        };
        let mut order: Vec<(bool, usize, usize)> = alternatives
            .iter()
            .enumerate()
            .map(|(place, alternative)| (!matched.contains(&place), failures(alternative), place))
            .collect();
        order.sort_unstable();
        let mut absences = MAX_ABSENCES;
        let nearest = order.into_iter().take(MAX_BRANCHES);
        let mut branches: Vec<Branch> = nearest
            .map(|(differs, _, place)| {
                let mut branch = self.branch(&alternatives[place], place + 1, !differs);
                if differs && decided {
                    self.forgive_absences(&alternatives[place], &mut branch, &mut absences);
                    branch.apart = self.apart(&alternatives[place], &branch);
                }
                branch
            })
            .collect();
        branches.sort_by_key(|branch| (!branch.matched, branch.distance(), branch.number));
        branches
    }

    fn branch(&self, fields: &Alternative, number: usize, matched: bool) -> Branch {
        let fields = fields.iter().map(|field| self.report(field, matched)).collect();
        Branch { number, matched, fields, apart: Vec::new() }
    }

    fn outcome(&self, field: &Field) -> Outcome {
        match self.shape.at(&field.path) {
            [] if field.may_be_absent => Outcome::Matched,
            [] => Outcome::Missing,
            leaves if leaves.iter().any(|leaf| self.accepts(field, leaf)) => Outcome::Matched,
            _ if field.matchers.is_empty() => Outcome::Unexpected,
            _ => Outcome::Different,
        }
    }

    fn accepts(&self, field: &Field, leaf: &Leaf<'_>) -> bool {
        self.shape.accepts(field, leaf, &self.tests)
    }

    /// Where the whole alternative matches, so does each field: one that must be absent may have a value elsewhere in an
    /// array.
    fn report(&self, field: &Field, matched: bool) -> FieldReport {
        let leaves = self.shape.at(&field.path);
        let outcome = if matched { Outcome::Matched } else { self.outcome(field) };
        let mut found: Vec<FoundValue> = Vec::new();
        for wanted in [true, false] {
            let fitting = leaves.iter().filter(|leaf| self.accepts(field, leaf) == wanted);
            found.extend(fitting.take(MAX_FOUND - found.len()).map(|leaf| FoundValue {
                value: cut(&leaf.value.to_string()),
                at: self.shape.place(&field.path, leaf),
                accepted: wanted,
            }));
        }
        let absence = field.may_be_absent.then(|| "no value".to_owned());
        let expected = field.matchers.iter().map(|matcher| cut(&matcher.to_string())).chain(absence);
        FieldReport {
            path: field.path.clone(),
            outcome,
            expected: expected.take(MAX_EXPECTED).collect(),
            expected_count: field.matchers.len() + usize::from(field.may_be_absent),
            found,
            found_count: leaves.len(),
            near: self.near(field, leaves, outcome),
        }
    }

    fn near(&self, field: &Field, leaves: &[Leaf<'_>], outcome: Outcome) -> Vec<NearMiss> {
        let mut near = match outcome {
            Outcome::Different => near::misses_of_values(field, leaves, self.shape, &Tests::new(MAX_PAIRS)),
            Outcome::Missing => near::miss_of_path(field, self.shape).into_iter().collect(),
            Outcome::Matched | Outcome::Unexpected => Vec::new(),
        };
        if leaves.is_empty()
            && let Some(seen) = self.seen.filter(|seen| seen.lacks(&field.path))
        {
            let told = near.iter().any(NearMiss::is_near);
            let meant = if told { Vec::new() } else { seen.similar(&field.path) };
            near.push(NearMiss::NeverSeen { events: seen.count(), meant });
        }
        near
    }

    /// A field that may be absent is, if it has values only in other elements than those the other fields came through.
    fn forgive_absences(&self, fields: &Alternative, branch: &mut Branch, left: &mut usize) {
        let fine: Vec<bool> = branch.fields.iter().map(|report| report.outcome == Outcome::Matched).collect();
        for (place, field) in fields.iter().enumerate() {
            let in_arrays = || self.shape.at(&field.path).iter().any(Leaf::is_in_element);
            if fine[place] || !field.may_be_absent || *left == 0 || !in_arrays() {
                continue;
            }
            *left -= 1;
            let with_it = fields.iter().enumerate().filter(|(other, _)| fine[*other] || *other == place);
            let together: Alternative = with_it.map(|(_, field)| Arc::clone(field)).collect();
            if verdicts(&[together], self.json).is_ok_and(|matched| !matched.is_empty()) {
                branch.fields[place].outcome = Outcome::Matched;
                branch.fields[place].near.clear();
            }
        }
    }

    /// Of fields that match, but not together: through which elements.
    fn apart(&self, fields: &Alternative, branch: &Branch) -> Vec<Apart> {
        if branch.failures().next().is_some() {
            return Vec::new();
        }
        let mut apart = Vec::new();
        for field in fields {
            let leaves = self.shape.at(&field.path).iter().filter(|leaf| self.accepts(field, leaf));
            let elements: Option<Vec<String>> = leaves.map(|leaf| self.shape.element(&field.path, leaf)).collect();
            // A value that came through no array is bound to no element.
            if let Some(mut elements) = elements.filter(|elements| !elements.is_empty()) {
                elements.dedup();
                elements.truncate(MAX_FOUND);
                apart.push(Apart { path: field.path.clone(), elements });
            }
        }
        apart
    }
}

impl Branch {
    /// The fields that do not match by themselves.
    pub fn failures(&self) -> impl Iterator<Item = &FieldReport> {
        self.fields.iter().filter(|field| field.outcome != Outcome::Matched)
    }

    /// How far it is from matching: two for a field that fails, one for a near miss, and one if all fields match, but
    /// not together.
    fn distance(&self) -> usize {
        let failures = self.failures().map(|field| 2 - usize::from(field.is_near())).sum();
        if failures == 0 { usize::from(!self.matched) } else { failures }
    }
}

impl FieldReport {
    /// Whether it does not match, but nearly.
    pub fn is_near(&self) -> bool {
        self.outcome != Outcome::Matched && self.near.iter().any(NearMiss::is_near)
    }
}

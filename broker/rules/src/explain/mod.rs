//! Why a pattern matches an event or does not: what each field was to be, what it was, and how near that came.
//!
//! Whether something matches is asked of the engine that matches events, never judged here. What is told is bounded,
//! whatever the pattern and the event.

mod json;
mod made;
mod meant;
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
pub use nearest::{NearRule, Nearest};
pub use seen::SeenPaths;
use shape::{Leaf, Shape, Tests};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// How many alternatives are told, the nearest ones.
const MAX_BRANCHES: usize = 10;
/// How many values that a field should have are told.
const MAX_EXPECTED: usize = 20;
/// How many values that a field has are told, and how many elements that they came through.
const MAX_FOUND: usize = 5;
/// How many tests of values an explanation may make.
const MAX_TESTS: usize = 2_000_000;
/// How many of these may be spent on one field, so that one does not keep the others from being looked at.
const MAX_FIELD_TESTS: usize = 200_000;
/// How many pairs of a value and a test are looked at for how near they came.
const MAX_PAIRS: usize = 20_000;
/// How many of these for each field.
const MAX_FIELD_PAIRS: usize = 2_000;
/// How many paths are looked at for those that may have been meant, long ones counted several times.
const MAX_NAMES: usize = 50_000;
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
    /// Whether the pattern matches; not if that is not known for a `problem`.
    pub matched: bool,
    /// Why the event could not be looked at.
    pub problem: Option<EventError>,
    /// Whether some fields have too many values to say why: they are [`Outcome::NotLookedAt`]. Whether the pattern matches
    /// is sure nevertheless.
    pub cut_short: bool,
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
    /// Whether it is as expected, for itself; nothing where that was not looked at.
    pub accepted: Option<bool>,
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
    /// It has values, and too many to look at all of them.
    NotLookedAt,
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
        let (matched, problem) = match verdicts(&self.alternatives, event_json) {
            Ok(matched) => (matched, None),
            Err(error) => (HashSet::new(), Some(error)),
        };
        let mut paths = HashSet::new();
        self.tell_paths(&mut paths);
        let tree = seen::read(event_json).ok();
        let shape = tree.as_ref().map(|tree| Shape::new(tree, &paths));
        match &shape {
            Some(shape) => Explaining::new(event_json, shape, seen, 1).explain(self, &matched, problem),
            None => Explanation {
                matched: !matched.is_empty(),
                problem,
                cut_short: false,
                alternatives: self.alternatives.len(),
                branches: Vec::new(),
            },
        }
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
    budget: Budget,
    /// What is known of fields; alternatives share many of them.
    outcomes: RefCell<HashMap<*const Field, Outcome>>,
    reports: RefCell<HashMap<*const Field, FieldReport>>,
}

/// What may still be done for an explanation.
struct Budget {
    tests: Tests,
    pairs: Tests,
    names: Tests,
    absences: Tests,
}

impl<'x, 't> Explaining<'x, 't> {
    /// For one of so many explanations, which together may take several times as long as one.
    fn new(json: &'x [u8], shape: &'x Shape<'t>, seen: Option<&'x SeenPaths>, explanations: usize) -> Self {
        let share = |all: usize| Tests::new(all / explanations.div_ceil(5).max(1));
        let budget = Budget {
            tests: share(MAX_TESTS),
            pairs: share(MAX_PAIRS),
            names: share(MAX_NAMES),
            absences: share(MAX_ABSENCES),
        };
        Self { json, shape, seen, budget, outcomes: RefCell::default(), reports: RefCell::default() }
    }

    fn explain(&self, pattern: &Pattern, matched: &HashSet<usize>, problem: Option<EventError>) -> Explanation {
        let branches = self.branches(&pattern.alternatives, matched, problem.is_none());
        Explanation {
            matched: !matched.is_empty(),
            problem,
            cut_short: self.outcomes.borrow().values().any(|outcome| *outcome == Outcome::NotLookedAt),
            alternatives: pattern.alternatives.len(),
            branches,
        }
    }

    /// The nearest alternatives: first by fields that fail, then with those that nearly match counting half.
    fn branches(&self, alternatives: &[Alternative], matched: &HashSet<usize>, decided: bool) -> Vec<Branch> {
        let failures = |alternative: &Alternative| {
            alternative.iter().filter(|field| self.outcome(field) != Outcome::Matched).count()
        };
        let mut order: Vec<(bool, usize, usize)> = alternatives
            .iter()
            .enumerate()
            .map(|(place, alternative)| (!matched.contains(&place), failures(alternative), place))
            .collect();
        order.sort_unstable();
        let nearest = order.into_iter().take(MAX_BRANCHES);
        let mut branches: Vec<Branch> = nearest
            .map(|(differs, _, place)| {
                let mut branch = self.branch(&alternatives[place], place + 1, !differs);
                if differs && decided {
                    self.look_at_absences(&alternatives[place], &mut branch);
                    branch.apart = self.apart(&alternatives[place], &branch);
                }
                branch
            })
            .collect();
        branches.sort_by_key(|branch| (!branch.matched, branch.distance(), branch.number));
        branches
    }

    /// Where the whole alternative matches, so does each field: one that must be absent may have a value elsewhere in an
    /// array.
    fn branch(&self, fields: &Alternative, number: usize, matched: bool) -> Branch {
        let report = |field: &Arc<Field>| {
            let mut report = self.report(field);
            if matched {
                report.match_nevertheless();
            }
            report
        };
        Branch { number, matched, fields: fields.iter().map(report).collect(), apart: Vec::new() }
    }

    fn outcome(&self, field: &Arc<Field>) -> Outcome {
        let look = || match self.shape.at(&field.path) {
            [] if field.may_be_absent => Outcome::Matched,
            [] => Outcome::Missing,
            _ if field.matchers.is_empty() => Outcome::Unexpected,
            _ => match self.budget.tests.at_most(MAX_FIELD_TESTS, |tests| self.shape.accepts_some(field, tests)) {
                Some(true) => Outcome::Matched,
                Some(false) => Outcome::Different,
                None => Outcome::NotLookedAt,
            },
        };
        *self.outcomes.borrow_mut().entry(Arc::as_ptr(field)).or_insert_with(look)
    }

    fn report(&self, field: &Arc<Field>) -> FieldReport {
        let look = || {
            let (outcome, leaves) = (self.outcome(field), self.shape.at(&field.path));
            let absence = field.may_be_absent.then(|| "no value".to_owned());
            let expected = field.matchers.iter().map(|matcher| cut(&matcher.to_string())).chain(absence);
            FieldReport {
                path: field.path.clone(),
                outcome,
                expected: expected.take(MAX_EXPECTED).collect(),
                expected_count: field.matchers.len() + usize::from(field.may_be_absent),
                found: self.found(field, leaves, outcome),
                found_count: leaves.len(),
                near: self.near(field, leaves, outcome),
            }
        };
        self.reports.borrow_mut().entry(Arc::as_ptr(field)).or_insert_with(look).clone()
    }

    /// The values that are as expected first.
    fn found(&self, field: &Field, leaves: &[Leaf<'_>], outcome: Outcome) -> Vec<FoundValue> {
        let found = |leaf: &Leaf<'_>, accepted: Option<bool>| FoundValue {
            value: cut(&leaf.value.to_string()),
            at: self.shape.place(&field.path, leaf),
            accepted,
        };
        if outcome != Outcome::Matched {
            let accepted = (outcome != Outcome::NotLookedAt).then_some(false);
            return leaves.iter().take(MAX_FOUND).map(|leaf| found(leaf, accepted)).collect();
        }
        let (mut fine, mut others) = (Vec::new(), Vec::new());
        self.budget.tests.at_most(MAX_FIELD_TESTS, |tests| {
            for leaf in leaves {
                match self.shape.accepts(field, leaf, tests) {
                    Some(true) => fine.push(found(leaf, Some(true))),
                    Some(false) if others.len() < MAX_FOUND => others.push(found(leaf, Some(false))),
                    Some(false) => {}
                    None => break,
                }
                if fine.len() == MAX_FOUND {
                    break;
                }
            }
        });
        fine.into_iter().chain(others).take(MAX_FOUND).collect()
    }

    fn near(&self, field: &Field, leaves: &[Leaf<'_>], outcome: Outcome) -> Vec<NearMiss> {
        let Budget { pairs, names, .. } = &self.budget;
        let mut near = match outcome {
            Outcome::Different => {
                pairs.at_most(MAX_FIELD_PAIRS, |pairs| near::misses_of_values(field, leaves, self.shape, pairs))
            }
            Outcome::Missing => meant::miss_of_path(field, self.shape, names).into_iter().collect(),
            Outcome::Matched | Outcome::Unexpected | Outcome::NotLookedAt => Vec::new(),
        };
        if leaves.is_empty()
            && let Some(seen) = self.seen.filter(|seen| seen.lacks(&field.path))
        {
            let told = near.iter().any(NearMiss::is_near);
            let meant = if told { Vec::new() } else { seen.similar_within(&field.path, names) };
            near.push(NearMiss::NeverSeen { events: seen.count(), meant });
        }
        near
    }

    /// A field that may be absent is, if it has values only in other elements than those the other fields came through.
    fn look_at_absences(&self, fields: &Alternative, branch: &mut Branch) {
        let fine: Vec<bool> = branch.fields.iter().map(|report| report.outcome == Outcome::Matched).collect();
        for (place, field) in fields.iter().enumerate() {
            let in_arrays = || self.shape.at(&field.path).iter().any(Leaf::is_in_element);
            if fine[place] || !field.may_be_absent || !in_arrays() || !self.budget.absences.spend(1) {
                continue;
            }
            let with_it = fields.iter().enumerate().filter(|(other, _)| fine[*other] || *other == place);
            let together: Alternative = with_it.map(|(_, field)| Arc::clone(field)).collect();
            if verdicts(&[together], self.json).is_ok_and(|matched| !matched.is_empty()) {
                branch.fields[place].match_nevertheless();
            } else if let Some(later) = self.first_in_its_arrays(fields, place) {
                branch.fields[place].near.push(NearMiss::AbsentFromEach { later: cut(&later.path) });
            }
        }
    }

    /// If no field before this one came through one of its arrays, the first one behind it that did.
    fn first_in_its_arrays<'f>(&self, fields: &'f Alternative, place: usize) -> Option<&'f Arc<Field>> {
        let arrays = self.shape.arrays_of(&fields[place].path);
        let shares = |field: &&Arc<Field>| !self.shape.arrays_of(&field.path).is_disjoint(&arrays);
        let is_first = !fields[..place].iter().any(|field| shares(&field));
        fields[place + 1..].iter().find(shares).filter(|_| is_first)
    }

    /// Of fields that match, but not together: through which elements.
    fn apart(&self, fields: &Alternative, branch: &Branch) -> Vec<Apart> {
        if !branch.all_match() {
            return Vec::new();
        }
        let mut apart = Vec::new();
        for field in fields {
            let elements: Option<Vec<String>> = self.budget.tests.at_most(MAX_FIELD_TESTS, |tests| {
                let fits = |leaf: &&Leaf<'_>| self.shape.accepts(field, leaf, tests) == Some(true);
                let leaves = self.shape.at(&field.path).iter().filter(fits);
                leaves.map(|leaf| self.shape.element(&field.path, leaf)).collect()
            });
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
        let fails = |outcome| !matches!(outcome, Outcome::Matched | Outcome::NotLookedAt);
        self.fields.iter().filter(move |field| fails(field.outcome))
    }

    fn all_match(&self) -> bool {
        self.fields.iter().all(|field| field.outcome == Outcome::Matched)
    }

    /// How far it is from matching: two for a field that fails, one for a near miss or what was not looked at, and one if
    /// all fields match, but not together.
    fn distance(&self) -> usize {
        let part = |field: &FieldReport| match field.outcome {
            Outcome::Matched => 0,
            Outcome::NotLookedAt => 1,
            Outcome::Missing | Outcome::Unexpected | Outcome::Different => 2 - usize::from(field.is_near()),
        };
        match self.fields.iter().map(part).sum() {
            0 => usize::from(!self.matched),
            distance => distance,
        }
    }
}

impl FieldReport {
    /// Whether it does not match, but nearly.
    pub fn is_near(&self) -> bool {
        self.outcome != Outcome::Matched && self.near.iter().any(NearMiss::is_near)
    }

    /// What it is among the others of its alternative, whatever it is by itself.
    fn match_nevertheless(&mut self) {
        self.outcome = Outcome::Matched;
        self.near.retain(|near| matches!(near, NearMiss::NeverSeen { .. }));
    }
}

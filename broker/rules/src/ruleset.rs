//! Many patterns at once, with an index so that an event meets only the rules it comes near.
//!
//! Every alternative of a rule is filed under one of its fields, its anchor: by value if that field takes only plain
//! values, else by the mere presence of a value. An event tries the alternatives filed under what it contains, and
//! those that need no field at all.

use crate::compile::{Alternative, Field};
use crate::consistent::{Budget, match_together};
use crate::error::EventError;
use crate::event::{Event, PathId, Paths};
use crate::operator::Literal;
use crate::pattern::Pattern;
use crate::scalar::Scalar;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

/// A set of rules, each an id and a pattern. It does not change; cloning it is cheap.
///
/// ```
/// use emote_rules::{Pattern, RuleSet};
///
/// let enrolled = Pattern::parse(r#"{"scope": ["device"], "action": ["enroll"]}"#)?;
/// let anything = Pattern::parse(r#"{"scope": [{"exists": true}]}"#)?;
/// let rules = RuleSet::build([("welcome", enrolled), ("archive", anything)]);
/// assert_eq!(rules.matches(br#"{"scope": "device", "action": "enroll"}"#)?, ["welcome", "archive"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RuleSet<Id> {
    ids: Arc<[Id]>,
    /// The patterns of the ids, for explaining.
    patterns: Arc<[Pattern]>,
    engine: Arc<Engine>,
}

/// Working memory of matching, to be used for one event after another.
#[derive(Debug, Default)]
pub struct Scratch {
    matched: Vec<usize>,
}

#[derive(Debug, Default)]
struct Engine {
    paths: Paths,
    alternatives: Vec<Filed>,
    anchors: HashMap<PathId, Anchors>,
    /// The alternatives that need no field.
    always: Vec<usize>,
}

/// An alternative, and the place of its rule among the ids.
#[derive(Debug)]
struct Filed {
    rule: usize,
    fields: Vec<(PathId, Arc<Field>)>,
}

/// The alternatives filed under one path.
#[derive(Debug, Default)]
struct Anchors {
    strings: HashMap<Box<str>, Vec<usize>>,
    /// By the bits of the double.
    numbers: HashMap<u64, Vec<usize>>,
    /// True, false, null and the numbers that no double holds.
    texts: HashMap<Box<str>, Vec<usize>>,
    present: Vec<usize>,
}

impl<Id: Clone + Eq + Hash> RuleSet<Id> {
    /// Builds a set. An id that is given twice matches if either of its patterns does.
    pub fn build(rules: impl IntoIterator<Item = (Id, Pattern)>) -> Self {
        let mut ids: Vec<Id> = Vec::new();
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut places = HashMap::new();
        let mut engine = Engine::default();
        for (id, pattern) in rules {
            let rule = *places.entry(id).or_insert_with_key(|id| {
                ids.push(id.clone());
                patterns.push(Pattern { alternatives: Vec::new() });
                ids.len() - 1
            });
            for alternative in &pattern.alternatives {
                engine.file(rule, alternative);
            }
            patterns[rule].alternatives.extend(pattern.alternatives);
        }
        Self { ids: ids.into(), patterns: patterns.into(), engine: Arc::new(engine) }
    }

    /// Each id with its pattern; with the alternatives of all of them where it was given several.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = (&Id, &Pattern)> {
        self.ids.iter().zip(self.patterns.iter())
    }

    /// The ids of the rules that match an event, in the order in which they were given.
    ///
    /// # Errors
    /// If the event is no JSON object, is nested more than 128 levels deep, or its arrays combine in more than a million
    /// ways.
    pub fn matches(&self, event_json: &[u8]) -> Result<Vec<Id>, EventError> {
        let rules = self.engine.matches(event_json)?;
        Ok(rules.into_iter().map(|rule| self.ids[rule].clone()).collect())
    }

    /// The ids of the rules that match an event, in the order in which they were given. The same as
    /// [`RuleSet::matches`], but what it works with is kept in `scratch`: used again and again, nothing is allocated.
    ///
    /// # Errors
    /// As [`RuleSet::matches`].
    pub fn find<'r>(
        &'r self,
        event_json: &[u8],
        scratch: &'r mut Scratch,
    ) -> Result<impl ExactSizeIterator<Item = &'r Id>, EventError> {
        scratch.matched.clear();
        scratch.matched.extend(self.engine.matches(event_json)?);
        Ok(scratch.matched.iter().map(|rule| &self.ids[*rule]))
    }

    /// How many rules it has.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether it has no rules, and so matches nothing.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl Engine {
    fn file(&mut self, rule: usize, alternative: &Alternative) {
        let fields: Vec<_> = alternative.iter().map(|field| (self.paths.id(&field.path), Arc::clone(field))).collect();
        let others = alternative.iter().flat_map(|field| &field.matchers);
        others.for_each(|matcher| matcher.paths(&mut |path| _ = self.paths.id(path)));
        let place = self.alternatives.len();
        match anchor(&fields) {
            Some((path, field)) => self.anchors.entry(*path).or_default().file(field, place),
            None => self.always.push(place),
        }
        self.alternatives.push(Filed { rule, fields });
    }

    fn matches(&self, event_json: &[u8]) -> Result<BTreeSet<usize>, EventError> {
        let event = Event::read(event_json, &self.paths)?;
        let mut near = BTreeSet::from_iter(self.always.iter().copied());
        for (path, found) in event.paths() {
            if let Some(anchors) = self.anchors.get(&path) {
                near.extend(&anchors.present);
                near.extend(found.iter().flat_map(|found| anchors.by_value(&found.value)));
            }
        }
        let mut budget = Budget::new();
        let mut matched = BTreeSet::new();
        for Filed { rule, fields } in near.into_iter().map(|place| &self.alternatives[place]) {
            let fields = fields.iter().map(|(path, field)| (*path, field.as_ref()));
            if !matched.contains(rule) && match_together(fields, &event, &mut budget)? {
                matched.insert(*rule);
            }
        }
        Ok(matched)
    }
}

/// The field that tells most: one with few plain values, else any that must be there.
fn anchor(fields: &[(PathId, Arc<Field>)]) -> Option<&(PathId, Arc<Field>)> {
    let needed = || fields.iter().filter(|(_, field)| !field.may_be_absent);
    let plain = needed().filter(|(_, field)| keys(field).is_some());
    plain.min_by_key(|(_, field)| field.matchers.len()).or_else(|| needed().next())
}

/// The plain values of a field, if it takes nothing else. The many spellings of an IP address are not plain.
fn keys(field: &Field) -> Option<Vec<&Literal>> {
    let literal = |literal: &&Literal| !matches!(literal, Literal::Address { .. });
    field.matchers.iter().map(|matcher| matcher.as_literal().filter(literal)).collect()
}

impl Anchors {
    fn file(&mut self, field: &Field, place: usize) {
        let Some(keys) = keys(field) else { return self.present.push(place) };
        for key in keys {
            match key {
                Literal::String(text) => self.strings.entry(text.clone()).or_default().push(place),
                Literal::Number(value) => self.numbers.entry(value.to_bits()).or_default().push(place),
                Literal::Text(text) => self.texts.entry(text.clone()).or_default().push(place),
                Literal::Address { .. } => {}
            }
        }
    }

    fn by_value(&self, value: &Scalar<'_>) -> &[usize] {
        match value {
            Scalar::String(text) => self.strings.get(&**text),
            Scalar::Number { value: Some(value), .. } => self.numbers.get(&value.to_bits()),
            Scalar::Number { text, value: None } => self.texts.get(&**text),
            Scalar::Bool(true) => self.texts.get("true"),
            Scalar::Bool(false) => self.texts.get("false"),
            Scalar::Null => self.texts.get("null"),
        }
        .map_or(&[], Vec::as_slice)
    }
}

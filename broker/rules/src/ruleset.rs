//! Many patterns at once.

use crate::error::EventError;
use crate::pattern::Pattern;
use crate::plan::{Plan, Planner};
use crate::run::Scratch;
use std::collections::{HashMap, HashSet};
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
    plan: Arc<Plan>,
}

impl<Id: Clone + Eq + Hash> RuleSet<Id> {
    /// Builds a set. An id that is given twice matches if either of its patterns does.
    pub fn build(rules: impl IntoIterator<Item = (Id, Pattern)>) -> Self {
        let mut ids: Vec<Id> = Vec::new();
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut places = HashMap::new();
        let mut planner = Planner::default();
        for (id, pattern) in rules {
            let rule = *places.entry(id).or_insert_with_key(|id| {
                ids.push(id.clone());
                patterns.push(Pattern { alternatives: Vec::new() });
                // Fewer than 2^32: more patterns do not fit into memory.
                u32::try_from(ids.len() - 1).unwrap_or(u32::MAX)
            });
            planner.add(rule, &pattern);
            patterns[rule as usize].alternatives.extend(pattern.alternatives);
        }
        Self { ids: ids.into(), patterns: patterns.into(), plan: Arc::new(planner.build()) }
    }

    /// This set and more rules behind its own. An id that is in it already matches if either of its patterns does.
    ///
    /// ```
    /// use emote_rules::{Pattern, RuleSet};
    ///
    /// let rules = RuleSet::build([("locked", Pattern::parse(r#"{"action": ["lock"]}"#)?)]);
    /// let more = rules.with([("wiped", Pattern::parse(r#"{"action": ["wipe"]}"#)?)]);
    /// assert_eq!(more.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ["locked", "wiped"]);
    /// assert_eq!(more.without(["locked"]).len(), 1);
    /// assert_eq!(rules.len(), 1);
    /// # Ok::<(), emote_rules::PatternError>(())
    /// ```
    #[must_use]
    pub fn with(&self, rules: impl IntoIterator<Item = (Id, Pattern)>) -> Self {
        Self::build(self.iter().map(|(id, pattern)| (id.clone(), pattern.clone())).chain(rules))
    }

    /// This set without the rules of these ids. Ids that it has not are passed over.
    #[must_use]
    pub fn without(&self, ids: impl IntoIterator<Item = Id>) -> Self {
        let ids: HashSet<Id> = ids.into_iter().collect();
        let left = self.iter().filter(|(id, _)| !ids.contains(id));
        Self::build(left.map(|(id, pattern)| (id.clone(), pattern.clone())))
    }

    /// Each id with its pattern, in the order in which they were given; an id that was given several times once, with a
    /// pattern that matches if any of them does.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Id, &Pattern)> {
        self.ids.iter().zip(self.patterns.iter())
    }

    /// The ids of the rules that match an event, in the order in which they were given.
    ///
    /// # Errors
    /// If the event is no JSON object, is nested more than 128 levels deep, or takes more than ten million steps to match.
    pub fn matches(&self, event_json: &[u8]) -> Result<Vec<Id>, EventError> {
        Ok(self.find(event_json, &mut Scratch::default())?.cloned().collect())
    }

    /// The ids of the rules that match an event, in the order in which they were given. The same as
    /// [`RuleSet::matches`], but what it works with is kept in `scratch`: used again and again, nothing is allocated.
    ///
    /// ```
    /// use emote_rules::{Pattern, RuleSet, Scratch};
    ///
    /// let rules = RuleSet::build([("locked", Pattern::parse(r#"{"action": ["lock"]}"#)?)]);
    /// let mut scratch = Scratch::default();
    /// let mut matched = 0;
    /// for event in [&br#"{"action": "lock"}"#[..], br#"{"action": "wipe"}"#, br#"{"action": ["lock", 7]}"#] {
    ///     matched += rules.find(event, &mut scratch)?.len();
    /// }
    /// assert_eq!(matched, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`RuleSet::matches`].
    pub fn find<'r>(
        &'r self,
        event_json: &[u8],
        scratch: &'r mut Scratch,
    ) -> Result<impl ExactSizeIterator<Item = &'r Id>, EventError> {
        let matched = scratch.matches(&self.plan, self.ids.len(), event_json)?;
        // Every rule that the plan knows has an id.
        Ok(matched.iter().map(|rule| &self.ids[*rule as usize]))
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

impl<Id: Clone + Eq + Hash> Default for RuleSet<Id> {
    /// No rules.
    fn default() -> Self {
        Self::build([])
    }
}

impl<Id: Clone + Eq + Hash> FromIterator<(Id, Pattern)> for RuleSet<Id> {
    /// As [`RuleSet::build`].
    fn from_iter<Rules: IntoIterator<Item = (Id, Pattern)>>(rules: Rules) -> Self {
        Self::build(rules)
    }
}

//! A rule set that is replaced while events are being matched.

use crate::pattern::Pattern;
use crate::ruleset::RuleSet;
use arc_swap::ArcSwap;
use std::convert::Infallible;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// The rules that are in force, for threads that match events while others change them.
///
/// - A reader never waits: [`LiveRules::load`] takes no lock, whatever writers do.
/// - A reader sees one whole set: the rules as they were before a change or as they are after it, nothing in between,
///   and never an older set than the one it saw before. It may keep what it loaded; that does not change.
/// - A change builds the new set beside the one in force and swaps it in when it is ready. That takes time and memory as
///   [`RuleSet::build`] does for all rules, so what belongs together is best changed at once.
/// - Changes happen one after another, so none is lost. A change that fails or panics leaves the rules as they are, and
///   later ones work as before.
///
/// ```
/// use emote_rules::{LiveRules, Pattern, RuleSet, Scratch};
///
/// let locked = Pattern::parse(r#"{"action": ["lock"]}"#)?;
/// let any = Pattern::parse(r#"{"action": [{"exists": true}]}"#)?;
/// let live = LiveRules::new(RuleSet::build([("locked", locked)]));
/// std::thread::scope(|scope| {
///     scope.spawn(|| live.add([("any", any)]));
///     // Meanwhile events are matched: by the one rule, or by both.
///     let (rules, mut scratch) = (live.load(), Scratch::default());
///     let matched = rules.find(br#"{"action": "lock"}"#, &mut scratch);
///     assert!(matched.is_ok_and(|matched| matched.len() == rules.len()));
/// });
/// assert_eq!(live.load().matches(br#"{"action": "lock"}"#)?, ["locked", "any"]);
/// live.remove(["locked"]);
/// assert_eq!(live.load().matches(br#"{"action": "lock"}"#)?, ["any"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LiveRules<Id> {
    current: ArcSwap<RuleSet<Id>>,
    /// Held from looking at the current set to replacing it. It guards no data of its own: a panic under it has changed
    /// nothing, so its being poisoned means nothing.
    changing: Mutex<()>,
}

/// The rules that were in force when they were loaded; see [`LiveRules::load`].
#[derive(Debug)]
pub struct LoadedRules<Id>(arc_swap::Guard<Arc<RuleSet<Id>>>);

impl<Id: Clone + Eq + Hash> LiveRules<Id> {
    /// Puts a set in force.
    pub fn new(rules: RuleSet<Id>) -> Self {
        Self { current: ArcSwap::from_pointee(rules), changing: Mutex::new(()) }
    }

    /// The rules in force, to match an event or a few: nothing is copied or counted. A thread that holds more than a
    /// handful of these at once pays more for the next one; what is kept for long is better a [`LiveRules::current`].
    pub fn load(&self) -> LoadedRules<Id> {
        LoadedRules(self.current.load())
    }

    /// The rules in force, to keep.
    pub fn current(&self) -> RuleSet<Id> {
        self.load().clone()
    }

    /// Puts another set in force, after any change that has begun. Gives the one it takes the place of.
    pub fn replace(&self, rules: RuleSet<Id>) -> RuleSet<Id> {
        self.update(|_| rules)
    }

    /// Adds rules, as [`RuleSet::with`]. Gives the set as it was before.
    pub fn add(&self, rules: impl IntoIterator<Item = (Id, Pattern)>) -> RuleSet<Id> {
        self.update(|current| current.with(rules))
    }

    /// Takes rules away, as [`RuleSet::without`]. Gives the set as it was before.
    pub fn remove(&self, ids: impl IntoIterator<Item = Id>) -> RuleSet<Id> {
        self.update(|current| current.without(ids))
    }

    /// Makes a new set of the one in force and puts it in its place. Gives the one it was made of.
    ///
    /// `change` must not itself change these rules: it would wait for its own end.
    ///
    /// ```
    /// use emote_rules::{LiveRules, Pattern, RuleSet};
    ///
    /// let live = LiveRules::new(RuleSet::build([("lost", Pattern::parse(r#"{"action": ["lock"]}"#)?)]));
    /// let wiped = Pattern::parse(r#"{"action": ["wipe"]}"#)?;
    /// // Another pattern for the same rule, in one step.
    /// live.update(|rules| rules.without(["lost"]).with([("lost", wiped)]));
    /// assert!(live.load().matches(br#"{"action": "lock"}"#)?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update(&self, change: impl FnOnce(&RuleSet<Id>) -> RuleSet<Id>) -> RuleSet<Id> {
        match self.try_update(|current| Ok::<_, Infallible>(change(current))) {
            Ok(before) => before,
            Err(never) => match never {},
        }
    }

    /// As [`LiveRules::update`], with a change that may fail.
    ///
    /// # Errors
    /// What `change` fails with; the rules then stay as they are.
    pub fn try_update<E>(&self, change: impl FnOnce(&RuleSet<Id>) -> Result<RuleSet<Id>, E>) -> Result<RuleSet<Id>, E> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = change(&self.load())?;
        Ok(Arc::unwrap_or_clone(self.current.swap(Arc::new(rules))))
    }
}

impl<Id> Deref for LoadedRules<Id> {
    type Target = RuleSet<Id>;

    fn deref(&self) -> &RuleSet<Id> {
        &self.0
    }
}

impl<Id: Clone + Eq + Hash> Default for LiveRules<Id> {
    /// No rules.
    fn default() -> Self {
        Self::new(RuleSet::default())
    }
}

impl<Id: Clone + Eq + Hash> From<RuleSet<Id>> for LiveRules<Id> {
    fn from(rules: RuleSet<Id>) -> Self {
        Self::new(rules)
    }
}

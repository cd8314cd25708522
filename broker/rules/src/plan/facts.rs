//! Which facts there are.

use super::{NOTHING, PlannedField, number};
use crate::hint::{Hint, Hinted};
use crate::index::{Entry, Index, IndexBuilder, Lists};
use crate::paths::PathId;
use std::collections::HashMap;

/// Facts that are gathered. What a fact says is a path and some hints, one of which a value of that path must fit.
pub(super) struct FactsBuilder<'f> {
    fields: &'f [PlannedField],
    known: HashMap<(PathId, Vec<Hint<'f>>), u32>,
    /// In how many facts a hint is.
    uses: HashMap<(PathId, Hint<'f>), u32>,
}

/// So many facts may say of one value that it is among others. Beyond this such a field is tested where it matters: an
/// event establishes all facts that hold, whether or not an alternative is near that asks for them.
const MAX_USES: u32 = 32;

impl<'f> FactsBuilder<'f> {
    /// A fact for each field that a fact decides and that few values pass.
    pub(super) fn new(fields: &'f [PlannedField]) -> Self {
        let mut facts = Self { fields, known: HashMap::new(), uses: HashMap::new() };
        for field in fields {
            if decided_by_fact(field)
                && hints(field).all(|hinted| hinted.hint.kind().is_some())
                && !facts.is_crowded(field)
            {
                facts.add(field);
            }
        }
        facts
    }

    fn is_crowded(&self, field: &'f PlannedField) -> bool {
        let uses = |hinted: Hinted<'f>| self.uses.get(&(field.path, hinted.hint)).copied().unwrap_or_default();
        hints(field).any(|hinted| uses(hinted) >= MAX_USES)
    }

    /// The fact that must hold for a field, a new one if need be.
    pub(super) fn of(&mut self, field: u32) -> u32 {
        self.add(&self.fields[field as usize])
    }

    fn add(&mut self, field: &'f PlannedField) -> u32 {
        let said = said(field);
        if let Some(known) = self.known.get(&said) {
            return *known;
        }
        for hint in &said.1 {
            *self.uses.entry((field.path, *hint)).or_default() += 1;
        }
        let fact = number(self.count());
        self.known.insert(said, fact);
        fact
    }

    /// The fact that holds if and only if some value passes a field, if there is one.
    pub(super) fn deciding(&self, field: u32) -> Option<u32> {
        let field = &self.fields[field as usize];
        if decided_by_fact(field) { self.known.get(&said(field)).copied() } else { None }
    }

    /// How many there are, with those that have names.
    pub(super) fn count(&self) -> usize {
        NOTHING as usize + 1 + self.known.len()
    }

    /// For each path its facts. `entry` says of each what is told of it.
    pub(super) fn build(self, paths: usize, entry: impl Fn(u32) -> Entry, lists: &mut Lists) -> Box<[Option<Index>]> {
        let entries = self.known.into_iter().map(|(said, fact)| (said, entry(fact)));
        let mut facts: Vec<((PathId, Vec<Hint<'f>>), Entry)> = entries.collect();
        facts.sort_unstable_by_key(|(_, entry)| *entry);
        let mut builders: Vec<Option<IndexBuilder>> = Vec::new();
        builders.resize_with(paths, || None);
        for ((path, hints), entry) in facts {
            let builder = builders[path].get_or_insert_default();
            hints.into_iter().for_each(|hint| builder.add(entry, hint));
        }
        builders.into_iter().map(|builder| builder.map(|builder| builder.build(lists))).collect()
    }
}

fn hints(field: &PlannedField) -> impl Iterator<Item = Hinted<'_>> {
    field.field.matchers.iter().map(|matcher| matcher.hint())
}

fn said(field: &PlannedField) -> (PathId, Vec<Hint<'_>>) {
    let mut hints: Vec<Hint<'_>> = hints(field).map(|hinted| hinted.hint).collect();
    hints.sort_unstable();
    hints.dedup();
    (field.path, hints)
}

fn decided_by_fact(field: &PlannedField) -> bool {
    !field.field.may_be_absent && hints(field).all(|hinted| hinted.sure)
}

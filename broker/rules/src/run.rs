//! One event's way through a plan.

use crate::consistent::Together;
use crate::error::EventError;
use crate::event::{Event, Leaf, Seen};
use crate::index::Entry;
use crate::paths::PathId;
use crate::plan::{Candidate, Plan};

/// Working memory of matching, to be used for one event after another, also with different sets of rules.
#[derive(Debug, Default)]
pub struct Scratch {
    event: Event,
    run: Run,
}

#[derive(Debug, Default)]
struct Run {
    /// Tells what was noted for this event.
    epoch: u32,
    /// The edges that were taken.
    taken: Vec<u32>,
    /// What is known of fields.
    holds: Vec<(u32, bool)>,
    /// The rules that match, as marks and as a list.
    marks: Vec<u32>,
    matched: Vec<u32>,
    /// The nodes to visit.
    nodes: Vec<u32>,
    together: Together,
}

impl Scratch {
    /// The rules that an event matches, sorted.
    pub(crate) fn matches(&mut self, plan: &Plan, rules: usize, event: &[u8]) -> Result<&[u32], EventError> {
        let event = self.event.read(event, &plan.paths)?;
        self.run.prepare(plan, rules);
        self.run.root(plan, event)?;
        while let Some(node) = self.run.nodes.pop() {
            self.run.visit(node, plan, event)?;
        }
        // What a test looked for around its value may have used up all steps.
        event.step(1)?;
        self.run.matched.sort_unstable();
        Ok(&self.run.matched)
    }
}

impl Run {
    fn prepare(&mut self, plan: &Plan, rules: usize) {
        self.matched.clear();
        self.nodes.clear();
        grow(&mut self.taken, plan.edges.len());
        grow(&mut self.holds, plan.fields.len());
        grow(&mut self.marks, rules);
        self.epoch = self.epoch.checked_add(1).unwrap_or_else(|| {
            self.taken.fill(0);
            self.holds.fill((0, false));
            self.marks.fill(0);
            1
        });
    }

    fn root(&mut self, plan: &Plan, event: Seen<'_>) -> Result<(), EventError> {
        for leaf in event.leaves() {
            if let Some(Some(index)) = plan.root.get(leaf.path as usize) {
                index.look_up(leaf, event, &mut |entry| self.take(entry, leaf, plan, event))?;
            }
        }
        self.try_few(0, plan, event)
    }

    fn visit(&mut self, node: u32, plan: &Plan, event: Seen<'_>) -> Result<(), EventError> {
        self.try_few(node, plan, event)?;
        let Some(node) = plan.nodes.get(node as usize) else { return Ok(()) };
        for (path, index) in &node.branches {
            for leaf in event.at(*path) {
                index.look_up(leaf, event, &mut |entry| self.take(entry, leaf, plan, event))?;
            }
        }
        Ok(())
    }

    /// Goes along an edge, once, if the value passes its field.
    #[inline]
    fn take(&mut self, entry: Entry, leaf: &Leaf, plan: &Plan, event: Seen<'_>) -> Result<(), EventError> {
        let (Some(taken), Some(edge)) =
            (self.taken.get_mut(entry.number as usize), plan.edges.get(entry.number as usize))
        else {
            return Ok(());
        };
        if *taken == self.epoch {
            return Ok(());
        }
        if !entry.sure {
            let Some(field) = plan.fields.get(edge.field as usize) else { return Ok(()) };
            if !field.field.accepts(leaf, event) {
                return Ok(());
            }
        }
        *taken = self.epoch;
        self.nodes.push(edge.node);
        Ok(())
    }

    fn try_few(&mut self, node: u32, plan: &Plan, event: Seen<'_>) -> Result<(), EventError> {
        let Some(node) = plan.nodes.get(node as usize) else { return Ok(()) };
        for candidate in plan.candidates(node) {
            let rule = candidate.rule;
            if self.marks.get(rule as usize).is_none_or(|mark| *mark != self.epoch)
                && self.matches(candidate, plan, event)?
            {
                if let Some(mark) = self.marks.get_mut(rule as usize) {
                    *mark = self.epoch;
                }
                self.matched.push(rule);
            }
        }
        Ok(())
    }

    /// Whether an alternative matches; the fields that led to it hold by themselves.
    fn matches(&mut self, candidate: &Candidate, plan: &Plan, event: Seen<'_>) -> Result<bool, EventError> {
        let alternative = || plan.alternatives.get(candidate.alternative as usize).into_iter();
        let fields = || {
            alternative()
                .flat_map(|alternative| &alternative.fields)
                .filter_map(|field| plan.fields.get(*field as usize))
        };
        let in_arrays =
            if event.has_arrays() { fields().filter(|field| event.in_arrays(field.path)).count() } else { 0 };
        for number in plan.rest(candidate) {
            let Some(planned) = plan.fields.get(*number as usize) else { return Ok(false) };
            // With several fields in arrays, one may be absent from the elements that the others came through.
            let may_be_elsewhere = planned.field.may_be_absent && in_arrays > 1;
            if !may_be_elsewhere && !self.holds(*number, planned.path, plan, event)? {
                return Ok(false);
            }
        }
        if in_arrays < 2 {
            return Ok(true);
        }
        self.together.match_all(fields().map(|field| (field.path, field.field.as_ref())), event)
    }

    /// Whether a field holds by itself.
    fn holds(&mut self, number: u32, path: PathId, plan: &Plan, event: Seen<'_>) -> Result<bool, EventError> {
        let (Some(known), Some(planned)) = (self.holds.get_mut(number as usize), plan.fields.get(number as usize))
        else {
            return Ok(false);
        };
        if known.0 != self.epoch {
            let mut holds = planned.field.may_be_absent && !event.has(path);
            for leaf in event.at(path) {
                event.step(1)?;
                if planned.field.accepts(leaf, event) {
                    holds = true;
                    break;
                }
            }
            *known = (self.epoch, holds);
        }
        Ok(known.1)
    }
}

fn grow<T: Clone + Default>(list: &mut Vec<T>, length: usize) {
    if list.len() < length {
        list.resize(length, T::default());
    }
}

//! One event's way through a plan.

use crate::consistent::Together;
use crate::error::EventError;
use crate::event::{Event, Seen};
use crate::index::Entry;
use crate::plan::{ALWAYS, Candidate, Plan, PlannedField, Popular};

/// Working memory of matching, to be used for one event after another, also with different sets of rules.
#[derive(Debug, Default)]
pub struct Scratch {
    event: Event,
    run: Run,
}

#[derive(Debug, Default)]
struct Run {
    facts: Facts,
    /// Tells what was noted for this event.
    epoch: u32,
    /// What is known of fields that were tested.
    holds: Vec<(u32, bool)>,
    /// The rules that match, as marks and as a list.
    marks: Vec<u32>,
    matched: Vec<u32>,
    /// The nodes to visit.
    nodes: Vec<u32>,
    together: Together,
}

/// The facts that hold.
#[derive(Debug, Default)]
struct Facts {
    bits: Vec<u64>,
    /// How many facts hold, and which: so many of a longer list.
    count: usize,
    found: Vec<u32>,
    /// Those of them that lead to rules, in the same way.
    leading: usize,
    leads: Vec<u32>,
}

impl Scratch {
    /// The rules that an event matches, sorted.
    pub(crate) fn matches(&mut self, plan: &Plan, rules: usize, event: &[u8]) -> Result<&[u32], EventError> {
        let event = self.event.read(event, &plan.paths)?;
        self.run.prepare(plan, rules);
        self.run.facts.find(plan, event)?;
        self.run.visit_all(plan, event)?;
        // What a test looked for around its value may have used up all steps.
        event.step(1)?;
        self.run.matched.sort_unstable();
        Ok(&self.run.matched)
    }
}

impl Facts {
    /// Forgets all, and makes room.
    fn clear(&mut self, count: usize) {
        for fact in self.found.iter().take(self.count) {
            if let Some(bits) = self.bits.get_mut(*fact as usize / 64) {
                *bits = 0;
            }
        }
        (self.count, self.leading) = (0, 0);
        if self.found.len() <= count {
            self.bits.resize((count / 64 + 1).next_multiple_of(2), 0);
            // One more than there can be.
            self.found.resize(count + 1, 0);
            self.leads.resize(count + 1, 0);
        }
        if let Some(bits) = self.bits.first_mut() {
            *bits = 1 << ALWAYS;
        }
    }

    /// Looks up all values of an event.
    fn find(&mut self, plan: &Plan, event: Seen<'_>) -> Result<(), EventError> {
        for leaf in event.leaves() {
            if let Some(Some(index)) = plan.indexes.get(leaf.path as usize) {
                index.look_up(leaf, event, &plan.lists, &mut |entry| self.note(entry))?;
            }
        }
        Ok(())
    }

    /// Notes a fact. Whether it is new, and whether it leads to rules, is hard to foresee: so that is calculated.
    #[inline(always)]
    fn note(&mut self, entry: Entry) {
        let fact = entry.fact();
        let (Some(bits), Some(found), Some(leading)) =
            (self.bits.get_mut(fact as usize / 64), self.found.get_mut(self.count), self.leads.get_mut(self.leading))
        else {
            return;
        };
        let new = !(*bits >> (fact % 64)) & 1;
        *bits |= 1 << (fact % 64);
        (*found, *leading) = (fact, fact);
        self.count += usize::from(new == 1);
        self.leading += usize::from(new == 1) & usize::from(entry.leads());
    }

    fn found(&self) -> &[u32] {
        self.found.get(..self.count).unwrap_or_default()
    }

    /// The popular ones.
    fn popular(&self) -> Popular {
        self.bits.first_chunk().map_or(0, |[low, high]| Popular::from(*low) | Popular::from(*high) << 64)
    }

    #[inline(always)]
    fn all_hold(&self, facts: &[u32]) -> bool {
        let holds = |fact: u32| self.bits.get(fact as usize / 64).is_some_and(|bits| bits >> (fact % 64) & 1 == 1);
        facts.iter().all(|fact| holds(*fact))
    }
}

impl Run {
    fn prepare(&mut self, plan: &Plan, rules: usize) {
        self.facts.clear(plan.facts);
        self.matched.clear();
        self.nodes.clear();
        grow(&mut self.holds, plan.fields.len());
        grow(&mut self.marks, rules);
        self.epoch = self.epoch.checked_add(1).unwrap_or_else(|| {
            self.holds.fill((0, false));
            self.marks.fill(0);
            1
        });
    }

    fn visit_all(&mut self, plan: &Plan, event: Seen<'_>) -> Result<(), EventError> {
        let popular = self.facts.popular();
        let mut next = 0;
        let mut node = ALWAYS;
        loop {
            self.visit(node, popular, plan, event)?;
            node = match self.nodes.pop() {
                Some(further) => further,
                None => match self.facts.leads.get(next) {
                    Some(fact) if next < self.facts.leading => {
                        next += 1;
                        *fact
                    }
                    _ => return Ok(()),
                },
            };
        }
    }

    /// Looks at what is filed in a node.
    #[inline(always)]
    fn visit(&mut self, node: u32, popular: Popular, plan: &Plan, event: Seen<'_>) -> Result<(), EventError> {
        let Some(node) = plan.node(node) else { return Ok(()) };
        let candidates = plan.candidates(node);
        event.step(candidates.len())?;
        for candidate in candidates {
            if candidate.popular & !popular == 0 && self.matches(candidate, plan, event)? {
                self.matched(candidate.rule);
            }
        }
        plan.go_on(node, popular, self.facts.found(), |next| self.nodes.push(next));
        Ok(())
    }

    fn matched(&mut self, rule: u32) {
        if let Some(mark) = self.marks.get_mut(rule as usize).filter(|mark| **mark != self.epoch) {
            *mark = self.epoch;
            self.matched.push(rule);
        }
    }

    /// Whether an alternative matches of which the popular facts hold.
    #[inline]
    fn matches(&mut self, candidate: &Candidate, plan: &Plan, event: Seen<'_>) -> Result<bool, EventError> {
        if !self.facts.all_hold(plan.facts(candidate)) {
            return Ok(false);
        }
        if event.has_arrays() {
            return self.matches_in_arrays(candidate, plan, event);
        }
        for field in plan.tests(candidate) {
            if !self.holds(*field, plan, event)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn matches_in_arrays(&mut self, candidate: &Candidate, plan: &Plan, event: Seen<'_>) -> Result<bool, EventError> {
        let alternative = || plan.alternatives.get(candidate.alternative as usize).into_iter();
        let fields = || {
            alternative()
                .flat_map(|alternative| &alternative.fields)
                .filter_map(|field| plan.fields.get(*field as usize))
        };
        let in_arrays = fields().filter(|field| event.in_arrays(field.path)).count();
        for field in plan.tests(candidate) {
            // With several fields in arrays, one may be absent from the elements that the others came through.
            let may_be_absent = plan.fields.get(*field as usize).is_some_and(|field| field.field.may_be_absent);
            let may_be_elsewhere = may_be_absent && in_arrays > 1;
            if !may_be_elsewhere && !self.holds(*field, plan, event)? {
                return Ok(false);
            }
        }
        if in_arrays < 2 {
            return Ok(true);
        }
        self.together.match_all(fields().map(|field| (field.path, field.field.as_ref())), event)
    }

    /// Whether a field holds by itself.
    fn holds(&mut self, number: u32, plan: &Plan, event: Seen<'_>) -> Result<bool, EventError> {
        let (Some(known), Some(planned)) = (self.holds.get_mut(number as usize), plan.fields.get(number as usize))
        else {
            return Ok(false);
        };
        if known.0 != self.epoch {
            *known = (self.epoch, test(planned, event)?);
        }
        Ok(known.1)
    }
}

/// Whether a field holds by itself.
fn test(planned: &PlannedField, event: Seen<'_>) -> Result<bool, EventError> {
    let PlannedField { path, pairs, field } = planned;
    for leaf in event.at(*path) {
        event.step(1)?;
        // Looking for pieces of texts is dear, and most texts lack some pair of bytes.
        if (pairs.are_none() || pairs.are_all_in(event.pairs(leaf))) && field.accepts(leaf, event) {
            return Ok(true);
        }
    }
    Ok(field.may_be_absent && !event.has(*path))
}

fn grow<T: Clone + Default>(list: &mut Vec<T>, length: usize) {
    if list.len() < length {
        list.resize(length, T::default());
    }
}

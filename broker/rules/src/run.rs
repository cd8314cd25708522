//! One event's way through a plan.

use crate::consistent::Together;
use crate::error::EventError;
use crate::event::{Event, Seen};
use crate::index::Entry;
use crate::plan::{A_FACT, ALWAYS, Candidate, Condition, Content, Plan, Popular, Test};

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
    /// What is known of tests.
    holds: Vec<(u32, bool)>,
    /// The rules that match, as marks and as a list.
    marks: Vec<u32>,
    matched: Vec<u32>,
    /// The nodes to visit.
    nodes: Vec<u32>,
    hits: Hits,
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

/// Candidates of which the popular facts hold: so many of a longer list.
#[derive(Debug, Default)]
struct Hits {
    count: usize,
    places: Vec<u32>,
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
    fn hold(&self, fact: u32) -> bool {
        self.bits.get(fact as usize / 64).is_some_and(|bits| bits >> (fact % 64) & 1 == 1)
    }

    /// Adds the nodes to which facts lead. Most have needs that are not met, but which is hard to foresee: so all are
    /// looked at first, without a decision, and at the same time.
    fn lead(&self, plan: &Plan, popular: Popular, nodes: &mut Vec<u32>) {
        let mut end = nodes.len();
        nodes.resize(end + self.leading, ALWAYS);
        for fact in self.leads.iter().take(self.leading) {
            let needs = plan.node(*fact).map_or(0, |node| node.needs);
            if let Some(place) = nodes.get_mut(end) {
                *place = *fact;
            }
            end += usize::from(needs & !popular == 0);
        }
        nodes.truncate(end);
    }
}

impl Hits {
    /// Notes candidates, numbered on from `first`, whose needs are met. Which are is hard to foresee, so that is
    /// calculated.
    fn note(&mut self, first: u32, needs: &[Popular], popular: Popular) {
        if self.places.len() < self.count + needs.len() {
            self.places.resize(self.count + needs.len(), 0);
        }
        let Some(places) = self.places.get_mut(self.count..) else { return };
        let mut count = 0;
        for (needs, candidate) in needs.iter().zip(first..) {
            if let Some(place) = places.get_mut(count) {
                *place = candidate;
            }
            count += usize::from(needs & !popular == 0);
        }
        self.count += count;
    }
}

impl Run {
    fn prepare(&mut self, plan: &Plan, rules: usize) {
        self.facts.clear(plan.facts);
        self.matched.clear();
        self.nodes.clear();
        self.hits.count = 0;
        grow(&mut self.holds, plan.tests.len());
        grow(&mut self.marks, rules);
        self.epoch = self.epoch.checked_add(1).unwrap_or_else(|| {
            self.holds.fill((0, false));
            self.marks.fill(0);
            1
        });
    }

    fn visit_all(&mut self, plan: &Plan, event: Seen<'_>) -> Result<(), EventError> {
        let popular = self.facts.popular();
        self.nodes.push(ALWAYS);
        self.facts.lead(plan, popular, &mut self.nodes);
        while let Some(node) = self.nodes.pop() {
            self.visit(node, popular, plan, event)?;
        }
        for place in 0..self.hits.count {
            let candidate = self.hits.places.get(place).and_then(|candidate| plan.candidate(*candidate));
            candidate.map_or(Ok(()), |candidate| self.look_at(candidate, plan, event))?;
        }
        self.hits.count = 0;
        Ok(())
    }

    /// Looks at what is filed in a node.
    #[inline(always)]
    fn visit(&mut self, node: u32, popular: Popular, plan: &Plan, event: Seen<'_>) -> Result<(), EventError> {
        match plan.node(node).filter(|node| node.needs & !popular == 0).map(|node| &node.content) {
            Some(Content::One(candidate)) => {
                event.step(1)?;
                self.look_at(candidate, plan, event)
            }
            Some(Content::Many { candidates, branch }) => {
                plan.go_on(*branch, popular, self.facts.found(), |next| self.nodes.push(next));
                event.step(candidates.len())?;
                self.hits.note(candidates.start, plan.needs(candidates), popular);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Looks at a candidate of which the popular facts hold.
    #[inline(always)]
    fn look_at(&mut self, candidate: &Candidate, plan: &Plan, event: Seen<'_>) -> Result<(), EventError> {
        if self.matches(candidate, plan, event)? {
            self.note(candidate);
        }
        Ok(())
    }

    fn note(&mut self, candidate: &Candidate) {
        if !candidate.is_alone {
            match self.marks.get_mut(candidate.rule as usize) {
                Some(mark) if *mark != self.epoch => *mark = self.epoch,
                _ => return,
            }
        }
        self.matched.push(candidate.rule);
    }

    /// Whether an alternative matches of which the popular facts hold.
    fn matches(&mut self, candidate: &Candidate, plan: &Plan, event: Seen<'_>) -> Result<bool, EventError> {
        if event.has_arrays() {
            return self.matches_in_arrays(candidate, plan, event);
        }
        for condition in plan.conditions(candidate) {
            if !self.holds(condition, plan, event)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[inline(always)]
    fn holds(&mut self, condition: &Condition, plan: &Plan, event: Seen<'_>) -> Result<bool, EventError> {
        let Condition { number, path, pairs } = *condition;
        if path == A_FACT {
            return Ok(self.facts.hold(number));
        }
        // Looking for pieces of texts is dear, and most texts lack some pair of bytes.
        if !pairs.are_none() && !event.some_pairs(path).is_some_and(|held| pairs.are_all_in(held)) {
            return Ok(false);
        }
        self.passes(number, plan, event)
    }

    fn matches_in_arrays(&mut self, candidate: &Candidate, plan: &Plan, event: Seen<'_>) -> Result<bool, EventError> {
        let alternative = || plan.alternatives.get(candidate.alternative as usize).into_iter();
        let fields = || {
            alternative()
                .flat_map(|alternative| &alternative.fields)
                .filter_map(|field| plan.fields.get(*field as usize))
        };
        let in_arrays = fields().filter(|field| event.in_arrays(field.path)).count();
        let may_be_absent = |test: u32| plan.tests.get(test as usize).is_some_and(|test| test.may_be_absent);
        for condition in plan.conditions(candidate) {
            // With several fields in arrays, one may be absent from the elements that the others came through.
            let may_be_elsewhere = condition.path != A_FACT && in_arrays > 1 && may_be_absent(condition.number);
            let holds = may_be_elsewhere || self.holds(condition, plan, event)?;
            if !holds {
                return Ok(false);
            }
        }
        if in_arrays < 2 {
            return Ok(true);
        }
        self.together.match_all(fields().map(|field| (field.path, field.field.as_ref())), event)
    }

    /// Whether a field holds by itself.
    fn passes(&mut self, number: u32, plan: &Plan, event: Seen<'_>) -> Result<bool, EventError> {
        let Some(test) = plan.tests.get(number as usize) else { return Ok(false) };
        if !test.is_shared {
            return test.passes(event);
        }
        let known = self.holds.get(number as usize).filter(|known| known.0 == self.epoch);
        if let Some((_, holds)) = known {
            return Ok(*holds);
        }
        let holds = test.passes(event)?;
        if let Some(known) = self.holds.get_mut(number as usize) {
            *known = (self.epoch, holds);
        }
        Ok(holds)
    }
}

impl Test {
    /// Whether some value passes, or there is none and need not be one.
    fn passes(&self, event: Seen<'_>) -> Result<bool, EventError> {
        for leaf in event.at(self.path) {
            event.step(self.matchers.steps())?;
            if event.passes(leaf, &self.matchers) {
                return Ok(true);
            }
        }
        Ok(self.may_be_absent && !event.has(self.path))
    }
}

fn grow<T: Clone + Default>(list: &mut Vec<T>, length: usize) {
    if list.len() < length {
        list.resize(length, T::default());
    }
}

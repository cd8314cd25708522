//! How to find the alternatives that an event matches without trying each.
//!
//! To most rules an event is a set of facts ([`crate::index`]), and an alternative of a rule is a few facts that must
//! all hold, perhaps with tests that no fact decides. Each alternative is filed under the one of its facts that is likely
//! to be the rarest, so that it is looked at only in events where this one holds; there it is a few bits to look up.
//! Where many alternatives are filed under one fact, they are filed once more below it, under a second fact, and so on.
//! Tests that are left are made last, and each once an event; after them comes array consistency, if several fields came
//! through arrays.

mod branches;
mod facts;
mod planner;

use crate::compile::Field;
use crate::hint::Pairs;
use crate::index::{Index, Lists};
use crate::operator::AnyOf;
use crate::paths::{PathId, Paths};
use branches::{Branch, Ways};
pub(crate) use planner::Planner;
use std::ops::Range;
use std::sync::Arc;

/// A compiled set of rules.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) paths: Paths,
    /// For each path the facts about it.
    pub(crate) indexes: Box<[Option<Index>]>,
    pub(crate) lists: Lists,
    /// How many facts there are. Those that lead to rules have the node of the same number.
    pub(crate) facts: usize,
    nodes: Vec<Node>,
    /// The candidates of nodes that have several, and the popular facts that must hold of each.
    candidates: Vec<Candidate>,
    popular: Vec<Popular>,
    conditions: Vec<Condition>,
    branches: Vec<Branch>,
    ways: Ways,
    /// The different fields of all rules.
    pub(crate) fields: Vec<PlannedField>,
    /// Those of them that are tested, once more and side by side: rules are spread over much memory.
    pub(crate) tests: Vec<Test>,
    pub(crate) alternatives: Vec<Alternative>,
}

/// The fact that always holds: under it is filed what no other fact leads to.
pub(crate) const ALWAYS: u32 = 0;
/// The fact that says nothing.
pub(crate) const NOTHING: u32 = 1;
/// The facts that most conditions are about have the numbers below this one, so that all of them are looked up at once.
pub(crate) const POPULAR: u32 = 128;

/// Popular facts, a bit each.
pub(crate) type Popular = u128;

#[derive(Debug)]
pub(crate) struct PlannedField {
    pub(crate) path: PathId,
    /// Whether several alternatives have this field.
    is_shared: bool,
    pub(crate) field: Arc<Field>,
}

/// The test of a field that no fact decides.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) path: PathId,
    /// Whether several alternatives ask for it.
    pub(crate) is_shared: bool,
    pub(crate) may_be_absent: bool,
    pub(crate) matchers: AnyOf,
}

/// One alternative of a rule: the fields that must match together.
#[derive(Debug)]
pub(crate) struct Alternative {
    pub(crate) rule: u32,
    pub(crate) fields: Box<[u32]>,
}

/// What a fact leads to.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// The popular facts without which there is nothing to find here.
    pub(crate) needs: Popular,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// What most nodes have: one candidate, of which the needs are those of the node.
    One(Candidate),
    Many {
        candidates: Range<u32>,
        /// Which branch there is; none has the number [`NO_BRANCH`].
        branch: u32,
    },
}

/// An alternative to look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) rule: u32,
    pub(crate) alternative: u32,
    /// Where its other conditions begin, and how many they are.
    start: u32,
    conditions: u16,
    /// Whether its rule has no other alternatives.
    pub(crate) is_alone: bool,
}

/// What else must hold: a fact, or the test of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition {
    /// The number of the fact or the test.
    pub(crate) number: u32,
    /// The path that is tested; a fact has [`A_FACT`].
    pub(crate) path: u32,
    /// What a value that passes must hold, if it is a string and there is nothing else to pass.
    pub(crate) pairs: Pairs,
}

/// No path has this number.
pub(crate) const A_FACT: u32 = u32::MAX;

impl Plan {
    /// The node of a fact, or one further on.
    #[inline]
    pub(crate) fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)
    }

    #[inline]
    pub(crate) fn candidate(&self, number: u32) -> Option<&Candidate> {
        self.candidates.get(number as usize)
    }

    /// The popular facts that must hold of each of these candidates.
    #[inline]
    pub(crate) fn needs(&self, candidates: &Range<u32>) -> &[Popular] {
        self.popular.get(candidates.start as usize..candidates.end as usize).unwrap_or_default()
    }

    /// What must hold of a candidate besides the popular facts.
    #[inline]
    pub(crate) fn conditions(&self, candidate: &Candidate) -> &[Condition] {
        let start = candidate.start as usize;
        self.conditions.get(start..start + usize::from(candidate.conditions)).unwrap_or_default()
    }

    /// Tells `visit` of the nodes to which the facts of an event lead on by a branch.
    #[inline]
    pub(crate) fn go_on(&self, branch: u32, popular: Popular, facts: &[u32], mut visit: impl FnMut(u32)) {
        if let Some(branch) = self.branches.get(branch as usize) {
            branch.popular(popular).for_each(&mut visit);
            self.ways.find(branch, facts, visit);
        }
    }
}

const NO_BRANCH: u32 = u32::MAX;

impl Content {
    fn is_empty(&self) -> bool {
        matches!(self, Self::Many { candidates, branch: NO_BRANCH } if candidates.is_empty())
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Many { candidates: 0..0, branch: NO_BRANCH }
    }
}

/// Fields, facts and nodes are fewer than 2^31: they would not fit into memory.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

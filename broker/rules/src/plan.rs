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
    candidates: Vec<Candidate>,
    /// Facts of candidates that are not popular, and their tests.
    conditions: Vec<u32>,
    branches: Vec<Branch>,
    ways: Ways,
    /// The different fields of all rules, by which tests are numbered.
    pub(crate) fields: Vec<PlannedField>,
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
    /// What a value that passes must hold, if it is a string and there is nothing else to pass.
    pub(crate) pairs: Pairs,
    pub(crate) field: Arc<Field>,
}

/// One alternative of a rule: the fields that must match together.
#[derive(Debug)]
pub(crate) struct Alternative {
    pub(crate) rule: u32,
    pub(crate) fields: Box<[u32]>,
}

/// What a fact leads to.
#[derive(Debug)]
pub(crate) struct Node {
    candidates: Range<u32>,
    /// Which branch there is; none has the number [`NO_BRANCH`].
    branch: u32,
}

/// An alternative to look at.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) rule: u32,
    pub(crate) alternative: u32,
    /// The popular facts that must hold.
    pub(crate) popular: Popular,
    /// Where its other conditions begin: so many facts, then so many tests.
    start: u32,
    facts: u16,
    tests: u16,
}

impl Plan {
    /// The node of a fact, or one further on.
    #[inline]
    pub(crate) fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)
    }

    /// What is looked at in a node.
    #[inline]
    pub(crate) fn candidates(&self, node: &Node) -> &[Candidate] {
        self.candidates.get(node.candidates.start as usize..node.candidates.end as usize).unwrap_or_default()
    }

    /// The facts of a candidate that are not popular.
    #[inline]
    pub(crate) fn facts(&self, candidate: &Candidate) -> &[u32] {
        let start = candidate.start as usize;
        self.conditions.get(start..start + usize::from(candidate.facts)).unwrap_or_default()
    }

    /// The fields that are tested of a candidate.
    #[inline]
    pub(crate) fn tests(&self, candidate: &Candidate) -> &[u32] {
        let start = candidate.start as usize + usize::from(candidate.facts);
        self.conditions.get(start..start + usize::from(candidate.tests)).unwrap_or_default()
    }

    /// Tells `visit` of the nodes to which the facts of an event lead on from a node.
    #[inline]
    pub(crate) fn go_on(&self, node: &Node, popular: Popular, facts: &[u32], mut visit: impl FnMut(u32)) {
        if let Some(branch) = self.branches.get(node.branch as usize) {
            branch.popular(popular).for_each(&mut visit);
            self.ways.find(branch, facts, visit);
        }
    }
}

const NO_BRANCH: u32 = u32::MAX;

impl Default for Node {
    fn default() -> Self {
        Self { candidates: 0..0, branch: NO_BRANCH }
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        self.candidates.is_empty() && self.branch == NO_BRANCH
    }
}

/// Fields, facts and nodes are fewer than 2^31: they would not fit into memory.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

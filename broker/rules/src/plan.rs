//! How to find the alternatives that an event matches without trying each.
//!
//! A plan is a tree. From a node an edge leads on for a field that some value passes, and below it are the alternatives
//! that have this field; each alternative is filed under the field that fewest of its neighbours share and fewest values
//! pass. So what an event comes to see are the edges its values lead along. Where few alternatives are left, they are
//! tried one by one. Trying ends with array consistency, if several of its fields came through arrays.

use crate::compile::Field;
use crate::hint::Hint;
use crate::index::{Index, IndexBuilder};
use crate::paths::{PathId, Paths, PathsBuilder};
use crate::pattern::Pattern;
use std::collections::HashMap;
use std::sync::Arc;

/// So many alternatives are tried one by one.
const FEW: usize = 4;

/// A compiled set of rules.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) paths: Paths,
    /// The different fields of all rules.
    pub(crate) fields: Vec<PlannedField>,
    pub(crate) alternatives: Vec<Alternative>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) nodes: Vec<Node>,
    /// For each path the index of the root's edges.
    pub(crate) root: Vec<Option<Index>>,
}

#[derive(Debug)]
pub(crate) struct PlannedField {
    pub(crate) path: PathId,
    pub(crate) field: Arc<Field>,
}

/// One alternative of a rule: the fields that must match together, in the order in which they are tried.
#[derive(Debug)]
pub(crate) struct Alternative {
    pub(crate) rule: u32,
    pub(crate) fields: Box<[u32]>,
}

/// What follows if a value passes a field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    pub(crate) field: u32,
    pub(crate) node: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    /// The alternatives to try here.
    pub(crate) few: Box<[u32]>,
    pub(crate) branches: Box<[(PathId, Index)]>,
}

#[derive(Default)]
pub(crate) struct Planner {
    paths: PathsBuilder,
    plan: Plan,
    /// The number of each field, by what it says.
    known: HashMap<String, u32>,
}

/// An alternative, and which of its fields do not lead to it yet.
struct Filing {
    alternative: u32,
    rest: Vec<u32>,
}

impl Planner {
    pub(crate) fn add(&mut self, rule: u32, pattern: &Pattern) {
        for alternative in &pattern.alternatives {
            let fields = alternative.iter().map(|field| self.field(field)).collect();
            self.plan.alternatives.push(Alternative { rule, fields });
        }
    }

    fn field(&mut self, field: &Arc<Field>) -> u32 {
        for matcher in &field.matchers {
            matcher.paths(&mut |path| _ = self.paths.id(path));
        }
        let said = format!("{field:?}");
        if let Some(known) = self.known.get(&said) {
            return *known;
        }
        let number = number(self.plan.fields.len());
        self.plan.fields.push(PlannedField { path: self.paths.id(&field.path), field: Arc::clone(field) });
        self.known.insert(said, number);
        number
    }

    /// The plan for what was added.
    pub(crate) fn build(mut self) -> Plan {
        self.plan.paths = std::mem::take(&mut self.paths).build();
        let all = self.plan.alternatives.iter().zip(0..).map(|(alternative, place)| Filing {
            alternative: place,
            rest: alternative.fields.iter().copied().filter(|field| self.must_be_there(*field)).collect(),
        });
        let all = all.collect();
        // Node 0 is the root. Its alternatives are filed even if they are few: events mostly come near none.
        self.plan.nodes.push(Node::default());
        let mut waiting = vec![(0, all)];
        while let Some((node, filings)) = waiting.pop() {
            let (few, branches) = self.branch(node == 0, filings, &mut waiting);
            if node == 0 {
                self.plan.root.resize_with(self.plan.paths.count(), || None);
                for (path, index) in branches {
                    self.plan.root[path] = Some(index);
                }
                self.plan.nodes[0].few = few.into();
            } else {
                self.plan.nodes[node] = Node { few: few.into(), branches: branches.into() };
            }
        }
        self.plan
    }

    fn must_be_there(&self, field: u32) -> bool {
        !self.plan.fields[field as usize].field.may_be_absent
    }

    /// Files the alternatives of a node. Those that are not filed are tried.
    fn branch(
        &mut self,
        is_root: bool,
        filings: Vec<Filing>,
        waiting: &mut Vec<(usize, Vec<Filing>)>,
    ) -> (Vec<u32>, Vec<(PathId, Index)>) {
        let mut few = Vec::new();
        let mut groups: HashMap<u32, Vec<Filing>> = HashMap::new();
        let mut shared: HashMap<u32, usize> = HashMap::new();
        let branches = is_root || filings.len() > FEW;
        for field in filings.iter().flat_map(|filing| &filing.rest) {
            *shared.entry(*field).or_default() += 1;
        }
        for mut filing in filings {
            let worth = |field: &u32| shared[field] * self.width(*field);
            let best = filing.rest.iter().copied().min_by_key(worth).filter(|_| branches);
            // Below the root, an edge that any value takes leads nowhere faster.
            match best.filter(|field| is_root || self.width(*field) < Hint::Any.width()) {
                Some(field) => {
                    filing.rest.retain(|rest| *rest != field);
                    groups.entry(field).or_default().push(filing);
                }
                None => few.push(filing.alternative),
            }
        }
        let mut groups: Vec<(u32, Vec<Filing>)> = groups.into_iter().collect();
        groups.sort_unstable_by_key(|(field, _)| *field);
        let mut indexes: HashMap<PathId, IndexBuilder> = HashMap::new();
        for (field, filings) in groups {
            let (edge, node) = (number(self.plan.edges.len()), self.plan.nodes.len());
            self.plan.nodes.push(Node::default());
            self.plan.edges.push(Edge { field, node: number(node) });
            let PlannedField { path, field } = &self.plan.fields[field as usize];
            let index = indexes.entry(*path).or_default();
            field.matchers.iter().for_each(|matcher| index.add(edge, matcher.hint()));
            waiting.push((node, filings));
        }
        let mut branches: Vec<(PathId, Index)> =
            indexes.into_iter().map(|(path, builder)| (path, builder.build())).collect();
        branches.sort_unstable_by_key(|(path, _)| *path);
        (few, branches)
    }

    fn width(&self, field: u32) -> usize {
        self.plan.fields[field as usize].field.matchers.iter().map(|matcher| matcher.hint().hint.width()).sum()
    }
}

/// Fields, edges and nodes are fewer than 2^31: they would not fit into memory.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

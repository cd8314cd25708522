//! How to find the alternatives that an event matches without trying each.
//!
//! A plan is a tree. From a node, edges lead on for values that are found at a path, and below an edge are the
//! alternatives that such a value brings nearer: each alternative is filed under the field that the fewest values are
//! likely to pass. A field that is one of a few plain values is filed under each of these, so that all alternatives that
//! want the same value are found with one look; another field under what it looks for. Where few alternatives are left,
//! they are tried one by one. Trying ends with array consistency, if several fields came through arrays.

use crate::compile::Field;
use crate::hint::{Hint, Hinted};
use crate::index::{Index, IndexBuilder};
use crate::paths::{PathId, Paths, PathsBuilder};
use crate::pattern::Pattern;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// So many alternatives are tried one by one.
const FEW: usize = 4;
/// Under so many plain values an alternative is filed, each time below all that it was filed under before.
const MAX_VALUES: usize = 4;
const MAX_COPIES: usize = 16;

/// A compiled set of rules.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) paths: Paths,
    /// The different fields of all rules.
    pub(crate) fields: Vec<PlannedField>,
    pub(crate) alternatives: Vec<Alternative>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) nodes: Vec<Node>,
    /// The alternatives to try, node by node, and the fields of each that are left to try.
    candidates: Vec<Candidate>,
    rests: Vec<u32>,
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

/// What follows if a value is found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    /// The field that it must pass, where finding it does not say so.
    pub(crate) field: u32,
    pub(crate) node: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Which of the plan's candidates are tried here.
    few: Range<u32>,
    pub(crate) branches: Box<[(PathId, Index)]>,
}

/// An alternative to try.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) rule: u32,
    pub(crate) alternative: u32,
    rest: Range<u32>,
}

impl Plan {
    /// What is tried at a node.
    pub(crate) fn candidates(&self, node: &Node) -> &[Candidate] {
        self.candidates.get(node.few.start as usize..node.few.end as usize).unwrap_or_default()
    }

    /// The fields of a candidate that did not lead to it.
    pub(crate) fn rest(&self, candidate: &Candidate) -> &[u32] {
        self.rests.get(candidate.rest.start as usize..candidate.rest.end as usize).unwrap_or_default()
    }
}

#[derive(Default)]
pub(crate) struct Planner {
    paths: PathsBuilder,
    plan: Plan,
    /// The number of each field, by what it says.
    known: HashMap<String, u32>,
}

/// An alternative, and which of its fields do not lead to it yet.
#[derive(Clone)]
struct Filing {
    alternative: u32,
    rest: Vec<u32>,
    copies: usize,
}

/// A plain value at a path, as a key.
type PlainValue = (PathId, Vec<u8>);

/// What is filed under one edge.
#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Value(PlainValue),
    Field(u32),
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
            rest: alternative.fields.to_vec(),
            copies: 1,
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
                self.plan.nodes[0].few = few;
            } else {
                self.plan.nodes[node] = Node { few, branches: branches.into() };
            }
        }
        self.plan
    }

    /// Files the alternatives of a node. Those that are not filed are tried.
    fn branch(
        &mut self,
        is_root: bool,
        filings: Vec<Filing>,
        waiting: &mut Vec<(usize, Vec<Filing>)>,
    ) -> (Range<u32>, Vec<(PathId, Index)>) {
        let mut few = Vec::new();
        let mut groups: HashMap<Key, Vec<Filing>> = HashMap::new();
        if !is_root && filings.len() <= FEW {
            few = filings;
        } else {
            let variety = self.variety(&filings);
            for filing in filings {
                // Below the root, an edge that nearly any value takes leads nowhere faster.
                let chance = |field: &u32| self.chance(*field, &variety);
                let fields = filing.rest.iter().copied().filter(|field| self.must_be_there(*field));
                let best = fields.map(|field| (chance(&field), field)).min_by(|one, other| one.0.total_cmp(&other.0));
                match best.filter(|(chance, _)| is_root || *chance < LIKELY) {
                    Some((_, field)) => self.file(filing, field, &mut groups),
                    None => few.push(filing),
                }
            }
        }
        (self.write_candidates(few), self.grow(groups, waiting))
    }

    fn write_candidates(&mut self, few: Vec<Filing>) -> Range<u32> {
        let Plan { candidates, rests, alternatives, .. } = &mut self.plan;
        let start = number(candidates.len());
        for Filing { alternative, rest, .. } in few {
            let from = number(rests.len());
            rests.extend(rest);
            let rule = alternatives[alternative as usize].rule;
            candidates.push(Candidate { rule, alternative, rest: from..number(rests.len()) });
        }
        start..number(candidates.len())
    }

    fn must_be_there(&self, field: u32) -> bool {
        !self.plan.fields[field as usize].field.may_be_absent
    }

    /// For each path how many plain values are asked for.
    fn variety(&self, filings: &[Filing]) -> HashMap<PathId, usize> {
        let mut values: HashSet<PlainValue> = HashSet::new();
        let mut variety = HashMap::new();
        let fields: HashSet<u32> = filings.iter().flat_map(|filing| &filing.rest).copied().collect();
        for field in fields {
            for value in self.plain_values(field).into_iter().flatten() {
                let path = value.0;
                if values.insert(value) {
                    *variety.entry(path).or_default() += 1;
                }
            }
        }
        variety
    }

    /// How likely it is that a value of an event leads along this field, more or less.
    fn chance(&self, field: u32, variety: &HashMap<PathId, usize>) -> f64 {
        let PlannedField { path, field } = &self.plan.fields[field as usize];
        let of_values = |hint: Hint<'_>| match IndexBuilder::plain(hint) {
            Some(_) => 1.0 / (variety.get(path).map_or(1.0, |count| f64::from(number(*count))) + 1.0),
            None => hint.chance(),
        };
        field.matchers.iter().map(|matcher| of_values(matcher.hint().hint)).sum()
    }

    /// All plain values that pass a field, if these are all that does.
    fn plain_values(&self, field: u32) -> Option<Vec<PlainValue>> {
        let PlannedField { path, field } = &self.plan.fields[field as usize];
        let value =
            |hinted: Hinted<'_>| IndexBuilder::plain(hinted.hint).filter(|_| hinted.sure).map(|key| (*path, key));
        field.matchers.iter().map(|matcher| value(matcher.hint())).collect()
    }

    fn file(&self, mut filing: Filing, field: u32, groups: &mut HashMap<Key, Vec<Filing>>) {
        filing.rest.retain(|rest| *rest != field);
        match self.plain_values(field) {
            Some(values) if values.len() <= MAX_VALUES && filing.copies * values.len() <= MAX_COPIES => {
                filing.copies *= values.len();
                let values: HashSet<PlainValue> = values.into_iter().collect();
                for value in values {
                    groups.entry(Key::Value(value)).or_default().push(filing.clone());
                }
            }
            _ => groups.entry(Key::Field(field)).or_default().push(filing),
        }
    }

    /// Makes the edges and their nodes.
    fn grow(
        &mut self,
        groups: HashMap<Key, Vec<Filing>>,
        waiting: &mut Vec<(usize, Vec<Filing>)>,
    ) -> Vec<(PathId, Index)> {
        let mut groups: Vec<(Key, Vec<Filing>)> = groups.into_iter().collect();
        groups.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut indexes: HashMap<PathId, IndexBuilder> = HashMap::new();
        for (key, filings) in groups {
            let (edge, node) = (number(self.plan.edges.len()), self.plan.nodes.len());
            self.plan.nodes.push(Node::default());
            let field = match &key {
                Key::Value((path, value)) => {
                    indexes.entry(*path).or_default().add_plain(edge, value);
                    u32::MAX
                }
                Key::Field(number) => {
                    let PlannedField { path, field } = &self.plan.fields[*number as usize];
                    let index = indexes.entry(*path).or_default();
                    field.matchers.iter().for_each(|matcher| index.add(edge, matcher.hint()));
                    *number
                }
            };
            self.plan.edges.push(Edge { field, node: number(node) });
            waiting.push((node, filings));
        }
        let mut branches: Vec<(PathId, Index)> =
            indexes.into_iter().map(|(path, builder)| (path, builder.build())).collect();
        branches.sort_unstable_by_key(|(path, _)| *path);
        branches
    }
}

/// An edge that is taken more often than this is no help.
const LIKELY: f64 = 0.6;

/// Fields, edges and nodes are fewer than 2^31: they would not fit into memory.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

//! From patterns to a plan.

use super::facts::FactsBuilder;
use super::{
    A_FACT, ALWAYS, Alternative, Candidate, Condition, Content, NO_BRANCH, NOTHING, Node, POPULAR, Plan, PlannedField,
    Popular, Test, number,
};
use crate::compile::Field;
use crate::hint::{Hint, Kind, Pairs};
use crate::index::Entry;
use crate::paths::{PathId, PathsBuilder};
use crate::pattern::Pattern;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Below this, filing costs more than it saves.
const FEW: usize = 24;
/// Below the first, a fact that is more likely than this is no help.
const LIKELY: f64 = 0.6;

/// How many different hints of a kind are asked for at a path.
type Variety = HashMap<(PathId, Kind), usize>;

pub(crate) struct Planner {
    /// So many alternatives are looked at one by one.
    few: usize,
    paths: PathsBuilder,
    fields: Vec<PlannedField>,
    alternatives: Vec<Alternative>,
    /// The number of each field, by what it says.
    known: HashMap<String, u32>,
}

impl Default for Planner {
    fn default() -> Self {
        Self {
            few: FEW,
            paths: PathsBuilder::default(),
            fields: Vec::new(),
            alternatives: Vec::new(),
            known: HashMap::new(),
        }
    }
}

impl Planner {
    pub(crate) fn add(&mut self, rule: u32, pattern: &Pattern) {
        for alternative in &pattern.alternatives {
            let fields = alternative.iter().map(|field| self.field(field)).collect();
            self.alternatives.push(Alternative { rule, fields });
        }
    }

    fn field(&mut self, field: &Arc<Field>) -> u32 {
        for matcher in field.matchers.iter() {
            matcher.paths(&mut |path| _ = self.paths.id(path));
        }
        let said = format!("{field:?}");
        if let Some(known) = self.known.get(&said) {
            self.fields[*known as usize].is_shared = true;
            return *known;
        }
        let number = number(self.fields.len());
        let path = self.paths.id(&field.path);
        self.fields.push(PlannedField { path, is_shared: false, field: Arc::clone(field) });
        self.known.insert(said, number);
        number
    }

    /// The plan for what was added.
    pub(crate) fn build(self) -> Plan {
        let paths = self.paths.build();
        let mut filing = Filing {
            few: self.few,
            fields: &self.fields,
            facts: FactsBuilder::new(&self.fields),
            nodes: Vec::new(),
            counts: counts(&self.alternatives),
            tests: HashMap::new(),
        };
        filing.file_all(&self.alternatives);
        let ranks = filing.ranks();
        let mut plan = Plan { facts: filing.facts.count(), ..Plan::default() };
        filing.write_tests(&mut plan);
        filing.write_nodes(&self.alternatives, &ranks, &mut plan);
        let leads = |fact: u32| plan.nodes.get(fact as usize).is_some_and(|node| !node.content.is_empty());
        let entry = |fact: u32| Entry::new(ranks[fact as usize], leads(ranks[fact as usize]));
        plan.indexes = filing.facts.build(paths.count(), entry, &mut plan.lists);
        Plan { paths, fields: self.fields, alternatives: self.alternatives, ..plan }
    }
}

fn counts(alternatives: &[Alternative]) -> Vec<u32> {
    let rules = alternatives.iter().map(|alternative| alternative.rule as usize + 1).max().unwrap_or(0);
    let mut counts = vec![0; rules];
    alternatives.iter().for_each(|alternative| counts[alternative.rule as usize] += 1);
    counts
}

/// An alternative on its way to where it is looked at.
#[derive(Debug)]
struct Filed {
    alternative: u32,
    /// The fields that are not known to hold there.
    rest: Vec<Rest>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    field: u32,
    /// Whether a fact has led here without which the field does not hold.
    has_led_here: bool,
}

#[derive(Debug, Default)]
struct Growing {
    filed: Vec<Filed>,
    /// Facts and the nodes to which they lead.
    children: BTreeMap<u32, usize>,
}

struct Filing<'f> {
    few: usize,
    fields: &'f [PlannedField],
    facts: FactsBuilder<'f>,
    /// The first is the root, under which everything is filed.
    nodes: Vec<Growing>,
    /// For each rule how many alternatives it has.
    counts: Vec<u32>,
    /// The tests of fields, by their numbers.
    tests: HashMap<u32, u32>,
}

impl Filing<'_> {
    fn file_all(&mut self, alternatives: &[Alternative]) {
        let rest = |field: &u32| Rest { field: *field, has_led_here: false };
        let filed = alternatives.iter().zip(0..).map(|(alternative, place)| Filed {
            alternative: place,
            rest: alternative.fields.iter().map(rest).collect(),
        });
        self.nodes.push(Growing { filed: filed.collect(), ..Growing::default() });
        let mut next = 0;
        while next < self.nodes.len() {
            if next == 0 || self.nodes[next].filed.len() > self.few {
                self.branch(next);
            }
            next += 1;
        }
    }

    /// Files the alternatives of a node once more. Those that no rare fact leads to stay.
    fn branch(&mut self, node: usize) {
        let is_root = node == 0;
        let filed = std::mem::take(&mut self.nodes[node].filed);
        let variety = self.variety(&filed);
        for mut filed in filed {
            let rarest = self.rarest(&filed, &variety).filter(|(_, chance)| is_root || *chance < LIKELY);
            let Some((place, _)) = rarest else {
                self.nodes[node].filed.push(filed);
                continue;
            };
            let field = filed.rest[place].field;
            let fact = self.facts.of(field);
            if self.facts.deciding(field) == Some(fact) {
                filed.rest.remove(place);
            } else {
                filed.rest[place].has_led_here = true;
            }
            let new = self.nodes.len();
            let child = *self.nodes[node].children.entry(fact).or_insert(new);
            if child == new {
                self.nodes.push(Growing::default());
            }
            self.nodes[child].filed.push(filed);
        }
    }

    /// Which of the fields that are left is the least likely to hold.
    fn rarest(&self, filed: &Filed, variety: &Variety) -> Option<(usize, f64)> {
        let may_lead = |rest: &Rest| !rest.has_led_here && !self.fields[rest.field as usize].field.may_be_absent;
        let fields = filed.rest.iter().enumerate().filter(|(_, rest)| may_lead(rest));
        fields
            .map(|(place, rest)| (place, self.chance(rest.field, variety)))
            .min_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// How many different hints of each kind there are.
    fn variety(&self, filed: &[Filed]) -> Variety {
        let fields: HashSet<u32> = filed.iter().flat_map(|filed| &filed.rest).map(|rest| rest.field).collect();
        let mut hints: HashSet<(PathId, Hint<'_>)> = HashSet::new();
        let mut variety = Variety::new();
        for field in fields {
            let PlannedField { path, field, .. } = &self.fields[field as usize];
            for hint in field.matchers.iter().map(|matcher| matcher.hint().hint) {
                if let Some(kind) = hint.kind().filter(|_| hints.insert((*path, hint))) {
                    *variety.entry((*path, kind)).or_default() += 1;
                }
            }
        }
        variety
    }

    /// How likely it is that a value of an event passes a field, more or less. Whoever writes rules about many different
    /// values has events with as many: and of the hints of one kind, a value fits one at most.
    fn chance(&self, field: u32, variety: &Variety) -> f64 {
        let PlannedField { path, field, .. } = &self.fields[field as usize];
        let one_of_many = |kind: Kind| variety.get(&(*path, kind)).map(|count| 1.0 / f64::from(number(count + 1)));
        let of_hint = |hint: Hint<'_>| match hint.kind() {
            Some(Kind::Value) => one_of_many(Kind::Value).unwrap_or(hint.chance()),
            Some(kind) => one_of_many(kind).map_or(hint.chance(), |chance| chance.max(hint.chance())),
            None => hint.chance(),
        };
        field.matchers.iter().map(|matcher| of_hint(matcher.hint().hint)).sum()
    }

    /// For each fact its final number. The more conditions are about a fact, the lower it is.
    fn ranks(&self) -> Vec<u32> {
        let mut uses = vec![0_usize; self.facts.count()];
        let conditions = self.nodes.iter().flat_map(|node| &node.filed).flat_map(|filed| &filed.rest);
        let asked = conditions.filter_map(|rest| self.facts.deciding(rest.field));
        let leading = self.nodes.iter().skip(1).flat_map(|node| node.children.keys().copied());
        asked.chain(leading).for_each(|fact| uses[fact as usize] += 1);
        let mut order: Vec<u32> = (NOTHING + 1..number(uses.len())).collect();
        order.sort_by_key(|fact| std::cmp::Reverse(uses[*fact as usize]));
        let mut ranks = vec![ALWAYS, NOTHING];
        ranks.resize(uses.len(), ALWAYS);
        for (fact, rank) in order.into_iter().zip(NOTHING + 1..) {
            ranks[fact as usize] = rank;
        }
        ranks
    }

    /// Writes the nodes: first those of the facts, each under the number of its fact, then the others.
    fn write_nodes(&self, alternatives: &[Alternative], ranks: &[u32], plan: &mut Plan) {
        let Some(root) = self.nodes.first() else { return };
        let mut next = number(self.facts.count());
        let mut places = vec![ALWAYS; self.nodes.len()];
        for (fact, node) in &root.children {
            places[*node] = ranks[*fact as usize];
        }
        // The nodes to which popular facts lead have to be side by side.
        let sorted = |node: &Growing| {
            let mut ways: Vec<(u32, usize)> =
                node.children.iter().map(|(fact, child)| (ranks[*fact as usize], *child)).collect();
            ways.sort_unstable();
            ways
        };
        for (_, child) in self.nodes.iter().skip(1).flat_map(sorted) {
            places[child] = next;
            next += 1;
        }
        plan.nodes.resize_with(next as usize, Node::default);
        // Those further on come later and are written first: what is needed there is needed here.
        for (place, node) in self.nodes.iter().enumerate().rev() {
            let candidates: Vec<(Popular, Candidate)> =
                node.filed.iter().map(|filed| self.write_candidate(filed, alternatives, ranks, plan)).collect();
            let ways: Vec<(u32, u32)> = sorted(node).iter().map(|(fact, child)| (*fact, places[*child])).collect();
            let popular = |fact: u32| if fact < POPULAR { 1 << fact } else { 0 };
            let of_ways = ways.iter().map(|(fact, node)| popular(*fact) | plan.nodes[*node as usize].needs);
            let needs = candidates.iter().map(|(popular, _)| *popular).chain(of_ways);
            let needs = needs.reduce(|one, other| one & other).unwrap_or_default();
            let content = match candidates.as_slice() {
                [(_, one)] if ways.is_empty() => Content::One(*one),
                many => {
                    let from = number(plan.candidates.len());
                    plan.popular.extend(many.iter().map(|(popular, _)| *popular));
                    plan.candidates.extend(many.iter().map(|(_, candidate)| *candidate));
                    let mut branch = NO_BRANCH;
                    if place > 0 && !ways.is_empty() {
                        branch = number(plan.branches.len());
                        plan.branches.push(plan.ways.add(&ways));
                    }
                    Content::Many { candidates: from..number(plan.candidates.len()), branch }
                }
            };
            plan.nodes[places[place] as usize] = Node { needs, content };
        }
    }

    /// Writes the tests of fields that no fact decides, node by node.
    fn write_tests(&mut self, plan: &mut Plan) {
        let fields = self.nodes.iter().flat_map(|node| &node.filed).flat_map(|filed| &filed.rest);
        for field in fields.map(|rest| rest.field).filter(|field| self.facts.deciding(*field).is_none()) {
            let new = number(self.tests.len());
            if *self.tests.entry(field).or_insert(new) == new {
                let PlannedField { path, is_shared, field } = &self.fields[field as usize];
                let matchers = field.matchers.clone();
                plan.tests.push(Test {
                    path: *path,
                    is_shared: *is_shared,
                    may_be_absent: field.may_be_absent,
                    matchers,
                });
            }
        }
    }

    fn test(&self, number: u32) -> Condition {
        let PlannedField { path, field, .. } = &self.fields[number as usize];
        let pairs = match &*field.matchers {
            [only] if !field.may_be_absent => only.hint().pairs,
            _ => Pairs::default(),
        };
        Condition { number: self.tests.get(&number).copied().unwrap_or(u32::MAX), path: super::number(*path), pairs }
    }

    /// What it needs of popular facts, and the candidate with its other conditions.
    fn write_candidate(
        &self,
        filed: &Filed,
        alternatives: &[Alternative],
        ranks: &[u32],
        plan: &mut Plan,
    ) -> (Popular, Candidate) {
        let (mut popular, mut facts, mut tests) = (0, Vec::new(), Vec::new());
        for rest in &filed.rest {
            match self.facts.deciding(rest.field).map(|fact| ranks[fact as usize]) {
                Some(fact) if fact < POPULAR => popular |= 1 << fact,
                Some(fact) => facts.push(Condition { number: fact, path: A_FACT, pairs: Pairs::default() }),
                None => tests.push(self.test(rest.field)),
            }
        }
        let rule = alternatives[filed.alternative as usize].rule;
        let candidate = Candidate {
            rule,
            alternative: filed.alternative,
            start: number(plan.conditions.len()),
            // An alternative has at most 256 fields.
            conditions: u16::try_from(facts.len() + tests.len()).unwrap_or(u16::MAX),
            is_alone: self.counts[rule as usize] == 1,
        };
        plan.conditions.extend(facts);
        plan.conditions.extend(tests);
        (popular, candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Scratch;
    use proptest::prelude::*;

    /// Values that rules and events have in common; of some there are more than popular facts.
    fn value() -> impl Strategy<Value = String> {
        prop_oneof![3 => "[ab]", 3 => "[a-d][0-9]", 1 => "[a-d][0-9]{2}"]
    }

    fn member(test: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
        ("[v-z]", test).prop_map(|(name, test)| format!("\"{name}\": {test}"))
    }

    fn object(members: Vec<String>) -> String {
        format!("{{{}}}", members.join(", "))
    }

    fn pattern() -> impl Strategy<Value = String> {
        let test = prop_oneof![
            8 => value().prop_map(|text| format!("[\"{text}\"]")),
            1 => (value(), value()).prop_map(|(one, other)| format!("[\"{one}\", \"{other}\"]")),
            1 => "[a-d]".prop_map(|text| format!("[{{\"prefix\": \"{text}\"}}]")),
            1 => "[a-d]\\*[0-9]".prop_map(|text| format!("[{{\"wildcard\": \"{text}\"}}]")),
            1 => Just("[{\"exists\": false}]".to_owned()),
        ];
        proptest::collection::vec(member(test), 1..6).prop_map(object)
    }

    fn event() -> impl Strategy<Value = String> {
        proptest::collection::vec(member(value().prop_map(|text| format!("\"{text}\""))), 3..9).prop_map(object)
    }

    fn plan(few: usize, patterns: &[Pattern]) -> Plan {
        let mut planner = Planner { few, ..Planner::default() };
        patterns.iter().zip(0..).for_each(|(pattern, rule)| planner.add(rule, pattern));
        planner.build()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn rules_are_found_wherever_they_are_filed(
            patterns in proptest::collection::vec(pattern(), 200..500),
            events in proptest::collection::vec(event(), 30),
        ) {
            let patterns: Vec<Pattern> = patterns.iter().map(|pattern| Pattern::parse(pattern).unwrap()).collect();
            let (branched, flat) = (plan(0, &patterns), plan(usize::MAX, &patterns));
            prop_assert!(!branched.branches.is_empty() && flat.branches.is_empty());
            prop_assert!(branched.ways.are_there() || branched.facts < 2 * POPULAR as usize);
            let mut scratch = Scratch::default();
            for event in events {
                let mut find = |plan: &Plan| scratch.matches(plan, patterns.len(), event.as_bytes()).unwrap().to_vec();
                prop_assert_eq!(find(&branched), find(&flat), "{}", event);
            }
        }
    }
}

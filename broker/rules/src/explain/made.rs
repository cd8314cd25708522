//! How near a field came to tests that are made of others, or of another field: which of them fail, and how near those
//! came.

use super::meant::similar_values;
use super::near::{MAX_COMPARED, MAX_NAMES, NearMiss, Part, miss, miss_of_number, other_type};
use super::shape::{Leaf, Shape, Tests};
use crate::alike::edits;
use crate::operator::{Aim, Makeup, Matcher};
use crate::relation::Relation;
use crate::scalar::Scalar;
use crate::shown::{ShownPath, cut};
use crate::value::{Surroundings, Value};

/// Of tests that the field's values must pass among them: which none passes, and how near values came to those.
pub(super) fn among(wanted: &[Matcher], leaves: &[Leaf<'_>], shape: &Shape<'_>, tests: &Tests) -> Vec<NearMiss> {
    let passes = |test: &&Matcher| {
        let mut leaves = leaves.iter().take_while(|_| tests.spend(1));
        leaves.any(|leaf| test.accepts(leaf.value.as_value(), &shape.around(leaf, tests)))
    };
    let missing: Vec<&Matcher> = wanted.iter().filter(|test| !passes(test)).collect();
    // Where not all values could be looked at, what seems to be missing may be there.
    if missing.is_empty() || tests.are_over() {
        return Vec::new();
    }
    let mut misses = Vec::new();
    if wanted.len() > 1 {
        let listed = missing.iter().take(MAX_NAMES).map(|test| cut(&test.to_string())).collect();
        misses.push(NearMiss::Among { found: wanted.len() - missing.len(), wanted: wanted.len(), missing: listed });
    }
    for test in missing {
        let found = leaves.iter().map(|leaf| Found { leaf, shape, tests }).take_while(|found| found.spend());
        let slip = found.filter_map(|found| found.held_against(test).0).min_by_key(NearMiss::rank);
        if tests.are_over() {
            break;
        }
        misses.extend(slip.filter(|slip| !misses.contains(slip)));
    }
    misses
}

/// A value that a test refuses.
#[derive(Clone, Copy)]
pub(super) struct Found<'f, 't> {
    pub(super) leaf: &'f Leaf<'t>,
    pub(super) shape: &'f Shape<'t>,
    pub(super) tests: &'f Tests,
}

impl<'f, 't> Found<'f, 't> {
    /// Whether it may be held against one more test, which takes the longer the longer it is.
    pub(super) fn spend(self) -> bool {
        self.tests.spend(1 + self.leaf.value.as_str().map_or(0, str::len).min(MAX_COMPARED) / 64)
    }

    /// How near it came to a test: the likeliest slip, and what else there is to say of how the test is made.
    pub(super) fn held_against(self, test: &Matcher) -> (Option<NearMiss>, Option<NearMiss>) {
        let around = self.shape.around(self.leaf, self.tests);
        match test.makeup() {
            Makeup::Itself => {
                let slip = || miss(test, self.leaf.value, &around);
                (self.slip_of_case(test).or_else(slip), None)
            }
            // It is about all values of the field together.
            Makeup::Among(_) => (None, None),
            Makeup::EachOf(conditions) => self.held_against_each(&conditions),
            Makeup::Related(relation, path) => {
                let Some(other) = Other::new(path, self) else { return (None, None) };
                let slip = other.slip(relation, self.leaf.value);
                let accepts = |value: Value<'_>| test.accepts(value, &around);
                // To be different, any other value or type would do.
                let is_wanted = relation != Relation::NotEqual;
                let slip = slip.or_else(|| other_type(self.leaf.value, &accepts).filter(|_| is_wanted));
                (slip, Some(other.told(relation, self)))
            }
        }
    }

    /// A text in mixed case, which as a whole is compared in lower and in upper case by what is tried of every test.
    fn slip_of_case(self, test: &Matcher) -> Option<NearMiss> {
        let text = self.leaf.value.as_str().filter(|text| text.len() <= MAX_COMPARED)?;
        let differs = test.accepts_but_for_case(text, &|many| self.tests.afford(many));
        differs.then(|| NearMiss::Case { expected: cut(&test.to_string()), found: cut(text), part: None, write: None })
    }

    fn held_against_each(self, conditions: &[&[Matcher]]) -> (Option<NearMiss>, Option<NearMiss>) {
        let (value, around) = (self.leaf.value, self.shape.around(self.leaf, self.tests));
        let accepts = |test: &Matcher| self.tests.spend(1) && test.accepts(value.as_value(), &around);
        let fails = |condition: &&&[Matcher]| !condition.iter().any(accepts);
        let failing: Vec<&[Matcher]> = conditions.iter().filter(fails).copied().collect();
        if self.tests.are_over() {
            return (None, None);
        }
        let parts = failing.iter().flat_map(|condition| condition.iter()).take_while(|_| self.spend());
        let slip = parts.filter_map(|test| self.held_against(test).0).min_by_key(NearMiss::rank);
        let unmet = failing.iter().take(MAX_NAMES).map(|condition| {
            let names = condition.iter().take(MAX_NAMES).map(Matcher::to_string);
            cut(&names.collect::<Vec<_>>().join(" or "))
        });
        let (met, of) = (conditions.len() - failing.len(), conditions.len());
        let found = cut(&value.to_string());
        let told = (met > 0).then(|| NearMiss::Conditions { found, met, of, unmet: unmet.collect() });
        (slip, told)
    }
}

/// The field that a value is compared with: those of its values that count for it.
struct Other<'o> {
    path: &'o str,
    values: Vec<OtherValue>,
    more: bool,
}

/// A value of another field.
struct OtherValue {
    shown: String,
    /// A string.
    text: Option<String>,
    /// A number that can be compared.
    number: Option<f64>,
}

impl OtherValue {
    fn new(value: Value<'_>) -> Self {
        let number = if let Value::Number { value, .. } = value { value } else { None };
        Self { shown: cut(&value.to_string()), text: value.as_str().map(str::to_owned), number }
    }
}

impl<'o> Other<'o> {
    /// Nothing if not so much could be looked at.
    fn new(path: &'o str, found: Found<'_, '_>) -> Option<Self> {
        let mut values = Vec::new();
        let more = found.shape.around(found.leaf, found.tests).some_near(path, &mut |value| {
            let full = values.len() == MAX_NAMES;
            if !full {
                values.push(OtherValue::new(value));
            }
            full
        });
        (more || !found.tests.are_over()).then_some(Self { path, values, more })
    }

    /// What the value was compared with.
    fn told(&self, relation: Relation, Found { leaf, shape, tests }: Found<'_, '_>) -> NearMiss {
        let (path, found) = (cut(self.path), cut(&leaf.value.to_string()));
        if self.values.is_empty() {
            let elsewhere = !shape.at(self.path).is_empty();
            let meant = if elsewhere { Vec::new() } else { similar_values(self.path, shape, tests) };
            return NearMiss::NothingToCompare { found, path, elsewhere, meant };
        }
        let values = self.values.iter().map(|other| other.shown.clone()).collect();
        NearMiss::Compared { found, relation: relation.sign(), path, values, more: self.more }
    }

    /// How near a value comes to standing so to one of them.
    fn slip(&self, relation: Relation, found: &Scalar<'_>) -> Option<NearMiss> {
        let expected = cut(&format!("{relation} the value of {}", ShownPath(self.path)));
        let slips = self.values.iter().filter_map(|other| other.slip(relation, found, &expected));
        slips.min_by_key(NearMiss::rank)
    }
}

impl OtherValue {
    fn slip(&self, relation: Relation, found: &Scalar<'_>, expected: &str) -> Option<NearMiss> {
        match (found, &self.text, self.number) {
            (Scalar::Number { value, .. }, _, Some(number)) => {
                let aim = match relation {
                    Relation::Equal => Aim::Between(Some(number), Some(number)),
                    Relation::Less | Relation::LessOrEqual => Aim::Between(None, Some(number)),
                    Relation::Greater | Relation::GreaterOrEqual => Aim::Between(Some(number), None),
                    Relation::NotEqual => return None,
                };
                miss_of_number(aim, found, *value, expected.to_owned())
            }
            (Scalar::String(text), Some(wanted), _) if relation == Relation::Equal => slip_of_text(text, wanted),
            _ => None,
        }
    }
}

/// Between two texts that should be the same, neither of which the pattern has.
fn slip_of_text(found_text: &str, wanted: &str) -> Option<NearMiss> {
    if found_text.len().max(wanted.len()) > MAX_COMPARED {
        return None;
    }
    let (found, expected) = (cut(found_text), format!("{:?}", cut(wanted)));
    if found_text.to_lowercase() == wanted.to_lowercase() {
        return Some(NearMiss::Case { expected, found, part: None, write: None });
    }
    if found_text.trim() == wanted.trim() {
        return Some(NearMiss::WhiteSpace { expected, found });
    }
    edits(wanted, found_text).map(|edits| NearMiss::Edits { expected: cut(wanted), found, edits, part: Part::Whole })
}

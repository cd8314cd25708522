//! What may have been meant by a path that leads to no value.

use super::near::{MAX_HINTS, MAX_NAMES, NearMiss};
use super::shape::{Entry, MAX_PATH, Shape, Tests};
use crate::alike::{edits, same_name};
use crate::compile::Field;
use crate::shown::cut;
use crate::value::{Surroundings, Value};

/// A name that is longer or shorter than another by more bytes is not like it.
const MAX_LONGER: usize = 16;
/// How many paths of an event are looked through for one that was meant.
const MAX_MEANT: usize = 512;

/// What may have been meant by a path that has no value.
pub(super) fn miss_of_path(field: &Field, shape: &Shape<'_>, tests: &Tests) -> Option<NearMiss> {
    let path = field.path.as_str();
    match shape.entry(path) {
        Some(entry) if entry.object => {
            // Below the root there is no dot to pass over.
            let start = if path.is_empty() { 0 } else { path.len() + 1 };
            let names = shape.below(path).filter_map(|(below, _)| below.get(start..));
            let direct = names.filter(|name| !name.contains('.'));
            let fields = direct.take(MAX_NAMES).map(cut).collect();
            let meant = shape.below(path).take(MAX_MEANT).filter(|(_, entry)| passes(field, entry, tests));
            Some(NearMiss::Object { fields, meant: meant.map(|(below, _)| cut(below)).take(MAX_HINTS).collect() })
        }
        Some(Entry { empty_list: true, .. }) => Some(NearMiss::EmptyList),
        _ => no_such_field(path, shape, tests),
    }
}

fn passes(field: &Field, entry: &Entry<'_>, tests: &Tests) -> bool {
    let Some(value) = entry.value else { return false };
    let accepted = tests.spend(field.matchers.steps()) && field.matchers.accepts(value.as_value(), &Alone(tests));
    accepted && !tests.are_over()
}

fn no_such_field(path: &str, shape: &Shape<'_>, tests: &Tests) -> Option<NearMiss> {
    let beginnings = path.rmatch_indices('.').map(|(dot, _)| &path[..dot]).filter(|start| start.len() <= MAX_PATH);
    let nearest = beginnings.filter_map(|start| Some((start, shape.entry(start)?))).next();
    if let Some((start, Entry { object: false, value: Some(value), .. })) = nearest {
        return Some(NearMiss::NotAnObject { at: start.to_owned(), is: value.kind() });
    }
    let there = nearest.map_or("", |(start, _)| start);
    let values = shape.below(there).take(MAX_MEANT).filter(|(_, entry)| entry.value.is_some());
    let mut meant = similar(path, values.map(|(below, _)| below), tests);
    if meant.is_empty() {
        meant = same_last_name(path, shape, tests);
    }
    (!there.is_empty() || !meant.is_empty()).then(|| NearMiss::NoSuchField { there: cut(there), meant })
}

/// The paths most like this one, at most three.
pub(super) fn similar<'p>(path: &str, others: impl Iterator<Item = &'p str>, tests: &Tests) -> Vec<String> {
    let others = others.filter(|other| path.len().abs_diff(other.len()) <= MAX_LONGER);
    let others = others.take_while(|other| spend_on_name(other, tests));
    let distance = |other: &str| if same_name(path, other) { Some(0) } else { slips(path, other) };
    let mut near: Vec<(usize, &str)> = others.filter_map(|other| Some((distance(other)?, other))).collect();
    near.sort_unstable();
    near.iter().take(MAX_HINTS).map(|(_, path)| cut(path)).collect()
}

/// The paths of an event's values most like this one, at most three.
pub(super) fn similar_values(path: &str, shape: &Shape<'_>, tests: &Tests) -> Vec<String> {
    let values = shape.below("").take(MAX_MEANT).filter(|(_, entry)| entry.value.is_some());
    similar(path, values.map(|(below, _)| below), tests)
}

/// To compare a name takes the longer the longer it is.
fn spend_on_name(name: &str, tests: &Tests) -> bool {
    tests.spend(1 + name.len() / 16)
}

/// Edits between two paths, which must be few for the part in which they differ.
fn slips(one: &str, other: &str) -> Option<usize> {
    let common = one.char_indices().zip(other.chars()).take_while(|((_, a), b)| a == b);
    let same = common.filter(|((_, char), _)| *char == '.').last().map_or(0, |((dot, _), _)| dot + 1);
    edits(&one[same..], &other[same..])
}

/// Values elsewhere in the event that have the last name of this path.
fn same_last_name(path: &str, shape: &Shape<'_>, tests: &Tests) -> Vec<String> {
    let last = |path: &str| path.rfind('.').map_or(0, |dot| dot + 1);
    let name = &path[last(path)..];
    let values = shape.below("").take(MAX_MEANT).filter(|(_, entry)| entry.value.is_some());
    let values = values.take_while(|(other, _)| spend_on_name(other, tests));
    let same = values.filter(|(other, _)| name.len() > 1 && same_name(&other[last(other)..], name));
    same.map(|(other, _)| cut(other)).take(MAX_HINTS).collect()
}

/// A value taken out of its event.
struct Alone<'t>(&'t Tests);

impl Surroundings for Alone<'_> {
    fn afford(&self, steps: usize) -> bool {
        self.0.spend(steps)
    }

    fn some(&self, _: &str, _: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        false
    }

    fn some_near(&self, _: &str, _: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        false
    }
}

//! A second implementation of the whole language, as slow and obvious as it can be: every way to pick a value for each
//! field is tried, over `serde_json` values.
//!
//! It does not know the reference's odd corners: IPv6 addresses beside IPv4 ones, numbers that no double holds, empty
//! names.

mod operators;

use operators::accepts;
use serde_json::{Map, Value};

/// A value with its path, and the arrays (by the place they begin) and indexes it came through.
struct Leaf {
    path: String,
    value: Value,
    inside: Vec<(String, usize)>,
}

impl Leaf {
    fn agrees_with(&self, chosen: &[(String, usize)]) -> bool {
        self.inside.iter().all(|(array, index)| chosen.iter().all(|(other, at)| other != array || at == index))
    }
}

/// All values of an event.
fn leaves(event: &Value) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    flatten(event, String::new(), String::new(), &[], &mut leaves);
    leaves
}

pub(crate) fn matches(pattern: &Value, event: &Value) -> bool {
    let leaves = leaves(event);
    alternatives(pattern.as_object().unwrap(), "", vec![Map::new()])
        .iter()
        .any(|fields| pick(&fields.iter().collect::<Vec<_>>(), &leaves, &[]))
}

/// Fields beside `$or` first, as in a pattern that was given as a value. What comes later replaces what was there.
fn alternatives(
    pattern: &Map<String, Value>,
    prefix: &str,
    mut so_far: Vec<Map<String, Value>>,
) -> Vec<Map<String, Value>> {
    let (or, fields): (Vec<_>, Vec<_>) = pattern.iter().partition(|(name, _)| *name == "$or");
    for (name, value) in fields.into_iter().chain(or) {
        let path = format!("{prefix}{name}");
        so_far = match value {
            Value::Array(branches) if name == "$or" => {
                let fork = |branch: &Value| alternatives(branch.as_object().unwrap(), prefix, so_far.clone());
                branches.iter().flat_map(fork).collect()
            }
            Value::Object(inner) => alternatives(inner, &format!("{path}."), so_far),
            list => {
                so_far.iter_mut().for_each(|fields| drop(fields.insert(path.clone(), list.clone())));
                so_far
            }
        };
    }
    so_far
}

fn flatten(value: &Value, path: String, place: String, inside: &[(String, usize)], leaves: &mut Vec<Leaf>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let dot = if place.is_empty() { "" } else { "." };
                flatten(value, format!("{path}{dot}{name}"), format!("{place}/{name}"), inside, leaves);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                let mut deeper = inside.to_vec();
                if value.is_array() || value.is_object() {
                    deeper.push((place.clone(), index));
                }
                flatten(value, path.clone(), format!("{place}/{index}"), &deeper, leaves);
            }
        }
        value => leaves.push(Leaf { path, value: value.clone(), inside: inside.to_vec() }),
    }
}

fn pick(fields: &[(&String, &Value)], leaves: &[Leaf], chosen: &[(String, usize)]) -> bool {
    let [(path, list), rest @ ..] = fields else { return true };
    let here: Vec<&Leaf> = leaves.iter().filter(|leaf| leaf.path == **path && leaf.agrees_with(chosen)).collect();
    let tests = list.as_array().unwrap();
    let may_be_absent = tests.iter().any(|test| test.get("exists") == Some(&Value::Bool(false)));
    if may_be_absent && here.is_empty() && pick(rest, leaves, chosen) {
        return true;
    }
    here.into_iter()
        .filter(|leaf| tests.iter().any(|test| accepts(test, leaf, leaves)))
        .any(|leaf| pick(rest, leaves, &[chosen, &leaf.inside].concat()))
}

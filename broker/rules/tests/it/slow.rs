//! A second implementation of matching, as slow and obvious as it can be: every way to pick a value for each field is
//! tried, over `serde_json` values. It knows plain values, `prefix`, `exists`, `anything-but`, `numeric` and `$or`.

use serde_json::{Map, Value};

/// A value with its path, and the arrays (by the place they begin) and indexes it came through.
struct Leaf {
    path: String,
    value: Value,
    inside: Vec<(String, usize)>,
}

pub(crate) fn matches(pattern: &Value, event: &Value) -> bool {
    let mut leaves = Vec::new();
    flatten(event, String::new(), String::new(), &[], &mut leaves);
    alternatives(pattern.as_object().unwrap(), "", vec![Map::new()])
        .iter()
        .any(|fields| pick(&fields.iter().collect::<Vec<_>>(), &leaves, &[]))
}

/// Fields beside `$or` first: the patterns made here never name a field both beside and inside it.
fn alternatives(
    pattern: &Map<String, Value>,
    prefix: &str,
    mut so_far: Vec<Map<String, Value>>,
) -> Vec<Map<String, Value>> {
    for (name, value) in pattern {
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
    let agrees = |leaf: &&Leaf| {
        leaf.path == **path
            && leaf.inside.iter().all(|(array, index)| chosen.iter().all(|(other, at)| other != array || at == index))
    };
    let tests = list.as_array().unwrap();
    let may_be_absent = tests.iter().any(|test| test.get("exists") == Some(&Value::Bool(false)));
    if may_be_absent && !leaves.iter().any(|leaf| agrees(&leaf)) && pick(rest, leaves, chosen) {
        return true;
    }
    leaves
        .iter()
        .filter(agrees)
        .filter(|leaf| tests.iter().any(|test| accepts(test, &leaf.value)))
        .any(|leaf| pick(rest, leaves, &[chosen, &leaf.inside].concat()))
}

fn accepts(test: &Value, value: &Value) -> bool {
    let Value::Object(operator) = test else { return same(test, value) };
    let (name, argument) = operator.iter().next().unwrap();
    match name.as_str() {
        "exists" => argument == &Value::Bool(true),
        "prefix" => value.as_str().is_some_and(|text| text.starts_with(argument.as_str().unwrap())),
        "anything-but" => match argument {
            Value::Object(prefix) => !accepts(&Value::Object(prefix.clone()), value),
            Value::Array(refused) => !refused.iter().any(|refused| same(refused, value)),
            refused => !same(refused, value),
        },
        "numeric" => value.as_f64().is_some_and(|number| {
            argument.as_array().unwrap().chunks(2).all(|comparison| {
                let bound = comparison[1].as_f64().unwrap();
                match comparison[0].as_str().unwrap() {
                    "=" => number == bound,
                    "<" => number < bound,
                    "<=" => number <= bound,
                    ">" => number > bound,
                    _ => number >= bound,
                }
            })
        }),
        other => panic!("{other}"),
    }
}

fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

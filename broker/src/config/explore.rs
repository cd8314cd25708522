//! Finds out all that a reader asks for, by reading: first nothing, then each key that it asked for, with each value that
//! the key may hold, then the keys that it asks for because of that. Where the word of one key decides which others there
//! are, as `service` of an `aws` target does, each word is gone into by itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    Problems,
    fields::Fields,
    shape::{Fork, Form, Shape},
};

/// Readings of one file; a reader that needs more is not understood.
const MAX_READINGS: usize = 20_000;

/// The keys that lead to an object, through lists.
type Path = Vec<&'static str>;

/// What `read` asks for.
pub(crate) fn explore(read: &dyn Fn(&mut Fields<'_>)) -> Shape {
    Explorer { read, readings: 0 }.from(&Map::new(), &[], &BTreeSet::new())
}

struct Explorer<'a> {
    read: &'a dyn Fn(&mut Fields<'_>),
    readings: usize,
}

impl Explorer<'_> {
    /// All that is asked for at `within` and below, of what has at least what is in `base`; keys that are `known` are not
    /// gone into again.
    fn from(
        &mut self,
        base: &Map<String, Value>,
        within: &[&'static str],
        known: &BTreeSet<(Path, &'static str)>,
    ) -> Shape {
        let mut whole = self.reading(base);
        let mut seen: BTreeSet<(Path, &'static str, String)> = BTreeSet::new();
        let mut forks: BTreeMap<Path, Fork> = BTreeMap::new();
        let mut todo = vec![(base.clone(), whole.clone())];
        while let Some((context, shape)) = todo.pop() {
            for (path, key, form) in asked(&shape) {
                let is_known = known.contains(&(path.clone(), key));
                if !path.starts_with(within) || is_known || is_given(base, &path, key) {
                    continue;
                }
                if let Form::Words(words) = &form
                    && !forks.contains_key(&path)
                    && seen.insert((path.clone(), key, "the fork".to_owned()))
                    && self.decides(&context, &path, key, words)
                {
                    let known = asked(&shape).into_iter().map(|(path, key, _)| (path, key)).collect();
                    let variant = |word: &&'static str| {
                        let with = with(&context, &path, key, &json!(word));
                        Some((*word, self.from(&with, &path, &known).at(&path)?.clone()))
                    };
                    forks.insert(path.clone(), (key, words.iter().filter_map(variant).collect()));
                }
                if forks.get(&path).is_some_and(|(fork, _)| *fork == key) {
                    continue;
                }
                for sample in form.samples() {
                    if seen.insert((path.clone(), key, sample.to_string())) {
                        let next = with(&context, &path, key, &sample);
                        let shape = self.reading(&next);
                        whole.merge(shape.clone());
                        todo.push((next, shape));
                    }
                }
            }
        }
        for (path, fork) in forks {
            if let Some(at) = whole.at_mut(&path) {
                at.divide(fork);
            }
        }
        whole
    }

    /// Whether other keys are asked for with one of these words than with another.
    fn decides(
        &mut self,
        context: &Map<String, Value>,
        path: &[&'static str],
        key: &'static str,
        words: &[&str],
    ) -> bool {
        let mut keys = words.iter().map(|word| {
            let shape = self.reading(&with(context, path, key, &json!(word)));
            shape.at(path).map(|at| at.keys.keys().copied().collect::<Vec<_>>())
        });
        let first = keys.next();
        keys.any(|keys| Some(keys) != first)
    }

    fn reading(&mut self, map: &Map<String, Value>) -> Shape {
        self.readings += 1;
        if self.readings > MAX_READINGS {
            return Shape::default();
        }
        let mut problems = Problems::default();
        let mut fields = Fields::new(map, &mut problems);
        (self.read)(&mut fields);
        fields.finish()
    }
}

/// Every key that is asked for, with the path of its object.
fn asked(shape: &Shape) -> Vec<(Path, &'static str, Form)> {
    let mut all = Vec::new();
    collect(shape, &mut Vec::new(), &mut all);
    all
}

fn collect(shape: &Shape, path: &mut Path, all: &mut Vec<(Path, &'static str, Form)>) {
    for (name, key) in &shape.keys {
        all.push((path.clone(), *name, key.form.clone()));
        path.push(name);
        if let Some(inner) = shape.at(&[name]) {
            collect(inner, path, all);
        }
        path.pop();
    }
}

fn is_given(map: &Map<String, Value>, path: &[&str], key: &str) -> bool {
    let object = path.iter().try_fold(map, |map, key| match map.get(*key)? {
        Value::Array(list) => list.first()?.as_object(),
        value => value.as_object(),
    });
    object.is_some_and(|object| object.contains_key(key))
}

fn with(map: &Map<String, Value>, path: &[&str], key: &str, value: &Value) -> Map<String, Value> {
    let mut map = map.clone();
    let object = path.iter().try_fold(&mut map, |map, key| match map.get_mut(*key)? {
        Value::Array(list) => list.first_mut()?.as_object_mut(),
        value => value.as_object_mut(),
    });
    if let Some(object) = object {
        object.insert(key.to_owned(), value.clone());
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &mut Fields<'_>) {
        let kind = fields.words("kind", &["plain", "odd"]);
        let kind = fields.require("kind", kind, "kind: odd");
        if kind == Some("odd") {
            fields.object("inner", |fields| {
                if fields.flag("deep") == Some(true) {
                    fields.number("deeper", 1..=3);
                }
            });
        }
        fields.list("items", |fields, path, value| {
            fields.element(path, value, |fields| {
                let name = fields.text("name");
                fields.require("name", name, "name: x")
            })
        });
        if fields.has("first") {
            fields.duration("second", std::time::Duration::ZERO..=std::time::Duration::from_secs(9));
        }
    }

    #[test]
    fn what_is_asked_for_because_of_something_else_is_found() {
        let shape = explore(&read);
        assert_eq!(shape.keys.keys().copied().collect::<Vec<_>>(), ["first", "items", "kind", "second"]);
        assert!(shape.keys["kind"].required && !shape.keys["items"].required);
        let item = shape.at(&["items"]).unwrap();
        assert!(item.keys["name"].required);
        let (key, variants) = shape.fork.as_ref().unwrap();
        assert_eq!((*key, variants.len()), ("kind", 2));
        let odd = &variants.iter().find(|(word, _)| *word == "odd").unwrap().1;
        assert_eq!(odd.at(&["inner"]).unwrap().keys.keys().copied().collect::<Vec<_>>(), ["deep", "deeper"]);
        assert!(odd.keys.contains_key("second"));
        assert!(variants.iter().all(|(word, shape)| shape.keys.contains_key("inner") == (*word == "odd")));
    }
}

//! What differs between two schemas of the same thing, and for whom: field by field.
//!
//! A change *breaks backward* where what was written by the old schema is not as the new one says: who reads by the new one
//! trips over the past. It *breaks forward* where what is written by the new schema is not as the old one says: rules and
//! targets made for the old one trip over what comes. Readers pass over keys that they do not know, so a key that may be
//! there, and was not, breaks nobody.
//!
//! It understands what [`super::infer`] writes (`type`, `properties`, `required`, `enum`, `format`, `pattern`, `items`,
//! `additionalProperties`), constants and bounds. Of whatever else differs it cannot say for whom, and so counts that as
//! breaking both ways: `allOf`, `if`, `$ref`, `$defs` and the like.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Changes that are told.
const MAX_CHANGES: usize = 200;
/// As deep as schemas are compared.
const MAX_DEPTH: usize = 32;

/// Keywords that are understood, beside those of bounds.
const UNDERSTOOD: [&str; 9] =
    ["type", "properties", "required", "enum", "format", "pattern", "const", "items", "additionalProperties"];
/// Bounds from below, and from above.
const LEAST: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const MOST: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/// Keywords that are for people (JSON Schema 2020-12, 8.2 and 9).
const SAYS_NOTHING: [&str; 10] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "deprecated",
    "examples",
    "readOnly",
    "writeOnly",
];

/// For whom two schemas are compatible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    /// Nothing differs.
    Same,
    /// Who reads by either reads what is written by either.
    Full,
    /// Who reads by the new one reads what was written by the old one, and not the other way round.
    Backward,
    /// Who reads by the old one reads what is written by the new one, and not the other way round.
    Forward,
    /// Neither.
    Breaking,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where, as rules name it: `info.actor.id`, a list's elements as `info.targets[]`; empty for the whole.
    pub field: String,
    /// What.
    pub change: String,
    /// Whether the new schema does not take what the old one does.
    pub breaks_backward: bool,
    /// Whether the old schema does not take what the new one does.
    pub breaks_forward: bool,
}

impl Compatibility {
    /// What these changes come to.
    pub fn of(changes: &[Change]) -> Self {
        let backward = changes.iter().any(|change| change.breaks_backward);
        let forward = changes.iter().any(|change| change.breaks_forward);
        match (changes.is_empty(), backward, forward) {
            (true, ..) => Self::Same,
            (_, false, false) => Self::Full,
            (_, false, true) => Self::Backward,
            (_, true, false) => Self::Forward,
            (_, true, true) => Self::Breaking,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Full => "full",
            Self::Backward => "backward",
            Self::Forward => "forward",
            Self::Breaking => "breaking",
        }
    }
}

/// What differs from `old` to `new`, the first few hundred.
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut found = Changes(Vec::new());
    found.compare("", old, new, 0);
    found.0.truncate(MAX_CHANGES);
    found.0
}

struct Changes(Vec<Change>);

impl Changes {
    fn add(&mut self, field: &str, change: impl Into<String>, (breaks_backward, breaks_forward): (bool, bool)) {
        if self.0.len() < MAX_CHANGES {
            self.0.push(Change { field: field.to_owned(), change: change.into(), breaks_backward, breaks_forward });
        }
    }

    fn compare(&mut self, field: &str, old: &Value, new: &Value, depth: usize) {
        if old == new || depth > MAX_DEPTH {
            return;
        }
        self.types(field, old, new);
        self.words(field, old, new);
        for key in ["format", "pattern", "const"] {
            self.narrowing(field, key, old.get(key), new.get(key));
        }
        self.bounds(field, old, new);
        self.fields(field, old, new, depth);
        for (key, inner) in [("items", format!("{field}[]")), ("additionalProperties", joined(field, "*"))] {
            // What takes anything says as much as nothing does.
            let of = |schema: &'_ Value| schema.get(key).filter(|of| **of != Value::Bool(true)).cloned();
            match (of(old), of(new)) {
                (Some(old), Some(new)) if old.is_object() && new.is_object() => {
                    self.compare(&inner, &old, &new, depth + 1);
                }
                (old, new) => self.narrowing(field, key, old.as_ref(), new.as_ref()),
            }
        }
        self.others(field, old, new);
    }

    /// Numbers below or above which nothing is taken.
    fn bounds(&mut self, field: &str, old: &Value, new: &Value) {
        for (keys, rises) in [(LEAST, 1.0), (MOST, -1.0)] {
            for key in keys {
                let of = |schema: &Value| schema.get(key).and_then(Value::as_f64).map(|bound| bound * rises);
                let told = |schema: &Value| schema.get(key).map_or_else(|| "none".to_owned(), Value::to_string);
                let narrower = match (of(old), of(new)) {
                    (before, now) if before == now => continue,
                    (Some(before), Some(now)) => now > before,
                    (before, _) => before.is_none(),
                };
                self.add(field, format!("{key} was {}, is {}", told(old), told(new)), (narrower, !narrower));
            }
        }
    }

    /// What is not understood, and differs.
    fn others(&mut self, field: &str, old: &Value, new: &Value) {
        let keys = |schema: &Value| -> BTreeSet<String> {
            let keys = schema.as_object().into_iter().flat_map(serde_json::Map::keys);
            keys.filter(|key| !UNDERSTOOD.contains(&key.as_str()) && !SAYS_NOTHING.contains(&key.as_str()))
                .filter(|key| !LEAST.contains(&key.as_str()) && !MOST.contains(&key.as_str()))
                .cloned()
                .collect()
        };
        for key in keys(old).union(&keys(new)) {
            if old.get(key) != new.get(key) {
                self.add(field, format!("{key} differs, and what that means cannot be told"), (true, true));
            }
        }
    }

    fn types(&mut self, field: &str, old: &Value, new: &Value) {
        let (before, now) = (types(old), types(new));
        if before == now {
            return;
        }
        // No type is any type.
        let takes = |some: &BTreeSet<&str>, others: &BTreeSet<&str>| {
            let covers = |word: &&str| some.contains(*word) || *word == "integer" && some.contains("number");
            some.is_empty() || !others.is_empty() && others.iter().all(covers)
        };
        let breaks = (!takes(&now, &before), !takes(&before, &now));
        self.add(field, format!("was {}, is {}", shown(&before), shown(&now)), breaks);
    }

    fn words(&mut self, field: &str, old: &Value, new: &Value) {
        let words = |schema: &Value| schema.get("enum").and_then(Value::as_array).cloned();
        match (words(old), words(new)) {
            (Some(before), Some(now)) => {
                let gone: Vec<_> = before.iter().filter(|word| !now.contains(word)).map(Value::to_string).collect();
                let come: Vec<_> = now.iter().filter(|word| !before.contains(word)).map(Value::to_string).collect();
                if !come.is_empty() {
                    self.add(field, format!("may be {} too", come.join(", ")), (false, true));
                }
                if !gone.is_empty() {
                    self.add(field, format!("is {} no more", gone.join(", ")), (true, false));
                }
            }
            (Some(_), None) => self.add(field, "may be other words too", (false, true)),
            (None, Some(_)) => self.add(field, "is one of a few words", (true, false)),
            (None, None) => {}
        }
    }

    /// A keyword that narrows what is taken.
    fn narrowing(&mut self, field: &str, key: &str, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (Some(before), Some(now)) if before != now => {
                self.add(field, format!("{key} was {before}, is {now}"), (true, true));
            }
            (Some(before), None) => self.add(field, format!("{key} is no longer {before}"), (false, true)),
            (None, Some(now)) => self.add(field, format!("{key} is always {now}"), (true, false)),
            _ => {}
        }
    }

    fn fields(&mut self, field: &str, old: &Value, new: &Value, depth: usize) {
        let of = |schema: &Value| schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let (before, now) = (of(old), of(new));
        for name in before.keys().chain(now.keys().filter(|name| !before.contains_key(*name))) {
            let inner = joined(field, name);
            let (was, is) = (is_required(old, name), is_required(new, name));
            match (before.get(name), now.get(name)) {
                (Some(before), Some(now)) => {
                    match (was, is) {
                        (true, false) => self.add(&inner, "may be missing", (false, true)),
                        (false, true) => self.add(&inner, "is always there", (true, false)),
                        _ => {}
                    }
                    self.compare(&inner, before, now, depth + 1);
                }
                (None, _) if is => self.add(&inner, "is new, and always there", (true, false)),
                (None, _) => self.add(&inner, "is new, and may be missing", (false, false)),
                (_, None) => self.add(&inner, "is gone", (false, was)),
            }
        }
    }
}

fn joined(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}

fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|one| one == name))
}

fn types(schema: &Value) -> BTreeSet<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => BTreeSet::from([one.as_str()]),
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    }
}

fn shown(types: &BTreeSet<&str>) -> String {
    if types.is_empty() { "anything".to_owned() } else { types.iter().copied().collect::<Vec<_>>().join(" or ") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn each_change_is_told_with_whom_it_breaks() {
        let object = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required});
        let one = |schema: Value, required: bool| object(json!({"a": schema}), if required { &["a"] } else { &[] });
        let text = || json!({"type": "string"});
        for (old, new, compatibility, told) in [
            (one(text(), true), one(text(), true), "same", ""),
            (object(json!({}), &[]), one(text(), false), "full", "a is new, and may be missing"),
            (object(json!({}), &[]), one(text(), true), "forward", "a is new, and always there"),
            (one(text(), true), one(text(), false), "backward", "a may be missing"),
            (one(text(), false), one(text(), true), "forward", "a is always there"),
            (one(text(), true), object(json!({}), &[]), "backward", "a is gone"),
            (one(text(), false), object(json!({}), &[]), "full", "a is gone"),
            (
                one(text(), true),
                one(json!({"type": ["string", "null"]}), true),
                "backward",
                "a was string, is null or string",
            ),
            (
                one(json!({"type": "number"}), true),
                one(json!({"type": "integer"}), true),
                "forward",
                "a was number, is integer",
            ),
            (one(text(), true), one(json!({"type": "object"}), true), "breaking", "a was string, is object"),
            (
                one(json!({"enum": ["x"]}), true),
                one(json!({"enum": ["x", "y"]}), true),
                "backward",
                "a may be \"y\" too",
            ),
            (one(json!({"enum": ["x"]}), true), one(json!({}), true), "backward", "a may be other words too"),
            (one(json!({"format": "uuid"}), true), one(json!({}), true), "backward", "a format is no longer \"uuid\""),
            (
                one(json!({"items": {"type": "string"}}), true),
                one(json!({"items": {"type": "integer"}}), true),
                "breaking",
                "a[] was string, is integer",
            ),
            (
                one(json!({"additionalProperties": {"type": "integer"}}), true),
                one(json!({"additionalProperties": {"type": "number"}}), true),
                "backward",
                "a.* was integer, is number",
            ),
            (
                one(json!({"minimum": 1}), true),
                one(json!({"minimum": 100}), true),
                "forward",
                "a minimum was 1, is 100",
            ),
            (one(json!({"maxLength": 9}), true), one(json!({}), true), "backward", "a maxLength was 9, is none"),
            (one(json!({"const": 1}), true), one(json!({"const": 2}), true), "breaking", "a const was 1, is 2"),
            (
                one(json!({}), true),
                one(json!({"additionalProperties": false}), true),
                "forward",
                "a additionalProperties is always false",
            ),
            (one(json!({"additionalProperties": true}), true), one(json!({}), true), "same", ""),
            (
                json!({"allOf": [{"required": ["a"]}]}),
                json!({"allOf": [{"required": ["b"]}]}),
                "breaking",
                " allOf differs, and what that means cannot be told",
            ),
            (
                json!({"$ref": "urn:emote:event"}),
                json!({}),
                "breaking",
                " $ref differs, and what that means cannot be told",
            ),
            (json!({"title": "a"}), json!({"title": "b"}), "same", ""),
        ] {
            let changes = changes(&old, &new);
            let lines: Vec<String> =
                changes.iter().map(|change| format!("{} {}", change.field, change.change)).collect();
            assert_eq!((Compatibility::of(&changes).word(), lines.join("; ").as_str()), (compatibility, told));
        }
    }

    fn schema() -> impl Strategy<Value = Value> {
        prop::collection::vec((0..4_u8, any::<bool>(), 0..3_u8), 1..12).prop_map(|values| {
            let mut seen = crate::schema::infer::Seen::default();
            for (kind, has, more) in values {
                let a = [json!(1), json!("x"), Value::Null, json!({"b": more})][usize::from(kind)].clone();
                seen.add(&if has { json!({"a": a, "c": more}) } else { json!({"a": a}) });
            }
            seen.schema()
        })
    }

    proptest! {
        /// What has been seen only grows, so that who reads by all of it reads what any part of it gave.
        #[test]
        fn what_breaks_backward_one_way_breaks_forward_the_other(old in schema(), new in schema()) {
            let (there, back) = (changes(&old, &new), changes(&new, &old));
            let mirrored = match Compatibility::of(&there) {
                Compatibility::Backward => Compatibility::Forward,
                Compatibility::Forward => Compatibility::Backward,
                same => same,
            };
            let of_back = Compatibility::of(&back);
            // A key that comes or goes and may be missing is the one thing that has no direction.
            let optional = there.iter().any(|change| change.change.starts_with("is new") || change.change == "is gone");
            prop_assert!(mirrored == of_back || optional, "{there:?} {back:?}");
        }
    }
}

//! The schema that values have, from the values: types, what is always there, formats, words where there are few of them.
//!
//! What was seen is kept as counts, so that it can be put aside and gone on with ([`Seen`] is serialised into the registry),
//! and two halves give what the whole would have given. It is bounded whatever is seen: depth, keys of an object, words of
//! a text. Objects with very many keys are maps: their values are one.

mod format;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::format::Format;

/// Objects and lists within one another that are looked into.
const MAX_DEPTH: usize = 12;
/// Keys of an object; with more it is a map.
const MAX_KEYS: usize = 100;
/// Places in all, objects and lists and what is in them; with more, what lies deepest is no longer gone into.
const MAX_PLACES: usize = 2_000;
/// Elements of a list that are looked at.
const MAX_ITEMS: usize = 50;
/// Words of a text that are remembered.
const MAX_WORDS: usize = 12;
/// Longest word, in bytes.
const MAX_WORD: usize = 40;
/// How often each word was seen on average before they are taken for all there are.
const OFTEN: u64 = 20;
/// Longest key, in bytes.
const MAX_KEY: usize = 200;

/// What was seen at one place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// How many values.
    pub count: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    nulls: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    flags: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    whole: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    fractions: u64,
    /// Whether it is not gone into: there was too much of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    any: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    texts: Option<Texts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    items: Option<Box<Seen>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<Object>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Texts {
    count: u64,
    /// What all of them are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
    /// All of them; none where there were too many, too long ones, or ones of a format.
    words: Option<BTreeSet<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Object {
    count: u64,
    keys: BTreeMap<String, Seen>,
    /// All values as one, once there were too many keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    map: Option<Box<Seen>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Seen {
    /// Takes note of a value.
    pub fn add(&mut self, value: &Value) {
        self.add_at(value, 0);
        self.bound();
    }

    fn add_at(&mut self, value: &Value, depth: usize) {
        self.count += 1;
        if self.any {
            return;
        }
        match value {
            Value::Null => self.nulls += 1,
            Value::Bool(_) => self.flags += 1,
            Value::Number(number) if number.is_f64() => self.fractions += 1,
            Value::Number(_) => self.whole += 1,
            Value::String(text) => Texts::add(&mut self.texts, Texts::of(text)),
            Value::Array(list) => {
                let items = self.items.get_or_insert_default();
                if depth < MAX_DEPTH {
                    list.iter().take(MAX_ITEMS).for_each(|item| items.add_at(item, depth + 1));
                }
            }
            Value::Object(map) => {
                let object = self.object.get_or_insert_default();
                object.count += 1;
                if depth < MAX_DEPTH {
                    for (key, value) in map {
                        object.at(key).add_at(value, depth + 1);
                    }
                    object.bound();
                }
            }
        }
    }

    /// Takes note of what was seen elsewhere.
    pub fn merge(&mut self, other: Self) {
        self.merge_at(other);
        self.bound();
    }

    /// How many places there are, itself among them.
    pub fn places(&self) -> usize {
        1 + self.within().map(Self::places).sum::<usize>()
    }

    /// What lies right within it.
    fn within(&self) -> impl Iterator<Item = &Self> {
        let object = self.object.iter().flat_map(|object| object.keys.values().chain(object.map.as_deref()));
        self.items.as_deref().into_iter().chain(object)
    }

    fn within_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        let object = self.object.iter_mut().flat_map(|of| of.keys.values_mut().chain(of.map.as_deref_mut()));
        self.items.as_deref_mut().into_iter().chain(object)
    }

    /// Goes less deep until there are not too many places.
    fn bound(&mut self) {
        let mut depth = MAX_DEPTH;
        while self.places() > MAX_PLACES && depth > 0 {
            self.cut(depth);
            depth -= 1;
        }
    }

    /// Forgets what lies at this depth and below: there, anything may be.
    fn cut(&mut self, depth: usize) {
        if depth == 0 {
            *self = Self { count: self.count, any: true, ..Self::default() };
        } else {
            self.within_mut().for_each(|inner| inner.cut(depth - 1));
        }
    }

    fn merge_at(&mut self, other: Self) {
        if self.any || other.any {
            *self = Self { count: self.count + other.count, any: true, ..Self::default() };
            return;
        }
        self.count += other.count;
        self.nulls += other.nulls;
        self.flags += other.flags;
        self.whole += other.whole;
        self.fractions += other.fractions;
        if let Some(texts) = other.texts {
            Texts::add(&mut self.texts, texts);
        }
        if let Some(items) = other.items {
            self.items.get_or_insert_default().merge_at(*items);
        }
        if let Some(of) = other.object {
            let object = self.object.get_or_insert_default();
            object.count += of.count;
            for (key, seen) in of.keys {
                object.at(&key).merge_at(seen);
            }
            if let Some(map) = of.map {
                object.collapse().merge_at(*map);
            }
            object.bound();
        }
    }

    /// What was seen, as a JSON Schema (2020-12): it takes every value that was.
    pub fn schema(&self) -> Value {
        let mut schema = Map::new();
        let types = self.types();
        match &types[..] {
            [] => return json!({}),
            [one] => drop(schema.insert("type".to_owned(), json!(one))),
            several => drop(schema.insert("type".to_owned(), json!(several))),
        }
        if let Some(texts) = &self.texts {
            if let Some(format) = texts.format {
                format.write(&mut schema);
            } else if let Some(words) = self.words(texts) {
                schema.insert("enum".to_owned(), words);
            }
        }
        if let Some(items) = self.items.as_ref().filter(|items| items.count > 0) {
            schema.insert("items".to_owned(), items.schema());
        }
        if let Some(object) = &self.object {
            object.write(&mut schema);
        }
        Value::Object(schema)
    }

    fn types(&self) -> Vec<&'static str> {
        let seen = [
            ("string", self.texts.is_some()),
            ("object", self.object.is_some()),
            ("array", self.items.is_some()),
            ("boolean", self.flags > 0),
            ("integer", self.whole > 0 && self.fractions == 0),
            ("number", self.fractions > 0),
            ("null", self.nulls > 0),
        ];
        seen.into_iter().filter_map(|(name, seen)| seen.then_some(name)).collect()
    }

    /// The words, where nothing but them and null was seen, and often.
    fn words(&self, texts: &Texts) -> Option<Value> {
        let words = texts.words.as_ref()?;
        let only = texts.count + self.nulls == self.count;
        let often = texts.count >= OFTEN * u64::try_from(words.len()).unwrap_or(u64::MAX);
        let null = (self.nulls > 0).then_some(Value::Null);
        (only && often).then(|| words.iter().map(|word| json!(word)).chain(null).collect())
    }
}

impl Texts {
    fn of(text: &str) -> Self {
        let format = Format::of(text);
        // Of what has a format no words are asked, so that addresses and serial numbers are not kept.
        let is_word = format.is_none() && text.len() <= MAX_WORD;
        Self { count: 1, format, words: is_word.then(|| BTreeSet::from([text.to_owned()])) }
    }

    fn add(known: &mut Option<Self>, other: Self) {
        let Some(texts) = known else {
            *known = Some(other);
            return;
        };
        texts.count += other.count;
        if texts.format != other.format {
            texts.format = None;
        }
        texts.words = texts.words.take().zip(other.words).map(|(mut words, others)| {
            words.extend(others);
            words
        });
        texts.words = texts.words.take().filter(|words| words.len() <= MAX_WORDS);
    }
}

impl Object {
    /// What is known of a key.
    fn at(&mut self, key: &str) -> &mut Seen {
        match &mut self.map {
            Some(map) => map,
            None => self.keys.entry(key.to_owned()).or_default(),
        }
    }

    /// Makes a map of what has too many keys, or too long ones.
    fn bound(&mut self) {
        if self.keys.len() > MAX_KEYS || self.keys.keys().any(|key| key.len() > MAX_KEY) {
            self.collapse();
        }
    }

    fn collapse(&mut self) -> &mut Seen {
        let keys = std::mem::take(&mut self.keys);
        let map = self.map.get_or_insert_default();
        keys.into_values().for_each(|seen| map.merge_at(seen));
        map
    }

    fn write(&self, schema: &mut Map<String, Value>) {
        if let Some(map) = &self.map {
            schema.insert("additionalProperties".to_owned(), map.schema());
            return;
        }
        let properties: Map<String, Value> = self.keys.iter().map(|(key, seen)| (key.clone(), seen.schema())).collect();
        if !properties.is_empty() {
            schema.insert("properties".to_owned(), Value::Object(properties));
        }
        let required: Vec<&String> =
            self.keys.iter().filter(|(_, seen)| seen.count == self.count).map(|(key, _)| key).collect();
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
    }
}

#[cfg(test)]
mod tests;

//! The catalogue in schemas: each preset with its settings and actions.

use serde_json::{Map, Value, json};

use super::{form, secrets, write::when};
use crate::{
    catalog::{Card, Entry, Setting},
    config::shape::{Form, Shape},
    ingest, targets,
};

/// A setting's secrets that are right at once.
const MAX_SECRETS: usize = 4;

/// Adds `preset` and `settings` to the schema of a source.
pub(super) fn of_sources(schema: &mut Value) {
    let entries = ingest::catalog::all();
    schema["properties"]["preset"] = names(entries.iter().map(|entry| (entry.name, &entry.card)));
    // Which settings are needed depends on what is fetched and on what stands beside them.
    let all = entries.iter().map(|entry| {
        let settings = settings(&entry.card, &[]);
        when("preset", entry.name, json!({"properties": {"settings": settings}}))
    });
    schema["allOf"] = all.collect();
}

/// Adds `preset` to the schema of a target, and what a file with each of them may say.
pub(super) fn of_targets(schema: &mut Value, definitions: &mut Map<String, Value>, all_of: &mut Vec<Value>) {
    let entries = targets::catalog::all();
    schema["properties"]["preset"] = names(entries.iter().map(|entry| (entry.name, &entry.card)));
    for entry in entries {
        let name = format!("preset_{}", entry.name);
        all_of.push(when("preset", entry.name, json!({"$ref": format!("#/definitions/{name}")})));
        definitions.insert(name, target(entry));
    }
}

fn names<'a>(entries: impl Iterator<Item = (&'a str, &'a Card)>) -> Value {
    let (names, cards): (Vec<&str>, Vec<&Card>) = entries.unzip();
    let titles: Vec<&str> = cards.iter().map(|card| card.title.as_str()).collect();
    json!({"enum": names, "enumDescriptions": titles, "description": "A vendor of the catalogue: emote catalog show NAME"})
}

/// A target file that names this preset: what its kind may say, with nothing required, and what a preset asks.
fn target(entry: &Entry<targets::catalog::Body>) -> Value {
    let kind = targets::KINDS.iter().find(|kind| kind.name == entry.body.kind);
    let mut properties = Map::new();
    if let Some(kind) = kind {
        keys(kind.shape(), &entry.body.target, &mut properties);
    }
    properties.remove("kind");
    let required = entry.card.settings.iter().filter(|(_, setting)| setting.is_required());
    let required: Vec<&str> = required.map(|(name, _)| name.as_str()).collect();
    properties.insert("preset".to_owned(), json!({"const": entry.name, "description": entry.card.about}));
    properties.insert("settings".to_owned(), settings(&entry.card, &required));
    let mut needed = vec!["preset"];
    if !required.is_empty() {
        needed.push("settings");
    }
    let actions = &entry.body.actions;
    if !actions.is_empty() {
        needed.push("action");
        let abouts: Vec<&str> = actions.values().map(|action| action.about.as_str()).collect();
        let names: Vec<&String> = actions.keys().collect();
        properties.insert("action".to_owned(), json!({"enum": names, "enumDescriptions": abouts}));
    }
    let needs = actions.iter().filter(|(_, action)| !action.needs.is_empty()).map(|(name, action)| {
        let then = json!({"required": ["settings"], "properties": {"settings": {"required": action.needs}}});
        when("action", name, then)
    });
    let needs: Vec<Value> = needs.collect();
    let mut schema = json!({
        "type": "object", "description": entry.card.about,
        "properties": properties, "required": needed, "additionalProperties": false,
    });
    if !needs.is_empty() {
        schema["allOf"] = needs.into();
    }
    schema
}

/// The keys of `shape`, and of the variant that `template` decides on.
fn keys(shape: &Shape, template: &Map<String, Value>, properties: &mut Map<String, Value>) {
    for (name, key) in &shape.keys {
        properties.insert((*name).to_owned(), form(&key.form));
    }
    let Some((fork, variants)) = &shape.fork else { return };
    let word = template.get(*fork).and_then(Value::as_str);
    for (_, variant) in variants.iter().filter(|(name, _)| word.is_none_or(|word| word == *name)) {
        keys(variant, template, properties);
    }
}

fn settings(card: &Card, required: &[&str]) -> Value {
    let properties: Map<String, Value> =
        card.settings.iter().map(|(name, setting)| (name.clone(), one(setting))).collect();
    let mut schema = json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["type"] = "object".into();
        schema["required"] = json!(required);
    }
    schema
}

fn one(setting: &Setting) -> Value {
    let mut schema = if setting.secret { secrets(MAX_SECRETS) } else { form(&Form::Any) };
    schema["description"] = setting.about.as_str().into();
    schema["examples"] = json!([setting.example]);
    if let Some(default) = &setting.default {
        schema["default"] = default.clone();
    }
    schema
}

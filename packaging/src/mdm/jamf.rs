//! The JSON schema that Jamf Pro makes a form of (Application & Custom Settings, External Applications, Custom Schema), made
//! of the agent's preference manifest, key by key.
//!
//! The form is "JSON Schema Manifest Structure" of Jamf's technical papers. Each key may also be null, "Not configured", which
//! is how the schemas of NIST's macos_security have keys left out of the profile. Defaults stand in descriptions alone: the
//! form would write them. No Jamf Pro has read this yet.

use anyhow::{Context, ensure};
use emote_agent::settings::DOMAIN;
use plist::{Dictionary, Value};
use serde_json::{Map, Value as Json, json};

use super::{Inputs, Kind, Written, preference_manifest};

pub(super) fn file(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    let manifest = Value::from_reader_xml(preference_manifest(inputs.date).as_bytes());
    let manifest = manifest.ok().and_then(Value::into_dictionary).context("the preference manifest is none")?;
    let mut bytes = serde_json::to_vec_pretty(&schema(&manifest)?).context("writing the schema")?;
    bytes.push(b'\n');
    Ok(Ok(vec![Kind::Jamf.file(format!("{DOMAIN}.json"), bytes)]))
}

/// The schema of what a preference manifest describes.
fn schema(manifest: &Dictionary) -> anyhow::Result<Json> {
    let title = text(manifest, "pfm_title").unwrap_or(DOMAIN);
    let about = text(manifest, "pfm_description").unwrap_or_default();
    Ok(json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": format!("{title} ({DOMAIN})"),
        "description": about,
        "type": "object",
        "options": {"remove_empty_properties": true},
        "properties": properties(manifest)?,
    }))
}

fn properties(of: &Dictionary) -> anyhow::Result<Map<String, Json>> {
    let mut properties = Map::new();
    // What describes a payload is Jamf's to write.
    let ours = subkeys(of).filter_map(|key| Some((text(key, "pfm_name")?, key)));
    for (order, (name, key)) in (1..).zip(ours.filter(|(name, _)| !name.starts_with("Payload"))) {
        let mut property = json!({
            "title": text(key, "pfm_title").unwrap_or(name),
            "description": description(key),
            "property_order": order * 10,
        });
        let value = value(key)?;
        // A group of keys is not configured where none of them is.
        if value["type"] == "object" {
            merge(&mut property, value);
        } else {
            let mut value = value;
            value["title"] = "Configured".into();
            property["anyOf"] = json!([{"type": "null", "title": "Not configured"}, value]);
        }
        properties.insert(name.to_owned(), property);
    }
    Ok(properties)
}

fn value(key: &Dictionary) -> anyhow::Result<Json> {
    let kind = text(key, "pfm_type").unwrap_or_default();
    Ok(match kind {
        "boolean" => json!({"type": "boolean"}),
        "integer" => {
            let bound = |name: &str| key.get(name).and_then(Value::as_signed_integer);
            let mut value = json!({"type": "integer"});
            for (bound, name) in [(bound("pfm_range_min"), "minimum"), (bound("pfm_range_max"), "maximum")] {
                if let Some(bound) = bound {
                    value[name] = bound.into();
                }
            }
            value
        }
        "array" => json!({"type": "array", "items": {"type": "string"}}),
        "dictionary" => table(key)?,
        _ => {
            ensure!(kind == "string", "the preference manifest has a key of the type {kind:?}");
            let mut value = json!({"type": "string"});
            if let Some(pattern) = text(key, "pfm_format") {
                value["pattern"] = pattern.into();
            }
            if let Some(example) = text(key, "pfm_value_placeholder") {
                value["options"] = json!({"inputAttributes": {"placeholder": example}});
            }
            value
        }
    })
}

/// Keys that are known, or names that are chosen freely (`{{key}}` and `{{value}}` of the manifest's format).
fn table(key: &Dictionary) -> anyhow::Result<Json> {
    match subkeys(key).find(|subkey| text(subkey, "pfm_name") == Some("{{value}}")) {
        Some(each) => Ok(json!({"type": "object", "additionalProperties": table(each)?})),
        None => Ok(json!({"type": "object", "properties": properties(key)?})),
    }
}

fn subkeys(of: &Dictionary) -> impl Iterator<Item = &Dictionary> {
    of.get("pfm_subkeys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_dictionary)
}

fn description(key: &Dictionary) -> String {
    let about = text(key, "pfm_description").unwrap_or_default();
    let default = match key.get("pfm_default") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Boolean(flag)) => flag.to_string(),
        Some(Value::Integer(number)) => number.to_string(),
        _ => return about.to_owned(),
    };
    format!("{about} [default: {default}]")
}

fn merge(into: &mut Json, from: Json) {
    if let (Json::Object(into), Json::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn text<'a>(of: &'a Dictionary, key: &str) -> Option<&'a str> {
    of.get(key).and_then(Value::as_string)
}

#[cfg(test)]
mod tests;

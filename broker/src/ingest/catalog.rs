//! The catalogue of sources: vendors as data, one file each in `broker/catalog/sources/`, one line each in [`FILES`].
//!
//! A file says what an administrator must set (`settings`), how the vendor proves who it is (`verify`, in which
//! `${setting:NAME}` stands for a setting), in which notation it sends (`decode`), what it asks beforehand
//! (`handshake`), and the jq program that maps its payloads to events (`map`, or `map_of` to share another entry's).
//! Beside it, `broker/catalog/fixtures/<name>/` holds payloads with the events they must become; a test runs them all.

use std::{collections::BTreeMap, sync::LazyLock};

use emote_proto::Name;
use serde::Deserialize;
use serde_json::Value;

use super::{DecodeSpec, HandshakeSpec, VerifySpec, verify::OneOrMore};
use crate::config::{Problems, SecretRef};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../catalog/sources/", $name, ".yaml")))),*]
    };
}

const FILES: [(&str, &str); 8] =
    files!["cloudevents", "jamf-pro", "json", "micromdm", "msgraph", "nanomdm", "okta", "ssf"];

/// An entry of the catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The preset's name, which is the file's.
    #[serde(skip)]
    pub name: &'static str,
    /// The vendor or product.
    pub title: String,
    /// The vendor's own documentation.
    pub docs: String,
    /// What to set at the vendor's side, and what to know.
    pub about: String,
    /// What the administrator sets, by name.
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    /// A [`VerifySpec`] with settings in it.
    verify: Value,
    pub(super) decode: Option<DecodeSpec>,
    pub(super) handshake: Option<HandshakeSpec>,
    map: Option<String>,
    map_of: Option<String>,
}

/// A setting of an entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What it is.
    pub about: String,
    /// A value as it might stand in a source's file.
    pub example: String,
    /// What it is where nothing is said; a setting without one is required.
    pub default: Option<String>,
    /// Whether it must be given by reference.
    #[serde(default = "yes")]
    pub secret: bool,
}

fn yes() -> bool {
    true
}

/// All entries, by name.
pub fn all() -> &'static [Entry] {
    static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        // A test reads every file, so that none is missing here.
        FILES.iter().filter_map(|(name, text)| read(name, text).ok()).collect()
    });
    &ENTRIES
}

/// The entry of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    all().iter().find(|entry| entry.name == name)
}

fn read(name: &'static str, text: &str) -> Result<Entry, String> {
    let entry: Entry = serde_saphyr::from_str(text).map_err(|error| format!("{name}: {error}"))?;
    Ok(Entry { name, ..entry })
}

impl Entry {
    /// The jq program.
    pub fn map(&self) -> &str {
        let shared = || find(self.map_of.as_deref()?).and_then(|entry| entry.map.as_deref());
        self.map.as_deref().or_else(shared).unwrap_or_default()
    }

    /// The entry's scheme with `settings` filled in; problems where one is missing or wrong.
    pub(super) fn verify(
        &self,
        source: &Name,
        settings: &BTreeMap<String, OneOrMore>,
        problems: &mut Problems,
    ) -> Option<VerifySpec> {
        let missing: Vec<_> = self
            .settings
            .iter()
            .filter(|(name, setting)| setting.default.is_none() && !settings.contains_key(*name))
            .collect();
        for (name, setting) in &missing {
            problems.add(
                format!("settings.{name}"),
                format!(
                    "{}: {} Write `{name}: {}` under `settings` in sources/{source}.yaml, or `verify: none` to take what anyone sends.",
                    self.title, setting.about, setting.example
                ),
            );
        }
        let mut right = missing.is_empty();
        for (name, _) in self.settings.iter().filter(|(_, setting)| setting.secret) {
            for reference in settings.get(name).iter().flat_map(|value| &value.0) {
                let parsed = reference.parse::<SecretRef>();
                right &= problems.take(&format!("settings.{name}"), parsed).is_some();
            }
        }
        if !right {
            return None;
        }
        let value = |name: &str| {
            let default = || self.settings.get(name)?.default.as_deref().map(Value::from);
            settings.get(name).map(OneOrMore::to_value).or_else(default)
        };
        let filled = filled(&self.verify, &value);
        problems.take("settings", serde_json::from_value(filled))
    }
}

/// The template with each `${setting:NAME}` replaced.
fn filled(template: &Value, value: &impl Fn(&str) -> Option<Value>) -> Value {
    match template {
        Value::String(text) => {
            let name = text.strip_prefix("${setting:").and_then(|rest| rest.strip_suffix('}'));
            name.and_then(value).unwrap_or_else(|| template.clone())
        }
        Value::Object(map) => map.iter().map(|(key, inner)| (key.clone(), filled(inner, value))).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;

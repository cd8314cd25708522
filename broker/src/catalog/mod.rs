//! The catalogue: vendors as data, one file each in `broker/catalog/`. A file that lies there is an entry, by its name.
//!
//! An entry says what it is (`title`, `docs`, `about`), what an administrator must set (`settings`), and then what its
//! kind needs, in which `${setting:NAME}` stands for a setting: alone for its value, within a text for its text. What
//! that is stands in [`crate::ingest::catalog`] for sources.

use std::collections::BTreeMap;

use include_dir::Dir;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::config::{Problems, SecretRef};

/// An entry; `Body` is what its kind needs.
#[derive(Debug, Clone)]
pub struct Entry<Body> {
    /// The preset's name, which is the file's.
    pub name: &'static str,
    /// What it is, for people.
    pub card: Card,
    /// What makes it work.
    pub body: Body,
}

/// What an entry says of itself.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The vendor or product.
    pub title: String,
    /// The vendor's own documentation.
    pub docs: String,
    /// What to set at the vendor's side, and what to know.
    pub about: String,
    /// What the administrator sets, by name.
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
}

/// A setting of an entry.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// What it is.
    pub about: String,
    /// A value as it might stand in a file.
    pub example: String,
    /// What it is where nothing is said; a setting with neither this nor `optional` is required.
    pub default: Option<Value>,
    /// Whether it may be left out.
    #[serde(default)]
    pub optional: bool,
    /// Whether it must be given by reference.
    #[serde(default = "yes")]
    pub secret: bool,
}

fn yes() -> bool {
    true
}

/// The keys of a [`Card`].
const CARD: [&str; 4] = ["title", "docs", "about", "settings"];

/// The entries in `folder`, by name, or what is wrong with them.
pub(crate) fn entries<Body: DeserializeOwned>(
    folder: &'static Dir<'static>,
) -> impl Iterator<Item = Result<Entry<Body>, String>> {
    let files = folder.files().filter_map(|file| {
        let name = file.path().file_name()?.to_str()?.strip_suffix(".yaml")?;
        Some((name, file.contents_utf8().unwrap_or_default()))
    });
    files.map(|(name, text)| read(name, text))
}

/// The entries in `folder`, by name. A test reads every file, so that none is missing here.
pub(crate) fn in_order<Body: DeserializeOwned>(folder: &'static Dir<'static>) -> Vec<Entry<Body>> {
    let mut entries: Vec<Entry<Body>> = entries(folder).filter_map(Result::ok).collect();
    entries.sort_by_key(|entry| entry.name);
    entries
}

/// The entry that `text` is.
pub(crate) fn read<Body: DeserializeOwned>(name: &'static str, text: &str) -> Result<Entry<Body>, String> {
    let whole: Map<String, Value> = serde_saphyr::from_str(text).map_err(|error| format!("{name}: {error}"))?;
    let (card, body): (Map<_, _>, Map<_, _>) = whole.into_iter().partition(|(key, _)| CARD.contains(&key.as_str()));
    let wrong = |error: serde_json::Error| format!("{name}: {error}");
    let card = serde_json::from_value(Value::Object(card)).map_err(wrong)?;
    let body = serde_json::from_value(Value::Object(body)).map_err(wrong)?;
    Ok(Entry { name, card, body })
}

impl Card {
    /// The settings that `template` names and that nothing works without.
    pub(crate) fn required_in(&self, template: &Value) -> Vec<&str> {
        let text = template.to_string();
        self.required().filter(|name| text.contains(&format!("${{setting:{name}}}"))).collect()
    }

    fn required(&self) -> impl Iterator<Item = &str> {
        self.settings.iter().filter(|(_, setting)| setting.is_required()).map(|(name, _)| name.as_str())
    }

    /// Notes settings that the entry does not have, miss (in `template`, where that is given) or are given where a reference must be; whether all
    /// is right. `else_write` is what else would do where one is missing.
    pub(crate) fn check(
        &self,
        (preset, file): (&str, &str),
        settings: &BTreeMap<String, Value>,
        (template, else_write): (Option<&Value>, &str),
        problems: &mut Problems,
    ) -> bool {
        let mut right = true;
        let needed = match template {
            Some(template) => self.required_in(template),
            None => self.required().collect(),
        };
        for unknown in settings.keys().filter(|setting| !self.settings.contains_key(*setting)) {
            let known: Vec<_> = self.settings.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            problems.add(format!("settings.{unknown}"), format!("{preset} has no such setting; it has {known}"));
            right = false;
        }
        for (name, setting) in &self.settings {
            let path = format!("settings.{name}");
            match settings.get(name) {
                None if needed.contains(&name.as_str()) => {
                    let (about, example) = (&setting.about, &setting.example);
                    problems.add(
                        path,
                        format!(
                            "{}: {about} Write `{name}: {example}` under `settings` in {file}{else_write}.",
                            self.title
                        ),
                    );
                    right = false;
                }
                Some(value) if setting.secret => {
                    let texts = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
                    for text in texts {
                        let parsed = text.as_str().unwrap_or_default().parse::<SecretRef>();
                        right &= problems.take(&path, parsed).is_some();
                    }
                }
                _ => {}
            }
        }
        right
    }

    /// The template with each `${setting:NAME}` replaced. An object's key whose setting was neither given nor has a
    /// default is left out.
    pub(crate) fn fill(&self, template: &Value, settings: &BTreeMap<String, Value>) -> Value {
        let value = |name: &str| {
            let default = || self.settings.get(name).and_then(|setting| setting.default.as_ref());
            settings.get(name).or_else(default).cloned()
        };
        filled(template, &value).unwrap_or(Value::Null)
    }
}

impl Setting {
    /// Whether nothing works without it.
    pub fn is_required(&self) -> bool {
        self.default.is_none() && !self.optional
    }
}

fn filled(template: &Value, value: &impl Fn(&str) -> Option<Value>) -> Option<Value> {
    Some(match template {
        Value::String(text) => return filled_text(text, value),
        Value::Object(map) => {
            map.iter().filter_map(|(key, inner)| Some((key.clone(), filled(inner, value)?))).collect()
        }
        Value::Array(items) => items.iter().filter_map(|inner| filled(inner, value)).collect(),
        other => other.clone(),
    })
}

fn filled_text(text: &str, value: &impl Fn(&str) -> Option<Value>) -> Option<Value> {
    const OPEN: &str = "${setting:";
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some((name, behind)) = after.split_once('}') else { break };
        let value = value(name)?;
        if before.is_empty() && behind.is_empty() && whole.is_empty() {
            return Some(value);
        }
        whole.push_str(before);
        match value {
            Value::String(text) => whole.push_str(&text),
            other => whole.push_str(&other.to_string()),
        }
        rest = behind;
    }
    whole.push_str(rest);
    Some(Value::String(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn card() -> Card {
        let card = json!({"title": "T", "docs": "https://d", "about": "A", "settings": {
            "site": {"about": "Where.", "example": "acme", "secret": false},
            "token": {"about": "What.", "example": "${env:TOKEN}"},
            "port": {"about": "P.", "example": "1", "secret": false, "default": 443},
            "team": {"about": "T.", "example": "x", "secret": false, "optional": true},
        }});
        serde_json::from_value(card).unwrap()
    }

    fn settings(value: Value) -> BTreeMap<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn settings_stand_alone_and_within_texts() {
        let template = json!({
            "url": "https://${setting:site}.example.com:${setting:port}/", "port": "${setting:port}",
            "auth": {"bearer": "${setting:token}"}, "team": "${setting:team}", "teams": ["a", "${setting:team}"],
            "plain": "${env:X} ${setting", "n": 1,
        });
        let given = settings(json!({"site": "acme", "token": ["${env:A}", "${env:B}"]}));
        assert_eq!(
            card().fill(&template, &given),
            json!({
                "url": "https://acme.example.com:443/", "port": 443, "auth": {"bearer": ["${env:A}", "${env:B}"]},
                "teams": ["a"], "plain": "${env:X} ${setting", "n": 1,
            })
        );
    }

    #[test]
    fn what_is_missing_unknown_or_no_reference_is_told() {
        let mut problems = Problems::default();
        let given = settings(json!({"tokn": "x", "token": "hunter2"}));
        assert!(!card().check(("t", "targets/t.yaml"), &given, (None, ""), &mut problems));
        let told: Vec<String> =
            problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
        assert!(told.iter().all(|line| !line.contains("hunter2")), "{told:?}");
        insta::assert_snapshot!(told.join("\n"), @"
        settings.tokn: t has no such setting; it has port, site, team, token
        settings.site: T: Where. Write `site: acme` under `settings` in targets/t.yaml.
        settings.token: a secret is given by reference, ${env:NAME} or ${file:PATH}, never in the file itself
        ");
        let mut problems = Problems::default();
        let right = settings(json!({"site": "acme", "token": ["${env:A}", "${file:b}"]}));
        assert!(card().check(("t", "targets/t.yaml"), &right, (None, ""), &mut problems) && problems.is_empty());
    }
}

//! A preset as people read it: what it is for, its settings, a file to begin with; on a terminal and as Markdown.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    catalog::{Card, Setting},
    ingest,
    targets::catalog::{self as targets, Action},
};

/// What a preset is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Where events come from.
    Source,
    /// What jobs are done by.
    Target,
}

/// A preset.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    #[serde(flatten)]
    pub(super) card: &'static Card,
    /// The settings without which it does not work as it stands.
    pub(super) needs: Vec<&'static str>,
    /// What it can fetch: `poll`, `reconcile`.
    pub(super) fetches: Vec<&'static str>,
    /// An example of `listen`, for what is mostly sent without HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) listen: Option<&'static str>,
    /// What it can do, where it does several things.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) actions: BTreeMap<&'static str, &'static Action>,
    /// What the rule's input may say, where it does one thing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) input: BTreeMap<&'static str, &'static str>,
}

/// All presets: sources, then targets, each by name.
pub(super) fn pages() -> Vec<Page> {
    let sources = ingest::catalog::all().iter().map(|entry| Page {
        name: entry.name,
        kind: Kind::Source,
        card: &entry.card,
        needs: if entry.listens().is_some() { Vec::new() } else { entry.needs() },
        fetches: entry.fetches(),
        listen: entry.listens(),
        actions: BTreeMap::new(),
        input: BTreeMap::new(),
    });
    let targets = targets::all().iter().map(|entry| Page {
        name: entry.name,
        kind: Kind::Target,
        card: &entry.card,
        needs: required(&entry.card),
        fetches: Vec::new(),
        listen: None,
        actions: entry.body.actions.iter().map(|(name, action)| (name.as_str(), action)).collect(),
        input: texts(&entry.body.input),
    });
    sources.chain(targets).collect()
}

/// The settings without which an entry does not work.
fn required(card: &'static Card) -> Vec<&'static str> {
    let required = card.settings.iter().filter(|(_, setting)| setting.is_required());
    required.map(|(name, _)| name.as_str()).collect()
}

fn texts(map: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    map.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect()
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

impl Page {
    /// Where a file of it might lie.
    pub(super) fn file(&self) -> String {
        format!("{}s/{}.yaml", self.kind.word(), self.name)
    }

    /// Such a file, with what is required and, commented out, what may be said.
    pub(super) fn example(&self) -> String {
        let mut lines = vec![format!("preset: {}", self.name)];
        lines.extend(self.listen.map(|listen| format!("listen: {listen}")));
        lines.extend(self.first_action().map(|action| format!("action: {action}")));
        if !self.card.settings.is_empty() {
            lines.push(if self.needs.is_empty() { "# settings:" } else { "settings:" }.to_owned());
        }
        for (name, setting) in &self.card.settings {
            let mark = if self.needs.contains(&name.as_str()) { "" } else { "# " };
            lines.push(format!("  {mark}{name}: {}", setting.example));
        }
        lines.extend(self.fetches.iter().map(|key| format!("# {key}: true")));
        lines.join("\n")
    }

    /// A chapter of the reference.
    fn markdown(&self) -> String {
        let Card { title, docs, about, settings } = self.card;
        let title = match self.kind {
            Kind::Source => title.clone(),
            // The same vendor may be a source.
            Kind::Target => format!("{title} (target)"),
        };
        let mut text = format!(
            "### {title}\n\n`preset: {}`: [the vendor's documentation]({docs})\n\n{}\n\n```yaml\n# {}\n{}\n```\n",
            self.name,
            about.trim(),
            self.file(),
            self.example()
        );
        if !settings.is_empty() {
            text.push_str("\n| setting | what it is |\n|---|---|\n");
            for (name, setting) in settings {
                text.push_str(&format!("| `{name}` | {}{} |\n", setting.about.trim(), remark(setting)));
            }
        }
        if !self.actions.is_empty() {
            text.push_str("\n| action | what it does | input of the rule |\n|---|---|---|\n");
            for (name, action) in &self.actions {
                let input = inputs(&texts(&action.input), "`");
                text.push_str(&format!("| `{name}` | {}{} | {input} |\n", action.about.trim(), noted(action)));
            }
        }
        if !self.input.is_empty() {
            text.push_str(&format!("\nInput of the rule: {}\n", inputs(&self.input, "`")));
        }
        text
    }

    /// The action of an example: one for which what is required is enough, if there is one.
    fn first_action(&self) -> Option<&'static str> {
        let enough = self.actions.iter().find(|(_, action)| action.needs.is_empty());
        enough.or_else(|| self.actions.iter().next()).map(|(name, _)| *name)
    }
}

/// What a rule's input may say, in one line; keys between `mark`s.
pub(super) fn inputs(input: &BTreeMap<&str, &str>, mark: &str) -> String {
    let each: Vec<String> = input.iter().map(|(key, about)| format!("{mark}{key}{mark}: {}", about.trim())).collect();
    each.join(" ")
}

/// What else is to be said of an action.
pub(super) fn noted(action: &Action) -> String {
    let destroys = if action.destructive { " Destructive." } else { "" };
    let needs: Vec<String> = action.needs.iter().map(|need| format!("`{need}`")).collect();
    match needs.is_empty() {
        true => destroys.to_owned(),
        false => format!("{destroys} Needs {}.", needs.join(" and ")),
    }
}

/// What else is to be said of a setting.
pub(super) fn remark(setting: &Setting) -> String {
    let secret = if setting.secret { " By reference." } else { "" };
    match (&setting.default, setting.optional) {
        (Some(default), _) => format!("{secret} Where not said: `{default}`."),
        (None, true) => format!("{secret} May be left out."),
        (None, false) => secret.to_owned(),
    }
}

/// The reference: all presets in one document.
pub(super) fn reference() -> String {
    let pages = pages();
    let mut text =
        "# The catalogue\n\nWritten by `emote catalog reference`; what it says stands in `broker/catalog/`.\n"
            .to_owned();
    for (kind, title) in [(Kind::Source, "Sources"), (Kind::Target, "Targets")] {
        let (mut list, mut chapters) = (String::new(), String::new());
        for page in pages.iter().filter(|page| page.kind == kind) {
            list.push_str(&format!("- {}: `{}`\n", page.card.title, page.name));
            chapters.push_str(&format!("\n{}", page.markdown()));
        }
        text.push_str(&format!("\n## {title}\n\n{list}{chapters}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_reference_is_what_the_catalogue_says() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/catalog.md");
        assert!(
            std::fs::read_to_string(file).unwrap() == reference(),
            "run `emote catalog reference > broker/docs/catalog.md`"
        );
    }

    #[test]
    fn an_example_is_a_file_that_would_do() {
        for page in pages() {
            let name = emote_proto::Name::new(page.name).unwrap();
            let wrong = match page.kind {
                Kind::Source => {
                    let spec: ingest::SourceSpec = serde_saphyr::from_str(&page.example()).unwrap();
                    spec.validate(&name).err()
                }
                Kind::Target => {
                    let spec: crate::targets::TargetSpec = serde_saphyr::from_str(&page.example()).unwrap();
                    spec.validate(name).err()
                }
            };
            assert!(wrong.is_none(), "{}: {wrong:?}", page.name);
        }
    }
}

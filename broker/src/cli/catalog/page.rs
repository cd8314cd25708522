//! A preset as people read it: what it is for, its settings, a file to begin with; on a terminal and as Markdown.

use clap::ValueEnum;
use serde::Serialize;

use crate::{
    catalog::{Card, Setting},
    ingest,
};

/// What a preset is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Where events come from.
    Source,
}

/// A preset.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    #[serde(flatten)]
    pub(super) card: &'static Card,
}

/// All presets: sources, then targets, each by name.
pub(super) fn pages() -> Vec<Page> {
    let sources = ingest::catalog::all().iter();
    sources.map(|entry| Page { name: entry.name, kind: Kind::Source, card: &entry.card }).collect()
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
        }
    }
}

impl Page {
    /// The settings without which it does not work.
    pub(super) fn required(&self) -> Vec<&'static str> {
        let required = self.card.settings.iter().filter(|(_, setting)| setting.is_required());
        required.map(|(name, _)| name.as_str()).collect()
    }

    /// Where a file of it might lie.
    pub(super) fn file(&self) -> String {
        format!("{}s/{}.yaml", self.kind.word(), self.name)
    }

    /// Such a file, with what is required and, commented out, what may be said.
    pub(super) fn example(&self) -> String {
        let mut lines = vec![format!("preset: {}", self.name)];
        if !self.card.settings.is_empty() {
            let all_optional = self.required().is_empty();
            lines.push(if all_optional { "# settings:" } else { "settings:" }.to_owned());
        }
        for (name, setting) in &self.card.settings {
            let mark = if setting.is_required() { "" } else { "# " };
            lines.push(format!("  {mark}{name}: {}", setting.example));
        }
        lines.join("\n")
    }

    /// A chapter of the reference.
    fn markdown(&self) -> String {
        let Card { title, docs, about, settings } = self.card;
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
        text
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
    let (mut list, mut chapters) = (String::new(), String::new());
    for page in &pages {
        list.push_str(&format!("- {}: `{}`\n", page.card.title, page.name));
        chapters.push_str(&format!("\n{}", page.markdown()));
    }
    text.push_str(&format!("\n## Sources\n\n{list}{chapters}"));
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
            let spec: ingest::SourceSpec = serde_saphyr::from_str(&page.example()).unwrap();
            let name = emote_proto::Name::new(page.name).unwrap();
            spec.validate(&name).unwrap_or_else(|problems| panic!("{}: {problems:?}", page.name));
        }
    }
}

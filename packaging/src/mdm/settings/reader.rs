//! Reads the keys of [`super::keys`] out of TOML, and gathers all that is wrong with line and column. Pure.

use emote_agent::settings::Tree;
use emote_proto::deploy::is_unwritable;
use serde_json::Value as Json;

use super::keys::{AGENT, KEYS, Kind};

/// Characters of a text at most.
const MOST_TEXT: usize = 4_096;
/// Problems that are told at most.
const MOST_PROBLEMS: usize = 64;

/// A file that is read, and what is wrong in it.
pub(super) struct Reader {
    pub(super) file: String,
    pub(super) tree: Tree,
    problems: Vec<String>,
}

impl Reader {
    /// Of a file with this text.
    pub(super) fn new(file: &str, text: &str) -> Result<Self, String> {
        let tree = Tree::from_toml(text).map_err(|error| format!("{file}: {error}"))?;
        let mut reader = Self { file: file.to_owned(), tree, problems: Vec::new() };
        reader.find_unknown();
        Ok(reader)
    }

    /// What is said for a key, if it is what may be.
    fn value(&mut self, name: &str) -> Option<Json> {
        let value = self.tree.get(name)?.clone();
        let kind = KEYS.iter().find(|key| key.name == name).map(|key| key.kind)?;
        match wrong(kind, &value) {
            None => Some(value),
            Some(problem) => {
                self.problem(name, problem);
                None
            }
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.value(name).and_then(|value| value.as_str().map(str::to_owned))
    }

    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        let value = self.value(name).unwrap_or_default();
        value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }

    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        self.value(name).and_then(|value| value.as_bool()).unwrap_or(default)
    }

    /// A text that something reads; what it says is wrong is told.
    pub(super) fn checked<T, E: ToString>(
        &mut self,
        name: &str,
        check: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let checked = check(&text).map_err(|error| error.to_string());
        checked.map_err(|problem| self.problem(name, problem)).ok()
    }

    /// Tells what is wrong with a key.
    pub(super) fn problem(&mut self, name: &str, problem: impl AsRef<str>) {
        let place = self.tree.places.get(name).map(|place| format!(", {place}")).unwrap_or_default();
        self.problems.push(format!("{}{place}: {name}: {}", self.file, problem.as_ref()));
    }

    /// Tells of something that has its place in it.
    pub(super) fn tell(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// All that is wrong, in the file's order.
    pub(super) fn into_problems(mut self) -> Vec<String> {
        self.problems.sort_by_key(|problem| line(problem));
        self.problems.dedup();
        self.problems.truncate(MOST_PROBLEMS);
        self.problems
    }

    /// Keys that are none: the agent's own are the agent's to judge.
    fn find_unknown(&mut self) {
        let paths: Vec<String> = self.tree.places.keys().cloned().collect();
        let mut below: Option<String> = None;
        for path in paths {
            if below.as_ref().is_some_and(|below| path.starts_with(below)) {
                continue;
            }
            let is_known = KEYS.iter().any(|key| key.name == path || key.name.starts_with(&format!("{path}.")));
            if path == AGENT || path.starts_with(&format!("{AGENT}.")) || is_known {
                let is_table = KEYS.iter().all(|key| key.name != path);
                if is_table && self.tree.get(&path).is_some_and(|value| !value.is_object()) && !path.contains('.') {
                    self.problem(&path, "expected a table");
                }
                continue;
            }
            self.problem(&path, format!("there is no such key; expected one of {}", beside(&path)));
            below = Some(format!("{path}."));
        }
    }
}

/// The line that a problem names; 0 where it is the whole file's.
fn line(problem: &str) -> usize {
    let place = problem.split_once(", line ").and_then(|(_, rest)| rest.split_once(','));
    place.and_then(|(line, _)| line.parse().ok()).unwrap_or_default()
}

/// The keys of the table that a path is in.
fn beside(path: &str) -> String {
    let table = path.rsplit_once('.').map_or("", |(table, _)| table);
    let prefix = if table.is_empty() { String::new() } else { format!("{table}.") };
    let names = KEYS.iter().filter_map(|key| key.name.strip_prefix(&prefix)?.split('.').next());
    let mut names: Vec<&str> = names.chain(table.is_empty().then_some(AGENT)).collect();
    names.dedup();
    if names.is_empty() { beside(table) } else { names.join(", ") }
}

/// What is wrong with a value of a kind.
fn wrong(kind: Kind, value: &Json) -> Option<String> {
    let text = |value: &Json| match value.as_str() {
        None => Some("expected a text".to_owned()),
        Some(text) if !(1..=MOST_TEXT).contains(&text.len()) => Some(format!("expected 1 to {MOST_TEXT} bytes")),
        Some(text) if is_unwritable_text(text) => Some("it holds a control character".to_owned()),
        Some(_) => None,
    };
    match kind {
        Kind::Text => text(value),
        Kind::Flag => (!value.is_boolean()).then(|| "expected true or false".to_owned()),
        Kind::Word(words) => {
            let is_one = value.as_str().is_some_and(|word| words.contains(&word));
            (!is_one).then(|| format!("expected one of {}", words.join(", ")))
        }
        Kind::Texts => match value.as_array() {
            Some(items) if (1..=64).contains(&items.len()) => items.iter().find_map(text),
            _ => Some("expected a list of 1 to 64 texts".to_owned()),
        },
    }
}

/// Whether a property list as XML cannot hold a text of several lines, or gives it back as another.
pub(super) fn is_unwritable_text(text: &str) -> bool {
    text.chars().any(|c| is_unwritable(c) && c != '\n' && c != '\t')
}

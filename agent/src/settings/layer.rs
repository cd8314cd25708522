//! What one place says, and what of it nobody understands. Pure.

use serde_json::{Map, Value as Json};

use super::keys::{self, Key, UNIFIED_LOG};
use super::problem::{Origin, Problem};
use super::tree::{self, Tree};

/// Keys that nobody knows that are told of one layer; a file that is none of ours may have thousands.
pub(super) const MOST_UNKNOWN: usize = 64;

/// One layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Which.
    pub origin: Origin,
    /// The file that it was read from.
    pub file: Option<String>,
    /// What it says.
    pub tree: Tree,
    /// Why it could not be read.
    pub unreadable: Option<String>,
    /// Whether the tree is what it said before it became unreadable.
    pub kept: bool,
}

impl Layer {
    /// One that says `tree`.
    pub fn new(origin: Origin, tree: Tree) -> Self {
        Self { origin, file: None, tree, unreadable: None, kept: false }
    }

    /// Says what it said in `before` where it cannot be read: a slip in a file must not move the agent elsewhere.
    pub(super) fn keep(&mut self, before: &[Self]) {
        let same = |layer: &&Self| layer.origin == self.origin && layer.file == self.file;
        if self.unreadable.is_some()
            && let Some(layer) = before.iter().find(same)
        {
            (self.tree, self.kept) = (layer.tree.clone(), true);
        }
    }

    pub(super) fn problem(&self) -> Option<Problem> {
        let problem = Problem::new("", self.origin, self.file.clone(), self.unreadable.clone()?);
        Some(problem.using(if self.kept { "what it said before" } else { "the layers below" }))
    }

    pub(super) fn place(&self, key: &str) -> Option<String> {
        let parts = self.file.iter().chain(self.tree.places.get(key)).cloned().collect::<Vec<_>>();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    pub(super) fn problem_of(&self, key: &str, problem: impl Into<String>) -> Problem {
        let at = if self.tree.places.contains_key(key) { key } else { parent(key) };
        Problem::new(key, self.origin, self.place(at), problem)
    }

    /// The keys of a table.
    pub(super) fn names(&self, table: &str) -> impl Iterator<Item = &str> {
        self.tree.get(table).and_then(Json::as_object).into_iter().flat_map(|map| map.keys().map(String::as_str))
    }

    /// What is written under keys that are none.
    pub(super) fn unknown(&self, keys: &[Key]) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.find_unknown(keys, "", &self.tree.values, &mut problems);
        let more = problems.len().saturating_sub(MOST_UNKNOWN);
        problems.truncate(MOST_UNKNOWN);
        if let Some(last) = problems.last_mut().filter(|_| more > 0) {
            last.problem = format!("there is no such key, and {more} more are not told");
        }
        problems
    }

    fn find_unknown(&self, keys: &[Key], path: &str, map: &Map<String, Json>, problems: &mut Vec<Problem>) {
        for (name, written) in map {
            let path = tree::join(path, name);
            let below = format!("{path}.");
            let known = !name.contains('.');
            if known && keys.iter().any(|key| key.name == path) {
                continue;
            }
            match written {
                Json::Object(map) if path == UNIFIED_LOG => self.find_unknown_names(keys, map, problems),
                Json::Object(map) if known && keys.iter().any(|key| key.name.starts_with(&below)) => {
                    self.find_unknown(keys, &path, map, problems);
                }
                _ => problems.push(Problem::new(&path, self.origin, self.place(&path), unknown(keys, &path))),
            }
        }
    }

    fn find_unknown_names(&self, keys: &[Key], map: &Map<String, Json>, problems: &mut Vec<Problem>) {
        for (name, written) in map {
            let path = tree::join(UNIFIED_LOG, name);
            let below = format!("{path}.");
            match written {
                _ if !keys::is_name(name) => {
                    let problem = format!("expected a name of 1 to {} bytes without dots", keys::LONGEST_NAME);
                    problems.push(self.problem_of(&path, problem));
                }
                // One name too many has been told of.
                _ if !keys.iter().any(|key| key.name.starts_with(&below)) => {}
                Json::Object(map) => self.find_unknown(keys, &path, map, problems),
                _ => problems.push(self.problem_of(&path, unknown(keys, &path))),
            }
        }
    }
}

/// The table that a key is in.
pub(super) fn parent(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(table, _)| table)
}

/// What is said of a key that is none.
fn unknown(keys: &[Key], path: &str) -> String {
    let children = |parent: &str| {
        let names = keys.iter().filter_map(|key| key.name.strip_prefix(parent)?.split('.').next());
        let mut names: Vec<&str> = names.chain(parent.is_empty().then_some(UNIFIED_LOG)).collect();
        names.dedup();
        names.join(", ")
    };
    if path == UNIFIED_LOG {
        return "expected a table of names, each with predicate and rate".into();
    }
    let here = children(&format!("{path}."));
    if !here.is_empty() {
        return format!("expected a table of {here}");
    }
    let parent = path.rfind('.').map_or("", |dot| &path[..=dot]);
    let what = if parent == "sources." { "source" } else { "key" };
    format!("there is no such {what}; expected one of {}", children(parent))
}

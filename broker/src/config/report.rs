//! All that is wrong with a configuration folder, each with file, line and column.

use std::path::{Path, PathBuf};

use super::{
    Problem, Problems,
    excerpt::excerpt,
    locate::{Place, locate, locate_reference, locate_value, path_at},
};

/// A file and its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    file: &'a Path,
    yaml: &'a str,
    shown: bool,
}

impl<'a> Origin<'a> {
    /// A rule or a test: these name no secrets, so that their lines may be shown.
    pub(super) fn shown(file: &'a Path, yaml: &'a str) -> Self {
        Self { file, yaml, shown: true }
    }

    /// Another file, which may have a secret in the wrong place: its lines are not printed.
    pub(super) fn hidden(file: &'a Path, yaml: &'a str) -> Self {
        Self { file, yaml, shown: false }
    }
}

/// One problem in one file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FileProblem {
    /// The file, relative to the folder.
    pub file: PathBuf,
    /// Line from 1, where it is known.
    pub line: Option<usize>,
    /// Column from 1, where it is known.
    pub column: Option<usize>,
    /// Dotted path inside the file; empty for the whole of it.
    pub path: String,
    /// What is wrong and what would do.
    pub message: String,
    /// The line with a caret under the place, where it is known and cannot hold a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

/// Problems in the order of files, and of places in them.
#[derive(Debug, Default, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Report {
    /// The problems.
    pub problems: Vec<FileProblem>,
}

impl Report {
    /// Adds the problems of a file.
    pub(super) fn add_all(&mut self, origin: &Origin<'_>, problems: Problems) {
        for problem in problems {
            let (path, place) = placed(origin.yaml, &problem);
            self.push(origin, place, path, problem.message);
        }
    }

    /// Adds a problem with the file as such.
    pub fn add(&mut self, file: &Path, message: impl std::fmt::Display) {
        self.push(&Origin::hidden(file, ""), None, String::new(), message.to_string());
    }

    /// Adds a problem at a known place of a file.
    pub(super) fn add_at(&mut self, origin: &Origin<'_>, place: Option<Place>, message: String) {
        self.push(origin, place, String::new(), message);
    }

    /// Adds a problem at a known place of a file, under the path that this place has.
    pub(super) fn add_in(&mut self, origin: &Origin<'_>, place: Option<Place>, message: String) {
        let path = place.map(|place| path_at(origin.yaml, place)).unwrap_or_default();
        self.push(origin, place, path, message);
    }

    fn push(&mut self, origin: &Origin<'_>, place: Option<Place>, path: String, message: String) {
        let excerpt = place.filter(|_| origin.shown).and_then(|(line, column)| excerpt(origin.yaml, line, column));
        let (line, column) = (place.map(|place| place.0), place.map(|place| place.1));
        self.problems.push(FileProblem { file: origin.file.to_owned(), line, column, path, message, excerpt });
    }

    /// Adds another report's problems.
    pub fn append(&mut self, other: Self) {
        self.problems.extend(other.problems);
    }

    /// The value if nothing is wrong.
    pub fn ok<T>(self, value: T) -> Result<T, Self> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.in_order()) }
    }

    /// Sorted by file, and in it by place.
    pub(super) fn in_order(mut self) -> Self {
        let place = |problem: &FileProblem| (problem.line, problem.column);
        self.problems.sort_by(|one, other| one.file.cmp(&other.file).then(place(one).cmp(&place(other))));
        self
    }
}

/// The path and the place of a problem: of a reference to a secret, where that stands.
fn placed(yaml: &str, problem: &Problem) -> (String, Option<Place>) {
    if let Some((path, place)) = problem.reference.as_ref().and_then(|reference| locate_reference(yaml, reference)) {
        return (path, Some(place));
    }
    let place = if problem.steps.is_empty() { locate(yaml, &problem.path) } else { locate_value(yaml, &problem.steps) };
    (problem.path.clone(), place)
}

impl std::fmt::Display for FileProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        f.write_str(": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.excerpt.iter().try_for_each(|excerpt| write!(f, "\n{excerpt}"))
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

//! What is wrong with a configuration: collected, so that all of it is said at once.

use std::any::Any;

use emote_rules::Step;

use super::{SecretError, SecretRef};

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path inside the document, such as `verify.secret` or `targets[1].input`; empty for the whole of it.
    pub path: String,
    /// The steps from the document to the very value, where keys may have dots in them; none where the path says it.
    pub steps: Vec<Step>,
    /// What is wrong and what would do.
    pub message: String,
    /// The reference to a secret that leads nowhere, if that is what is wrong: it stands where the path need not lead.
    pub reference: Option<SecretRef>,
}

/// A list to add problems to while validating; a scope of it prefixes paths.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds a problem at `path`.
    pub fn add(&mut self, path: impl Into<String>, message: impl std::fmt::Display) {
        self.push(path.into(), message.to_string(), None);
    }

    fn push(&mut self, path: String, message: String, reference: Option<SecretRef>) {
        // What two parts of a file need is missed once.
        if !self.0.iter().any(|known| known.path == path && known.message == message) {
            self.0.push(Problem { path, steps: Vec::new(), message, reference });
        }
    }

    /// Adds a problem that was found elsewhere as one with `path`.
    pub fn add_moved(&mut self, path: impl Into<String>, problem: Problem) {
        self.push(path.into(), problem.message, problem.reference);
    }

    /// Adds a problem with the value to which these steps lead, which people know as `path`.
    pub fn add_at(&mut self, path: impl Into<String>, steps: Vec<Step>, message: impl std::fmt::Display) {
        self.0.push(Problem { path: path.into(), steps, message: message.to_string(), reference: None });
    }

    /// Adds all of `others`, each path put under `prefix`.
    pub fn add_all(&mut self, prefix: &str, others: Self) {
        for problem in others.0 {
            let steps = match problem.steps.is_empty() {
                true => Vec::new(),
                false => super::locate::steps(prefix).into_iter().chain(problem.steps.iter().cloned()).collect(),
            };
            let path = match (prefix.is_empty(), problem.path.is_empty()) {
                (true, _) => problem.path.clone(),
                (false, true) => prefix.to_owned(),
                (false, false) => format!("{prefix}.{}", problem.path),
            };
            self.0.push(Problem { path, steps, ..problem });
        }
    }

    /// Takes the value of a step, or notes what went wrong with it at `path`.
    pub fn take<T, E: std::fmt::Display + 'static>(&mut self, path: &str, result: Result<T, E>) -> Option<T> {
        let note = |error: E| {
            let reference = (&error as &dyn Any).downcast_ref::<SecretError>().map(SecretError::reference);
            self.push(path.to_owned(), error.to_string(), reference);
        };
        result.map_err(note).ok()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

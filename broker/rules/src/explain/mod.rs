//! Why a pattern matches an event or does not.

use crate::compile::{Alternative, Field};
use crate::consistent::{Budget, match_together};
use crate::error::EventError;
use crate::event::{Event, Paths};
use crate::pattern::Pattern;
use std::fmt::{Display, Formatter, Result as Formatted};

/// How many found values of a field are told.
const MAX_FOUND: usize = 5;
/// How much of a value is told, in characters.
const MAX_TEXT: usize = 120;

/// Why a pattern matches an event or does not; displayed as lines of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether the pattern matches.
    pub matched: bool,
    /// Why the event could not be looked at.
    pub problem: Option<EventError>,
    /// What became of each alternative, the nearest first. A pattern without `$or` has one.
    pub branches: Vec<Branch>,
}

/// One alternative of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Whether all its fields match together.
    pub matched: bool,
    /// What became of each of its fields.
    pub fields: Vec<FieldReport>,
}

/// What one field should have been and was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldReport {
    /// Its dotted path.
    pub path: String,
    /// What would have matched, any of these.
    pub expected: Vec<String>,
    /// The values it had, at most five and cut to 120 characters.
    pub found: Vec<String>,
    /// What that means.
    pub outcome: Outcome,
}

/// How a field fared by itself, whatever the others did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is as expected.
    Matched,
    /// It has no value, and should have.
    Missing,
    /// It has a value, and should have none.
    Unexpected,
    /// It has a value, and none that was expected.
    Different,
}

pub(crate) fn explain(pattern: &Pattern, event: &serde_json::Value) -> Explanation {
    let mut paths = Paths::default();
    for field in pattern.alternatives.iter().flatten() {
        paths.id(&field.path);
        field.matchers.iter().for_each(|matcher| matcher.paths(&mut |path| _ = paths.id(path)));
    }
    let json = event.to_string();
    let event = Event::read(json.as_bytes(), &paths);
    let mut problem = event.as_ref().err().cloned();
    let event = event.unwrap_or_default();
    let mut budget = Budget::new();
    let mut branches: Vec<Branch> = pattern
        .alternatives
        .iter()
        .map(|alternative| {
            let fields = with_paths(alternative, &mut paths);
            let together = match_together(fields.iter().copied(), &event, &mut budget);
            let matched = problem.is_none() && *together.as_ref().unwrap_or(&false);
            problem = problem.take().or(together.err());
            Branch {
                matched,
                fields: fields.iter().map(|(path, field)| report(field, *path, &event, matched)).collect(),
            }
        })
        .collect();
    branches.sort_by_key(|branch| (!branch.matched, branch.failures().count()));
    Explanation { matched: branches.iter().any(|branch| branch.matched), problem, branches }
}

fn with_paths<'f>(alternative: &'f Alternative, paths: &mut Paths) -> Vec<(usize, &'f Field)> {
    alternative.iter().map(|field| (paths.id(&field.path), field.as_ref())).collect()
}

/// Where the whole alternative matches, so does each field: one that must be absent may have a value elsewhere in an array.
fn report(field: &Field, path: usize, event: &Event<'_>, matched: bool) -> FieldReport {
    let found = event.at(path);
    let absence = field.may_be_absent.then(|| "no value".to_owned());
    let outcome = match found {
        _ if matched => Outcome::Matched,
        [] if field.may_be_absent => Outcome::Matched,
        [] => Outcome::Missing,
        found if found.iter().any(|found| field.accepts(found, event)) => Outcome::Matched,
        _ if field.matchers.is_empty() => Outcome::Unexpected,
        _ => Outcome::Different,
    };
    FieldReport {
        path: field.path.clone(),
        expected: field.matchers.iter().map(|matcher| cut(&matcher.to_string())).chain(absence).collect(),
        found: found.iter().take(MAX_FOUND).map(|found| cut(&found.value.to_string())).collect(),
        outcome,
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Branch {
    /// The fields that do not match by themselves.
    pub fn failures(&self) -> impl Iterator<Item = &FieldReport> {
        self.fields.iter().filter(|field| field.outcome != Outcome::Matched)
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Formatted {
        f.write_str(if self.matched { "The event matches." } else { "The event does not match." })?;
        if let Some(problem) = &self.problem {
            write!(f, " It could not be looked at: {problem}.")?;
        }
        let Some(nearest) = self.branches.first() else { return Ok(()) };
        if self.branches.len() > 1 {
            write!(f, " Of {} alternatives, this one is the nearest:", self.branches.len())?;
        }
        write!(f, "\n{nearest}")
    }
}

impl Display for Branch {
    fn fmt(&self, f: &mut Formatter<'_>) -> Formatted {
        let lines: Vec<String> = self.fields.iter().map(FieldReport::to_string).collect();
        f.write_str(&lines.join("\n"))?;
        if !self.matched && self.failures().next().is_none() {
            f.write_str("\n  Each field matches, but not all of them in the same element of an array.")?;
        }
        Ok(())
    }
}

impl Display for FieldReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Formatted {
        let expected = self.expected.iter().take(MAX_FOUND).cloned().collect::<Vec<_>>().join(" or ");
        let more = if self.expected.len() > MAX_FOUND { " or …" } else { "" };
        let found = if self.found.is_empty() { "nothing".to_owned() } else { self.found.join(", ") };
        let mark = if self.outcome == Outcome::Matched { "✓" } else { "✗" };
        write!(f, "  {mark} {}: expected {expected}{more}; found {found}", self.path)
    }
}

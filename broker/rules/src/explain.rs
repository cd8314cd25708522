//! Why a pattern matches an event or does not.

use crate::compile::Field;
use crate::consistent::Together;
use crate::error::EventError;
use crate::event::{Event, Seen};
use crate::paths::{PathId, PathsBuilder};
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
    let mut paths = PathsBuilder::default();
    for field in pattern.alternatives.iter().flatten() {
        paths.id(&field.path);
        field.matchers.iter().for_each(|matcher| matcher.paths(&mut |path| _ = paths.id(path)));
    }
    let paths = paths.build();
    let json = event.to_string();
    let (mut read, mut nothing) = (Event::default(), Event::default());
    let (event, mut problem) = match read.read(json.as_bytes(), &paths) {
        Ok(event) => (event, None),
        Err(error) => match nothing.read(b"{}", &paths) {
            Ok(event) => (event, Some(error)),
            Err(_) => return Explanation { matched: false, problem: Some(error), branches: Vec::new() },
        },
    };
    let mut together = Together::default();
    let mut branches: Vec<Branch> = pattern
        .alternatives
        .iter()
        .map(|alternative| {
            let fields: Vec<(PathId, &Field)> =
                alternative.iter().filter_map(|field| Some((paths.find(&field.path)?, field.as_ref()))).collect();
            let all = together.match_all(fields.iter().copied(), event);
            let matched = problem.is_none() && *all.as_ref().unwrap_or(&false);
            problem = problem.take().or(all.err());
            Branch {
                matched,
                fields: fields.iter().map(|(path, field)| report(field, *path, event, matched)).collect(),
            }
        })
        .collect();
    branches.sort_by_key(|branch| (!branch.matched, branch.failures().count()));
    Explanation { matched: branches.iter().any(|branch| branch.matched), problem, branches }
}

/// Where the whole alternative matches, so does each field: one that must be absent may have a value elsewhere in an array.
fn report(field: &Field, path: PathId, event: Seen<'_>, matched: bool) -> FieldReport {
    let absence = field.may_be_absent.then(|| "no value".to_owned());
    let outcome = match event.has(path) {
        _ if matched => Outcome::Matched,
        false if field.may_be_absent => Outcome::Matched,
        false => Outcome::Missing,
        true if event.at(path).any(|leaf| field.accepts(leaf, event)) => Outcome::Matched,
        true if field.matchers.is_empty() => Outcome::Unexpected,
        true => Outcome::Different,
    };
    FieldReport {
        path: field.path.clone(),
        expected: field.matchers.iter().map(|matcher| cut(&matcher.to_string())).chain(absence).collect(),
        found: event.at(path).take(MAX_FOUND).map(|leaf| cut(&event.value(leaf).to_string())).collect(),
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

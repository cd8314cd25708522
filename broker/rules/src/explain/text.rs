//! An explanation as lines of text, for people.

use super::{Apart, Branch, Explanation, FieldReport, FoundValue, NearMiss, Outcome, Part};
use crate::shown::ShownPath;
use std::fmt::{Display, Formatter, Result};

/// How many values a line lists.
const MAX_LISTED: usize = 5;
/// How many alternatives besides the nearest are told.
const MAX_OTHERS: usize = 3;

fn paths(paths: &[String], between: &str) -> String {
    paths.iter().map(|path| ShownPath(path).to_string()).collect::<Vec<_>>().join(between)
}

/// `; did you mean a or b?`, or nothing.
fn did_you_mean(meant: &[String]) -> String {
    if meant.is_empty() { String::new() } else { format!("; did you mean {}?", paths(meant, " or ")) }
}

/// A number with few digits, however large or small it is.
fn amount(number: f64) -> String {
    if (1e-6..1e16).contains(&number) { number.to_string() } else { format!("{number:e}") }
}

/// A text as a pattern has it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What to write for `text` wherever it stands in a value.
pub(super) fn holding(text: &str, part: Part) -> String {
    let escaped = text.replace('\\', "\\\\").replace('*', "\\*");
    match part {
        Part::Whole => format!("{{\"wildcard\": {}}}", quoted(&format!("*{escaped}*"))),
        Part::Start => format!("{{\"prefix\": {}}}", quoted(text)),
        Part::End => format!("{{\"suffix\": {}}}", quoted(text)),
    }
}

/// What to write for `text` to ignore its case.
pub(super) fn ignoring_case(text: &str, part: Part) -> String {
    let alone = format!("{{\"equals-ignore-case\": {}}}", quoted(text));
    match part {
        Part::Whole => alone,
        Part::Start => format!("{{\"prefix\": {alone}}}"),
        Part::End => format!("{{\"suffix\": {alone}}}"),
    }
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.problem {
            Some(problem) => write!(f, "Whether the event matches cannot be said: {problem}.")?,
            None => f.write_str(if self.matched { "The event matches." } else { "The event does not match." })?,
        }
        // What matching says is sure; only the telling was cut short.
        if self.problem.is_none() && self.cut_short {
            f.write_str(" Not all of it was looked at to say why: it has too many values.")?;
        }
        let [nearest, others @ ..] = self.branches.as_slice() else { return Ok(()) };
        if self.alternatives > 1 {
            let which = if self.matched { "this one matches" } else { "this one is the nearest" };
            write!(f, " Of {} alternatives, {which}:", self.alternatives)?;
        }
        write!(f, "\n{}", nearest.lines())?;
        // Where the event could not be looked at, nobody knows whether its elements fit.
        if self.problem.is_none() {
            f.write_str(&nearest.reason())?;
        }
        if self.matched {
            return Ok(());
        }
        for branch in others.iter().take(MAX_OTHERS) {
            let failures: Vec<String> = branch.failures().take(MAX_LISTED).map(FieldReport::line).collect();
            let failures = match failures.as_slice() {
                [] if branch.all_match() => "its fields in different elements".to_owned(),
                [] => "not all of it was looked at".to_owned(),
                failures => failures.join("; "),
            };
            write!(f, "\n  alternative {}: {failures}", branch.number)?;
        }
        match self.alternatives.saturating_sub(1 + MAX_OTHERS) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl Display for Branch {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}{}", self.lines(), self.reason())
    }
}

impl Branch {
    fn lines(&self) -> String {
        self.fields.iter().map(FieldReport::to_string).collect::<Vec<_>>().join("\n")
    }

    /// Why it does not match although each of its fields does.
    fn reason(&self) -> String {
        if self.matched || !self.all_match() {
            return String::new();
        }
        let places = |Apart { path, elements }: &Apart| format!("{} in {}", ShownPath(path), paths(elements, ", "));
        let apart: Vec<String> = self.apart.iter().map(places).collect();
        let places = if apart.is_empty() { String::new() } else { format!(": {}", apart.join("; ")) };
        format!("\n  Each field matches, but not all of them in the same element of an array{places}.")
    }
}

impl FieldReport {
    fn line(&self) -> String {
        let mut expected = self.expected.iter().take(MAX_LISTED).cloned().collect::<Vec<_>>().join(" or ");
        if self.expected_count > MAX_LISTED {
            expected.push_str(" or …");
        }
        let shown = |FoundValue { value, at, .. }: &FoundValue| {
            if *at == self.path { value.clone() } else { format!("{value} at {}", ShownPath(at)) }
        };
        let mut found = self.found.iter().map(shown).collect::<Vec<_>>().join(", ");
        match self.found_count {
            0 => found.push_str("nothing"),
            count if count > self.found.len() => found.push_str(&format!(", … ({count} values)")),
            _ => {}
        }
        let (mark, more) = match self.outcome {
            Outcome::Matched => ("✓", ""),
            Outcome::NotLookedAt => ("?", "; too many to look at all of them"),
            Outcome::Missing | Outcome::Unexpected | Outcome::Different => ("✗", ""),
        };
        format!("{mark} {}: expected {expected}; found {found}{more}", ShownPath(&self.path))
    }
}

impl Display for FieldReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "  {}", self.line())?;
        self.near.iter().try_for_each(|near| write!(f, "\n      {}", near.of(&self.path)))
    }
}

impl NearMiss {
    /// What it says of the field at this path.
    fn of(&self, path: &str) -> String {
        let path = ShownPath(path);
        match self {
            Self::Case { expected, found, write: Some(write), .. } => {
                format!("{found:?} differs from {expected:?} only in case; to ignore case write {write}")
            }
            Self::Case { expected, found, part: Some(_), .. } => {
                format!("{found:?} differs from {expected:?} only in case")
            }
            Self::Case { expected, found, .. } => format!("{found:?} differs from {expected} only in case"),
            Self::WhiteSpace { expected, found } => {
                format!("{found:?} differs from {expected} only in white space around it")
            }
            Self::Type { found, is, wanted } => {
                format!("{found} is {is}; as {wanted} it would match, but a type is never another")
            }
            Self::Edits { expected, found, edits, part } => {
                let many = if *edits == 1 { "one edit" } else { "two edits" };
                let what = match part {
                    Part::Whole => "is",
                    Part::Start => "begins",
                    Part::End => "ends",
                };
                format!("{found:?} {what} {many} away from {expected:?}: is one of them mistyped?")
            }
            Self::Inside { found, part, write, .. } => {
                let (how, to_do) = match part {
                    Part::Whole => ("has it inside", "to match any text around it"),
                    Part::Start => ("begins with it", "to match any text behind it"),
                    Part::End => ("ends with it", "to match any text before it"),
                };
                let to_do = write.as_ref().map_or_else(String::new, |write| format!("; {to_do} write {write}"));
                format!("{found:?} {how}{to_do}")
            }
            Self::Alike { expected, found, characters, part } => {
                let how = if *part == Part::End { "end" } else { "begin" };
                format!("{found:?} and {expected:?} {how} with the same {characters} characters")
            }
            Self::Number { found, expected, by, .. } if *by == 0.0 => {
                format!("{found} is the bound of {expected} itself, which does not count")
            }
            Self::Number { found, expected, by, .. } => format!("{found} misses {expected} by {}", amount(*by)),
            Self::Among { found, wanted, missing } => {
                let more = if wanted - found > missing.len() { ", …" } else { "" };
                format!("found {found} of {wanted}, missing {}{more}", missing.join(", "))
            }
            Self::Conditions { found, met, of, unmet } => {
                let more = if of - met > unmet.len() { "; …" } else { "" };
                format!("{found} meets {met} of {of} conditions, but not {}{more}", unmet.join("; "))
            }
            Self::Compared { found, relation, path, values, more } => {
                let (any, are) = if values.len() == 1 && !more { ("", "the value") } else { ("any of ", "the values") };
                let more = if *more { ", …" } else { "" };
                format!("{found} is not {relation} {any}{}{more}, {are} of {}", values.join(", "), ShownPath(path))
            }
            Self::NothingToCompare { path: other, elsewhere: true, found, .. } => {
                format!("{found} has no {} in its own element of the array to be compared with", ShownPath(other))
            }
            Self::NothingToCompare { path: other, meant, found, .. } => {
                format!(
                    "{found} has nothing to be compared with: {} has no value{}",
                    ShownPath(other),
                    did_you_mean(meant)
                )
            }
            Self::Reading { found, is, .. } => format!("{found} is {is}"),
            Self::Object { fields, meant } => {
                let with =
                    if fields.is_empty() { String::new() } else { format!(" with the fields {}", paths(fields, ", ")) };
                format!("{path} is an object{with}, and an object is no value{}", did_you_mean(meant))
            }
            Self::AbsentFromEach { later } => {
                let later = ShownPath(later);
                format!("{path} comes before {later}, which chooses an element: so it must be absent from each of them")
            }
            Self::EmptyList => format!("{path} is an empty list, which is no value"),
            Self::NotAnObject { at, is } => format!("{} is {is}, so there is no {path}", ShownPath(at)),
            Self::NoSuchField { there, meant } if there.is_empty() => {
                format!("the event has no {path}{}", did_you_mean(meant))
            }
            Self::NoSuchField { there, meant } => {
                format!("{} is there, {path} is not{}", ShownPath(there), did_you_mean(meant))
            }
            Self::NeverSeen { events, meant } => {
                let none = match events {
                    1 => "the last event did not have this path".to_owned(),
                    events => format!("none of the last {events} events had this path"),
                };
                let meant = did_you_mean(meant).replacen("; did", " Did", 1);
                format!("{none}: is it mistyped in the rule?{meant}")
            }
        }
    }
}

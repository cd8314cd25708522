//! The account: a table of what was played and what came of it.

use emote_proto::{Event, EventId};
use serde_json::Value;

use super::{
    observe::Seen,
    tell::{BOLD, DIM, ERROR, GOOD},
};
use crate::scenario::{Expectation, Outcome, Step};

const EVENT: usize = 36;
const WHAT: usize = 50;
const PLACE: usize = 14;

/// The whole table, with colours.
pub(super) fn account(steps: &[Step], expectations: &[Expectation], outcomes: &[Outcome], seen: &Seen) -> String {
    let mut lines =
        vec![format!("{DIM}{:<EVENT$}  {:<WHAT$}  {:<PLACE$}{DIM:#}", "EVENT", "WHAT IT SET OFF", "SEEN IN")];
    for number in 0..=steps.len() {
        let left = steps.get(number).map_or_else(all_of_it, |step| event(step, seen));
        let here = expectations.iter().zip(outcomes).filter(|(expectation, _)| expectation.step == number);
        lines.extend(rows(&left, &here.collect::<Vec<_>>()));
    }
    let met = outcomes.iter().filter(|outcome| outcome.is_met()).count();
    let troubles = troubles(steps, seen);
    if met == outcomes.len() {
        lines.push(format!("\n{GOOD}All {met} as expected, each exactly once.{GOOD:#}"));
    } else {
        lines.push(format!("\n{ERROR}{} of {} not as expected.{ERROR:#}", outcomes.len() - met, outcomes.len()));
    }
    lines.extend(troubles);
    lines.join("\n")
}

fn all_of_it() -> Vec<(bool, String)> {
    vec![(false, "all of these together".to_owned())]
}

/// The lines of the left column, and whether each is its heading.
fn event(step: &Step, seen: &Seen) -> Vec<(bool, String)> {
    let number = step.event.and_then(|event| seen.numbers.get(&event));
    let number = number.map_or("-".to_owned(), |number| format!("#{number}"));
    let mut lines = vec![(true, format!("{number:<5}{}", step.what))];
    lines.push((false, format!("     {}", step.about)));
    lines.extend(step.note.map(|note| (false, format!("     {note}"))));
    lines
}

fn rows(left: &[(bool, String)], right: &[(&Expectation, &Outcome)]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in 0..left.len().max(right.len()) {
        let (is_heading, text) = left.get(row).map_or((false, ""), |(is_heading, text)| (*is_heading, text.as_str()));
        let style = if is_heading { BOLD } else { DIM };
        let Some((expectation, outcome)) = right.get(row) else {
            lines.push(format!("{style}{text}{style:#}"));
            continue;
        };
        let (mark, colour) = if outcome.is_met() { ("✓", GOOD) } else { ("✗", ERROR) };
        let (what, places) = (&expectation.what, places(expectation));
        lines.push(format!(
            "{style}{text:<EVENT$}{style:#}  {what:<WHAT$}  {DIM}{places:<PLACE$}{DIM:#}  {colour}{mark}{colour:#}"
        ));
        let problems = outcome.problems.iter();
        lines.extend(problems.map(|problem| format!("{:EVENT$}  {ERROR}↳ {problem}{ERROR:#}", "")));
    }
    lines
}

fn places(expectation: &Expectation) -> String {
    let mut places: Vec<&str> = Vec::new();
    for (place, _, _) in &expectation.seen {
        if !places.contains(place) {
            places.push(place);
        }
    }
    places.join(", ")
}

/// What the broker itself says went wrong with these events.
fn troubles(steps: &[Step], seen: &Seen) -> Vec<String> {
    let played: Vec<EventId> = steps.iter().filter_map(|step| step.event).collect();
    let is_trouble = |event: &&Event| {
        let of_these = event.cause.as_ref().is_some_and(|cause| played.contains(&cause.root));
        let kinds = [
            ("delivery", "dead"),
            ("delivery", "skipped"),
            ("delivery", "held"),
            ("rule", "loop_stopped"),
            ("event", "rejected"),
        ];
        of_these && kinds.contains(&(event.scope.as_str(), event.action.as_str()))
    };
    let text = |event: &Event, key| event.info_at(&[key]).and_then(Value::as_str).unwrap_or_default().to_owned();
    let told = seen.observed.events.iter().filter(is_trouble).map(|event| {
        let rule = event.cause.as_ref().map_or("", |cause| cause.rule.as_str());
        format!(
            "{ERROR}{}.{}{ERROR:#} {rule} → {}: {}",
            event.scope,
            event.action,
            text(event, "target"),
            text(event, "reason")
        )
    });
    told.collect()
}

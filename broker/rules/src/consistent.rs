//! Whether an event satisfies all fields of an alternative at once, with array consistency: values that came through
//! the same array must have come through the same element of it.
//!
//! Fields are taken in order. What is carried on is the set of element choices made so far, without the arrays that no
//! later field comes through; that keeps it about as small as the event. An absent field is one with no value that
//! agrees with the choices made by the fields before it.

use crate::compile::Field;
use crate::error::EventError;
use crate::event::{Around, Event, Found, Membership, PathId};
use std::collections::{HashMap, HashSet};

/// How many combinations of values may be tried for one event.
const MAX_STEPS: usize = 1_000_000;

/// What is left of the work that one event may cost.
#[derive(Debug)]
pub(crate) struct Budget(usize);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(MAX_STEPS)
    }

    fn spend(&mut self) -> Result<(), EventError> {
        self.0 = self.0.checked_sub(1).ok_or(EventError::TooIntricate { limit: MAX_STEPS })?;
        Ok(())
    }
}

/// Which element of which array was chosen, by array.
type Choice = Vec<(u32, u32)>;

/// Whether all fields match together.
pub(crate) fn match_together<'f>(
    fields: impl Iterator<Item = (PathId, &'f Field)> + Clone,
    event: &Event<'_>,
    budget: &mut Budget,
) -> Result<bool, EventError> {
    if !fields
        .clone()
        .all(|(path, field)| field.may_be_absent || event.at(path).iter().any(|found| field.accepts(found, event)))
    {
        return Ok(false);
    }
    let last_use = last_use(fields.clone(), event);
    let mut choices = HashSet::from([Choice::new()]);
    for (index, (path, field)) in fields.enumerate() {
        let needed = |(array, _): &(u32, u32)| last_use.get(array).is_some_and(|last| *last > index);
        choices = choose(&choices, field, (path, event), budget, needed)?;
        if choices.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Field {
    pub(crate) fn accepts(&self, found: &Found<'_>, event: &Event<'_>) -> bool {
        let around = Around { event, membership: &found.membership };
        self.matchers.iter().any(|matcher| matcher.accepts(found.value.as_value(), &around))
    }
}

fn last_use<'f>(fields: impl Iterator<Item = (PathId, &'f Field)>, event: &Event<'_>) -> HashMap<u32, usize> {
    let mut last_use = HashMap::new();
    for (index, (path, _)) in fields.enumerate() {
        let arrays = event.at(path).iter().flat_map(|found| found.membership.iter());
        last_use.extend(arrays.map(|(array, _)| (*array, index)));
    }
    last_use
}

/// All ways to go on from the choices so far with one more field.
fn choose(
    choices: &HashSet<Choice>,
    field: &Field,
    (path, event): (PathId, &Event<'_>),
    budget: &mut Budget,
    needed: impl Fn(&(u32, u32)) -> bool,
) -> Result<HashSet<Choice>, EventError> {
    // For a field that must be there, values that do not pass decide nothing.
    let values: Vec<(&Membership, bool)> = event
        .at(path)
        .iter()
        .map(|found| (&*found.membership, field.accepts(found, event)))
        .filter(|(_, passes)| *passes || field.may_be_absent)
        .collect();
    let groups = Groups::new(choices, values);
    let mut next = HashSet::new();
    for choice in choices {
        let mut absent = true;
        for (membership, passes) in groups.near(choice) {
            budget.spend()?;
            if let Some(mut merged) = merge(choice, membership) {
                absent = false;
                if *passes {
                    merged.retain(&needed);
                    next.insert(merged);
                }
            }
        }
        if absent && field.may_be_absent {
            next.insert(choice.iter().copied().filter(&needed).collect());
        }
    }
    Ok(next)
}

/// The choice and the membership together, unless they name different elements of one array. Both are sorted by array.
fn merge(choice: &Membership, membership: &Membership) -> Option<Choice> {
    let mut merged: Choice = Vec::with_capacity(choice.len() + membership.len());
    let mut rest = choice.iter().copied().peekable();
    for &(array, index) in membership {
        while let Some(chosen) = rest.next_if(|(chosen, _)| *chosen < array) {
            merged.push(chosen);
        }
        if rest.next_if(|(chosen, _)| *chosen == array).is_some_and(|(_, chosen)| chosen != index) {
            return None;
        }
        merged.push((array, index));
    }
    merged.extend(rest);
    Some(merged)
}

/// Values by their element of one array that all of them and all choices are in, so that a long array is not compared
/// with itself element by element.
struct Groups<'e> {
    array: Option<u32>,
    values: HashMap<u32, Vec<(&'e Membership, bool)>>,
}

impl<'e> Groups<'e> {
    fn new(choices: &HashSet<Choice>, values: Vec<(&'e Membership, bool)>) -> Self {
        let everywhere = |array: u32| {
            choices.iter().all(|choice| index_in(choice, array).is_some())
                && values.iter().all(|(membership, _)| index_in(membership, array).is_some())
        };
        let innermost_first = choices.iter().next().into_iter().flatten().rev().map(|(array, _)| *array);
        let array = innermost_first.into_iter().find(|array| everywhere(*array));
        let mut groups = Self { array, values: HashMap::new() };
        for value in values {
            groups.values.entry(groups.key(value.0)).or_default().push(value);
        }
        groups
    }

    fn near(&self, choice: &Membership) -> &[(&'e Membership, bool)] {
        self.values.get(&self.key(choice)).map_or(&[], Vec::as_slice)
    }

    fn key(&self, membership: &Membership) -> u32 {
        self.array.and_then(|array| index_in(membership, array)).unwrap_or(0)
    }
}

fn index_in(membership: &Membership, array: u32) -> Option<u32> {
    membership.iter().find(|(other, _)| *other == array).map(|(_, index)| *index)
}

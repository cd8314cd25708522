//! Whether an event satisfies all fields of an alternative at once, with array consistency: values that came through
//! the same array must have come through the same element of it.
//!
//! Fields are taken in order. What is carried on is the set of element choices made so far, without the arrays that no
//! later field comes through; that keeps it about as small as the event. An absent field is one with no value that
//! agrees with the choices made by the fields before it.

use crate::compile::Field;
use crate::error::EventError;
use crate::event::{Membership, Seen};
use crate::paths::PathId;

/// Working memory, kept from one use to the next.
#[derive(Debug, Default)]
pub(crate) struct Together {
    now: Choices,
    next: Choices,
    /// The values of the field in question, and whether they pass, by their element of one array.
    values: Vec<(u32, u32, bool)>,
    /// For each array the last field that comes through it, and for which use of this memory that holds.
    last_use: Vec<(u32, usize)>,
    uses: u32,
}

/// Sets of choices: which element of which array was chosen, by array. Each is a span of one list.
#[derive(Debug, Default)]
struct Choices {
    elements: Vec<(u32, u32)>,
    spans: Vec<(usize, usize)>,
}

impl Together {
    /// Whether all fields match together.
    pub(crate) fn match_all<'f>(
        &mut self,
        fields: impl Iterator<Item = (PathId, &'f Field)> + Clone,
        event: Seen<'_>,
    ) -> Result<bool, EventError> {
        self.note_last_uses(fields.clone(), event);
        self.now.clear();
        self.now.spans.push((0, 0));
        for (index, (path, field)) in fields.enumerate() {
            self.choose(index, path, field, event)?;
            if self.next.spans.is_empty() {
                return Ok(false);
            }
            std::mem::swap(&mut self.now, &mut self.next);
        }
        Ok(true)
    }

    fn note_last_uses<'f>(&mut self, fields: impl Iterator<Item = (PathId, &'f Field)>, event: Seen<'_>) {
        self.uses = self.uses.checked_add(1).unwrap_or_else(|| {
            self.last_use.fill((0, 0));
            1
        });
        for (index, (path, _)) in fields.enumerate() {
            for (array, _) in event.at(path).flat_map(|leaf| event.membership(leaf)) {
                let array = *array as usize;
                if array >= self.last_use.len() {
                    self.last_use.resize(array + 1, (0, 0));
                }
                self.last_use[array] = (self.uses, index);
            }
        }
    }

    /// All ways to go on from the choices so far with one more field.
    fn choose(&mut self, index: usize, path: PathId, field: &Field, event: Seen<'_>) -> Result<(), EventError> {
        let Self { now, next, values, last_use, uses } = self;
        let needed =
            |array: u32| last_use.get(array as usize).is_some_and(|(use_, last)| use_ == uses && *last > index);
        values.clear();
        for (place, leaf) in event.places_at(path) {
            event.step(field.matchers.steps())?;
            let passes = event.passes(leaf, &field.matchers);
            // For a field that must be there, values that do not pass decide nothing.
            if passes || field.may_be_absent {
                values.push((0, place, passes));
            }
        }
        let shared = shared_array(now, values, event);
        // By their element of the array that all are in, so that a long array is not compared with itself.
        for value in values.iter_mut() {
            value.0 = element_of(event.membership_at(value.1), shared);
        }
        values.sort_unstable();
        next.clear();
        for &(start, end) in &now.spans {
            let choice = &now.elements[start..end];
            let element = element_of(choice, shared);
            let near = values.partition_point(|value| value.0 < element);
            let mut absent = true;
            for (_, leaf, passes) in values[near..].iter().take_while(|value| value.0 == element) {
                event.step(1)?;
                let begun = next.elements.len();
                if merge(choice, event.membership_at(*leaf), &mut next.elements, needed) {
                    absent = false;
                    if *passes {
                        next.spans.push((begun, next.elements.len()));
                        continue;
                    }
                }
                next.elements.truncate(begun);
            }
            if absent && field.may_be_absent {
                let begun = next.elements.len();
                next.elements.extend(choice.iter().filter(|(array, _)| needed(*array)));
                next.spans.push((begun, next.elements.len()));
            }
        }
        next.forget_repetitions();
        Ok(())
    }
}

impl Choices {
    fn clear(&mut self) {
        self.elements.clear();
        self.spans.clear();
    }

    fn forget_repetitions(&mut self) {
        let Self { elements, spans } = self;
        spans.sort_unstable_by(|one, other| elements[one.0..one.1].cmp(&elements[other.0..other.1]));
        spans.dedup_by(|one, other| elements[one.0..one.1] == elements[other.0..other.1]);
    }
}

/// Writes the choice and the membership together, without the arrays that are not needed, unless they name different
/// elements of one array. Both are sorted by array.
fn merge(
    choice: &Membership,
    membership: &Membership,
    into: &mut Vec<(u32, u32)>,
    needed: impl Fn(u32) -> bool,
) -> bool {
    let mut write = |element: (u32, u32)| {
        if needed(element.0) {
            into.push(element);
        }
    };
    let mut rest = choice.iter().copied().peekable();
    for &(array, index) in membership {
        while let Some(chosen) = rest.next_if(|(chosen, _)| *chosen < array) {
            write(chosen);
        }
        if rest.next_if(|(chosen, _)| *chosen == array).is_some_and(|(_, chosen)| chosen != index) {
            return false;
        }
        write((array, index));
    }
    rest.for_each(write);
    true
}

/// An array that all choices and all values are in, an inner one before an outer one.
fn shared_array(choices: &Choices, values: &[(u32, u32, bool)], event: Seen<'_>) -> Option<u32> {
    let (start, end) = *choices.spans.first()?;
    let everywhere = |array: &u32| {
        choices.spans.iter().all(|(start, end)| has(&choices.elements[*start..*end], *array))
            && values.iter().all(|(_, leaf, _)| has(event.membership_at(*leaf), *array))
    };
    choices.elements[start..end].iter().rev().map(|(array, _)| *array).find(everywhere)
}

fn has(membership: &Membership, array: u32) -> bool {
    membership.iter().any(|(other, _)| *other == array)
}

fn element_of(membership: &Membership, array: Option<u32>) -> u32 {
    membership.iter().find(|(other, _)| Some(*other) == array).map_or(0, |(_, index)| *index)
}

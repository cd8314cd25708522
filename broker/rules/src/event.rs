//! An event as rules see it: for each path that some rule names, the values found there and the arrays they came
//! through.
//!
//! An array adds no name to a path: each of its elements stands at the array's own path. Reading an event walks its
//! tokens once. What no rule names is checked to be JSON and forgotten. All memory is kept for the next event.

mod related;
mod walk;

use crate::error::EventError;
use crate::hint::Pairs;
use crate::json::{JsonError, Reader};
use crate::number;
use crate::operator::AnyOf;
use crate::paths::{PathId, Paths};
use crate::relation::Relation;
use crate::scan::{Suspect, Tokens};
use crate::table::Key;
use crate::value::{Surroundings, Value};
use related::Related;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// The values of one event at the paths that rules name, without the text they stand in.
#[derive(Debug, Default)]
pub(crate) struct Event {
    tokens: Tokens,
    found: Found,
}

/// What a walk through an event collects.
#[derive(Debug, Default)]
struct Found {
    leaves: Vec<Leaf>,
    by_path: Vec<AtPath>,
    /// Tells the entries of `by_path` that are of this event.
    epoch: u32,
    memberships: Vec<(u32, u32)>,
    /// Strings that stand with escapes in the text, without them.
    unescaped: Vec<u8>,
    inside: Inside,
    /// How many steps matching may still take.
    steps: Cell<usize>,
    /// What was decided once for all values, by the address of the test.
    decided: RefCell<HashMap<usize, bool>>,
    /// The fields that values were compared with.
    related: RefCell<Related>,
}

/// How many steps matching may take for one event: tests of values and tries of combinations of array elements.
const MAX_STEPS: usize = 10_000_000;

/// The array elements that are open around a value, as a membership that is written down when a value needs it.
#[derive(Debug, Default)]
struct Inside {
    elements: Vec<(u32, u32)>,
    written: Option<u32>,
    /// How many arrays have begun.
    arrays: u32,
}

/// A value at a path.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) path: u32,
    kind: Kind,
    /// In the text, or if unescaped among the unescaped.
    start: u32,
    end: u32,
    membership: (u32, u32),
    /// The next leaf of the same path.
    next: u32,
    /// The value by which it is compared, once that is known, if there is one.
    number: Cell<Option<Option<f64>>>,
    /// Its pairs of bytes, once they are known.
    pairs: Cell<Option<Pairs>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    True,
    False,
    Number,
    String,
    Unescaped,
}

/// The first and the last leaf of a path.
#[derive(Debug, Default, Clone, Copy)]
struct AtPath {
    epoch: u32,
    first: u32,
    last: u32,
    in_arrays: bool,
}

/// There is no further leaf.
const END: u32 = u32::MAX;

/// The arrays a value came through, outermost first, and the index in each. Arrays are numbered in the order in which
/// they begin; plain values of an array count as not being in it.
pub(crate) type Membership = [(u32, u32)];

impl Event {
    /// Reads an event. As in the reference, what follows the object is not read.
    pub(crate) fn read<'e>(&'e mut self, text: &'e [u8], paths: &'e Paths) -> Result<Seen<'e>, EventError> {
        if self.walk(text, paths).is_err() {
            let end = end_of_object(text)?;
            // Only what follows the object made it suspect.
            let text = text.get(..end).unwrap_or(text);
            self.walk(text, paths).map_err(|Suspect| JsonError { at: 0, what: "it cannot be read" })?;
        }
        Ok(Seen { text, paths, found: &self.found })
    }

    fn walk(&mut self, text: &[u8], paths: &Paths) -> Result<(), Suspect> {
        self.found.clear(paths.count());
        self.tokens.scan(text)?;
        if !self.tokens.is_ascii() && std::str::from_utf8(text).is_err() {
            return Err(Suspect);
        }
        walk::walk(text, &self.tokens, paths, &mut self.found);
        Ok(())
    }
}

/// Reads an event the slow way: where its object ends, or what is wrong with it.
fn end_of_object(text: &[u8]) -> Result<usize, EventError> {
    let text = std::str::from_utf8(text).map_err(|error| EventError::Utf8 { at: error.valid_up_to() })?;
    let mut reader = Reader::new(text);
    let first = reader.peek()?;
    reader.skip()?;
    if first == b'{' { Ok(reader.at()) } else { Err(EventError::NotAnObject) }
}

impl Found {
    fn clear(&mut self, paths: usize) {
        self.leaves.clear();
        self.memberships.clear();
        self.unescaped.clear();
        self.inside.elements.clear();
        (self.inside.written, self.inside.arrays) = (None, 0);
        self.steps.set(MAX_STEPS);
        self.decided.get_mut().clear();
        self.related.get_mut().clear();
        if self.by_path.len() < paths {
            self.by_path.resize(paths, AtPath::default());
        }
        self.epoch = self.epoch.checked_add(1).unwrap_or_else(|| {
            self.by_path.fill(AtPath::default());
            1
        });
    }

    fn at(&self, path: PathId) -> Option<AtPath> {
        self.by_path.get(path).copied().filter(|at| at.epoch == self.epoch)
    }

    /// Where the membership of a value that stands here is written, and how long it is.
    #[inline(always)]
    fn membership(&mut self) -> (u32, u32) {
        // Elements and memberships are fewer than bytes, which u32 counts.
        let place = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let length = place(self.inside.elements.len());
        if length == 0 {
            return (0, 0);
        }
        let start = self.inside.written.unwrap_or_else(|| {
            let start = place(self.memberships.len());
            self.memberships.extend_from_slice(&self.inside.elements);
            start
        });
        self.inside.written = Some(start);
        (start, length)
    }

    #[inline(always)]
    fn add(&mut self, path: u32, kind: Kind, (start, end): (u32, u32), membership: (u32, u32)) {
        let Ok(index) = u32::try_from(self.leaves.len()) else { return };
        let Some(at) = self.by_path.get_mut(path as usize) else { return };
        if at.epoch == self.epoch {
            if let Some(last) = self.leaves.get_mut(at.last as usize) {
                last.next = index;
            }
            at.last = index;
            at.in_arrays |= membership.1 != 0;
        } else {
            *at = AtPath { epoch: self.epoch, first: index, last: index, in_arrays: membership.1 != 0 };
        }
        let (number, pairs) = (Cell::new(None), Cell::new(None));
        self.leaves.push(Leaf { path, kind, start, end, membership, next: END, number, pairs });
    }
}

impl Inside {
    /// The number of a new array.
    fn begin(&mut self) -> u32 {
        self.arrays += 1;
        self.arrays - 1
    }

    fn enter(&mut self, array: u32, index: u32) {
        self.elements.push((array, index));
        self.written = None;
    }

    fn leave(&mut self) {
        self.elements.pop();
        self.written = None;
    }
}

/// An event with its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'e> {
    text: &'e [u8],
    paths: &'e Paths,
    found: &'e Found,
}

impl<'e> Seen<'e> {
    /// All values, in the order of the text.
    pub(crate) fn leaves(self) -> &'e [Leaf] {
        &self.found.leaves
    }

    /// The values at a path, in the order of the text.
    pub(crate) fn at(self, path: PathId) -> impl Iterator<Item = &'e Leaf> {
        self.places_at(path).map(|(_, leaf)| leaf)
    }

    /// The values at a path, and their places among all values.
    pub(crate) fn places_at(self, path: PathId) -> impl Iterator<Item = (u32, &'e Leaf)> {
        let first = self.found.at(path).map_or(END, |at| at.first);
        let leaf = move |place: u32| self.found.leaves.get(place as usize).map(|leaf| (place, leaf));
        std::iter::successors(leaf(first), move |(_, last)| leaf(last.next))
    }

    /// The membership of the value at this place among all values.
    pub(crate) fn membership_at(self, place: u32) -> &'e Membership {
        self.found.leaves.get(place as usize).map_or(&[], |leaf| self.membership(leaf))
    }

    /// Whether there is a value at a path.
    pub(crate) fn has(self, path: PathId) -> bool {
        self.found.at(path).is_some()
    }

    /// Whether some value at a path came through an array.
    pub(crate) fn in_arrays(self, path: PathId) -> bool {
        self.found.at(path).is_some_and(|at| at.in_arrays)
    }

    /// Whether any value came through an array.
    pub(crate) fn has_arrays(self) -> bool {
        !self.found.memberships.is_empty()
    }

    pub(crate) fn membership(self, leaf: &Leaf) -> &'e Membership {
        let (start, length) = leaf.membership;
        self.found.memberships.get(start as usize..).and_then(|rest| rest.get(..length as usize)).unwrap_or_default()
    }

    pub(crate) fn value(self, leaf: &Leaf) -> Value<'e> {
        match leaf.kind {
            Kind::Null => Value::Null,
            Kind::True => Value::Bool(true),
            Kind::False => Value::Bool(false),
            Kind::Number => Value::Number { text: self.text(leaf), value: self.comparable(leaf) },
            Kind::String | Kind::Unescaped => Value::String(self.text(leaf)),
        }
    }

    /// A string without its escapes, or how anything else is written.
    #[inline]
    pub(crate) fn text(self, leaf: &Leaf) -> &'e [u8] {
        let bytes = if leaf.kind == Kind::Unescaped { &self.found.unescaped } else { self.text };
        bytes.get(leaf.start as usize..leaf.end as usize).unwrap_or_default()
    }

    /// The same, ready to be looked up.
    #[inline(always)]
    pub(crate) fn key(self, leaf: &Leaf) -> Key<'e> {
        let bytes = if leaf.kind == Kind::Unescaped { &self.found.unescaped } else { self.text };
        Key::within(bytes, leaf.start as usize..leaf.end as usize)
    }

    /// The pairs of neighbouring bytes in a value at a path, or any pairs if there are several values.
    pub(crate) fn some_pairs(self, path: u32) -> Option<Pairs> {
        let at = self.found.at(path as usize)?;
        if at.first != at.last {
            return Some(Pairs::any());
        }
        let leaf = self.found.leaves.get(at.first as usize)?;
        let pairs = leaf.pairs.get().unwrap_or_else(|| Pairs::of(self.text(leaf)));
        leaf.pairs.set(Some(pairs));
        Some(pairs)
    }

    /// The value by which a number is compared.
    #[inline]
    pub(crate) fn comparable(self, leaf: &Leaf) -> Option<f64> {
        leaf.number.get().unwrap_or_else(|| {
            let value = number::comparable(self.text(leaf));
            leaf.number.set(Some(value));
            value
        })
    }

    /// Takes so many steps.
    #[inline(always)]
    pub(crate) fn step(self, count: usize) -> Result<(), EventError> {
        match self.found.steps.get().checked_sub(count) {
            Some(rest) => {
                self.found.steps.set(rest);
                Ok(())
            }
            None => {
                // So that those notice who cannot be told at once.
                self.found.steps.set(0);
                Err(EventError::TooIntricate { limit: MAX_STEPS })
            }
        }
    }

    /// Whether a value passes one of these tests.
    pub(crate) fn passes(self, leaf: &Leaf, tests: &AnyOf) -> bool {
        let (value, around) = (self.value(leaf), self.around(leaf));
        tests.accepts(value, &around)
    }

    /// What a value has around it.
    pub(crate) fn around(self, leaf: &Leaf) -> Around<'e> {
        Around { event: self, membership: self.membership(leaf) }
    }
}

impl Leaf {
    pub(crate) fn is_string(&self) -> bool {
        matches!(self.kind, Kind::String | Kind::Unescaped)
    }

    pub(crate) fn is_number(&self) -> bool {
        self.kind == Kind::Number
    }
}

/// A value among the others of its event.
#[derive(Debug)]
pub(crate) struct Around<'e> {
    event: Seen<'e>,
    membership: &'e Membership,
}

impl Around<'_> {
    fn find(&self, path: &str, near: bool, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let Some(path) = self.event.paths.find(path) else { return false };
        let is_near = |leaf: &Leaf| agree(self.event.membership(leaf), self.membership);
        let mut values = self.event.at(path).take_while(|_| self.event.step(1).is_ok());
        values.any(|leaf| (!near || is_near(leaf)) && passes(self.event.value(leaf)))
    }
}

impl Surroundings for Around<'_> {
    fn some(&self, path: &str, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        self.find(path, false, passes)
    }

    fn some_near(&self, path: &str, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        self.find(path, true, passes)
    }

    fn afford(&self, steps: usize) -> bool {
        self.event.step(steps).is_ok()
    }

    fn some_related(&self, path: &str, value: Value<'_>, relation: Relation) -> bool {
        let Some(path) = self.event.paths.find(path) else { return false };
        self.event.found.related.borrow_mut().some(path, (value, self.membership), relation, self.event)
    }

    fn once(&self, key: usize, decide: &mut dyn FnMut() -> bool) -> bool {
        let known = self.event.found.decided.borrow().get(&key).copied();
        known.unwrap_or_else(|| {
            let decided = decide();
            self.event.found.decided.borrow_mut().insert(key, decided);
            decided
        })
    }
}

/// Whether no array is in both with different elements.
pub(crate) fn agree(one: &Membership, other: &Membership) -> bool {
    one.iter().all(|(array, index)| other.iter().all(|(at, chosen)| at != array || chosen == index))
}

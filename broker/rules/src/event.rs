//! An event as rules see it: for each path that some rule names, the values found there and the arrays they came
//! through.
//!
//! A path is the names on the way joined by dots, so `{"a": {"b": 1}}` and `{"a.b": 1}` are the same. Arrays add no
//! name: each of their elements stands at the array's own path. What no rule names is checked to be JSON and skipped.

use crate::error::EventError;
use crate::json::{JsonError, Reader};
use crate::scalar::Scalar;
use crate::value::{Surroundings, Value};
use std::collections::HashMap;

/// The number of a path that some rule names.
pub(crate) type PathId = usize;

/// The paths that rules name, and the ways that lead there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paths {
    steps: HashMap<String, Step>,
    count: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Step {
    path: Option<PathId>,
    leads_on: bool,
}

/// The arrays a value came through, outermost first, and the index in each.
pub(crate) type Membership = [(u32, u32)];

/// A value at a path.
#[derive(Debug)]
pub(crate) struct Found<'e> {
    pub(crate) value: Scalar<'e>,
    pub(crate) membership: Box<Membership>,
}

/// The values of one event at the paths that rules name.
#[derive(Debug, Default)]
pub(crate) struct Event<'e> {
    fields: HashMap<PathId, Vec<Found<'e>>>,
    ids: HashMap<String, PathId>,
}

/// A value among the others of its event.
pub(crate) struct Around<'a, 'e> {
    pub(crate) event: &'a Event<'e>,
    pub(crate) membership: &'a Membership,
}

impl Paths {
    /// The number of this path, a new one if it has none.
    pub(crate) fn id(&mut self, path: &str) -> PathId {
        for (dot, _) in path.match_indices('.') {
            self.steps.entry(path[..dot].to_owned()).or_default().leads_on = true;
        }
        let count = &mut self.count;
        *self.steps.entry(path.to_owned()).or_default().path.get_or_insert_with(|| {
            *count += 1;
            *count - 1
        })
    }
}

impl<'e> Event<'e> {
    /// Reads an event. As in the reference, what follows the object is not read.
    pub(crate) fn read(json: &'e [u8], paths: &Paths) -> Result<Self, EventError> {
        let text = std::str::from_utf8(json).map_err(|error| EventError::Utf8 { at: error.valid_up_to() })?;
        let mut reader = Reader::new(text);
        if reader.peek()? != b'{' {
            reader.skip()?;
            return Err(EventError::NotAnObject);
        }
        let mut flattening =
            Flattening { paths, path: String::new(), inside: Vec::new(), arrays: 0, event: Self::default() };
        flattening.object(&mut reader, true)?;
        let mut event = flattening.event;
        event.ids = paths.steps.iter().filter_map(|(name, step)| Some((name.clone(), step.path?))).collect();
        Ok(event)
    }

    pub(crate) fn at(&self, path: PathId) -> &[Found<'e>] {
        self.fields.get(&path).map_or(&[], Vec::as_slice)
    }

    /// The paths at which there are values.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (PathId, &[Found<'e>])> {
        self.fields.iter().map(|(path, found)| (*path, found.as_slice()))
    }
}

impl Around<'_, '_> {
    fn find(&self, path: &str, near: bool, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let found = self.event.ids.get(path).map_or(&[][..], |path| self.event.at(*path));
        found.iter().any(|found| (!near || agree(&found.membership, self.membership)) && passes(found.value.as_value()))
    }
}

impl Surroundings for Around<'_, '_> {
    fn some(&self, path: &str, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        self.find(path, false, passes)
    }

    fn some_near(&self, path: &str, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        self.find(path, true, passes)
    }
}

fn agree(one: &Membership, other: &Membership) -> bool {
    one.iter().all(|(array, index)| other.iter().all(|(at, chosen)| at != array || chosen == index))
}

struct Flattening<'p, 'e> {
    paths: &'p Paths,
    path: String,
    inside: Vec<(u32, u32)>,
    arrays: u32,
    event: Event<'e>,
}

impl<'e> Flattening<'_, 'e> {
    fn object(&mut self, reader: &mut Reader<'e>, outermost: bool) -> Result<(), JsonError> {
        let above = self.path.len();
        reader.object(|reader, name| {
            if !outermost {
                self.path.push('.');
            }
            self.path.push_str(&name);
            let read = match self.paths.steps.get(&self.path) {
                Some(step) => self.value(reader, *step),
                None => reader.skip(),
            };
            self.path.truncate(above);
            read
        })
    }

    fn value(&mut self, reader: &mut Reader<'e>, step: Step) -> Result<(), JsonError> {
        match (reader.peek()?, step) {
            (b'{', Step { leads_on: true, .. }) => self.object(reader, false),
            (b'{', _) => reader.skip(),
            (b'[', _) => self.array(reader, step),
            (_, Step { path: Some(path), .. }) => {
                let found = Found { value: reader.scalar()?, membership: self.inside.as_slice().into() };
                self.event.fields.entry(path).or_default().push(found);
                Ok(())
            }
            _ => reader.skip(),
        }
    }

    /// Plain values of an array count as not being in it: two fields may take them from different places.
    fn array(&mut self, reader: &mut Reader<'e>, step: Step) -> Result<(), JsonError> {
        let array = self.arrays;
        self.arrays += 1;
        reader.array(|reader, index| {
            if !matches!(reader.peek()?, b'{' | b'[') {
                return self.value(reader, step);
            }
            self.inside.push((array, index));
            let read = self.value(reader, step);
            self.inside.pop();
            read
        })
    }
}

//! An event as people look at it: the values at the paths that are asked for, where in it they stand, and what else the
//! event has, for "did you mean".
//!
//! Matching has its own view of an event, made for speed; this one is made for telling. It never decides whether a
//! pattern matches.

use crate::compile::Field;
use crate::scalar::Scalar;
use crate::tree::{Node, Tree};
use crate::value::{Surroundings, Value};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

/// How many paths of an event are known besides those that are asked for.
pub(super) const MAX_PATHS: usize = 4_096;
/// How long such a path is at most, in bytes.
pub(super) const MAX_PATH: usize = 512;
/// How many bytes of a place are told.
const MAX_PLACE: usize = 256;

/// The arrays a value came through, outermost first, each with the index of the element.
type Elements = [(usize, u32)];

/// An event's values by path, and what stands around them.
#[derive(Debug, Default)]
pub(super) struct Shape<'t> {
    values: HashMap<&'t str, Vec<Leaf<'t>>>,
    known: BTreeMap<String, Entry<'t>>,
    /// Whether it has more paths than are known.
    more: bool,
    /// Of each array, how much of a path leads to it.
    arrays: Vec<usize>,
    /// What was decided once for all values, by the address of the test.
    decided: RefCell<HashMap<usize, bool>>,
}

/// A value.
#[derive(Debug)]
pub(super) struct Leaf<'t> {
    pub(super) value: &'t Scalar<'t>,
    elements: Box<Elements>,
    /// Where it stands directly in an array; such a value is not bound to that element.
    index: Option<(usize, u32)>,
}

impl Leaf<'_> {
    /// Whether it is bound to an element of an array.
    pub(super) fn is_in_element(&self) -> bool {
        !self.elements.is_empty()
    }
}

/// What stands at a path; several things may, in different elements of an array.
#[derive(Debug, Default)]
pub(super) struct Entry<'t> {
    pub(super) value: Option<&'t Scalar<'t>>,
    pub(super) object: bool,
    pub(super) empty_list: bool,
}

/// What is left of the tests that may be made for one answer.
#[derive(Debug)]
pub(super) struct Tests {
    left: Cell<usize>,
    over: Cell<bool>,
}

impl Tests {
    pub(super) fn new(many: usize) -> Self {
        Self { left: Cell::new(many), over: Cell::new(false) }
    }

    /// Whether this much may still be done.
    pub(super) fn spend(&self, many: usize) -> bool {
        let left = self.left.get().checked_sub(many);
        self.left.set(left.unwrap_or(0));
        self.over.set(self.over.get() || left.is_none());
        left.is_some()
    }

    /// Whether that much is left, and so done. Unlike [`Tests::spend`], asking for more leaves what there is.
    pub(super) fn afford(&self, many: usize) -> bool {
        many <= self.left.get() && self.spend(many)
    }

    /// Whether more was to be done than there was: what a test said since then does not count.
    pub(super) fn are_over(&self) -> bool {
        self.over.get()
    }

    /// Does a part of the work with no more than so many, so that enough is left for the others.
    pub(super) fn at_most<T>(&self, many: usize, work: impl FnOnce(&Self) -> T) -> T {
        let left = self.left.get();
        let part = Self::new(many.min(left));
        let done = work(&part);
        self.left.set(left - many.min(left) + part.left.get());
        self.over.set(self.over.get() || (part.are_over() && many > left));
        done
    }
}

impl<'t> Shape<'t> {
    /// Looks at an event, for the values of these paths.
    pub(super) fn new(event: &'t Node<'t>, wanted: &'t HashSet<String>) -> Self {
        let longest = wanted.iter().map(String::len).max().unwrap_or(0).max(MAX_PATH);
        let mut walk =
            Walk { wanted, longest, path: String::new(), depth: 0, elements: Vec::new(), shape: Self::default() };
        walk.value(event, None);
        walk.shape
    }

    /// The values of a path that was asked for.
    pub(super) fn at(&self, path: &str) -> &[Leaf<'t>] {
        self.values.get(path).map_or(&[], Vec::as_slice)
    }

    /// What stands at a path, if that is known.
    pub(super) fn entry(&self, path: &str) -> Option<&Entry<'t>> {
        self.known.get(path)
    }

    /// What is known to stand below an object; an empty path is the event.
    pub(super) fn below(&self, path: &str) -> impl Iterator<Item = (&str, &Entry<'t>)> {
        let start = if path.is_empty() { String::new() } else { format!("{path}.") };
        let range = self.known.range(start.clone()..).take_while(move |(found, _)| found.starts_with(&start));
        range.map(|(path, entry)| (path.as_str(), entry)).filter(|(path, _)| !path.is_empty())
    }

    /// Every path that is known; nothing in place of the one too many.
    pub(super) fn paths(&self) -> impl Iterator<Item = Option<&str>> {
        let more = self.more.then_some(None);
        self.known.keys().filter(|path| !path.is_empty()).map(|path| Some(path.as_str())).chain(more)
    }

    /// The arrays that the values of a path came through.
    pub(super) fn arrays_of(&self, path: &str) -> HashSet<usize> {
        self.at(path).iter().flat_map(|leaf| &leaf.elements).map(|(array, _)| *array).collect()
    }

    /// Whether a value is as a field wants it; nothing if there are not enough tests left to know.
    pub(super) fn accepts(&self, field: &Field, leaf: &Leaf<'_>, tests: &Tests) -> Option<bool> {
        let around = self.around(leaf, tests);
        let accepted = tests.spend(field.matchers.steps()) && field.matchers.accepts(leaf.value.as_value(), &around);
        (!tests.are_over()).then_some(accepted)
    }

    /// Whether one of a field's values is as it wants it; nothing if there are not enough tests left to know.
    pub(super) fn accepts_some(&self, field: &Field, tests: &Tests) -> Option<bool> {
        let mut judged = self.at(&field.path).iter().map(|leaf| self.accepts(field, leaf, tests));
        judged.find(|accepted| *accepted != Some(false)).unwrap_or(Some(false))
    }

    pub(super) fn around<'s>(&'s self, leaf: &'s Leaf<'_>, tests: &'s Tests) -> Around<'s, 't> {
        Around { shape: self, elements: &leaf.elements, tests }
    }

    /// Where a value stands: `apps[1].name`.
    pub(super) fn place(&self, path: &str, leaf: &Leaf<'_>) -> String {
        let mut place = String::new();
        let done = self.write_elements(&mut place, path, leaf.elements.iter().chain(&leaf.index));
        place.push_str(&path[done..]);
        cut_place(place)
    }

    /// The innermost element of an array that a value came through: `apps[1]`.
    pub(super) fn element(&self, path: &str, leaf: &Leaf<'_>) -> Option<String> {
        let mut place = String::new();
        self.write_elements(&mut place, path, leaf.elements.iter());
        leaf.is_in_element().then(|| cut_place(place))
    }

    fn write_elements<'x>(
        &self,
        place: &mut String,
        path: &str,
        elements: impl Iterator<Item = &'x (usize, u32)>,
    ) -> usize {
        let mut done = 0;
        for (array, index) in elements.take(MAX_PLACE) {
            place.push_str(&path[done..self.arrays[*array]]);
            done = self.arrays[*array];
            let _ = write!(place, "[{index}]");
        }
        done
    }
}

fn cut_place(mut place: String) -> String {
    if place.len() > MAX_PLACE {
        place.truncate(place.floor_char_boundary(MAX_PLACE));
        place.push('…');
    }
    place
}

struct Walk<'t> {
    wanted: &'t HashSet<String>,
    longest: usize,
    path: String,
    depth: usize,
    elements: Vec<(usize, u32)>,
    shape: Shape<'t>,
}

impl<'t> Walk<'t> {
    fn value(&mut self, node: &'t Node<'t>, index: Option<(usize, u32)>) {
        match &node.value {
            Tree::Object(members) => self.object(members),
            Tree::List(nodes) => self.list(nodes),
            Tree::Scalar(value) => {
                self.note(|entry| _ = entry.value.get_or_insert(value));
                if let Some(path) = self.wanted.get(self.path.as_str()) {
                    let leaf = Leaf { value, elements: self.elements.as_slice().into(), index };
                    self.shape.values.entry(path).or_default().push(leaf);
                }
            }
        }
    }

    fn object(&mut self, members: &'t [(String, Node<'t>)]) {
        self.note(|entry| entry.object = true);
        let above = self.path.len();
        self.depth += 1;
        for (name, node) in members {
            if self.depth > 1 {
                self.path.push('.');
            }
            self.path.push_str(name);
            if self.path.len() <= self.longest {
                self.value(node, None);
            } else {
                self.shape.more = true;
            }
            self.path.truncate(above);
        }
        self.depth -= 1;
    }

    fn list(&mut self, nodes: &'t [Node<'t>]) {
        if nodes.is_empty() {
            self.note(|entry| entry.empty_list = true);
        }
        let array = self.shape.arrays.len();
        self.shape.arrays.push(self.path.len());
        for (index, node) in (0_u32..).zip(nodes) {
            if matches!(node.value, Tree::Scalar(_)) {
                self.value(node, Some((array, index)));
                continue;
            }
            self.elements.push((array, index));
            self.value(node, None);
            self.elements.pop();
        }
    }

    fn note(&mut self, note: impl FnOnce(&mut Entry<'t>)) {
        let known = &mut self.shape.known;
        let room = known.len() <= MAX_PATHS && self.path.len() <= MAX_PATH;
        match known.get_mut(self.path.as_str()) {
            Some(entry) => note(entry),
            None if room => {
                note(known.entry(self.path.clone()).or_default());
            }
            None => self.shape.more = true,
        }
    }
}

/// A value among the others of its event; to look at one of them is a test too.
pub(super) struct Around<'s, 't> {
    shape: &'s Shape<'t>,
    elements: &'s Elements,
    tests: &'s Tests,
}

impl Surroundings for Around<'_, '_> {
    fn some(&self, path: &str, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let mut leaves = self.shape.at(path).iter().take_while(|_| self.tests.spend(1));
        leaves.any(|leaf| passes(leaf.value.as_value()))
    }

    fn afford(&self, steps: usize) -> bool {
        self.tests.spend(steps)
    }

    fn once(&self, key: usize, decide: &mut dyn FnMut() -> bool) -> bool {
        let known = self.shape.decided.borrow().get(&key).copied();
        known.unwrap_or_else(|| {
            let decided = decide();
            if !self.tests.are_over() {
                self.shape.decided.borrow_mut().insert(key, decided);
            }
            decided
        })
    }

    fn some_near(&self, path: &str, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let near = |leaf: &&Leaf<'_>| {
            let here = |(array, index): &(usize, u32)| {
                self.elements.iter().all(|(other, chosen)| other != array || chosen == index)
            };
            leaf.elements.iter().all(here)
        };
        let leaves = self.shape.at(path).iter().take_while(|_| self.tests.spend(1));
        leaves.filter(near).any(|leaf| passes(leaf.value.as_value()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_say_where_they_stand() {
        let json = r#"{"a": [{"b": 1}, {"b": [2, [3]]}], "a.b": 4, "c": [5, 6], "d": {"e": [[{"f": 7}]]}, "g": [], "": {"h": 8}}"#;
        let event = Node::read(json).unwrap();
        let wanted = ["a.b", "c", "d.e.f", ".h"].map(str::to_owned).into();
        let shape = Shape::new(&event, &wanted);
        let places = |path: &str| shape.at(path).iter().map(|leaf| shape.place(path, leaf)).collect::<Vec<_>>();
        assert_eq!(places("a.b"), ["a[0].b", "a[1].b[0]", "a[1].b[1][0]", "a.b"]);
        assert_eq!(places("c"), ["c[0]", "c[1]"]);
        assert_eq!(places("d.e.f"), ["d.e[0][0].f"]);
        assert_eq!(places(".h"), [".h"]);
        let elements = |path: &str| shape.at(path).iter().map(|leaf| shape.element(path, leaf)).collect::<Vec<_>>();
        assert_eq!(elements("a.b"), [Some("a[0]".into()), Some("a[1]".into()), Some("a[1].b[1]".into()), None]);
        assert_eq!(shape.below("a").map(|(path, _)| path).collect::<Vec<_>>(), ["a.b"]);
        assert!(shape.entry("g").unwrap().empty_list && shape.entry("d.e").unwrap().object);
        assert!(shape.entry("d").unwrap().value.is_none() && shape.entry("z").is_none());
    }

    #[test]
    fn what_is_known_of_an_event_is_bounded() {
        let many: Vec<String> = (0..10_000).map(|n| format!("\"k{n}\": {{\"x\": [1]}}")).collect();
        let long = "k".repeat(10_000);
        let json = format!("{{{}, {long:?}: 1}}", many.join(","));
        let event = Node::read(&json).unwrap();
        let wanted = HashSet::from(["k9999.x".to_owned(), long.clone()]);
        let shape = Shape::new(&event, &wanted);
        assert_eq!((shape.at("k9999.x").len(), shape.at(&long).len()), (1, 1));
        assert!(shape.paths().count() <= MAX_PATHS + 1 && shape.paths().last() == Some(None));
    }
}

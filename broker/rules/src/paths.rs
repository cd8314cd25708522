//! The paths that rules name, as a tree of names: what a walk through an event looks for.
//!
//! A path is names joined by dots, and a name in an event may itself hold dots: `{"a": {"b": 1}}` and `{"a.b": 1}` are the
//! same. So the tree's names hold none, and a name of an event that has some is taken apart.

mod names;

use names::{Names, NamesOf};
use std::collections::HashMap;

/// The number of a path; the paths of a set are numbered from 0.
pub(crate) type PathId = usize;

/// Paths that are gathered.
#[derive(Debug, Default)]
pub(crate) struct PathsBuilder {
    nodes: Vec<Growing>,
    count: u32,
}

#[derive(Debug, Default)]
struct Growing {
    names: HashMap<Box<str>, u32>,
    path: Option<u32>,
}

/// The paths that rules name.
#[derive(Debug)]
pub(crate) struct Paths {
    nodes: Box<[Node]>,
    names: Names,
    count: usize,
}

/// A place in the tree.
#[derive(Debug)]
pub(crate) struct Node {
    names: NamesOf,
    /// The path that ends here.
    pub(crate) path: Option<u32>,
    /// Whether names lead on from here.
    pub(crate) leads_on: bool,
    /// Whether two names lead on from here, so that one with a dot may.
    deep: bool,
}

impl PathsBuilder {
    /// The number of this path, a new one if it has none.
    pub(crate) fn id(&mut self, path: &str) -> PathId {
        let mut node = self.node(0);
        for name in path.split('.') {
            let known = self.nodes[node].names.get(name).copied();
            node = known.map_or_else(|| self.grow(node, name), |known| known as usize);
        }
        let count = &mut self.count;
        let path = self.nodes[node].path.get_or_insert_with(|| {
            *count += 1;
            *count - 1
        });
        *path as usize
    }

    fn grow(&mut self, node: usize, name: &str) -> usize {
        let new = self.nodes.len();
        // A set has fewer names than 2^32: they would not fit into memory.
        self.nodes[node].names.insert(name.into(), u32::try_from(new).unwrap_or(u32::MAX));
        self.node(new)
    }

    fn node(&mut self, index: usize) -> usize {
        if index >= self.nodes.len() {
            self.nodes.resize_with(index + 1, Growing::default);
        }
        index
    }

    /// The paths, ready to be looked for.
    pub(crate) fn build(mut self) -> Paths {
        self.node(0);
        let leads_on = |node: &u32| !self.nodes[*node as usize].names.is_empty();
        let mut names = Names::default();
        let nodes = self.nodes.iter().map(|node| Node {
            names: names.add(node.names.iter().map(|(name, node)| (&**name, *node)).collect()),
            path: node.path,
            leads_on: !node.names.is_empty(),
            deep: node.names.values().any(leads_on),
        });
        Paths { nodes: nodes.collect(), names, count: self.count as usize }
    }
}

impl Paths {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The number of a path that is one of these.
    pub(crate) fn find(&self, path: &str) -> Option<PathId> {
        self.follow(self.root()?, path.as_bytes())?.path.map(|path| path as usize)
    }

    /// Where all paths begin.
    pub(crate) fn root(&self) -> Option<&Node> {
        self.nodes.first()
    }

    /// Where a name of an event leads, given as a piece of a text. `has_dot` is asked only if it matters.
    #[inline(always)]
    pub(crate) fn child<'p>(
        &'p self,
        node: &'p Node,
        text: &[u8],
        (from, to): (u32, u32),
        has_dot: impl FnOnce() -> bool,
    ) -> Option<&'p Node> {
        match self.names.find(&node.names, text, from as usize, to as usize) {
            Some(child) => self.nodes.get(child as usize),
            None if node.deep && has_dot() => self.follow(node, text.get(from as usize..to as usize)?),
            None => None,
        }
    }

    #[cold]
    fn follow<'p>(&'p self, node: &'p Node, names: &[u8]) -> Option<&'p Node> {
        names
            .split(|byte| *byte == b'.')
            .try_fold(node, |node, name| self.nodes.get(self.names.find(&node.names, name, 0, name.len())? as usize))
    }
}

impl Default for Paths {
    fn default() -> Self {
        PathsBuilder::default().build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dots_are_several() {
        let mut builder = PathsBuilder::default();
        let ids: Vec<PathId> = ["a.b", "a", "", "a..c", ".x", "a.b"].iter().map(|path| builder.id(path)).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4, 0]);
        let paths = builder.build();
        assert_eq!((paths.count(), paths.find("a..c"), paths.find("b")), (5, Some(3), None));
        let walk = |names: &[&str]| {
            let node = names.iter().try_fold(paths.root()?, |node, name| {
                paths.child(node, name.as_bytes(), (0, u32::try_from(name.len()).unwrap()), || name.contains('.'))
            });
            node?.path
        };
        for (names, found) in [
            (&["a", "b"][..], Some(0)),
            (&["a.b"], Some(0)),
            (&["a"], Some(1)),
            (&[""], Some(2)),
            (&["a.", "c"], Some(3)),
            (&["a", ".c"], Some(3)),
            (&["a", "", "c"], Some(3)),
            (&["", "x"], Some(4)),
            (&[".x"], Some(4)),
            (&["a.c"], None),
            (&["."], None),
        ] {
            assert_eq!(walk(names), found, "{names:?}");
        }
    }
}

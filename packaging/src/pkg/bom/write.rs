//! Writes a Bom.

use std::collections::BTreeMap;

use super::{HEADER, Line, MAGIC, MOST_IN_A_NODE, NODE};
use crate::pkg::tree::{Entry, Kind, Tree};

/// A tree with more paths than one leaf holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} paths are more than the {MOST_IN_A_NODE} that a Bom of one leaf holds")]
pub struct TooMany(usize);

/// Blocks, and the bytes that they become.
struct Store {
    data: Vec<u8>,
    /// Offset and length of each; the first is nothing.
    index: Vec<(usize, usize)>,
}

impl Store {
    fn new() -> Self {
        Self { data: vec![0; HEADER], index: vec![(0, 0)] }
    }

    fn add(&mut self, block: &[u8]) -> u32 {
        self.index.push((self.data.len(), block.len()));
        self.data.extend_from_slice(block);
        number(self.index.len() - 1)
    }

    /// A tree with one leaf of pairs of blocks.
    fn tree(&mut self, node: usize, pairs: &[(u32, u32)]) -> u32 {
        let mut leaf = Vec::with_capacity(node);
        // Is a leaf and the number of its pairs, 16 bits each; then no next leaf and none before.
        leaf.extend(words(&[0x1_0000 | number(pairs.len()), 0, 0]));
        leaf.extend(pairs.iter().flat_map(|(key, value)| words(&[*key, *value])));
        leaf.resize(node.max(leaf.len()), 0);
        let leaf = self.add(&leaf);
        let tree = [b"tree".as_slice(), &words(&[1, leaf, number(node), number(pairs.len())]), &[0]].concat();
        self.add(&tree)
    }

    fn finish(mut self, names: &[(&str, u32)]) -> Vec<u8> {
        let names_at = self.data.len();
        self.data.extend(words(&[number(names.len())]));
        for (name, block) in names {
            self.data.extend(words(&[*block]));
            self.data.extend(number(name.len()).to_be_bytes().last());
            self.data.extend_from_slice(name.as_bytes());
        }
        let index_at = self.data.len();
        self.data.extend(words(&[number(self.index.len())]));
        for (at, length) in &self.index {
            self.data.extend(words(&[number(*at), number(*length)]));
        }
        self.data.extend(words(&[0, 0, 0, 0, 0]));
        let end = self.data.len();
        let header = [1, self.index.len() - 1, index_at, end - index_at, names_at, index_at - names_at].map(number);
        self.data[..MAGIC.len()].copy_from_slice(MAGIC);
        self.data[MAGIC.len()..MAGIC.len() + 24].copy_from_slice(&words(&header));
        self.data
    }
}

/// The Bom of a tree whose entries are of `time`, in seconds since 1970.
pub fn write(tree: &Tree, time: u32) -> Result<Vec<u8>, TooMany> {
    if tree.len() + 1 > MOST_IN_A_NODE {
        return Err(TooMany(tree.len() + 1));
    }
    let mut store = Store::new();
    let info = store.add(&words(&[1, number(tree.len() + 2), 0]));
    let root = Entry::new(Kind::Folder, 0o755);
    // Folder by folder from the root, so that pairs of folder's number and name are in order, as a search expects them.
    let mut entries: Vec<_> =
        tree.iter().map(|(path, entry)| (path.split('/').collect::<Vec<_>>(), path, entry)).collect();
    entries.sort_by(|(one, ..), (other, ..)| (one.len(), one).cmp(&(other.len(), other)));
    let entries = std::iter::once((".", &root)).chain(entries.into_iter().map(|(_, path, entry)| (path, entry)));
    let mut ids = BTreeMap::new();
    let mut pairs = Vec::new();
    for (id, (path, entry)) in (1_u32..).zip(entries) {
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        let parent = if id == 1 { 0 } else { ids.get(folder).copied().unwrap_or(1) };
        ids.insert(path, id);
        let record = store.add(&record(&Line::of(entry, time)));
        let key = store.add(&words(&[id, record]));
        let file = store.add(&[words(&[parent]).as_slice(), name.as_bytes(), &[0]].concat());
        pairs.push((key, file));
    }
    let paths = store.tree(NODE, &pairs);
    let hard_links = store.tree(NODE, &[]);
    let versions = store.tree(128, &[]);
    let versions = store.add(&[words(&[1, versions, 0]).as_slice(), &[0]].concat());
    let sizes = store.tree(NODE, &[]);
    let names = [("BomInfo", info), ("Paths", paths), ("HLIndex", hard_links), ("VIndex", versions), ("Size64", sizes)];
    Ok(store.finish(&names))
}

fn record(line: &Line) -> Vec<u8> {
    let kind = match line.mode & 0o170_000 {
        0o040_000 => 2,
        0o120_000 => 3,
        _ => 1,
    };
    let link = line.link.as_ref().map(|link| [link.as_bytes(), &[0]].concat()).unwrap_or_default();
    // The architecture that Apple writes for what is no program; `lsbom` shows none.
    let mut record = vec![kind, 1, 0, 3];
    record.extend(line.mode.to_be_bytes());
    record.extend(words(&[line.uid, line.gid, line.time, line.size]));
    record.push(1);
    record.extend(words(&[line.checksum, number(link.len())]));
    record.extend(link);
    record
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Bounded by [`MOST_IN_A_NODE`] and by the lengths of paths.
fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

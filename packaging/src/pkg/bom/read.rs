//! Reads a Bom.

use std::collections::BTreeMap;

use super::{FORMAT, Line, MAGIC, MOST_IN_A_NODE};
use crate::pkg::bytes::{Bytes, Malformed};

/// More leaves and deeper paths than any package of the agent has.
const MOST_LEAVES: usize = 64;
const MOST_DEPTH: usize = 32;

/// Lines by path without the leading `./`; the root is `.`.
pub fn read(bom: &[u8]) -> Result<BTreeMap<String, Line>, Malformed> {
    let store = Store::open(bom)?;
    let mut tree = store.block(store.named("Paths")?)?;
    let here = tree;
    if tree.take(4)? != b"tree" || tree.u32_be()? != 1 {
        return Err(here.wrong("a tree should begin here"));
    }
    let mut node = tree.u32_be()?;
    let mut files = BTreeMap::new();
    for depth in 0.. {
        let mut reader = store.block(node)?;
        let (is_leaf, count, next) = (reader.u16_be()?, usize::from(reader.u16_be()?), reader.u32_be()?);
        reader.u32_be()?;
        if depth == MOST_LEAVES || count > MOST_IN_A_NODE {
            return Err(reader.wrong("more paths than may be"));
        }
        if is_leaf == 0 {
            node = reader.u32_be()?;
            continue;
        }
        for _ in 0..count {
            let (key, file) = (reader.u32_be()?, reader.u32_be()?);
            let (id, parent, name, line) = store.path(key, file)?;
            if files.insert(id, (parent, name, line)).is_some() {
                return Err(reader.wrong("two paths have one number"));
            }
        }
        if next == 0 {
            break;
        }
        node = next;
    }
    let mut lines = BTreeMap::new();
    for (parent, name, line) in files.values() {
        let path = path(&files, *parent, name).ok_or_else(|| here.wrong(format!("{name:?} has no folder")))?;
        if lines.insert(path, line.clone()).is_some() {
            return Err(here.wrong(format!("{name:?} is there twice")));
        }
    }
    Ok(lines)
}

/// The whole path of a name in a folder.
fn path(files: &BTreeMap<u32, (u32, String, Line)>, mut parent: u32, name: &str) -> Option<String> {
    let mut path = name.to_owned();
    for _ in 0..MOST_DEPTH {
        if parent == 0 {
            return Some(path);
        }
        let (above, folder, _) = files.get(&parent)?;
        // The root is written as `.`; what it holds is written without it.
        if *above != 0 {
            path = format!("{folder}/{path}");
        }
        parent = *above;
    }
    None
}

struct Store<'a> {
    all: Bytes<'a>,
    data: &'a [u8],
    index: Bytes<'a>,
    names: Bytes<'a>,
}

impl<'a> Store<'a> {
    fn open(data: &'a [u8]) -> Result<Self, Malformed> {
        let all = Bytes::new(FORMAT, data);
        let mut header = all;
        if header.array()? != *MAGIC || header.u32_be()? != 1 {
            return Err(all.wrong("not a Bom of version 1"));
        }
        header.u32_be()?;
        let index = all.at(header.size_be()?)?;
        header.u32_be()?;
        let names = all.at(header.size_be()?)?;
        Ok(Self { all, data, index, names })
    }

    fn named(&self, wanted: &str) -> Result<u32, Malformed> {
        let mut names = self.names;
        for _ in 0..names.u32_be()?.min(64) {
            let block = names.u32_be()?;
            let length = usize::from(names.u8()?);
            if names.take(length)? == wanted.as_bytes() {
                return Ok(block);
            }
        }
        Err(self.names.wrong(format!("no block is called {wanted}")))
    }

    fn block(&self, number: u32) -> Result<Bytes<'a>, Malformed> {
        let mut index = self.index;
        let blocks = index.u32_be()?;
        if number == 0 || number >= blocks {
            return Err(self.index.wrong(format!("there is no block {number}")));
        }
        let mut place = index.at(self.index.position() + 4 + number as usize * 8)?;
        let (at, length) = (place.size_be()?, place.size_be()?);
        self.all.at(at)?.take(length)?;
        Bytes::new(FORMAT, &self.data[..at + length]).at(at)
    }

    /// A path's number, its folder's, its name, and what is said of it.
    fn path(&self, key: u32, file: u32) -> Result<(u32, u32, String, Line), Malformed> {
        let mut key = self.block(key)?;
        let (id, record) = (key.u32_be()?, key.u32_be()?);
        let mut file = self.block(file)?;
        let (parent, name) = (file.u32_be()?, file.text()?.to_owned());
        let mut record = self.block(record)?;
        // Kind and architecture say nothing that the mode does not.
        record.take(4)?;
        let mode = record.u16_be()?;
        let [uid, gid, time, size] = [record.u32_be()?, record.u32_be()?, record.u32_be()?, record.u32_be()?];
        record.u8()?;
        let (checksum, linked) = (record.u32_be()?, record.u32_be()?);
        let is_link = linked != 0 && mode & 0o170_000 == 0o120_000;
        let link = if is_link { Some(record.text()?.to_owned()) } else { None };
        Ok((id, parent, name, Line { mode, uid, gid, time, size, checksum, link }))
    }
}

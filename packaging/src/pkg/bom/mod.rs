//! Boms ("bill of materials"): what a component installs, for the receipt; as Apple's `mkbom` writes them.
//!
//! Not documented by Apple; as bomutils and stuckliste describe it from files of Apple's. All numbers have their greatest
//! byte first.
//!
//! - **Header**, padded to 512 bytes: `BOMStore`, version 1, number of blocks in use, offset and length of the index of
//!   blocks, offset and length of the names.
//! - **Index of blocks**: number of places, then offset and length of each; the first is nothing. Behind it the list of
//!   free places, which is a 0 and two nothings.
//! - **Names**: number, then per name its block, a length of one byte, and the name: `BomInfo`, `Paths`, `HLIndex`,
//!   `VIndex`, `Size64`.
//! - **Tree**: `tree`, version 1, block of the first node, size of nodes, number of entries, a zero byte. **Node**: 1 for a
//!   leaf (16 bits), number of entries (16 bits), next and previous leaf, then two blocks per entry, padded to its size.
//! - `Paths` is a tree with an entry per path: block of (id, block of the record), and block of (id of the folder, name
//!   with a zero byte). **Record**: kind (1 file, 2 folder, 3 link), 1, architecture (16 bits), mode (16 bits), uid, gid,
//!   mtime, size, a byte 1, `cksum` of file or link, length of the link's text with its zero byte, the text. 0 for "no link".
//! - `BomInfo`: version 1, number of paths and one, number of architectures 0. `HLIndex` and `Size64` are empty trees
//!   (hard links; sizes above 4 GiB); `VIndex` is (1, block of an empty tree, 0, a zero byte).
//!
//! One leaf holds all paths; so many that it does not are an error. Reading takes what Apple's tools write as well.

mod read;
mod write;

pub use read::read;
pub use write::{TooMany, write};

use super::cksum;
use super::tree::{Entry, Kind};

const FORMAT: &str = "Bom";
const MAGIC: &[u8; 8] = b"BOMStore";
const HEADER: usize = 512;
const NODE: usize = 4096;
/// How many entries a node has room for.
const MOST_IN_A_NODE: usize = (NODE - 12) / 8;

/// What a Bom says of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// File type and permission bits.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// In seconds since 1970.
    pub time: u32,
    /// In bytes; of a link, of its text; 0 of a folder.
    pub size: u32,
    /// `cksum` of a file's bytes or a link's text; 0 of a folder.
    pub checksum: u32,
    /// Where a link leads.
    pub link: Option<String>,
}

impl Line {
    /// What should be said of an entry.
    pub fn of(entry: &Entry, time: u32) -> Self {
        let content = entry.content();
        let (checksum, link) = match &entry.kind {
            Kind::Folder => (0, None),
            Kind::File(_) => (cksum(content), None),
            Kind::Link(target) => (cksum(content), Some(target.clone())),
        };
        // Files are far below 4 GiB: MOST_BYTES.
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        Self { mode: entry.full_mode(), uid: entry.uid, gid: entry.gid, time, size, checksum, link }
    }
}

//! cpio archives of the old character format ("odc"): what Payload and Scripts are.
//!
//! Per entry a header of octal digits, then the path and a zero byte, then the content, without padding (IEEE Std
//! 1003.1-1988, `cpio` interchange format): magic `070707`, then dev, ino, mode, uid, gid, nlink, rdev of 6 digits each,
//! mtime of 11, length of the path with its zero byte of 6, length of the content of 11. The last entry is `TRAILER!!!`.
//! Paths begin with `./`, the first is `.` itself. What says nothing for an installation (dev, rdev) is 0.

use super::bytes::{Bytes, Malformed};
use super::tree::{Entry, Kind, Tree};

const MAGIC: &[u8] = b"070707";
const TRAILER: &str = "TRAILER!!!";
/// What 18 bits of a device, an inode or an owner hold.
const MOST_OF_SIX: u32 = 0o777_777;
const FORMAT: &str = "cpio";

/// The archive of a tree; each entry is of `time`, in seconds since 1970.
pub fn write(tree: &Tree, time: u32) -> Vec<u8> {
    let mut archive = Vec::new();
    let root = Entry::new(Kind::Folder, 0o755);
    put(&mut archive, 1, ".", &root, time);
    for (inode, (path, entry)) in (2..).zip(tree.iter()) {
        put(&mut archive, inode, &format!("./{path}"), entry, time);
    }
    header(&mut archive, 0, TRAILER, (0, 0, 0, 1), 0, 0);
    archive
}

fn put(archive: &mut Vec<u8>, inode: u32, path: &str, entry: &Entry, time: u32) {
    let links = if entry.kind == Kind::Folder { 2 } else { 1 };
    let content = entry.content();
    header(archive, inode, path, (entry.full_mode(), entry.uid, entry.gid, links), time, content.len());
    archive.extend_from_slice(content);
}

/// `owner` is mode, uid, gid and the number of links.
fn header(archive: &mut Vec<u8>, inode: u32, path: &str, owner: (u16, u32, u32, u32), time: u32, length: usize) {
    let (mode, uid, gid, links) = owner;
    let (uid, gid) = (uid.min(MOST_OF_SIX), gid.min(MOST_OF_SIX));
    archive.extend_from_slice(MAGIC);
    let named = path.len() + 1;
    let text = format!("{:06o}{inode:06o}{mode:06o}{uid:06o}{gid:06o}{links:06o}{:06o}{time:011o}", 0, 0);
    archive.extend_from_slice(text.as_bytes());
    archive.extend_from_slice(format!("{named:06o}{length:011o}{path}\0").as_bytes());
}

/// An archive's entries. Anything but the one way that [`write()`] writes them is refused, byte by byte.
pub fn read(archive: &[u8], time: u32) -> Result<Tree, Malformed> {
    let mut reader = Bytes::new(FORMAT, archive);
    let mut tree = Tree::default();
    loop {
        let here = reader;
        let Some((path, entry)) = entry(&mut reader)? else { break };
        let taken = match path.strip_prefix("./") {
            Some(path) => tree.take(path, entry),
            None => path == "." && here.position() == 0,
        };
        if !taken {
            return Err(here.wrong(format!("the path {path:?} is none, there twice, or has no folder")));
        }
    }
    let rewritten = write(&tree, time);
    if let Some(at) = rewritten.iter().zip(archive).position(|(ours, theirs)| ours != theirs) {
        return Err(reader
            .at(at)?
            .wrong("written in another way than this package's own: order, times, numbers of links"));
    }
    if rewritten.len() == archive.len() { Ok(tree) } else { Err(reader.wrong("something follows the last entry")) }
}

fn entry<'a>(reader: &mut Bytes<'a>) -> Result<Option<(&'a str, Entry)>, Malformed> {
    let here = *reader;
    if reader.take(MAGIC.len())? != MAGIC {
        return Err(here.wrong("an entry should begin here"));
    }
    let [_, _, mode, uid, gid, _, _] = [(); 7].map(|()| octal(reader, 6));
    let (mode, uid, gid) = (mode?, uid?, gid?);
    octal(reader, 11)?;
    let (named, length) = (octal(reader, 6)?, octal(reader, 11)?);
    let (named, length) = (named as usize, length as usize);
    let named_at = *reader;
    let path = reader.text()?;
    if path.len() + 1 != named {
        return Err(named_at.wrong("the path has another length than its header says"));
    }
    let content = reader.take(length)?;
    if path == TRAILER {
        return Ok(None);
    }
    let mode = u16::try_from(mode).map_err(|_| here.wrong("a mode that is none"))?;
    let entry = Entry::from_full_mode(mode, uid, gid, content);
    Ok(Some((path, entry.ok_or_else(|| here.wrong("neither folder, file nor link"))?)))
}

fn octal(reader: &mut Bytes<'_>, digits: usize) -> Result<u32, Malformed> {
    let here = *reader;
    let text = reader.take(digits)?;
    let number = text
        .iter()
        .try_fold(0_u64, |number, digit| matches!(digit, b'0'..=b'7').then(|| number * 8 + u64::from(digit - b'0')));
    number.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| here.wrong("octal digits should stand here"))
}

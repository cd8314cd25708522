//! What is installed: folders, files and links below the root of the disk, with the owners and modes they get there.
//!
//! Owners are numbers that are written, never taken from the machine that builds: root is 0, wheel 0, admin 80.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};

use super::MOST_BYTES;

/// The group `admin` of macOS.
pub const ADMIN: u32 = 80;
/// More than anything here has.
const MOST_ENTRIES: usize = 256;
const MOST_DEPTH: usize = 8;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file and its bytes.
    File(Vec<u8>),
    /// A symbolic link and where it leads.
    Link(String),
}

/// A path's kind, mode and owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The permission bits.
    pub mode: u16,
    /// The owner; 0 is root.
    pub uid: u32,
    /// The group; 0 is wheel.
    pub gid: u32,
}

impl Entry {
    /// Root's, of the group wheel.
    pub fn new(kind: Kind, mode: u16) -> Self {
        Self { kind, mode, uid: 0, gid: 0 }
    }

    /// File type and permission bits, as `st_mode` has them.
    pub fn full_mode(&self) -> u16 {
        let kind = match self.kind {
            Kind::Folder => 0o040_000,
            Kind::File(_) => 0o100_000,
            Kind::Link(_) => 0o120_000,
        };
        kind | self.mode
    }

    /// From `st_mode`; none for what is neither folder, file nor link. `content` is a file's bytes or a link's text.
    pub fn from_full_mode(mode: u16, uid: u32, gid: u32, content: &[u8]) -> Option<Self> {
        let kind = match mode & 0o170_000 {
            0o040_000 if content.is_empty() => Kind::Folder,
            0o100_000 => Kind::File(content.to_vec()),
            0o120_000 => Kind::Link(String::from_utf8(content.to_vec()).ok()?),
            _ => return None,
        };
        Some(Self { kind, mode: mode & 0o7777, uid, gid })
    }

    /// What an archive holds of it: a file's bytes, or a link's text.
    pub fn content(&self) -> &[u8] {
        match &self.kind {
            Kind::Folder => &[],
            Kind::File(bytes) => bytes,
            Kind::Link(target) => target.as_bytes(),
        }
    }
}

/// Entries by path, without a leading `/` or `./`. A folder comes before what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Entry>);

impl Tree {
    /// Adds an entry, and its folders as root's with mode 755 where they are not there.
    pub fn add(&mut self, path: &str, entry: Entry) {
        for (end, _) in path.match_indices('/') {
            let folder = Entry::new(Kind::Folder, 0o755);
            self.0.entry(path[..end].to_owned()).or_insert(folder);
        }
        self.0.insert(path.to_owned(), entry);
    }

    /// Adds an entry that was read; false if its path is none, or there already, or its folder is not.
    pub fn take(&mut self, path: &str, entry: Entry) -> bool {
        let parts_are_names = path.split('/').all(|part| !["", ".", ".."].contains(&part));
        let folder = path.rsplit_once('/').map(|(folder, _)| self.0.get(folder).map(|entry| &entry.kind));
        if !parts_are_names || !matches!(folder, None | Some(Some(Kind::Folder))) || self.0.contains_key(path) {
            return false;
        }
        self.0.insert(path.to_owned(), entry);
        true
    }

    /// All of them, folders first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// What stands at a path.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.0.get(path)
    }

    /// The bytes of the file at a path.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        match &self.get(path)?.kind {
            Kind::File(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sum of the files' sizes, in kibibytes, rounded up.
    pub fn kibibytes(&self) -> usize {
        self.0.values().map(|entry| entry.content().len()).sum::<usize>().div_ceil(1024)
    }

    /// Adds the folder at `from`, as `path`: folders and what may be run get mode 755, other files 644. Whoever signs a
    /// bundle adds files to it, so it is read back as it then is.
    pub fn add_folder(&mut self, path: &str, from: &Path) -> anyhow::Result<()> {
        self.add_folder_at(path, from, MOST_DEPTH)
    }

    fn add_folder_at(&mut self, path: &str, from: &Path, depth: usize) -> anyhow::Result<()> {
        ensure!(depth > 0, "{} is too deep for a bundle of the agent", from.display());
        self.add(path, Entry::new(Kind::Folder, 0o755));
        for entry in std::fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
            let entry = entry.with_context(|| format!("reading {}", from.display()))?;
            let (place, metadata) = (entry.path(), entry.metadata()?);
            let Ok(name) = entry.file_name().into_string() else { bail!("{} is not UTF-8", place.display()) };
            let path = format!("{path}/{name}");
            if metadata.is_dir() {
                self.add_folder_at(&path, &place, depth - 1)?;
            } else if metadata.is_file() {
                let may_run = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0;
                self.add(&path, Entry::new(Kind::File(read(&place)?), if may_run { 0o755 } else { 0o644 }));
            } else {
                bail!("{} is neither folder nor file", place.display());
            }
            ensure!(self.len() <= MOST_ENTRIES, "more than {MOST_ENTRIES} files are no bundle of the agent");
        }
        Ok(())
    }
}

/// A whole file, up to [`MOST_BYTES`].
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?;
    ensure!(bytes.len() <= MOST_BYTES, "{} is greater than {} MiB", path.display(), MOST_BYTES >> 20);
    Ok(bytes)
}

//! The folder and what Emote makes in it. Everything is done by names within open folders that are none but folders, so that
//! nobody who may write here leads anything elsewhere by a link.

use std::{
    fs::{File, TryLockError},
    io::{Error, ErrorKind, Write as _},
    os::fd::OwnedFd,
    path::Path,
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat},
    io::Errno,
};

use crate::{private, random};

/// The most files of one look; the others come with the next.
const MAX_FOUND: usize = 10_000;
/// The longest name, in bytes: with what is put behind it there is room in any file system.
const MAX_NAME: usize = 200;
const TAKING: &str = ".taking";
const DONE: &str = "done";
const FAILED: &str = "failed";
/// What is a folder, and no link to one.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What says that this file cannot be opened, however often it is tried. All else may pass: too many open files, a disk that
/// is away.
pub(super) const OF_THE_FILE: [Errno; 4] = [Errno::ACCESS, Errno::PERM, Errno::LOOP, Errno::NXIO];
/// What a file system answers that cannot rename without replacing.
const CANNOT_SAY: [Errno; 4] = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOTSUP];

/// The folder, open.
pub(super) struct Place {
    here: OwnedFd,
    taking: OwnedFd,
    done: OwnedFd,
    failed: OwnedFd,
}

/// What a file is as long as nobody changes it: device, inode, size, and when it was last changed, in ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    file: [i128; 2],
    size: i128,
    written: i128,
    changed: i128,
}

/// A file that lies in the folder.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) stamp: Stamp,
}

/// A file that was moved aside to be taken, perhaps by a broker that is gone.
#[derive(Debug)]
pub(super) struct Claimed {
    /// The folder in `.taking` that it lies in.
    word: String,
    pub(super) name: String,
    /// When it was found, here or in the folder.
    pub(super) stamp: Stamp,
}

/// All that lies there.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) left: Vec<Claimed>,
    /// Oldest first.
    pub(super) found: Vec<Found>,
    /// Whether there is more than one look shows.
    pub(super) more: bool,
}

/// What opening gives.
pub(super) enum Opened {
    /// The file, locked.
    File(File, Stamp),
    /// Another broker reads it, or has it put away.
    Elsewhere,
    /// It is another one than was found, or somebody has written it since.
    Changed,
    /// It cannot be taken, for this reason.
    Bad(String),
}

/// Where a file ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End<'a> {
    Done,
    Gone,
    /// With a text beside it that says why.
    Failed(&'a str),
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        let ns = |seconds: i128, ns: i128| seconds * 1_000_000_000 + ns;
        Self {
            file: [i128::from(stat.st_dev), i128::from(stat.st_ino)],
            size: i128::from(stat.st_size),
            written: ns(i128::from(stat.st_mtime), i128::from(stat.st_mtime_nsec)),
            changed: ns(i128::from(stat.st_ctime), i128::from(stat.st_ctime_nsec)),
        }
    }

    /// Whether both are of one file with the same content, wherever it was moved to.
    pub(super) fn is_content_of(self, other: Self) -> bool {
        (self.file, self.size, self.written) == (other.file, other.size, other.written)
    }

    /// When the content was last written, in ns since 1970.
    pub(super) fn written(self) -> i128 {
        self.written
    }

    /// In bytes.
    pub(super) fn size(self) -> u64 {
        u64::try_from(self.size).unwrap_or(u64::MAX)
    }
}

impl Place {
    /// Opens the folder, and makes in it what is needed; [`ErrorKind::NotFound`] where there is none.
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        let here = rustix::fs::open(path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())?;
        let within = |name: &str| {
            match rustix::fs::mkdirat(&here, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(said(error, name)),
            }
            let opened = rustix::fs::openat(&here, name, FOLDER, Mode::empty());
            let opened = opened.map_err(|error| said(error, name))?;
            let owner = rustix::fs::fstat(&opened).map_err(|error| said(error, name))?.st_uid;
            if !private::is_ours(owner) {
                let remedy = "make it root's or emote's own (chown), or remove it: it is made anew";
                return Err(Error::other(format!("{name}: it belongs to another user (uid {owner}): {remedy}")));
            }
            rustix::fs::accessat(&opened, ".", rustix::fs::Access::WRITE_OK, AtFlags::EACCESS)
                .map_err(|error| said(error, name))?;
            Ok(opened)
        };
        let (taking, done, failed) = (within(TAKING)?, within(DONE)?, within(FAILED)?);
        Ok(Self { here, taking, done, failed })
    }

    /// What lies there of the names that `takes` takes.
    pub(super) fn look(&self, takes: impl Fn(&str) -> bool) -> std::io::Result<Look> {
        let mut look = Look { left: self.left()?, ..Look::default() };
        for name in names(&self.here)?.filter(|name| name.len() <= MAX_NAME && takes(name)) {
            let Ok(stat) = rustix::fs::statat(&self.here, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            // One with several names may be somebody else's.
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
                continue;
            }
            if look.found.len() == MAX_FOUND {
                look.more = true;
                break;
            }
            look.found.push(Found { name, stamp: Stamp::of(&stat) });
        }
        look.found.sort_by(|one, other| (one.stamp.written, &one.name).cmp(&(other.stamp.written, &other.name)));
        Ok(look)
    }

    /// What was moved aside and is still there. Of what was not even moved, the folder is removed.
    fn left(&self) -> std::io::Result<Vec<Claimed>> {
        let mut left = Vec::new();
        for word in names(&self.taking)?.take(MAX_FOUND) {
            let Ok(folder) = rustix::fs::openat(&self.taking, &word, FOLDER, Mode::empty()) else { continue };
            let within: Vec<String> = names(&folder)?.take(MAX_FOUND).collect();
            if within.is_empty() {
                self.leave(&word);
            }
            left.extend(within.into_iter().filter_map(|name| {
                // What is gone was put away by another broker.
                let stat = rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
                Some(Claimed { word: word.clone(), name, stamp: Stamp::of(&stat) })
            }));
        }
        Ok(left)
    }

    /// Moves a file aside; nothing where it is gone.
    pub(super) fn claim(&self, Found { name, stamp }: Found) -> std::io::Result<Option<Claimed>> {
        let word = random::name::<8>();
        rustix::fs::mkdirat(&self.taking, &word, Mode::RWXU).map_err(|error| said(error, TAKING))?;
        let folder = rustix::fs::openat(&self.taking, &word, FOLDER, Mode::empty());
        let moved = folder.and_then(|folder| rustix::fs::renameat(&self.here, &name, &folder, &name));
        match moved {
            Ok(()) => Ok(Some(Claimed { word, name, stamp })),
            Err(error) => {
                self.leave(&word);
                if error == Errno::NOENT { Ok(None) } else { Err(said(error, &name)) }
            }
        }
    }

    /// Opens what was moved aside, and locks it.
    pub(super) fn take(&self, claimed: &Claimed) -> std::io::Result<Opened> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Some(folder) = self.folder_of(claimed)? else { return Ok(Opened::Elsewhere) };
        let file = match rustix::fs::openat(&folder, &claimed.name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(Opened::Elsewhere),
            Err(error) if OF_THE_FILE.contains(&error) => {
                return Ok(Opened::Bad(format!("it cannot be read: {}", Error::from(error))));
            }
            Err(error) => return Err(said(error, &claimed.name)),
        };
        let stat = rustix::fs::fstat(&file).map_err(|error| said(error, &claimed.name))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
            return Ok(Opened::Bad("it is no plain file of one name".to_owned()));
        }
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(Opened::Elsewhere),
            // A file system without locks: two may read it, and nothing is told twice.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        if !Stamp::of(&stat).is_content_of(claimed.stamp) {
            return Ok(Opened::Changed);
        }
        // Whoever had the lock may have put it away.
        let there = rustix::fs::statat(&folder, &claimed.name, AtFlags::SYMLINK_NOFOLLOW);
        match there.map(|there| Stamp::of(&there)) {
            Ok(there) if there.file == Stamp::of(&stat).file => Ok(Opened::File(file, Stamp::of(&stat))),
            _ => Ok(Opened::Elsewhere),
        }
    }

    /// Puts away what was taken, or cannot be.
    pub(super) fn put(&self, claimed: &Claimed, end: End<'_>) -> std::io::Result<()> {
        let Some(folder) = self.folder_of(claimed)? else { return Ok(()) };
        let put = match end {
            End::Gone => rustix::fs::unlinkat(&folder, &claimed.name, AtFlags::empty()),
            End::Done => moved(&folder, &claimed.name, &self.done).map(drop),
            End::Failed(why) => moved(&folder, &claimed.name, &self.failed).map(|name| self.explain(&name, why)),
        };
        match put {
            // Another broker was faster.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(said(error, &claimed.name)),
        }
        self.leave(&claimed.word);
        Ok(())
    }

    fn explain(&self, name: &str, why: &str) {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.failed, format!("{name}.error"), flags, Mode::RUSR | Mode::WUSR);
        let written = file.map_err(Error::from).and_then(|file| File::from(file).write_all(why.as_bytes()));
        if let Err(error) = written {
            tracing::warn!(file = name, %error, "why a file was refused could not be written beside it");
        }
    }

    fn folder_of(&self, claimed: &Claimed) -> std::io::Result<Option<OwnedFd>> {
        match rustix::fs::openat(&self.taking, &claimed.word, FOLDER, Mode::empty()) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(said(error, TAKING)),
        }
    }

    /// Removes a folder of `.taking`, if nothing is in it.
    fn leave(&self, word: &str) {
        let removed = rustix::fs::unlinkat(&self.taking, word, AtFlags::REMOVEDIR);
        if let Err(error) = removed.map_err(Error::from) {
            tracing::debug!(%error, "a folder of {TAKING} stays for now");
        }
    }
}

impl Claimed {
    /// What no other file that lies there is called.
    pub(super) fn path(&self) -> String {
        format!("{TAKING}/{}/{}", self.word, self.name)
    }
}

/// What the content of an open file is now.
pub(super) fn stamp_of(file: &File) -> std::io::Result<Stamp> {
    Ok(Stamp::of(&rustix::fs::fstat(file)?))
}

/// Moves a file to where nothing is lost by it; the name that it has there.
fn moved(from: &OwnedFd, name: &str, to: &OwnedFd) -> Result<String, Errno> {
    let mut there = name.to_owned();
    loop {
        match rustix::fs::renameat_with(from, name, to, &there, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(there),
            Err(Errno::EXIST) => {}
            Err(error) if CANNOT_SAY.contains(&error) => {
                match rustix::fs::statat(to, &there, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => return rustix::fs::renameat(from, name, to, &there).map(|()| there),
                    Err(error) => return Err(error),
                    Ok(_) => {}
                }
            }
            Err(error) => return Err(error),
        }
        there = format!("{name}.{}", random::name::<4>());
    }
}

/// The names in a folder that are texts.
fn names(folder: &OwnedFd) -> std::io::Result<impl Iterator<Item = String> + use<>> {
    let entries = Dir::read_from(folder)?;
    let named = entries.filter_map(|entry| String::from_utf8(entry.ok()?.file_name().to_bytes().to_vec()).ok());
    Ok(named.filter(|name| name != "." && name != ".."))
}

fn said(error: Errno, name: &str) -> Error {
    let error = Error::from(error);
    let kind = match error.kind() {
        // Only the folder itself may be missing without anything being wrong.
        ErrorKind::NotFound => ErrorKind::Other,
        kind => kind,
    };
    Error::new(kind, format!("{name}: {error}"))
}

//! Files that are not for everybody's eyes, those that nobody else may change, and PEM.

use std::{
    fs::{File, Metadata},
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use zeroize::Zeroizing;

/// Set on a folder: what is another's cannot be moved or removed in it.
const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Larger files are none.
const MAX_FILE: u64 = 64 * 1024;

/// Who beside its owner may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Nobody; its group only where root gives it to a service of that group, as Kubernetes does with secrets.
    Owner,
    /// Its group, as services have their keys from elsewhere.
    Group,
}

impl Readers {
    /// Bits of a mode that must not be set. `given`: the file is root's, and this process is not.
    fn refused(self, given: bool) -> u32 {
        match self {
            Self::Owner if !given => 0o077,
            Self::Owner | Self::Group => 0o037,
        }
    }
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{path} cannot be read: {error}")]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{path} can be read by others on this machine (mode {mode:o}): take that right away with chmod 600")]
    Open { path: PathBuf, mode: u32 },
    #[error("{path} {shared}: make it root's or emote's own (chown), and take that right away with chmod go-w")]
    Shared { path: PathBuf, shared: Shared },
    #[error("{path}: {problem}")]
    Pem { path: PathBuf, problem: String },
}

/// What others than root and the user of this process could change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("can be changed by others on this machine (owner {owner}, mode {mode:o})")]
pub(crate) struct Shared {
    owner: u32,
    mode: u32,
}

impl Shared {
    /// What this is of a file or folder; none where nobody else could change it. Access control lists are not looked at.
    pub(crate) fn of(meta: &Metadata) -> Option<Self> {
        Self::said(meta.uid(), meta.mode(), WRITABLE_BY_OTHERS)
    }

    /// The same of a folder that leads to another. Where it is sticky, as /tmp is, others add to it and move nothing in it.
    fn of_way(meta: &Metadata) -> Option<Self> {
        let is_sticky = meta.is_dir() && meta.mode() & STICKY != 0;
        Self::said(meta.uid(), meta.mode(), if is_sticky { 0 } else { WRITABLE_BY_OTHERS })
    }

    fn said(owner: u32, mode: u32, refused: u32) -> Option<Self> {
        (!is_ours(owner) || mode & refused != 0).then_some(Self { owner, mode: mode & 0o7777 })
    }
}

/// Whether what has this owner is root's or that of the user of this process.
pub(crate) fn is_ours(owner: u32) -> bool {
    [0, rustix::process::geteuid().as_raw()].contains(&owner)
}

/// The real path of a file or folder, and what is there, where nobody but root and the user of this process could change it
/// or put something else in its place.
pub(crate) fn ours_alone(path: &Path) -> Result<(PathBuf, Metadata), FileError> {
    let unreadable = |path: &Path, error| FileError::Unreadable { path: path.to_owned(), error };
    let real = path.canonicalize().map_err(|error| unreadable(path, error))?;
    let look = |path: &Path| std::fs::symlink_metadata(path).map_err(|error| unreadable(path, error));
    let shared = |path: &Path, shared| FileError::Shared { path: path.to_owned(), shared };
    for folder in real.ancestors().skip(1) {
        Shared::of_way(&look(folder)?).map_or(Ok(()), |found| Err(shared(folder, found)))?;
    }
    let meta = look(&real)?;
    Shared::of(&meta).map_or(Ok(()), |found| Err(shared(&real, found)))?;
    Ok((real, meta))
}

/// The text of a file that nobody else can read; it is overwritten when dropped.
pub(crate) fn read(path: &Path, readers: Readers) -> Result<Zeroizing<String>, FileError> {
    let unreadable = |error| FileError::Unreadable { path: path.to_owned(), error };
    // A pipe would be waited for, perhaps for ever; what is looked at is what is read.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(nonblock).open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(unreadable(std::io::Error::other("it is no plain file")));
    }
    let mode = about.permissions().mode() & 0o777;
    let given = about.uid() == 0 && !rustix::process::geteuid().is_root();
    if mode & readers.refused(given) != 0 {
        return Err(FileError::Open { path: path.to_owned(), mode });
    }
    let too_large = || unreadable(std::io::Error::other(format!("it has more than {MAX_FILE} bytes")));
    if about.len() > MAX_FILE {
        return Err(too_large());
    }
    let room = usize::try_from(about.len()).unwrap_or_default();
    // With room for all of it: growing would leave what was read so far behind in memory.
    let mut text = Zeroizing::new(String::with_capacity(room.saturating_add(64)));
    // It may have grown meanwhile.
    let read = file.take(MAX_FILE.saturating_add(1)).read_to_string(&mut text).map_err(unreadable)?;
    if u64::try_from(read).is_ok_and(|read| read <= MAX_FILE) { Ok(text) } else { Err(too_large()) }
}

/// The certificates of a PEM file; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let pem = |problem: String| FileError::Pem { path: path.to_owned(), problem };
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|error| pem(error.to_string()))?;
    if certificates.is_empty() { Err(pem("there is no certificate in it (PEM)".to_owned())) } else { Ok(certificates) }
}

/// The private key of a PEM file.
pub(crate) fn key(path: &Path, readers: Readers) -> Result<PrivateKeyDer<'static>, FileError> {
    // What the library says of it is not repeated: it is a secret's.
    let none = |_| FileError::Pem { path: path.to_owned(), problem: "there is no private key in it (PEM)".to_owned() };
    PrivateKeyDer::from_pem_slice(read(path, readers)?.as_bytes()).map_err(none)
}

/// What changes with a file: device, inode, time of its last change in ns, size. None where there is no file.
pub(crate) type Stamp = Option<(u64, u64, i64, i64, u64)>;

/// What the file is now.
pub(crate) fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.ctime(), meta.ctime_nsec(), meta.size()))
}

/// What these are now, as far as there are any.
pub(crate) fn stamps<const N: usize>(paths: [Option<&Path>; N]) -> [Stamp; N] {
    paths.map(|path| path.and_then(stamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_else_may_read_a_file_decides_whether_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "x").unwrap();
        for (mode, by_owner, by_group) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o640, false, true),
            (0o660, false, false),
            (0o604, false, false),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let taken = |readers| read(&path, readers).is_ok();
            assert_eq!((taken(Readers::Owner), taken(Readers::Group)), (by_owner, by_group), "{mode:o}");
            assert_eq!(mode & Readers::Owner.refused(true) == 0, by_group, "root gives it to a group: {mode:o}");
        }
        assert!(read(folder.path(), Readers::Group).is_err());
    }

    #[test]
    fn an_owner_who_is_somebody_else_is_never_excused_and_what_others_may_write_only_on_the_way() {
        let own = rustix::process::geteuid().as_raw();
        let sticky = std::fs::metadata("/tmp").unwrap();
        for (owner, mode, refused, expected) in [
            (own, 0o755, WRITABLE_BY_OTHERS, false),
            (0, 0o755, WRITABLE_BY_OTHERS, false),
            (0, 0o775, WRITABLE_BY_OTHERS, true),
            (0, 0o757, WRITABLE_BY_OTHERS, true),
            (0, 0o1777, 0, false),
            (own + 4321, 0o1777, 0, true),
            (own + 4321, 0o700, WRITABLE_BY_OTHERS, true),
        ] {
            assert_eq!(Shared::said(owner, mode, refused).is_some(), expected, "{owner} {mode:o}");
        }
        assert_eq!(sticky.mode() & STICKY, STICKY);
        assert_eq!((Shared::of_way(&sticky), Shared::of(&sticky).is_some()), (None, true));
    }

    #[test]
    fn what_is_ours_alone_is_named_by_where_it_really_lies() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().canonicalize().unwrap();
        let mode = |of: &str, mode| {
            std::fs::set_permissions(real.join(of), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for folder in ["open", "open/inner"] {
            std::fs::create_dir(real.join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(real.join("open/inner"), real.join("link")).unwrap();
        let found = |path: &str| ours_alone(&real.join(path)).map(|(path, _)| path).map_err(|error| error.to_string());
        mode("open", 0o755);
        mode("open/inner", 0o755);
        assert_eq!(found("link"), Ok(real.join("open/inner")));
        mode("open", 0o777);
        for path in ["link", "open/inner", "open"] {
            let why = found(path).unwrap_err();
            assert!(why.starts_with(&format!("{} can be changed by others", real.join("open").display())), "{why}");
        }
        mode("open", 0o1777);
        assert_eq!(found("link"), Ok(real.join("open/inner")), "a sticky folder on the way");
        assert!(found("open").unwrap_err().contains("mode 1777"), "where others add to it, it is not ours alone");
        assert!(found("none").unwrap_err().contains("none cannot be read"));
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_and_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let most = usize::try_from(MAX_FILE).unwrap();
        for (size, expected) in [(most, Ok(most)), (most + 1, Err("it has more than 65536 bytes"))] {
            std::fs::write(&path, "x".repeat(size)).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            match (read(&path, Readers::Owner), expected) {
                (Ok(text), Ok(length)) => assert_eq!(text.len(), length),
                (Err(error), Err(said)) => assert!(error.to_string().ends_with(said), "{error}"),
                (read, expected) => panic!("{:?} instead of {expected:?}", read.map(|text| text.len())),
            }
        }
    }
}

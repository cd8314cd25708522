//! Files that are not for everybody's eyes, and PEM.

use std::{
    fs::File,
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use zeroize::Zeroizing;

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
    #[error("{path}: {problem}")]
    Pem { path: PathBuf, problem: String },
}

/// The text of a file that nobody else can read; it is overwritten when dropped.
pub(crate) fn read(path: &Path, readers: Readers) -> Result<Zeroizing<String>, FileError> {
    let unreadable = |error| FileError::Unreadable { path: path.to_owned(), error };
    // A pipe would be waited for, perhaps for ever.
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(unreadable(std::io::Error::other("it is no plain file")));
    }
    let mode = about.permissions().mode() & 0o777;
    let given = about.uid() == 0 && !rustix::process::geteuid().is_root();
    if mode & readers.refused(given) != 0 {
        return Err(FileError::Open { path: path.to_owned(), mode });
    }
    let room = usize::try_from(about.len().min(MAX_FILE)).unwrap_or_default();
    // With room for all of it: growing would leave what was read so far behind in memory.
    let mut text = Zeroizing::new(String::with_capacity(room.saturating_add(64)));
    File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text)).map_err(unreadable)?;
    Ok(text)
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
}

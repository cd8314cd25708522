//! Files that are their owner's alone, and are either as they were or as they shall be.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::platform;

/// Makes a folder that nobody else may look into; one that is there is made so.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(path)?;
    if !found.is_dir() {
        return Err(io::Error::other(format!("{} is no folder: move it away", path.display())));
    }
    if found.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    sync(path.parent().unwrap_or(path))
}

/// Writes a file under another name, and gives it its own once it is on the disk.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    match std::fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(new, path)?;
    sync(path.parent().unwrap_or(path))
}

/// Reads a text of at most `most` bytes; a private one is not read when others could.
pub(super) fn read(path: &Path, most: u64, private: bool) -> io::Result<Zeroizing<String>> {
    let file = platform::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    if private && mode & 0o077 != 0 {
        let said = format!("{}: others on this machine can read it (mode {mode:o}): chmod 600 it", path.display());
        return Err(io::Error::other(said));
    }
    platform::read_text(&file, most)
}

/// A file that was given a name keeps it only when its folder is on the disk.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

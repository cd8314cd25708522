//! Puts files into a folder. All of them are written aside first, and moved when all are whole: none is ever half there.

use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::{File, munki};

/// Writes them. Others in the folder stay. A file with a secret in it is its owner's alone, whatever it was before.
pub fn write(folder: &Path, files: &[File]) -> anyhow::Result<()> {
    ensure!(folder.symlink_metadata().is_err() || folder.is_dir(), "{} is no folder", folder.display());
    for file in files {
        let path = folder.join(&file.name);
        ensure!(!path.is_dir(), "{} is a folder, and a file of that name is to be written", path.display());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    // In the folder, which may lie on another disk than the one around it.
    let scratch = tempfile::Builder::new().prefix(".emote-profile-").tempdir_in(folder);
    let scratch = scratch.with_context(|| format!("writing into {}", folder.display()))?;
    for file in files {
        put(scratch.path(), file)?;
    }
    for file in files {
        let (from, to) = (scratch.path().join(&file.name), folder.join(&file.name));
        std::fs::rename(from, &to).with_context(|| format!("writing {}", to.display()))?;
    }
    Ok(())
}

/// How the names of what is not always written begin and end.
const NAMES: [(&str, &str); 8] = [
    ("emote-agent", ".mobileconfig"),
    ("emote-agent", ".install.plist"),
    ("declaration", ".json"),
    ("activation", ".json"),
    ("manifest", ".plist"),
    ("command", ".plist"),
    (munki::NAME, ".pkginfo.plist"),
    (munki::NAME, ".recipe"),
];

/// What an earlier run wrote into the folder, by its name, and is not among these files.
pub fn left_over(folder: &Path, files: &[File]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let is_ours = |name: &String| NAMES.iter().any(|(start, end)| name.starts_with(start) && name.ends_with(end));
    let mut left: Vec<_> = names.filter(|name| is_ours(name) && files.iter().all(|file| file.name != *name)).collect();
    left.sort();
    left.into_iter().map(|name| folder.join(name)).collect()
}

fn put(folder: &Path, file: &File) -> anyhow::Result<()> {
    let path = folder.join(&file.name);
    let mode = if file.secret { 0o600 } else { 0o644 };
    let write = || {
        let mut open = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
        std::io::Write::write_all(&mut open, &file.bytes)?;
        open.set_permissions(std::fs::Permissions::from_mode(mode))?;
        open.sync_all()
    };
    write().with_context(|| format!("writing {}", file.name))
}

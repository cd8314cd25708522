//! Sets an unreadable file aside, so that a person can look at it and the agent goes on.

use std::path::{Path, PathBuf};

use emote_proto::Time;

use super::SpoolError;

const KEEP: usize = 2;
const EXTENSION: &str = "corrupt";

/// Renames `path`; returns its new name. Of the files set aside, the newest two are kept.
pub(super) fn set_aside(path: &Path, now: Time) -> Result<PathBuf, SpoolError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let kept = dir.join(format!("spool-{}.{EXTENSION}", now.as_millis()));
    std::fs::rename(path, &kept).map_err(|error| SpoolError::Folder { path: path.to_owned(), error })?;
    let mut all = files(dir);
    all.sort();
    for old in all.iter().rev().skip(KEEP) {
        // A file too many does no harm.
        std::fs::remove_file(old).ok();
    }
    Ok(kept)
}

/// A file that was set aside without a new one begun: the agent ended in between, and it is still to be told.
pub(super) fn unreported(dir: &Path) -> Option<PathBuf> {
    if dir.join(super::FILE).exists() { None } else { files(dir).into_iter().max() }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == EXTENSION)).collect()
}

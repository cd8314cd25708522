//! Files are written beside where they belong and moved there together: a failure leaves nothing half-made, and nothing
//! that is there already is touched.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// What makes a folder a configuration folder: it comes last.
const LAST: &str = "emote.yaml";

/// Files on their way into a folder. What was not moved there when this is dropped is removed.
pub(super) struct Place {
    folder: PathBuf,
    /// Where they are until then, on the same file system.
    aside: PathBuf,
    /// Whether the folder was there before.
    existed: bool,
}

impl Place {
    /// For `folder`, which may be there.
    pub(super) fn new(folder: &Path) -> anyhow::Result<Self> {
        let existed = folder.exists();
        let word = format!(".emote-init-{}", crate::random::name::<6>());
        let beside = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let aside = if existed { folder } else { beside }.join(word);
        crate::run::private_folder(&aside)?;
        Ok(Self { folder: folder.to_owned(), aside, existed })
    }

    /// Writes a file that was not written before.
    pub(super) fn write(&self, path: impl AsRef<Path>, text: &str, mode: u32) -> anyhow::Result<()> {
        write_new(&self.aside.join(path.as_ref()), text, mode)
    }

    /// Makes a folder that only its owner can enter.
    pub(super) fn private(&self, path: &str) -> anyhow::Result<()> {
        crate::run::private_folder(&self.aside.join(path))
    }

    /// Moves everything to its place.
    pub(super) fn settle(self) -> anyhow::Result<()> {
        if !self.existed {
            readable(&self.aside)?;
            let moved = std::fs::rename(&self.aside, &self.folder);
            return moved.with_context(|| format!("making {}", self.folder.display()));
        }
        let names = self.names()?;
        if let Some(there) = names.iter().map(|name| self.folder.join(name)).find(|path| path.exists()) {
            anyhow::bail!("{} is there already: name a folder without it", there.display());
        }
        let mut moved = Vec::new();
        for name in names {
            let (from, to) = (self.aside.join(&name), self.folder.join(&name));
            if let Err(error) = std::fs::rename(&from, &to) {
                for (from, to) in moved {
                    std::fs::rename(to, from).with_context(|| format!("undoing it in {}", self.folder.display()))?;
                }
                return Err(error).with_context(|| format!("making {}", to.display()));
            }
            moved.push((from, to));
        }
        Ok(())
    }

    /// What is to be moved, in order.
    fn names(&self) -> anyhow::Result<Vec<std::ffi::OsString>> {
        let entries = std::fs::read_dir(&self.aside).with_context(|| format!("{}", self.aside.display()))?;
        let mut names = entries.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>()?;
        names.sort_by_key(|name| (name == LAST, name.clone()));
        Ok(names)
    }
}

/// Writes a file that must not be there yet.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("{}", parent.display()))?;
    }
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("writing {}", path.display()))
}

/// Puts new content in the place of files, all written before the first is moved.
pub(super) fn replace(files: &[(PathBuf, &str, u32)]) -> anyhow::Result<()> {
    let aside = |path: &Path| path.with_added_extension("new");
    for (path, text, mode) in files {
        // Left over from a try that failed.
        if aside(path).exists() {
            std::fs::remove_file(aside(path)).with_context(|| format!("{}", aside(path).display()))?;
        }
        write_new(&aside(path), text, *mode)?;
    }
    for (path, ..) in files {
        std::fs::rename(aside(path), path).with_context(|| format!("replacing {}", path.display()))?;
    }
    Ok(())
}

/// As a folder that anybody made.
fn readable(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, permissions).with_context(|| format!("{}", path.display()))
}

impl Drop for Place {
    fn drop(&mut self) {
        // Where it was moved as a whole it is no longer there.
        if let Err(error) = std::fs::remove_dir_all(&self.aside)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "{} is left behind", self.aside.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_is_there_as_a_whole_or_not_at_all() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("new");
        let place = Place::new(&folder).unwrap();
        place.write("a/b", "text", 0o600).unwrap();
        assert!(place.write("a/b", "again", 0o600).is_err());
        drop(place);
        assert_eq!(entries(temp.path()), Vec::<String>::new());
        let place = Place::new(&folder).unwrap();
        place.write("a/b", "text", 0o600).unwrap();
        place.settle().unwrap();
        assert_eq!((entries(temp.path()), entries(&folder)), (vec!["new".into()], vec!["a".into()]));
    }

    #[test]
    fn what_is_there_already_is_not_touched() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("rules"), "mine").unwrap();
        let place = Place::new(temp.path()).unwrap();
        for path in ["emote.yaml", "rules/a.yaml"] {
            place.write(path, "text", 0o644).unwrap();
        }
        let error = place.settle().unwrap_err().to_string();
        assert!(error.contains("rules is there already"), "{error}");
        assert_eq!(entries(temp.path()), ["rules"]);
        std::fs::remove_file(temp.path().join("rules")).unwrap();
        let place = Place::new(temp.path()).unwrap();
        place.write("emote.yaml", "text", 0o644).unwrap();
        place.settle().unwrap();
        assert_eq!(entries(temp.path()), ["emote.yaml"]);
    }
}

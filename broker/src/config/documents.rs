//! The files of a configuration, on the disk or of a stored set, as they are read; what cannot be is told.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use emote_proto::Name;
use serde_json::{Map, Value};

use super::{
    Problems, Report, Set,
    file::{FileError, read_text},
    report::Origin,
    yaml,
};

/// Where rules are.
pub(super) const RULES: &str = "rules";
/// Where test cases are.
pub(super) const TESTS: &str = "tests";
/// Where sources are.
pub(super) const SOURCES: &str = "sources";
/// Where targets are.
pub(super) const TARGETS: &str = "targets";
/// Where schemas of scopes of one's own are.
pub(super) const SCHEMAS: &str = "schemas";
/// Most files of a kind.
const MAX_FILES: usize = 10_000;

/// A file read as YAML: an object, or nothing.
pub(super) struct Document {
    pub(super) name: Name,
    kind: &'static str,
    pub(super) file: PathBuf,
    pub(super) text: String,
    pub(super) map: Map<String, Value>,
}

impl Document {
    /// As it is written and as values.
    pub(super) fn content(&self) -> (&str, &Map<String, Value>) {
        (&self.text, &self.map)
    }

    pub(super) fn origin(&self) -> Origin<'_> {
        origin(self.kind, &self.file, &self.text)
    }
}

pub(super) fn origin<'a>(kind: &str, file: &'a Path, text: &'a str) -> Origin<'a> {
    match kind {
        RULES | TESTS | SCHEMAS => Origin::shown(file, text),
        _ => Origin::hidden(file, text),
    }
}

/// Where a configuration's files are.
#[derive(Clone, Copy)]
pub(super) enum Files<'a> {
    Disk(&'a Path),
    Set(&'a Set),
}

impl Files<'_> {
    /// The files of a kind with their names, in order; what is no file of it is told.
    fn of_kind(self, kind: &'static str, report: &mut Report) -> Vec<(String, Name)> {
        match self {
            Self::Disk(root) => files_on_disk(root, kind, report),
            Self::Set(set) => {
                let stems = set.files().filter_map(|(path, _)| {
                    let stem = path.strip_prefix(kind)?.strip_prefix('/')?.strip_suffix(".yaml")?;
                    Some((path.to_owned(), Name::new(stem).ok()?))
                });
                stems.collect()
            }
        }
    }

    /// The text of a file that may be left out; none where it is.
    pub(super) fn optional(self, file: &Path, report: &mut Report) -> Option<String> {
        let is_there = match self {
            Self::Disk(root) => is_on_disk(root, file),
            Self::Set(set) => set.text(&file.to_string_lossy()).is_some(),
        };
        is_there.then(|| self.text(file, report)).flatten()
    }

    pub(super) fn text(self, file: &Path, report: &mut Report) -> Option<String> {
        match self {
            Self::Disk(root) => text_of_file(root, file, report),
            Self::Set(set) => set.text(&file.to_string_lossy()).map(str::to_owned),
        }
    }
}

/// Whether the folder at `root` has this file, readable or not.
pub(super) fn is_on_disk(root: &Path, file: &Path) -> bool {
    std::fs::symlink_metadata(root.join(file)).is_ok()
}

/// Reads every file of a sub-folder.
pub(super) fn each<T>(
    files: Files<'_>,
    kind: &'static str,
    report: &mut Report,
    mut read_one: impl FnMut(&Document, &mut Problems) -> Option<T>,
) -> Vec<T> {
    let mut all = Vec::new();
    for document in documents(files, kind, report) {
        let mut problems = Problems::default();
        let read = read_one(&document, &mut problems);
        report.add_all(&document.origin(), problems);
        all.extend(read);
    }
    all
}

pub(super) fn documents(files: Files<'_>, kind: &'static str, report: &mut Report) -> Vec<Document> {
    let of_kind = files.of_kind(kind, report);
    of_kind.into_iter().filter_map(|(file, name)| document(files, kind, PathBuf::from(file), name, report)).collect()
}

/// The files of a kind in the folder at `root`, with their names; what lies among them and is none is told.
pub(super) fn files_on_disk(root: &Path, kind: &'static str, report: &mut Report) -> Vec<(String, Name)> {
    let mut files = match std::fs::read_dir(root.join(kind)) {
        Ok(entries) => readable(kind, entries.map(|entry| entry.map(|entry| entry.path())), report),
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            report.add(Path::new(kind), format!("cannot be read: {error}"));
            Vec::new()
        }
    };
    files.sort();
    if files.len() > MAX_FILES {
        report.add(Path::new(kind), format!("{} files: at most {MAX_FILES} are read", files.len()));
        files.truncate(MAX_FILES);
    }
    files.iter().filter_map(|path| named(kind, path, report)).collect()
}

/// The entries of a folder; one that cannot be read is told, for it may be a rule.
fn readable(kind: &str, entries: impl Iterator<Item = std::io::Result<PathBuf>>, report: &mut Report) -> Vec<PathBuf> {
    let mut tell = |error| report.add(Path::new(kind), format!("cannot be read to its end: {error}"));
    entries.filter_map(|entry| entry.map_err(&mut tell).ok()).collect()
}

/// The file's path in the folder and the name it gives; nothing for what is passed over or told.
fn named(kind: &str, path: &Path, report: &mut Report) -> Option<(String, Name)> {
    let file_name = path.file_name()?.to_string_lossy();
    let file = Path::new(kind).join(&*file_name);
    if file_name.starts_with('.') || file_name.ends_with('~') || file_name.ends_with(".md") {
        return None;
    }
    if path.file_name()?.to_str().is_none() {
        report.add(&file, "the file's name is not UTF-8: rename it");
        return None;
    }
    let Some(stem) = file_name.strip_suffix(".yaml") else {
        report.add(&file, format!("only NAME.yaml files are read in {kind}/: rename it or move it away"));
        return None;
    };
    let name = Name::new(stem).map_err(|error| report.add(&file, format!("the file's name: {error}"))).ok()?;
    Some((format!("{kind}/{file_name}"), name))
}

pub(super) fn document(
    files: Files<'_>,
    kind: &'static str,
    file: PathBuf,
    name: Name,
    report: &mut Report,
) -> Option<Document> {
    let text = files.text(&file, report)?;
    let map = values(&origin(kind, &file, &text), &text, report)?;
    Some(Document { name, kind, file, text, map })
}

/// The text of a file of the folder; what cannot be read is told.
pub(super) fn text_of_file(root: &Path, file: &Path, report: &mut Report) -> Option<String> {
    let path = root.join(file);
    // A pipe would be waited for, perhaps for ever.
    if std::fs::metadata(&path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        report.add(file, "is a pipe or device: only plain files are read");
        return None;
    }
    let told = |error: FileError| match error {
        FileError::NotUtf8 => format!("{error}, as YAML is: is it the right file?"),
        error => error.to_string(),
    };
    read_text(&path).map_err(|error| report.add(file, told(error))).ok()
}

/// What a file holds, which is nothing or keys with values; what is no YAML is told.
pub(super) fn values(origin: &Origin<'_>, text: &str, report: &mut Report) -> Option<Map<String, Value>> {
    match yaml::read::<Option<Value>>(text) {
        Ok(None | Some(Value::Null)) => Some(Map::new()),
        Ok(Some(Value::Object(map))) => Some(map),
        Ok(Some(_)) => {
            report.add_at(origin, Some((1, 1)), yaml::KEYS.to_owned());
            None
        }
        Err(error) => {
            report.add_at(origin, error.place, format!("not YAML: {}", error.message));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_cannot_be_read_is_told_and_the_others_are_read() {
        let mut report = Report::default();
        let entries = [Ok(PathBuf::from("a")), Err(std::io::Error::other("the disk is gone")), Ok(PathBuf::from("b"))];
        assert_eq!(readable(RULES, entries.into_iter(), &mut report), [Path::new("a"), Path::new("b")]);
        assert_eq!(report.to_string(), "rules: cannot be read to its end: the disk is gone");
    }
}

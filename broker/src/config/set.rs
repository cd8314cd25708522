//! A set: the files of a configuration folder that say what Emote does, as one value with one hash. It is what
//! `emote apply` stores and what every broker runs. `emote.yaml` and secrets are each machine's own and not in it.

use std::{collections::BTreeMap, path::Path};

use emote_proto::Name;
use sha2::{Digest, Sha256};

use super::{
    Report, deploy_file,
    documents::{files_on_disk, is_on_disk, text_of_file},
    trust_file,
};

/// The files beside these folders that are of a set, where they are there.
pub(crate) const SINGLE: [&str; 2] = [deploy_file::FILE, trust_file::FILE];
/// The folders whose files make a set.
pub(super) const KINDS: [&str; 5] = ["sources", "rules", "targets", "tests", "schemas"];
/// Largest set in bytes of JSON.
const MAX_SET: usize = 64 * 1024 * 1024;

/// The files of a set by their paths, such as `rules/lock-leavers.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    files: BTreeMap<String, String>,
}

/// Why a text is no set.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// It is not what the hash says.
    #[error("what is stored under the hash {expected} is something else ({found})")]
    Hash {
        /// What was asked for.
        expected: String,
        /// What there is.
        found: String,
    },
    /// It is no map of paths and texts.
    #[error("not a set of rules: {0}")]
    Json(#[from] serde_json::Error),
}

/// How two sets differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Files that only the new one has.
    pub added: Vec<String>,
    /// Files that both have, with other text.
    pub changed: Vec<String>,
    /// Files that only the old one has.
    pub removed: Vec<String>,
}

impl Set {
    /// Reads the folder's files as they are; what cannot be read is told.
    pub fn read(root: &Path) -> Result<Self, Report> {
        let mut report = Report::default();
        let mut set = Self::default();
        for kind in KINDS {
            for (file, _) in files_on_disk(root, kind, &mut report) {
                if let Some(text) = text_of_file(root, Path::new(&file), &mut report) {
                    set.files.insert(file, text);
                }
            }
        }
        for file in SINGLE.iter().filter(|file| is_on_disk(root, Path::new(file))) {
            if let Some(text) = text_of_file(root, Path::new(file), &mut report) {
                set.files.insert((*file).to_owned(), text);
            }
        }
        if set.to_json().len() > MAX_SET {
            report.add(Path::new("."), format!("the files are larger than {} MiB together", MAX_SET >> 20));
        }
        report.ok(set)
    }

    /// From its files.
    pub fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { files: files.into_iter().collect() }
    }

    /// From what [`Set::to_json`] gave, which must have this hash.
    pub fn from_json(json: &[u8], hash: &str) -> Result<Self, SetError> {
        let found = hash_of(json);
        if found != hash {
            return Err(SetError::Hash { expected: hash.to_owned(), found });
        }
        Ok(Self { files: serde_json::from_slice(json)? })
    }

    /// JSON: an object of paths and texts, in order of the paths.
    pub fn to_json(&self) -> Vec<u8> {
        // Strings by strings: nothing here can fail to serialise.
        serde_json::to_vec(&self.files).unwrap_or_default()
    }

    /// SHA-256 of its JSON, in lower-case hex.
    pub fn hash(&self) -> String {
        hash_of(&self.to_json())
    }

    /// Its files, in order of their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// What the source of this name is made of: another text where anything of that is another. Its file, and where it is
    /// `held` to the schemas of events, those too.
    pub fn source(&self, name: &Name, held: bool) -> String {
        let file = self.text(&format!("sources/{name}.yaml")).unwrap_or_default();
        let schemas = self.files.iter().filter(|(path, _)| held && path.starts_with("schemas/"));
        let schemas = Self { files: schemas.map(|(path, text)| (path.clone(), text.clone())).collect() };
        format!("{}\n{file}", schemas.hash())
    }

    /// What becomes different when `new` takes the place of this one.
    pub fn difference(&self, new: &Self) -> Difference {
        let mut difference = Difference::default();
        for (path, text) in &new.files {
            match self.files.get(path) {
                None => difference.added.push(path.clone()),
                Some(old) if old != text => difference.changed.push(path.clone()),
                Some(_) => {}
            }
        }
        difference.removed = self.files.keys().filter(|path| !new.files.contains_key(*path)).cloned().collect();
        difference
    }
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

fn hash_of(json: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: &[(&str, &str)]) -> Set {
        Set::of(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())))
    }

    #[test]
    fn a_source_that_is_held_to_schemas_is_another_with_other_schemas() {
        let one = set(&[("sources/hr.yaml", "x"), ("schemas/user.yaml", "a"), ("rules/a.yaml", "x")]);
        let others = [
            ([("sources/hr.yaml", "x"), ("schemas/user.yaml", "b")], true, false),
            ([("sources/hr.yaml", "x"), ("schemas/device.yaml", "a")], true, false),
            ([("sources/hr.yaml", "y"), ("schemas/user.yaml", "a")], true, true),
            ([("sources/hr.yaml", "x"), ("schemas/user.yaml", "a")], false, false),
        ];
        let hr = Name::new("hr").unwrap();
        for (files, held, free) in others {
            let other = set(&files);
            assert_eq!(one.source(&hr, true) != other.source(&hr, true), held, "{files:?}");
            assert_eq!(one.source(&hr, false) != other.source(&hr, false), free, "{files:?}");
        }
    }

    #[test]
    fn a_set_is_known_by_what_is_in_it() {
        let one = set(&[("rules/a.yaml", "x"), ("targets/t.yaml", "y")]);
        let same = set(&[("targets/t.yaml", "y"), ("rules/a.yaml", "x")]);
        assert_eq!(one.hash(), same.hash());
        assert_eq!(Set::from_json(&one.to_json(), &one.hash()).unwrap(), one);
        let other = set(&[("rules/a.yaml", "z")]);
        assert!(matches!(Set::from_json(&one.to_json(), &other.hash()), Err(SetError::Hash { .. })));
        let difference = one.difference(&other);
        assert_eq!(
            (difference.added.len(), difference.changed, difference.removed),
            (0, vec!["rules/a.yaml".to_owned()], vec!["targets/t.yaml".to_owned()])
        );
    }

    #[test]
    fn whom_to_believe_is_of_the_set() {
        let folder = tempfile::tempdir().unwrap();
        let without = Set::read(folder.path()).unwrap();
        std::fs::write(folder.path().join("trust.yaml"), "agent: verified\n").unwrap();
        let with = Set::read(folder.path()).unwrap();
        assert_eq!(with.files().collect::<Vec<_>>(), [("trust.yaml", "agent: verified\n")]);
        assert_ne!(with.hash(), without.hash());
        assert_eq!(without.difference(&with).added, ["trust.yaml"]);
    }

    #[test]
    fn a_folders_set_leaves_out_what_is_this_machines_own() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["emote.yaml", "rules/a.yaml", "rules/README.md", "secrets/token", "data/x.yaml"] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "a: b\n").unwrap();
        }
        let set = Set::read(folder.path()).unwrap();
        assert_eq!(set.files().collect::<Vec<_>>(), [("rules/a.yaml", "a: b\n")]);
    }
}

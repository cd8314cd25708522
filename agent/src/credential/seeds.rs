//! Seeds of keys: in the system's store when it takes them, else one file each, `<public key>.seed`, its owner's alone.

use std::io;
use std::path::{Path, PathBuf};

use emote_proto::enroll::UserKey;
use nkeys::KeyPair;
use zeroize::Zeroizing;

use super::files;
use crate::platform::{self, SecretStore};

const ENDING: &str = "seed";
/// Longer is no seed.
const MOST: u64 = 256;

/// Every store there is, the best first.
pub(crate) struct Seeds {
    stores: Vec<Box<dyn SecretStore>>,
    files: Files,
}

/// Files in a folder.
struct Files {
    folder: PathBuf,
}

impl Seeds {
    /// Those of this machine, with files in `folder`.
    pub(super) fn of(folder: &Path) -> Self {
        Self { stores: platform::secret_store().into_iter().collect(), files: Files { folder: folder.to_owned() } }
    }

    /// Makes a key. When it returns, its seed is kept.
    pub(super) fn make(&self) -> io::Result<UserKey> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(format!("no random bytes: {error}")))?;
        let pair = KeyPair::new_from_raw(nkeys::KeyPairType::User, random).map_err(io::Error::other);
        zeroize::Zeroize::zeroize(&mut random);
        let pair = pair?;
        let key = UserKey::new(pair.public_key()).map_err(io::Error::other)?;
        let seed = Zeroizing::new(pair.seed().map_err(io::Error::other)?);
        for store in &self.stores {
            match store.put(key.as_str(), &seed) {
                Ok(()) => return Ok(key),
                Err(error) => tracing::warn!(store = store.name(), %error, "it does not take the key: a file does"),
            }
        }
        self.files.put(key.as_str(), &seed).map(|()| key)
    }

    /// The pair of a key, if its seed is there, and where it is.
    pub(super) fn get(&self, key: &UserKey) -> io::Result<Option<(KeyPair, &'static str)>> {
        let mut trouble = None;
        for store in self.all() {
            match store.get(key.as_str()) {
                Ok(Some(seed)) => {
                    let pair = KeyPair::from_seed(seed.trim()).ok().filter(|pair| pair.public_key() == key.as_str());
                    if let Some(pair) = pair {
                        return Ok(Some((pair, store.name())));
                    }
                    tracing::error!(store = store.name(), "the seed there is not the key's");
                }
                Ok(None) => {}
                Err(error) => trouble = Some(error),
            }
        }
        trouble.map_or(Ok(None), Err)
    }

    /// Forgets keys that are not needed any more.
    pub(super) fn remove(&self, key: &UserKey) {
        for store in self.all() {
            if let Err(error) = store.remove(key.as_str()) {
                tracing::warn!(store = store.name(), %error, "an old key is still there");
            }
        }
    }

    /// Forgets files of keys that were made and never came into use: the agent was killed in between.
    pub(super) fn sweep<'a>(&self, needed: impl Iterator<Item = &'a UserKey>) {
        let needed: Vec<PathBuf> = needed.map(|key| self.files.path(key.as_str())).collect();
        let Ok(entries) = std::fs::read_dir(&self.files.folder) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let is_seed = path.extension().is_some_and(|ending| ending == ENDING || ending == "new");
            if is_seed && !needed.contains(&path) {
                std::fs::remove_file(&path).ok();
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &dyn SecretStore> {
        let files: &dyn SecretStore = &self.files;
        self.stores.iter().map(|store| &**store).chain([files])
    }
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ENDING}"))
    }
}

impl SecretStore for Files {
    fn name(&self) -> &'static str {
        "a file"
    }

    fn put(&self, name: &str, secret: &str) -> io::Result<()> {
        files::write(&self.path(name), secret.as_bytes())
    }

    fn get(&self, name: &str) -> io::Result<Option<Zeroizing<String>>> {
        match files::read(&self.path(name), MOST, true) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn seeds(folder: &Path) -> Seeds {
        Seeds { stores: Vec::new(), files: Files { folder: folder.to_owned() } }
    }

    /// The contract of every store.
    fn check(store: &dyn SecretStore) {
        assert!(store.get("a").unwrap().is_none());
        store.put("a", "s3cret").unwrap();
        store.put("b", "other").unwrap();
        assert_eq!(store.get("a").unwrap().unwrap().as_str(), "s3cret");
        store.remove("a").unwrap();
        store.remove("a").unwrap();
        assert!(store.get("a").unwrap().is_none() && store.get("b").unwrap().is_some());
        assert!(!store.name().is_empty());
    }

    #[test]
    fn files_are_a_store() {
        let dir = tempfile::tempdir().unwrap();
        check(&Files { folder: dir.path().to_owned() });
    }

    #[test]
    fn a_seed_is_its_owners_alone_and_one_that_others_may_read_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let seeds = seeds(dir.path());
        let key = seeds.make().unwrap();
        let path = seeds.files.path(key.as_str());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(seeds.get(&key).unwrap().unwrap().0.public_key(), key.as_str());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(seeds.get(&key).err().unwrap().to_string().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let other = seeds.make().unwrap();
        std::fs::copy(seeds.files.path(other.as_str()), &path).unwrap();
        assert!(seeds.get(&key).unwrap().is_none(), "it is of another key");
    }

    #[test]
    fn a_store_that_does_not_take_it_is_passed_over() {
        struct Full;
        impl SecretStore for Full {
            fn name(&self) -> &'static str {
                "full"
            }
            fn put(&self, _: &str, _: &str) -> io::Result<()> {
                Err(io::Error::other("full"))
            }
            fn get(&self, _: &str) -> io::Result<Option<Zeroizing<String>>> {
                Ok(None)
            }
            fn remove(&self, _: &str) -> io::Result<()> {
                Ok(())
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let seeds = Seeds { stores: vec![Box::new(Full)], files: Files { folder: dir.path().to_owned() } };
        let key = seeds.make().unwrap();
        assert_eq!(seeds.get(&key).unwrap().unwrap().1, "a file");
    }

    #[test]
    fn what_was_made_and_never_used_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        let seeds = seeds(dir.path());
        let (kept, orphan) = (seeds.make().unwrap(), seeds.make().unwrap());
        std::fs::write(dir.path().join("x.new"), "half").unwrap();
        std::fs::write(dir.path().join("state.json"), "{}").unwrap();
        seeds.sweep([&kept].into_iter());
        assert!(seeds.get(&kept).unwrap().is_some() && seeds.get(&orphan).unwrap().is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}

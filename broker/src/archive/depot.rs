//! A store of objects under one prefix: put, get, list, each bounded. Only what has no secrets in it is told of an error.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};

/// Objects that are listed at once at most.
const MAX_LISTED: usize = 2_000_000;

/// The store did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path} in the archive: {reason}")]
pub struct DepotError {
    doing: &'static str,
    path: String,
    reason: String,
}

/// Whether an object was put where there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was.
    New,
    /// There was one already; it is left alone.
    Already,
}

/// The objects of an archive.
#[derive(Clone)]
pub struct Depot {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    conditional: bool,
}

impl Depot {
    /// Of what lies under `prefix` in `store`. `conditional`: the store takes an object only where there is none, if asked.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str, conditional: bool) -> Self {
        Self { store, prefix: Path::from(prefix), conditional }
    }

    fn path(&self, path: &str) -> Path {
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.fold(self.prefix.clone(), |folder, part| folder.join(part))
    }

    /// Puts an object where there is none. A store that cannot do that is looked into first: then two brokers at the same
    /// moment are told apart only by who leads.
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<Created, DepotError> {
        if !self.conditional {
            if self.has(path).await? {
                return Ok(Created::Already);
            }
            self.put(path, bytes).await?;
            return Ok(Created::New);
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&self.path(path), bytes.into(), options).await {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::Already),
            Err(error) => Err(failed("putting", path, &error)),
        }
    }

    /// Puts an object, in the place of another if there is one.
    pub async fn put(&self, path: &str, bytes: Bytes) -> Result<(), DepotError> {
        let put = self.store.put(&self.path(path), bytes.into()).await;
        put.map(drop).map_err(|error| failed("putting", path, &error))
    }

    async fn has(&self, path: &str) -> Result<bool, DepotError> {
        match self.store.head(&self.path(path)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed("looking for", path, &error)),
        }
    }

    /// An object of `max` bytes at most; `None` where there is none.
    pub async fn get(&self, path: &str, max: u64) -> Result<Option<Bytes>, DepotError> {
        let found = match self.store.get(&self.path(path)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed("getting", path, &error)),
        };
        if found.meta.size > max {
            let reason = format!("it has {} bytes, more than the {max} that are read", found.meta.size);
            return Err(DepotError { doing: "getting", path: path.to_owned(), reason });
        }
        found.bytes().await.map(Some).map_err(|error| failed("getting", path, &error))
    }

    /// The names of the folders in a folder, in order.
    pub async fn folders(&self, path: &str) -> Result<Vec<String>, DepotError> {
        let listed = self.store.list_with_delimiter(Some(&self.path(path))).await;
        let listed = listed.map_err(|error| failed("listing", path, &error))?;
        let names = listed.common_prefixes.iter().filter_map(|folder| folder.filename().map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The names of the objects in a folder, in order.
    pub async fn names(&self, path: &str) -> Result<Vec<String>, DepotError> {
        let mut names = self.list(path, |location| location.filename().map(str::to_owned)).await?;
        names.sort_unstable();
        Ok(names)
    }

    /// The objects in a folder and in those in it, from the archive's root, in order.
    pub async fn paths(&self, path: &str) -> Result<Vec<String>, DepotError> {
        let prefix = self.prefix.parts().count();
        let of = |location: &Path| {
            Some(location.parts().skip(prefix).map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
        };
        let mut paths = self.list(path, of).await?;
        paths.sort_unstable();
        Ok(paths)
    }

    async fn list(&self, path: &str, of: impl Fn(&Path) -> Option<String>) -> Result<Vec<String>, DepotError> {
        let folder = self.path(path);
        let mut listed = self.store.list(Some(&folder));
        let mut names = Vec::new();
        while let Some(object) = listed.try_next().await.map_err(|error| failed("listing", path, &error))? {
            names.extend(of(&object.location));
            if names.len() > MAX_LISTED {
                let reason = format!("there are more than {MAX_LISTED} objects");
                return Err(DepotError { doing: "listing", path: path.to_owned(), reason });
            }
        }
        Ok(names)
    }
}

fn failed(doing: &'static str, path: &str, error: &object_store::Error) -> DepotError {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    // What a cause adds is told once.
    while let Some(cause) = source {
        let text = cause.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        source = cause.source();
    }
    DepotError { doing, path: path.to_owned(), reason: reason.chars().take(1_000).collect() }
}

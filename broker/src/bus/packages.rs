//! The bucket `emote-packages`: the agent's packages, as NATS' own object store keeps objects. Each carries what it is in its
//! metadata, so that whoever finds one need not read its bytes.

use async_nats::jetstream::{
    object_store as objects,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use emote_proto::{Time, bucket};
use futures_util::StreamExt;
use tokio::io::AsyncRead;

use super::{Bus, BusError, kept::no_answer};
use crate::core::Package;

/// Under which key of an object's metadata stands what it is.
const ABOUT: &str = "emote-package";
/// Objects that are looked at; there are a few.
const MAX_LISTED: usize = 1_000;

/// A package that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPackage {
    /// What it is.
    pub package: Package,
    /// Since when it is there.
    pub since: Option<Time>,
}

/// As NATS' object stores are made. No size is set aside: what is kept is few, and of administrators alone.
pub(super) fn bucket_config(replicas: usize) -> Config {
    let bucket = bucket::PACKAGES;
    Config {
        name: format!("OBJ_{bucket}"),
        description: Some("Emote: packages of the agent".to_owned()),
        subjects: vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: replicas,
        allow_rollup: true,
        allow_direct: true,
        ..Config::default()
    }
}

impl Bus {
    /// All packages, in order of their names.
    pub async fn kept_packages(&self) -> Result<Vec<KeptPackage>, BusError> {
        let failed = no_answer("listing packages");
        let mut list = self.packages_bucket().await?.list().await.map_err(|error| failed(&error))?.take(MAX_LISTED);
        let mut found = Vec::new();
        while let Some(info) = list.next().await {
            found.extend(kept(&info.map_err(|error| failed(&error))?));
        }
        found.sort_by_key(|kept| kept.package.file_name());
        Ok(found)
    }

    /// Keeps a package under its name, in place of what was there.
    pub async fn keep_package(&self, package: &Package, mut bytes: &[u8]) -> Result<(), BusError> {
        let doing = "storing a package";
        let refused = |reason: String| BusError::Refused { doing, reason };
        let about = serde_json::to_string(package).map_err(|error| refused(error.to_string()))?;
        let object = objects::ObjectMetadata {
            name: package.file_name(),
            description: Some(format!("{} {}", package.title, package.version)),
            metadata: [(ABOUT.to_owned(), about)].into(),
            ..objects::ObjectMetadata::default()
        };
        let put = self.packages_bucket().await?.put(object, &mut bytes).await;
        put.map(drop).map_err(|error| no_answer(doing)(&error))
    }

    /// The bytes of the package under this name, however many there are. They are whole where they end well.
    pub async fn read_package(&self, name: &str) -> Result<impl AsyncRead + Send + Unpin + use<>, BusError> {
        let object = self.packages_bucket().await?.get(name).await;
        object.map_err(|error| no_answer("reading a package")(&error))
    }

    /// The package of this name that was taken away last, where none is kept now: what marks an object as deleted keeps
    /// what it was.
    pub async fn removed_package(&self, name: &str) -> Result<Option<Package>, BusError> {
        match self.packages_bucket().await?.info(name).await {
            Ok(info) => Ok(removed(&info)),
            Err(error) if error.kind() == objects::InfoErrorKind::NotFound => Ok(None),
            Err(error) => Err(no_answer("looking for a package")(&error)),
        }
    }

    /// Takes a package away; whether it was there.
    pub async fn remove_package(&self, name: &str) -> Result<bool, BusError> {
        match self.packages_bucket().await?.delete(name).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == objects::DeleteErrorKind::NotFound => Ok(false),
            Err(error) => Err(no_answer("removing a package")(&error)),
        }
    }

    async fn packages_bucket(&self) -> Result<objects::ObjectStore, BusError> {
        let found = self.js.get_object_store(bucket::PACKAGES).await;
        found.map_err(|error| BusError::NoAnswer {
            doing: "looking for the bucket of packages, which a broker makes when it starts",
            reason: error.to_string(),
        })
    }
}

/// What others put there is no package.
fn kept(info: &objects::ObjectInfo) -> Option<KeptPackage> {
    let package = about(info).filter(|package| u64::try_from(info.size).ok() == Some(package.size))?;
    let since = info.modified.and_then(|at| i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok());
    (!info.deleted).then(|| KeptPackage { package, since: since.and_then(Time::from_millis) })
}

fn removed(info: &objects::ObjectInfo) -> Option<Package> {
    about(info).filter(|_| info.deleted)
}

/// What an object says it is. Its hash becomes the name of a file: who may write into the bucket may not choose others.
fn about(info: &objects::ObjectInfo) -> Option<Package> {
    let package: Package = serde_json::from_str(info.metadata.get(ABOUT)?).ok()?;
    (package.file_name() == info.name && package.check().is_ok()).then_some(package)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_what_it_says_while_it_is_there_and_was_it_afterwards() {
        let package = Package { size: 7, ..Package::example() };
        let object = |name: &str, size: u64, deleted: bool, about: &str| {
            let info = json!({"name": name, "bucket": bucket::PACKAGES, "nuid": "x", "size": size, "chunks": 1,
                "deleted": deleted, "metadata": {ABOUT: about}});
            serde_json::from_value::<objects::ObjectInfo>(info).unwrap()
        };
        let (name, about) = (package.file_name(), serde_json::to_string(&package).unwrap());
        let there = object(&name, 7, false, &about);
        assert_eq!((kept(&there).map(|kept| kept.package), removed(&there)), (Some(package.clone()), None));
        let gone = object(&name, 0, true, &about);
        assert_eq!((kept(&gone), removed(&gone)), (None, Some(package.clone())));
        let elsewhere = serde_json::to_string(&Package { sha256: "../x".to_owned(), ..package }).unwrap();
        for none in [
            object("EmoteAgent-9.pkg", 7, false, &about),
            object(&name, 8, false, &about),
            object(&name, 7, false, "{}"),
            object(&name, 7, false, &elsewhere),
            object(&name, 0, true, &elsewhere),
        ] {
            assert_eq!((kept(&none), removed(&none)), (None, None), "{none:?}");
        }
    }
}

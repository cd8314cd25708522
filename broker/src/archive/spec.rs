//! Where the archive is, and how it is cut: the `archive` section of `emote.yaml`, validated, secrets still references.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use object_store::{
    Certificate, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, S3ConditionalPut},
    azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
    local::LocalFileSystem,
};

use super::Depot;
use crate::config::{SecretError, SecretRef};

/// How long a request may take, connecting included.
const REQUEST_WITHIN: Duration = Duration::from_secs(120);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a request is repeated within the client; what fails longer is tried again from outside.
const RETRY_WITHIN: Duration = Duration::from_secs(30);

/// The `archive` section.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveSpec {
    /// Where objects go.
    pub place: Place,
    /// Folder within the bucket, without slashes around it; may be empty.
    pub prefix: String,
    /// Entries in memory are stored once they come to so many bytes.
    pub size: usize,
    /// Entries are stored so long after the first of them came.
    pub age: Duration,
    /// The store takes an object only where there is none, if it is asked to.
    pub conditional_puts: bool,
}

/// A store of objects.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// A folder; a relative path is taken from the configuration folder.
    Folder(PathBuf),
    /// S3, or what speaks its language.
    S3 {
        /// The bucket.
        bucket: String,
        /// Its region.
        region: Option<String>,
        /// What speaks S3, where that is not Amazon's.
        endpoint: Option<String>,
        /// Key id and key; without them as the machine's role.
        keys: Option<(String, SecretRef)>,
        /// How it is reached.
        wire: Wire,
    },
    /// Google Cloud Storage.
    Gcs {
        /// The bucket.
        bucket: String,
        /// A service account's key (JSON); without it as the machine's.
        service_account: Option<SecretRef>,
        /// How it is reached.
        wire: Wire,
    },
    /// Azure Blob Storage.
    Azure {
        /// The container.
        container: String,
        /// The storage account.
        account: String,
        /// The account's key; without it as the machine's identity.
        key: Option<SecretRef>,
        /// What speaks Azure, where that is not Microsoft's.
        endpoint: Option<String>,
        /// How it is reached.
        wire: Wire,
    },
}

/// How a store is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wire {
    /// The CA of its certificate, PEM; then no other is trusted.
    pub ca: Option<PathBuf>,
    /// Plain http is allowed.
    pub insecure: bool,
}

/// Why the archive cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file or folder cannot be used.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The store's client refuses the settings.
    #[error("{0}")]
    Store(String),
}

impl From<object_store::Error> for SpecError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error.to_string())
    }
}

impl ArchiveSpec {
    /// Makes ready what reads and writes there; relative paths are taken from `root`. Nothing is asked of the store yet.
    pub fn open(&self, root: &Path) -> Result<Depot, SpecError> {
        Ok(Depot::new(self.place.open(root, self.conditional_puts)?, &self.prefix, self.conditional_puts))
    }

    /// Whether its secrets and files can be had.
    pub fn resolve(&self, root: &Path) -> Result<(), SpecError> {
        match &self.place {
            // It is made when it is needed.
            Place::Folder(_) => Ok(()),
            place => place.open(root, self.conditional_puts).map(drop),
        }
    }

    /// Makes the folder, where the archive is one and it is not there yet.
    pub fn make(&self, root: &Path) -> Result<(), SpecError> {
        use std::os::unix::fs::DirBuilderExt;
        let Place::Folder(folder) = &self.place else { return Ok(()) };
        let path = root.join(folder);
        if path.is_dir() {
            return Ok(());
        }
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|error| SpecError::File { path, reason: error.to_string() })
    }

    /// Where it is, for people.
    pub fn shown(&self) -> String {
        let place = match &self.place {
            Place::Folder(folder) => return folder.display().to_string(),
            Place::S3 { bucket, .. } => format!("s3://{bucket}"),
            Place::Gcs { bucket, .. } => format!("gs://{bucket}"),
            Place::Azure { container, .. } => format!("az://{container}"),
        };
        if self.prefix.is_empty() { place } else { format!("{place}/{}", self.prefix) }
    }
}

impl Place {
    fn open(&self, root: &Path, conditional: bool) -> Result<Arc<dyn ObjectStore>, SpecError> {
        drop(rustls::crypto::ring::default_provider().install_default());
        Ok(match self {
            Self::Folder(folder) => {
                let path = root.join(folder);
                let store = LocalFileSystem::new_with_prefix(&path);
                let store =
                    store.map_err(|_| SpecError::File { path, reason: "there is no such folder".to_owned() })?;
                // What is told to be stored must be on the disk: the stream forgets it one day.
                Arc::new(store.with_fsync(true))
            }
            Self::S3 { bucket, region, endpoint, keys, wire } => {
                // Keys, or what the machine is given by its environment: role, web identity, container.
                let mut builder = match keys {
                    Some((id, key)) => AmazonS3Builder::new()
                        .with_access_key_id(id)
                        .with_secret_access_key(key.resolve(root)?.expose()),
                    None => AmazonS3Builder::from_env(),
                };
                if let Some(region) = region {
                    builder = builder.with_region(region);
                }
                if let Some(endpoint) = endpoint {
                    builder = builder.with_endpoint(endpoint);
                }
                let puts = if conditional { S3ConditionalPut::ETagMatch } else { S3ConditionalPut::Disabled };
                let builder = builder.with_bucket_name(bucket).with_conditional_put(puts).with_retry(retries());
                Arc::new(builder.with_client_options(wire.options(root)?).build()?)
            }
            Self::Gcs { bucket, service_account, wire } => {
                let builder = match service_account {
                    Some(key) => GoogleCloudStorageBuilder::new().with_service_account_key(key.resolve(root)?.expose()),
                    None => GoogleCloudStorageBuilder::from_env(),
                };
                let builder = builder.with_bucket_name(bucket).with_retry(retries());
                Arc::new(builder.with_client_options(wire.options(root)?).build()?)
            }
            Self::Azure { container, account, key, endpoint, wire } => {
                let mut builder = match key {
                    Some(key) => MicrosoftAzureBuilder::new().with_access_key(key.resolve(root)?.expose()),
                    None => MicrosoftAzureBuilder::from_env(),
                };
                if let Some(endpoint) = endpoint {
                    builder = builder.with_endpoint(endpoint.clone());
                }
                let builder = builder.with_account(account).with_container_name(container).with_retry(retries());
                Arc::new(builder.with_client_options(wire.options(root)?).build()?)
            }
        })
    }
}

impl Wire {
    fn options(&self, root: &Path) -> Result<ClientOptions, SpecError> {
        let mut options = ClientOptions::new()
            .with_allow_http(self.insecure)
            .with_timeout(REQUEST_WITHIN)
            .with_connect_timeout(CONNECT_WITHIN);
        if let Some(ca) = &self.ca {
            let path = root.join(ca);
            let wrong = |reason: String| SpecError::File { path: path.clone(), reason };
            let pem = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
            if certificates.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
            options = options.with_no_system_certificates(true);
            for certificate in certificates {
                options = options.with_root_certificate(certificate);
            }
        }
        Ok(options)
    }
}

fn retries() -> RetryConfig {
    RetryConfig { max_retries: 4, retry_timeout: RETRY_WITHIN, ..RetryConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_store_is_made_ready_and_its_secrets_are_not_told() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "aHVudGVyMg==").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let secret = |name: &str| SecretRef::File(name.into());
        let s3 = |keys, wire| Place::S3 { bucket: "bucket".into(), region: None, endpoint: None, keys, wire };
        let azure = |key| Place::Azure {
            container: "c".into(),
            account: "a".into(),
            key: Some(key),
            endpoint: None,
            wire: Wire::default(),
        };
        let gcs = Place::Gcs { bucket: "b".into(), service_account: Some(secret("key")), wire: Wire::default() };
        let ca = Wire { ca: Some("key".into()), insecure: false };
        for (place, said) in [
            (s3(Some(("id".into(), secret("key"))), Wire::default()), None),
            (s3(Some(("id".into(), secret("none"))), Wire::default()), Some("the secret file")),
            (s3(None, ca), Some("there is no certificate in it")),
            (azure(secret("key")), None),
            (azure(secret("none")), Some("the secret file")),
            (gcs, Some("")),
            (Place::Folder("none".into()), Some("there is no such folder")),
        ] {
            let spec =
                ArchiveSpec { place, prefix: String::new(), size: 1, age: REQUEST_WITHIN, conditional_puts: true };
            let told = spec.open(folder.path()).err().map(|error| error.to_string());
            assert_eq!(told.is_some(), said.is_some(), "{told:?}");
            let told = told.unwrap_or_default();
            assert!(told.contains(said.unwrap_or_default()) && !told.contains("aHVudGVyMg"), "{told}");
        }
        let spec = ArchiveSpec {
            place: Place::Folder("new/archive".into()),
            prefix: String::new(),
            size: 1,
            age: REQUEST_WITHIN,
            conditional_puts: true,
        };
        spec.make(folder.path()).unwrap();
        let mode = std::fs::metadata(folder.path().join("new/archive")).unwrap().permissions().mode();
        assert!(mode.trailing_zeros() >= 6 && spec.open(folder.path()).is_ok(), "{mode:o}");
    }
}

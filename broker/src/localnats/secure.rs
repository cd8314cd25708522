//! What a folder that `emote init --secure` wrote adds to a nats-server on this machine.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    bus::BusSettings,
    identity::{
        files,
        tls::{self, Names, Pair, TlsError},
    },
};

/// Why a folder's keys or certificates do not do.
#[derive(Debug, thiserror::Error)]
pub enum SecureError {
    /// A file is not to be had.
    #[error("{path}: {error}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The certificate is not for this machine, or no longer.
    #[error(
        "{certificate}: {error}: `emote init --renew-tls` makes another, for this machine too; with an authority of your own \
         have 127.0.0.1 among the names",
        certificate = files::CERTIFICATE
    )]
    Certificate {
        /// What is wrong with it.
        error: TlsError,
    },
}

/// A folder with keys and certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secure {
    root: PathBuf,
    credentials: PathBuf,
}

impl Secure {
    /// The folder, if it is one of those; `credentials` are what its emote.yaml names.
    pub fn find(folder: &Path, credentials: Option<&Path>) -> Result<Option<Self>, SecureError> {
        if !folder.join(files::IDENTITY).is_file() {
            return Ok(None);
        }
        let root = folder.canonicalize().map_err(|error| SecureError::File { path: folder.to_owned(), error })?;
        let credentials = root.join(credentials.unwrap_or(Path::new(files::BROKER)));
        Ok(Some(Self { root, credentials }))
    }

    /// Where the server is started: its configuration's paths are taken from there.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What the configuration of a server has beside address and store.
    pub(super) fn configuration(&self) -> Result<String, SecureError> {
        let pair = Pair { certificate: self.read(files::CERTIFICATE)?, key: self.read(files::KEY)? };
        let here = Names::only(&["127.0.0.1".to_owned()]).map_err(|error| SecureError::Certificate { error })?;
        let now = Duration::from_secs(jiff::Timestamp::now().as_second().unsigned_abs());
        let fits = tls::check(&self.read(files::CA)?, &pair, &here, now);
        fits.map_err(|error| SecureError::Certificate { error })?;
        let (identity, certificate, key) = (self.read(files::IDENTITY)?, files::CERTIFICATE, files::KEY);
        Ok(format!(
            "max_payload: 4MB\n\
             tls {{ cert_file: {certificate:?}, key_file: {key:?}, min_version: \"1.2\", timeout: 5 }}\n\
             {identity}"
        ))
    }

    /// As the broker connects, with what is trusted here.
    pub(super) fn settings(&self, settings: BusSettings) -> BusSettings {
        BusSettings { credentials: Some(self.credentials.clone()), ca: Some(self.root.join(files::CA)), ..settings }
    }

    /// The same, as the administrator.
    pub(super) fn as_admin(&self, settings: BusSettings) -> BusSettings {
        BusSettings { credentials: Some(self.root.join(files::ADMIN)), ..self.settings(settings) }
    }

    fn read(&self, path: &str) -> Result<String, SecureError> {
        let path = self.root.join(path);
        std::fs::read_to_string(&path).map_err(|error| SecureError::File { path, error })
    }
}

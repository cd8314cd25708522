//! Secrets by reference: `${env:NAME}` or `${file:/path}`; resolved into memory, never shown.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A secret's value. `Debug` and errors never show it; clones share its bytes, which are overwritten when the last one is
/// dropped. Two are compared in a time that depends on their lengths alone.
#[derive(Clone, Eq)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(value.into())))
    }

    /// Joins parts to one value; none of it is left anywhere else in memory.
    pub(super) fn of_parts(parts: &[&str]) -> Self {
        // Growing would leave what was written so far behind.
        let mut value = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| value.push_str(part));
        Self::new(value)
    }

    /// Whether this is it, in a time that depends on neither content nor length of it.
    pub fn is(&self, given: impl AsRef<[u8]>) -> bool {
        Sha256::digest(self.expose()).ct_eq(&Sha256::digest(given)).into()
    }

    /// The value, for use and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose().as_bytes().ct_eq(other.expose().as_bytes()).into()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is unset or empty.
    #[error("the environment variable {0} is not set: set it, or refer to a file with ${{file:PATH}}")]
    NoVariable(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read: {error}")]
    NoFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is empty.
    #[error("the secret file {0} is empty")]
    EmptyFile(PathBuf),
    /// Others on this machine may read it.
    #[error("the secret file {0} can be read by others: take that right away with chmod 600")]
    Open(PathBuf),
}

impl SecretError {
    /// The reference that leads nowhere; a file by its whole path.
    pub(super) fn reference(&self) -> SecretRef {
        match self {
            Self::NoVariable(name) => SecretRef::Env(name.clone()),
            Self::NoFile { path, .. } | Self::EmptyFile(path) | Self::Open(path) => SecretRef::File(path.clone()),
        }
    }
}

/// Where a secret is to be had, or a text that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// `${env:NAME}`
    Env(String),
    /// `${file:PATH}`; a relative path is taken from the configuration folder.
    File(PathBuf),
}

impl SecretRef {
    /// Resolves the reference; a trailing line break of a file is not part of the secret.
    pub fn resolve(&self, folder: &Path) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) => match std::env::var(name) {
                Ok(value) if !value.is_empty() => Ok(Secret::new(value)),
                _ => Err(SecretError::NoVariable(name.clone())),
            },
            Self::File(path) => {
                let path = folder.join(path);
                refuse_open_modes(&path)?;
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| SecretError::NoFile { path: path.clone(), error })?;
                let text = Zeroizing::new(text);
                let text = text.trim_end_matches(['\n', '\r']);
                if text.is_empty() { Err(SecretError::EmptyFile(path)) } else { Ok(Secret::new(text)) }
            }
        }
    }
}

fn refuse_open_modes(path: &Path) -> Result<(), SecretError> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::metadata(path) {
        Ok(meta) if meta.permissions().mode() & 0o004 != 0 => Err(SecretError::Open(path.to_owned())),
        _ => Ok(()),
    }
}

impl std::str::FromStr for SecretRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
        match inner.and_then(|inner| inner.split_once(':')) {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            // The text itself may be the secret: it is not repeated.
            _ => {
                Err("a secret is given by reference, ${env:NAME} or ${file:PATH}, never in the file itself".to_owned())
            }
        }
    }
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(f, "${{env:{name}}}"),
            Self::File(path) => write!(f, "${{file:{}}}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret, Secret::of_parts(&["hun", "", "ter2"]));
        assert_ne!(secret, Secret::new("hunter3"));
        let error = "hunter2".parse::<SecretRef>().unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn files_are_read_from_the_folder_and_must_be_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "abc\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let reference: SecretRef = "${file:token}".parse().unwrap();
        assert_eq!(reference.resolve(folder.path()).unwrap().expose(), "abc");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(reference.resolve(folder.path()), Err(SecretError::Open(_))));
        let unset: SecretRef = "${env:EMOTE_TEST_SURELY_UNSET}".parse().unwrap();
        assert!(unset.resolve(folder.path()).unwrap_err().to_string().contains("EMOTE_TEST_SURELY_UNSET"));
    }
}

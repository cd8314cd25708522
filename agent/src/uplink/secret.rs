//! Files with something in them that only this machine may know, read anew each time they are needed.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::platform;

const MOST: u64 = 64 * 1024;

/// Why a secret is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("{path}: {error}")]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{path}: others on this machine can read it (mode {mode:o}): chmod 600 it")]
    Exposed { path: PathBuf, mode: u32 },
}

/// The file's text without the white space around it, if nobody but its owner can read it. It is overwritten when dropped.
pub(super) async fn read(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    read_if(path, |mode| mode & 0o077 == 0).await
}

/// The file's text, whoever can read it.
pub(super) async fn read_anyway(path: &Path) -> Result<Zeroizing<String>, SecretError> {
    read_if(path, |_| true).await
}

async fn read_if(path: &Path, fits: fn(u32) -> bool) -> Result<Zeroizing<String>, SecretError> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || -> std::io::Result<(u32, Zeroizing<String>)> {
        let file = platform::open(&owned)?;
        let mode = file.metadata()?.permissions().mode() & 0o7777;
        platform::read_text(&file, MOST).map(|text| (mode, text))
    });
    let read = read.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let (mode, text) = read.map_err(|error| SecretError::Unreadable { path: path.to_owned(), error })?;
    if fits(mode) {
        Ok(Zeroizing::new(text.trim().to_owned()))
    } else {
        Err(SecretError::Exposed { path: path.to_owned(), mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    #[tokio::test]
    async fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(read_anyway(&pipe).await.unwrap_err().to_string().ends_with("not a regular file"));
    }

    #[tokio::test]
    async fn a_secret_that_others_can_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, " s3cret\n").unwrap();
        for (mode, taken) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            match read(&path).await {
                Ok(text) => assert!(taken && *text == "s3cret", "{mode:o}"),
                Err(error) => assert!(!taken && error.to_string().ends_with("chmod 600 it"), "{mode:o}: {error}"),
            }
            assert_eq!(*read_anyway(&path).await.unwrap(), "s3cret");
        }
        assert!(read(&dir.path().join("none")).await.unwrap_err().to_string().contains("none: "));
    }
}

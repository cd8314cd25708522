//! The token in the data folder: whoever can read the file is admin. Made where there is none, so deleting the file is how
//! to have another one; read anew at each use, so that this works at once.

use std::{
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use zeroize::Zeroizing;

use crate::{config::Secret, random};

/// Its name in the data folder.
const FILE: &str = "console-token";
/// Characters of it: 32 random bytes.
const LENGTH: usize = 43;

/// Where the token is.
#[derive(Debug, Clone)]
pub(super) struct LocalToken(PathBuf);

/// Whether a token was the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    Right,
    Wrong,
    /// There was none, so a new one was made; what the old one opened is to be ended.
    Renewed,
}

impl LocalToken {
    /// In this folder.
    pub(super) fn in_folder(data: &Path) -> Self {
        Self(data.join(FILE))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it where there is none; whether it did. It is there whole or not at all.
    pub(super) fn ensure(&self) -> anyhow::Result<bool> {
        let doing = || format!("the console's token {}", self.0.display());
        if self.0.exists() {
            self.read().with_context(doing)?;
            return Ok(false);
        }
        let token = random::secret().context("random bytes")?;
        let beside = self.0.with_extension(random::name::<4>());
        let written = write_new(&beside, &token);
        let made = written.and_then(|()| std::fs::hard_link(&beside, &self.0));
        drop(std::fs::remove_file(&beside));
        match made {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error).with_context(doing),
        }
    }

    /// Whether this is it.
    pub(super) fn check(&self, given: &str) -> anyhow::Result<Checked> {
        if !self.0.exists() && self.ensure()? {
            return Ok(Checked::Renewed);
        }
        Ok(if self.read()?.is(given) { Checked::Right } else { Checked::Wrong })
    }

    fn read(&self) -> anyhow::Result<Secret> {
        let about = std::fs::metadata(&self.0)?;
        if about.permissions().mode() & 0o077 != 0 {
            anyhow::bail!(
                "others on this machine may read it: take that right away (chmod 600), or delete it for a new one"
            );
        }
        let text = Zeroizing::new(std::fs::read_to_string(&self.0)?);
        let token = text.trim_end_matches(['\n', '\r']);
        if token.len() != LENGTH {
            anyhow::bail!("it is not one of {LENGTH} characters: delete the file for a new one");
        }
        Ok(Secret::new(token))
    }
}

/// Writes a file that is its owner's alone.
fn write_new(path: &Path, token: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{token}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_again_where_it_was_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let token = LocalToken::in_folder(folder.path());
        assert!(token.ensure().unwrap());
        assert!(!token.ensure().unwrap());
        assert_eq!(std::fs::metadata(token.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        let first = std::fs::read_to_string(token.path()).unwrap().trim().to_owned();
        assert_eq!(token.check(&first).unwrap(), Checked::Right);
        for wrong in ["", "x", &first[1..], &format!("{first} "), &format!("{first}\n")] {
            assert_eq!(token.check(wrong).unwrap(), Checked::Wrong, "{wrong:?}");
        }
        std::fs::remove_file(token.path()).unwrap();
        assert_eq!(token.check(&first).unwrap(), Checked::Renewed);
        assert_eq!(token.check(&first).unwrap(), Checked::Wrong);
    }

    #[test]
    fn a_token_that_others_can_read_or_that_is_none_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let token = LocalToken::in_folder(folder.path());
        token.ensure().unwrap();
        let first = token.read().unwrap();
        std::fs::set_permissions(token.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(token.check(first.expose()).unwrap_err().to_string().contains("chmod 600"));
        std::fs::set_permissions(token.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(token.path(), "\n").unwrap();
        assert!(token.check("").is_err());
    }
}

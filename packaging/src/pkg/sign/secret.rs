//! Secrets by reference: `${env:NAME}` or `${file:PATH}`.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, ensure};
use zeroize::Zeroizing;

/// More than any password or token has.
const MOST_BYTES: u64 = 64 << 10;

/// A password's place; what is there is read when it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// A variable.
    Env(String),
    /// A file; a line's end behind it is not part of it.
    File(PathBuf),
}

/// A text that refers to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a reference to a secret: write ${{env:NAME}} or ${{file:PATH}}, never the secret")]
pub struct NoReference;

impl FromStr for Secret {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let inside = text.strip_prefix("${").and_then(|text| text.strip_suffix('}')).ok_or(NoReference)?;
        match inside.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.into())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(NoReference),
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "${{env:{name}}}"),
            Self::File(path) => write!(f, "${{file:{}}}", path.display()),
        }
    }
}

impl Secret {
    /// The secret, one line.
    pub fn read(&self) -> anyhow::Result<Zeroizing<String>> {
        let value = Zeroizing::new(match self {
            Self::Env(name) => std::env::var(name).with_context(|| format!("reading {self}"))?,
            Self::File(path) => {
                ensure_private(path)?;
                let file = std::fs::File::open(path).with_context(|| format!("reading {self}"))?;
                let mut text = String::new();
                file.take(MOST_BYTES).read_to_string(&mut text).with_context(|| format!("reading {self}"))?;
                text
            }
        });
        let line = value.trim_end_matches(['\r', '\n']);
        let is_one = !line.is_empty() && !line.contains(['\r', '\n']) && (value.len() as u64) < MOST_BYTES;
        ensure!(is_one, "{self} is empty, or more than a line of {} KiB", MOST_BYTES >> 10);
        Ok(Zeroizing::new(line.to_owned()))
    }

    /// Writes the secret into a file in a folder that is the owner's alone, for a tool that takes files.
    pub(super) fn write_to(&self, folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
        write_private(folder, name, self.read()?.as_bytes())
    }
}

/// Refuses a file with a secret in it that others can read.
pub(super) fn ensure_private(path: &Path) -> anyhow::Result<()> {
    let metadata = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(metadata.is_file(), "{} is no file", path.display());
    let is_private = metadata.permissions().mode() & 0o077 == 0;
    ensure!(is_private, "{0} can be read by others: chmod 600 {0}", path.display());
    Ok(())
}

/// Writes a file that nobody else reads.
pub(super) fn write_private(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("creating {}", path.display()))?;
    file.write_all(bytes).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

//! What a source may ask the system: fixed tools, files, folders, and what `sysinfo` knows. Everything a source sees
//! comes through [`Host`], so that what a Mac answers can be replayed in a test anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::tool::Tool;

/// A family of systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// macOS.
    Mac,
    /// Linux, for servers, tests and demonstrations.
    Linux,
}

impl System {
    /// Every system, for sources that can look on each.
    pub const ALL: &'static [Self] = &[Self::Mac, Self::Linux];

    /// The one this program was built for.
    pub const HERE: Self = if cfg!(target_os = "macos") { Self::Mac } else { Self::Linux };
}

/// Why the system gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// There is no such file or tool.
    #[error("{0}: there is none")]
    Missing(String),
    /// The agent may not.
    #[error("{0}: permission denied")]
    Denied(String),
    /// It has more than the agent reads.
    #[error("{path}: more than {most} bytes")]
    TooLarge {
        /// The file or tool.
        path: String,
        /// The limit.
        most: usize,
    },
    /// The tool took too long and was ended.
    #[error("{0}: did not end in time")]
    Deadline(String),
    /// Anything else the system says.
    #[error("{path}: {problem}")]
    Failed {
        /// The file or tool.
        path: String,
        /// What it said.
        problem: String,
    },
}

impl HostError {
    /// What an error of the system means for `path`.
    pub(crate) fn io(path: impl std::fmt::Display, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let path = path.to_string();
        match error.kind() {
            ErrorKind::NotFound => Self::Missing(path),
            ErrorKind::PermissionDenied => Self::Denied(path),
            _ => Self::Failed { path, problem: error.to_string() },
        }
    }

    /// Whether there simply is no such file or tool.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_))
    }
}

/// What a tool said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Standard output, with what is no UTF-8 replaced.
    pub text: String,
    /// Its exit code; -1 when a signal ended it.
    pub code: i32,
}

impl Output {
    /// What it printed, if it said that all went well.
    pub fn successful(self, tool: &Tool) -> Result<String, HostError> {
        match self.code {
            0 => Ok(self.text),
            code => Err(HostError::Failed { path: tool.path.into(), problem: format!("it ended with {code}") }),
        }
    }
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// Its name in the folder.
    pub name: String,
    /// A folder itself; links are not followed.
    pub is_dir: bool,
    /// Milliseconds since 1970 of its last change, when the system says.
    pub modified: Option<i64>,
}

/// A mounted disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub path: PathBuf,
    /// Device or volume name.
    pub name: String,
    /// Such as `apfs`.
    pub file_system: String,
    /// Its size.
    pub total_bytes: u64,
    /// What is free to users.
    pub available_bytes: u64,
    /// Whether it can be taken out.
    pub removable: bool,
}

/// The clocks, read together. The difference between the two moves only when the wall clock is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clocks {
    /// Milliseconds since 1970.
    pub wall_ms: i64,
    /// Milliseconds since some moment of this boot, time asleep included.
    pub running_ms: i64,
}

/// Addresses by interface.
pub type Addresses = BTreeMap<String, BTreeSet<IpAddr>>;

/// The system, as sources see it. Calls block.
pub trait Host: Send + Sync {
    /// Which it is.
    fn system(&self) -> System;
    /// Runs a tool.
    fn run(&self, tool: &'static Tool) -> Result<Output, HostError>;
    /// Reads a file of at most `most` bytes.
    fn read(&self, path: &Path, most: usize) -> Result<Vec<u8>, HostError>;
    /// Reads at most `most` bytes of a file from `offset`; fewer where it ends.
    fn read_at(&self, path: &Path, offset: u64, most: usize) -> Result<Vec<u8>, HostError>;
    /// Lists a folder by name, at most 4,096 entries.
    fn list(&self, path: &Path) -> Result<Vec<FolderEntry>, HostError>;
    /// Where a symbolic link points.
    fn link(&self, path: &Path) -> Result<PathBuf, HostError>;
    /// What is mounted.
    fn mounts(&self) -> Result<Vec<Mount>, HostError>;
    /// All addresses of all interfaces.
    fn addresses(&self) -> Result<Addresses, HostError>;
    /// The host name.
    fn hostname(&self) -> Result<String, HostError>;
    /// Seconds since 1970 of the boot.
    fn booted_at(&self) -> Result<u64, HostError>;
    /// The clocks.
    fn clocks(&self) -> Clocks;

    /// A text file, without the white space around it.
    fn read_text(&self, path: &str) -> Result<String, HostError> {
        let bytes = self.read(Path::new(path), 1 << 20)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }
}

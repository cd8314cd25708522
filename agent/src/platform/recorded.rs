//! A [`Host`] made of recorded answers, for tests: whatever was not recorded is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::host::{Addresses, Clocks, FolderEntry, Host, HostError, Mount, Output, System};
use super::tool::Tool;

/// The answers.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) system: System,
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    pub(crate) links: BTreeMap<PathBuf, PathBuf>,
    /// By path and arguments, joined by blanks.
    pub(crate) tools: BTreeMap<String, Output>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) addresses: Addresses,
    pub(crate) hostname: String,
    pub(crate) booted_at: u64,
    pub(crate) clocks: Clocks,
    /// Milliseconds since 1970, of every file and folder.
    pub(crate) modified: i64,
}

impl Recorded {
    /// A Mac that answers nothing yet.
    pub(crate) fn mac() -> Self {
        Self {
            system: System::Mac,
            files: BTreeMap::new(),
            links: BTreeMap::new(),
            tools: BTreeMap::new(),
            mounts: Vec::new(),
            addresses: Addresses::new(),
            hostname: "mac.local".into(),
            booted_at: 1_795_400_000,
            clocks: Clocks { wall_ms: 1_795_416_060_000, running_ms: 16_060_000 },
            modified: 1_795_000_000_000,
        }
    }

    /// A Linux machine that answers nothing yet.
    pub(crate) fn linux() -> Self {
        Self { system: System::Linux, ..Self::mac() }
    }

    /// With this file.
    pub(crate) fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.insert(path.into(), content.as_ref().to_owned());
        self
    }

    /// With this answer, and exit code 0.
    pub(crate) fn tool(self, tool: &'static Tool, text: &str) -> Self {
        self.tool_code(tool, text, 0)
    }

    /// With this answer.
    pub(crate) fn tool_code(mut self, tool: &'static Tool, text: &str, code: i32) -> Self {
        self.tools.insert(command(tool), Output { text: text.into(), code });
        self
    }
}

fn command(tool: &Tool) -> String {
    let words: Vec<&str> = std::iter::once(tool.path).chain(tool.args.iter().copied()).collect();
    words.join(" ")
}

fn missing(path: &Path) -> HostError {
    HostError::Missing(path.display().to_string())
}

impl Host for Recorded {
    fn system(&self) -> System {
        self.system
    }

    fn run(&self, tool: &'static Tool) -> Result<Output, HostError> {
        self.tools.get(&command(tool)).cloned().ok_or_else(|| HostError::Missing(command(tool)))
    }

    fn read(&self, path: &Path, most: usize) -> Result<Vec<u8>, HostError> {
        let bytes = self.files.get(path).ok_or_else(|| missing(path))?;
        if bytes.len() > most {
            return Err(HostError::TooLarge { path: path.display().to_string(), most });
        }
        Ok(bytes.clone())
    }

    fn read_at(&self, path: &Path, offset: u64, most: usize) -> Result<Vec<u8>, HostError> {
        let bytes = self.files.get(path).ok_or_else(|| missing(path))?;
        Ok(bytes.iter().copied().skip(usize::try_from(offset).unwrap()).take(most).collect())
    }

    fn list(&self, path: &Path) -> Result<Vec<FolderEntry>, HostError> {
        let mut found: BTreeSet<(String, bool)> = BTreeSet::new();
        for below in self.files.keys().filter_map(|file| file.strip_prefix(path).ok()) {
            let mut parts = below.components();
            if let Some(first) = parts.next() {
                found.insert((first.as_os_str().to_string_lossy().into_owned(), parts.next().is_some()));
            }
        }
        if found.is_empty() {
            return Err(missing(path));
        }
        let entry = |(name, is_dir)| FolderEntry { name, is_dir, modified: Some(self.modified) };
        Ok(found.into_iter().map(entry).collect())
    }

    fn link(&self, path: &Path) -> Result<PathBuf, HostError> {
        self.links.get(path).cloned().ok_or_else(|| missing(path))
    }

    fn mounts(&self) -> Result<Vec<Mount>, HostError> {
        Ok(self.mounts.clone())
    }

    fn addresses(&self) -> Result<Addresses, HostError> {
        Ok(self.addresses.clone())
    }

    fn hostname(&self) -> Result<String, HostError> {
        Ok(self.hostname.clone())
    }

    fn booted_at(&self) -> Result<u64, HostError> {
        Ok(self.booted_at)
    }

    fn clocks(&self) -> Clocks {
        self.clocks
    }
}

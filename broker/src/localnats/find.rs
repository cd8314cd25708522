//! Finds a nats-server that is new enough: on PATH, then in Emote's own tool folder.

use std::path::{Path, PathBuf};

/// The oldest that has atomic batch publish.
const OLDEST: (u32, u32) = (2, 12);

/// How to get one.
pub const INSTALL: &str = "\
  ./packaging/install-nats-server      in Emote's source folder: puts the real server into Emote's own tool folder
  brew install nats-server             on macOS
  https://nats.io/download             anywhere (Debian's own package is too old)";

/// A server program that will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its version, as `2.15.1`.
    pub version: String,
}

/// Why none will do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// None anywhere.
    #[error("no nats-server found on PATH or in {tools}. Install 2.12 or newer:\n{INSTALL}", tools = .tools.display())]
    None {
        /// Emote's own tool folder.
        tools: PathBuf,
    },
    /// Only old ones.
    #[error("nats-server {version} at {path} is too old: Emote needs 2.12 or newer. Install it:\n{INSTALL}", path = .path.display())]
    TooOld {
        /// Where it is.
        path: PathBuf,
        /// What it says of itself.
        version: String,
    },
}

/// `$EMOTE_TOOLS`, or `emote/tools` in the user's data folder.
pub fn tools_folder() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("EMOTE_TOOLS").unwrap_or_else(|| {
        let data = set("XDG_DATA_HOME").or_else(|| set("HOME").map(|home| home.join(".local/share")));
        data.unwrap_or_default().join("emote/tools")
    })
}

/// The first that is new enough.
pub fn find() -> Result<Found, FindError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = tools_folder();
    let folders = std::env::split_paths(&path).chain([tools.clone()]);
    let mut too_old = None;
    for program in folders.map(|folder| folder.join("nats-server")).filter(|program| program.is_file()) {
        let Some(version) = version_of(&program) else { continue };
        if is_new_enough(&version) {
            return Ok(Found { path: program, version });
        }
        too_old.get_or_insert(FindError::TooOld { path: program, version });
    }
    Err(too_old.unwrap_or(FindError::None { tools }))
}

fn version_of(program: &Path) -> Option<String> {
    let output = std::process::Command::new(program).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// From `nats-server: v2.15.1`.
fn parse_version(output: &str) -> Option<String> {
    let version = output.split_whitespace().find_map(|word| word.strip_prefix('v'))?;
    version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split(['.', '-']).map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        for (output, version, enough) in [
            ("nats-server: v2.15.1\n", "2.15.1", true),
            ("nats-server: v2.12.0-RC.1", "2.12.0-RC.1", true),
            ("nats-server: v2.9.10", "2.9.10", false),
            ("nats-server: v3.0.0", "3.0.0", true),
        ] {
            assert_eq!(parse_version(output).as_deref(), Some(version));
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
        assert_eq!(parse_version("very good"), None);
    }
}

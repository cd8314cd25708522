//! The manifest: every installed path and every script with its SHA-256 sum, mode and owner. It is `Resources/manifest.json`
//! of the package, whose checksum the table of contents holds, which is what is signed.

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use super::macho::Cpu;
use super::tree::{Entry, Kind, Tree};
use super::version::Version;
use super::{DEPLOYMENT_TARGET, IDENTIFIER};

/// Of the manifest's form.
pub const FORMAT: u32 = 1;

/// What a package holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// [`IDENTIFIER`].
    pub identifier: String,
    /// The package's, the bundle's and the program's.
    pub version: Version,
    /// What programs may ask for at most.
    pub deployment_target: Version,
    /// What the program runs on.
    pub architectures: Vec<Cpu>,
    /// Of all entries of archives, in seconds since 1970.
    pub time: u32,
    /// What is installed.
    pub payload: Vec<Line>,
    /// What is run while it is.
    pub scripts: Vec<Line>,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// From the root of the disk, or the name of a script.
    pub path: String,
    /// `folder`, `file` or `link`.
    pub kind: String,
    /// Permission bits, as `0755`.
    pub mode: String,
    /// The owner; 0 is root.
    pub uid: u32,
    /// The group; 0 is wheel, 80 admin.
    pub gid: u32,
    /// A file's size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// A file's sum, in lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where a link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl Manifest {
    /// What these trees are.
    pub fn of(version: Version, time: u32, payload: &Tree, scripts: &Tree) -> Self {
        Self {
            format: FORMAT,
            identifier: IDENTIFIER.into(),
            version,
            deployment_target: DEPLOYMENT_TARGET,
            architectures: Cpu::ALL.into(),
            time,
            payload: lines(payload),
            scripts: lines(scripts),
        }
    }

    /// As it is written: for people, too.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

/// A line for each entry, in the tree's order.
pub fn lines(tree: &Tree) -> Vec<Line> {
    tree.iter().map(|(path, entry)| Line::of(path, entry)).collect()
}

impl Line {
    fn of(path: &str, entry: &Entry) -> Self {
        let (kind, size, sha256, target) = match &entry.kind {
            Kind::Folder => ("folder", None, None, None),
            Kind::File(bytes) => {
                ("file", Some(bytes.len()), Some(HEXLOWER.encode(digest(&SHA256, bytes).as_ref())), None)
            }
            Kind::Link(target) => ("link", None, None, Some(target.clone())),
        };
        let mode = format!("{:04o}", entry.mode);
        Self { path: path.into(), kind: kind.into(), mode, uid: entry.uid, gid: entry.gid, size, sha256, target }
    }
}

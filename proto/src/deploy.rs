//! How an MDM is told to install the agent's package: the manifest that a Mac fetches or is handed, and the commands.
//!
//! Apple's device management schema has both: `other/manifesturl.yaml` and `mdm/commands/application.install.enterprise.yaml`
//! of <https://github.com/apple/device-management>. A Mac acknowledges the command before it downloads anything and tells
//! of no error afterwards, so an answer proves nothing about the install.

use std::io::{self, Read};

use data_encoding::HEXLOWER;
use plist::{Dictionary, Value};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// What the command is called in `Command.RequestType`.
pub const REQUEST_TYPE: &str = "InstallEnterpriseApplication";
/// Bytes that are hashed together: a Mac proves each chunk as it has it. The last one may be shorter.
pub const CHUNK: usize = 10 << 20;
/// Bytes of a package at most, and so 100 hashes.
pub const MOST_BYTES: u64 = 1 << 30;
/// Bytes of a URL at most.
const MOST_URL: usize = 2_048;
/// Bytes of a name at most.
const MOST_TEXT: usize = 255;

/// Why there can be no manifest.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// No address that a Mac fetches from.
    #[error("{0:?} is no address that a Mac installs from: https://HOST/… without spaces, at most {MOST_URL} bytes")]
    Url(String),
    /// A name that cannot stand in it.
    #[error(
        "the package's {what} {text:?} cannot stand in a manifest: 1 to {MOST_TEXT} bytes without control characters"
    )]
    Text {
        /// Which.
        what: &'static str,
        /// As it was given.
        text: String,
    },
    /// No bytes, or too many.
    #[error("a package of {0} bytes cannot be installed: 1 to {MOST_BYTES}")]
    Size(u64),
    /// Hashes that do not belong to a package of that size.
    #[error("expected {expected} SHA-256 hashes of 64 hexadecimal digits, one for each {CHUNK} bytes")]
    Hashes {
        /// How many chunks there are.
        expected: u64,
    },
    /// The package could not be read.
    #[error("reading the package: {0}")]
    Read(#[from] io::Error),
}

/// Whose package it is, as the package says it, and where Macs fetch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// `https://` address of the package.
    pub url: String,
    /// The product's identifier, such as `io.emote.agent`.
    pub bundle_identifier: String,
    /// The product's version.
    pub bundle_version: String,
    /// What people call it.
    pub title: String,
}

/// What a Mac installs, from where, and how it proves each chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Manifest {
    about: About,
    size: u64,
    sha256s: Vec<String>,
}

impl Manifest {
    /// Reads a package to its end and hashes it; no more than a chunk of it is in memory at a time.
    pub fn of_package(mut package: impl Read, about: About) -> Result<Self, DeployError> {
        let (mut size, mut sha256s, mut chunk) = (0, Vec::new(), Vec::new());
        loop {
            chunk.clear();
            package.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                return Self::new(about, size, sha256s);
            }
            size += chunk.len() as u64;
            if size > MOST_BYTES {
                return Err(DeployError::Size(size));
            }
            sha256s.push(HEXLOWER.encode(digest(&SHA256, &chunk).as_ref()));
        }
    }

    /// Of a package of `size` bytes whose chunks have these hashes, in lower-case hexadecimal digits.
    pub fn new(about: About, size: u64, sha256s: Vec<String>) -> Result<Self, DeployError> {
        check_url(&about.url)?;
        let names = [("identifier", &about.bundle_identifier), ("version", &about.bundle_version)];
        for (what, text) in names.into_iter().chain([("title", &about.title)]) {
            if !(1..=MOST_TEXT).contains(&text.len()) || text.chars().any(is_unwritable) {
                return Err(DeployError::Text { what, text: text.chars().take(80).collect() });
            }
        }
        if !(1..=MOST_BYTES).contains(&size) {
            return Err(DeployError::Size(size));
        }
        let expected = size.div_ceil(CHUNK as u64);
        let are_hashes = sha256s.iter().all(|hash| HEXLOWER.decode(hash.as_bytes()).is_ok_and(|hash| hash.len() == 32));
        if sha256s.len() as u64 != expected || !are_hashes {
            return Err(DeployError::Hashes { expected });
        }
        Ok(Self { about, size, sha256s })
    }

    /// Whose package it is, and where.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The package's bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash of each chunk of [`CHUNK`] bytes, in lower-case hexadecimal digits.
    pub fn sha256s(&self) -> &[String] {
        &self.sha256s
    }

    /// The property list that a `ManifestURL` leads to.
    pub fn plist(&self) -> Vec<u8> {
        xml(self.dictionary())
    }

    /// The command that brings the manifest along.
    pub fn command(&self, uuid: &str) -> Vec<u8> {
        let manifest = Value::Dictionary(self.dictionary());
        xml(command(uuid, REQUEST_TYPE, Dictionary::from_iter([("Manifest", manifest)])))
    }

    /// The manifest as a value, to stand in other property lists.
    pub fn dictionary(&self) -> Dictionary {
        let About { url, bundle_identifier, bundle_version, title } = &self.about;
        let hashes = self.sha256s.iter().map(|hash| Value::from(hash.as_str()));
        let asset: [(_, Value); 4] = [
            ("kind", "software-package".into()),
            ("sha256-size", (CHUNK as u64).into()),
            ("sha256s", Value::Array(hashes.collect())),
            ("url", url.as_str().into()),
        ];
        let metadata: [(_, Value); 5] = [
            ("bundle-identifier", bundle_identifier.as_str().into()),
            ("bundle-version", bundle_version.as_str().into()),
            ("kind", "software".into()),
            // Only releases of macOS that are no longer listed read it, to show how far they are.
            ("sizeInBytes", self.size.into()),
            ("title", title.as_str().into()),
        ];
        let item: [(_, Value); 2] =
            [("assets", Value::Array(vec![dictionary(asset)])), ("metadata", dictionary(metadata))];
        Dictionary::from_iter([("items", Value::Array(vec![dictionary(item)]))])
    }
}

/// The command by which a Mac fetches the manifest from `manifest_url`, from nobody but who shows one of these certificates
/// (DER), if there are any.
pub fn command_by_url(uuid: &str, manifest_url: &str, pinned: &[Vec<u8>]) -> Result<Vec<u8>, DeployError> {
    check_url(manifest_url)?;
    let mut fields = Dictionary::from_iter([("ManifestURL", Value::from(manifest_url))]);
    if !pinned.is_empty() {
        let pinned = pinned.iter().map(|der| Value::Data(der.clone()));
        fields.insert("ManifestURLPinningCerts".to_owned(), Value::Array(pinned.collect()));
    }
    Ok(xml(command(uuid, REQUEST_TYPE, fields)))
}

/// The command by which a Mac installs a configuration profile, signed or not (`mdm/commands/profile.install.yaml`).
pub fn profile_command(uuid: &str, profile: &[u8]) -> Vec<u8> {
    let fields = Dictionary::from_iter([("Payload", Value::Data(profile.to_vec()))]);
    xml(command(uuid, "InstallProfile", fields))
}

/// Checks an address that a Mac is to fetch from: Apple takes `https:` alone.
pub fn check_url(url: &str) -> Result<(), DeployError> {
    let rest = url.strip_prefix("https://").filter(|_| url.len() <= MOST_URL);
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte));
    if is_plain && !host.is_empty() && !host.contains('@') && !host.starts_with(':') {
        Ok(())
    } else {
        // A password may stand before the host.
        let shown = if url.contains('@') { "an address with @" } else { url };
        Err(DeployError::Url(shown.chars().take(120).collect()))
    }
}

/// Whether XML cannot hold a character, or no name has it.
pub fn is_unwritable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')
}

fn command(uuid: &str, request_type: &str, mut fields: Dictionary) -> Dictionary {
    fields.insert("RequestType".to_owned(), request_type.into());
    Dictionary::from_iter([("Command", Value::Dictionary(fields)), ("CommandUUID", uuid.into())])
}

fn dictionary<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Dictionary(Dictionary::from_iter(entries))
}

/// A property list as XML, with a line's end behind it.
#[expect(clippy::expect_used, reason = "writing into memory fails nowhere, and a value is always whole")]
pub fn xml(value: Dictionary) -> Vec<u8> {
    let mut bytes = Vec::new();
    Value::Dictionary(value).to_writer_xml(&mut bytes).expect("memory takes it");
    bytes.push(b'\n');
    bytes
}

/// A manifest as JSON has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    url: String,
    size: u64,
    sha256s: Vec<String>,
    bundle_identifier: String,
    bundle_version: String,
    title: String,
}

impl TryFrom<Written> for Manifest {
    type Error = DeployError;

    fn try_from(written: Written) -> Result<Self, DeployError> {
        let Written { url, size, sha256s, bundle_identifier, bundle_version, title } = written;
        Self::new(About { url, bundle_identifier, bundle_version, title }, size, sha256s)
    }
}

impl From<Manifest> for Written {
    fn from(manifest: Manifest) -> Self {
        let Manifest { about: About { url, bundle_identifier, bundle_version, title }, size, sha256s } = manifest;
        Self { url, size, sha256s, bundle_identifier, bundle_version, title }
    }
}

#[cfg(test)]
mod tests;

//! Signs with the tools that are kept for it: apple-codesign's `rcodesign` where keys are files, Apple's own where they are
//! in a keychain of a Mac. Nothing secret is an argument of theirs: passwords go through files that only the owner reads.

mod apple;
mod pkcs12;
mod rcodesign;
mod secret;

pub(crate) use pkcs12::pem_of;
pub use secret::Secret;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use super::development;

/// Apple's, for signatures that must hold longer than their certificate.
pub const APPLE_TIMESTAMPS: &str = "http://timestamp.apple.com/ts01";

/// Where a key and its certificate are.
#[derive(Debug, Clone)]
pub enum Key {
    /// PEM: a key in PKCS #8, then its certificate and those above it.
    Pem(PathBuf),
    /// PKCS #12, with its password.
    P12(PathBuf, Secret),
    /// In a keychain of this Mac, by its name: `Developer ID Application: … (TEAM)`.
    Keychain(String),
}

impl Key {
    /// Of the places that a command line names, the first one that is named.
    pub(crate) fn one(
        p12: &Option<PathBuf>,
        password: &Option<Secret>,
        pem: &Option<PathBuf>,
        keychain: &Option<String>,
    ) -> Option<Self> {
        let p12 = p12.clone().zip(password.clone()).map(|(path, password)| Self::P12(path, password));
        p12.or_else(|| pem.clone().map(Self::Pem)).or_else(|| keychain.clone().map(Self::Keychain))
    }
}

/// Whom the bundle and the package are signed as.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Developer ID Application.
    pub application: Key,
    /// Developer ID Installer.
    pub installer: Key,
    /// Whose secure time is written beside the signature; none is for development alone.
    pub timestamps: Option<String>,
    /// In place of the time at which is signed, where whoever signs takes one.
    pub signing_time: Option<jiff::Timestamp>,
    /// In place of a team's identifier, where the certificate is not Apple's.
    pub team: Option<&'static str>,
}

impl Identity {
    /// The pair that `dev-identity` wrote into a folder.
    pub fn development(folder: &Path, time: jiff::Timestamp) -> anyhow::Result<Self> {
        let [application, installer] = [development::APPLICATION, development::INSTALLER].map(|file| folder.join(file));
        for path in [&application, &installer] {
            ensure!(path.is_file(), "there is no {}: make a pair with `emote-packaging dev-identity`", path.display());
        }
        Ok(Self {
            application: Key::Pem(application),
            installer: Key::Pem(installer),
            timestamps: None,
            signing_time: Some(time),
            team: Some(development::TEAM),
        })
    }

    /// Signs the bundle in a folder, with the hardened runtime and no entitlements.
    pub fn sign_app(&self, app: &Path, scratch: &Path) -> anyhow::Result<()> {
        match &self.application {
            Key::Keychain(name) => run(apple::sign_app(name, app)),
            _ => run(rcodesign::sign_app(&rcodesign::program()?, self, app, scratch)?),
        }
    }

    /// Signs a package into another file.
    pub fn sign_package(&self, from: &Path, to: &Path, scratch: &Path) -> anyhow::Result<()> {
        match &self.installer {
            Key::Keychain(name) => run(apple::sign_package(name, from, to)),
            _ => run(rcodesign::sign_package(&rcodesign::program()?, self, from, to, scratch)?),
        }
    }

    /// Has Apple look at a package, waits for its word, and staples the ticket to it. `key` is an App Store Connect key as
    /// `rcodesign encode-app-store-connect-api-key` writes it, whichever tool is used.
    pub fn notarize(&self, package: &Path, key: &Path, scratch: &Path) -> anyhow::Result<()> {
        secret::ensure_private(key)?;
        match &self.installer {
            Key::Keychain(_) => apple::notarize(package, key, scratch)?.into_iter().try_for_each(run),
            _ => run(rcodesign::notarize(&rcodesign::program()?, package, key)),
        }
    }
}

/// Signs a profile with a key in a keychain of this Mac.
pub(crate) fn sign_profile(identity: &str, profile: &[u8]) -> anyhow::Result<Vec<u8>> {
    let scratch = tempfile::Builder::new().prefix("emote-packaging-").tempdir().context("making a temporary folder")?;
    let from = secret::write_private(scratch.path(), "plain.mobileconfig", profile)?;
    let to = scratch.path().join("signed.mobileconfig");
    run(apple::sign_profile(identity, &from, &to))?;
    std::fs::read(&to).with_context(|| format!("reading {}", to.display()))
}

/// A program to run, and what it is for.
#[derive(Debug, PartialEq, Eq)]
struct Tool {
    what: &'static str,
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Tool {
    fn new(what: &'static str, program: impl Into<PathBuf>) -> Self {
        Self { what, program: program.into(), arguments: Vec::new() }
    }

    fn with<I: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = I>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }
}

fn run(tool: Tool) -> anyhow::Result<()> {
    output(tool).map(drop)
}

/// What a program writes to standard output.
fn output(tool: Tool) -> anyhow::Result<Vec<u8>> {
    let Tool { what, program, arguments } = tool;
    let done = Command::new(&program).args(arguments).stdin(Stdio::null()).output();
    let done = done.with_context(|| format!("{what}: running {}", program.display()))?;
    if !done.status.success() {
        let said = [String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)].concat();
        let last: Vec<&str> = said.trim().lines().rev().take(20).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        bail!("{what}: {} failed ({}):\n{last}", program.display(), done.status);
    }
    Ok(done.stdout)
}

#[cfg(test)]
mod tests;

//! apple-codesign's `rcodesign` (0.29), on Linux as well as on a Mac.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::secret::ensure_private;
use super::{Identity, Key, Tool};

pub(super) fn sign_app(with: &Path, identity: &Identity, app: &Path, scratch: &Path) -> anyhow::Result<Tool> {
    let key = &identity.application;
    let mut tool = Tool::new("signing the bundle", with).with(["sign"]);
    tool = tool.with(key_arguments(key, scratch)?).with(["--code-signature-flags", "runtime"]);
    if let Some(team) = identity.team {
        tool = tool.with(["--team-name", team]);
    }
    if let Some(time) = identity.signing_time {
        tool = tool.with(["--signing-time".to_owned(), time.to_string()]);
    }
    if identity.timestamps.is_some() && identity.team.is_none() {
        tool = tool.with(["--for-notarization"]);
    }
    Ok(tool.with(timestamps(identity)).with([app]))
}

pub(super) fn sign_package(
    with: &Path,
    identity: &Identity,
    from: &Path,
    to: &Path,
    scratch: &Path,
) -> anyhow::Result<Tool> {
    let tool = Tool::new("signing the package", with).with(["sign"]).with(key_arguments(&identity.installer, scratch)?);
    Ok(tool.with(timestamps(identity)).with([from, to]))
}

pub(super) fn notarize(with: &Path, package: &Path, key: &Path) -> Tool {
    let tool = Tool::new("notarizing", with).with(["notary-submit", "--wait", "--staple", "--api-key-file"]);
    tool.with([key, package])
}

fn timestamps(identity: &Identity) -> [&str; 2] {
    ["--timestamp-url", identity.timestamps.as_deref().unwrap_or("none")]
}

fn key_arguments(key: &Key, scratch: &Path) -> anyhow::Result<Vec<OsString>> {
    Ok(match key {
        Key::Pem(path) => {
            ensure_private(path)?;
            vec!["--pem-file".into(), path.into()]
        }
        Key::P12(path, password) => {
            let password = password.write_to(scratch, "password")?;
            vec!["--p12-file".into(), path.into(), "--p12-password-file".into(), password.into()]
        }
        Key::Keychain(name) => bail!("`{name}` is in a keychain: Apple's own tools sign with it, on a Mac"),
    })
}

/// In the folder of Emote's tools, or in PATH.
pub(super) fn program() -> anyhow::Result<PathBuf> {
    let tools = std::env::var_os("EMOTE_TOOLS").map(|tools| Path::new(&tools).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = tools.into_iter().chain(std::env::split_paths(&path)).map(|folder| folder.join("rcodesign"));
    match { found }.find(|program| program.is_file()) {
        Some(program) => Ok(program),
        None => bail!(
            "there is no rcodesign in $EMOTE_TOOLS/bin or PATH: cargo install --locked --version 0.29.0 apple-codesign"
        ),
    }
}

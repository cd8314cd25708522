//! Apple's own tools, on a Mac whose keychain has the keys.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::Tool;
use super::secret::write_private;
use crate::pkg::IDENTIFIER;

pub(super) fn sign_app(identity: &str, app: &Path) -> Tool {
    let tool = Tool::new("signing the bundle", "/usr/bin/codesign").with(["--force", "--sign", identity]);
    tool.with(["--options", "runtime", "--timestamp", "--identifier", IDENTIFIER]).with([app])
}

pub(super) fn sign_package(identity: &str, from: &Path, to: &Path) -> Tool {
    let tool = Tool::new("signing the package", "/usr/bin/productsign").with(["--sign", identity, "--timestamp"]);
    tool.with([from, to])
}

/// `security` writes the signed profile where it is told.
pub(super) fn sign_profile(identity: &str, from: &Path, to: &Path) -> Tool {
    let tool = Tool::new("signing the profile", "/usr/bin/security").with(["cms", "-S", "-N", identity]);
    tool.with(["-i".as_ref(), from, "-o".as_ref(), to])
}

/// An App Store Connect key as rcodesign keeps it.
#[derive(Deserialize)]
struct ApiKey {
    issuer_id: String,
    key_id: String,
    /// The PEM's text in the middle: base64 of PKCS #8.
    private_key: String,
}

pub(super) fn notarize(package: &Path, key: &Path, scratch: &Path) -> anyhow::Result<[Tool; 2]> {
    let json = std::fs::read(key).with_context(|| format!("reading {}", key.display()))?;
    let what = "expected what `rcodesign encode-app-store-connect-api-key` writes";
    let key: ApiKey = serde_json::from_slice(&json).with_context(|| format!("{}: {what}", key.display()))?;
    let body: String = key.private_key.split_whitespace().collect();
    let is_base64 = data_encoding::BASE64.decode(body.as_bytes()).is_ok();
    ensure!(is_base64, "the private key of the App Store Connect key is not base64: {what}");
    let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let p8 = write_private(scratch, "notary.p8", pem.as_bytes())?;
    let submit = Tool::new("notarizing", "/usr/bin/xcrun").with(["notarytool", "submit", "--wait", "--key-id"]);
    let submit = submit.with([key.key_id, "--issuer".into(), key.issuer_id, "--key".into()]).with([&p8, package]);
    let staple = Tool::new("stapling", "/usr/bin/xcrun").with(["stapler", "staple"]).with([package]);
    Ok([submit, staple])
}

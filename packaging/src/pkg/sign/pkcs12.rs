//! Keys of files as PEM. What is in PKCS #12 is taken out by the `openssl` program, which makes the keys for development too:
//! what keychains export is encrypted in ways that only old ciphers open.

use std::path::PathBuf;

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use super::secret::ensure_private;
use super::{Key, Tool, output};
use crate::pkg::tree;

/// Key and certificates of a file, and the file.
pub(crate) fn pem_of(key: &Key) -> anyhow::Result<(Zeroizing<Vec<u8>>, PathBuf)> {
    match key {
        Key::Pem(path) => {
            ensure_private(path)?;
            Ok((Zeroizing::new(tree::read(path)?), path.clone()))
        }
        Key::P12(path, password) => {
            let scratch = tempfile::Builder::new().prefix("emote-packaging-").tempdir();
            let scratch = scratch.context("making a temporary folder")?;
            let password = password.write_to(scratch.path(), "password")?;
            let open = |legacy: bool| {
                let mut from = std::ffi::OsString::from("file:");
                from.push(&password);
                let tool = Tool::new("opening PKCS #12", "openssl").with(["pkcs12", "-nodes", "-in"]).with([path]);
                let tool = tool.with(["-passin".into(), from]);
                output(if legacy { tool.with(["-legacy"]) } else { tool })
            };
            // OpenSSL 3 opens RC2 and 3DES only when it is told to; others do not know the word, so the first error stands.
            let pem = open(false).or_else(|error| open(true).map_err(|_| error))?;
            Ok((Zeroizing::new(pem), path.clone()))
        }
        Key::Keychain(name) => bail!("`{name}` is in a keychain: Apple's own tools sign with it, on a Mac"),
    }
}

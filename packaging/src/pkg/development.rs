//! A pair of certificates for development: shaped as Apple's Developer ID Application and Installer are, signed by
//! themselves, and saying plainly what they are. No Mac trusts them, and `verify` does with `--development` only.
//!
//! RSA keys of 2048 bits, which is what signatures of packages are made with, come from the `openssl` program: the crates
//! that make them carry an advisory (RUSTSEC-2023-0071), and every Mac and nearly every Linux has `openssl`.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use rcgen::{
    CertificateParams, CustomExtension, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// With which the names of development certificates begin.
pub const LABEL: &str = "Emote DEVELOPMENT - not for release";
/// In place of a team's identifier.
pub const TEAM: &str = "EMOTEDEV00";
/// Key and certificate that sign the bundle.
pub const APPLICATION: &str = "application.pem";
/// Key and certificate that sign the package.
pub const INSTALLER: &str = "installer.pem";

/// Apple's: extended key usage, and the extension that says which kind of Developer ID a certificate is.
const KINDS: [(&str, &str, &[u64], &[u64]); 2] = [
    (APPLICATION, "Application", &[1, 3, 6, 1, 5, 5, 7, 3, 3], &[1, 2, 840, 113_635, 100, 6, 1, 13]),
    (INSTALLER, "Installer", &[1, 2, 840, 113_635, 100, 4, 13], &[1, 2, 840, 113_635, 100, 6, 1, 14]),
];
/// DER of NULL, which is all that Apple's extensions hold.
const NULL: [u8; 2] = [5, 0];

/// Writes a pair into a folder, valid for two years from `now`; the files are their owner's alone. Nothing is overwritten.
pub fn make(folder: &Path, now: Timestamp) -> anyhow::Result<[PathBuf; 2]> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let paths = KINDS.map(|(file, ..)| folder.join(file));
    if let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        bail!("{} is there already: name another folder, or delete it", path.display());
    }
    for ((_, kind, usage, extension), path) in KINDS.into_iter().zip(&paths) {
        let pem = pair(kind, usage, extension, now)?;
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.as_mut().map_err(|error| anyhow::anyhow!("creating {}: {error}", path.display()))?;
        file.write_all(pem.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(paths)
}

/// A key and its certificate, as PEM.
fn pair(kind: &str, usage: &[u64], extension: &[u64], now: Timestamp) -> anyhow::Result<String> {
    let key_pem = rsa_key()?;
    let key = KeyPair::from_pem(&key_pem).context("reading the key that openssl made")?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = format!("{LABEL}: {kind}");
    for (what, value) in [(DnType::CommonName, name.as_str()), (DnType::OrganizationalUnitName, TEAM)] {
        params.distinguished_name.push(what, DnValue::Utf8String(value.into()));
    }
    let day = |timestamp: Timestamp| {
        let date = timestamp.to_zoned(TimeZone::UTC).date();
        date_time_ymd(i32::from(date.year()), date.month().unsigned_abs(), date.day().unsigned_abs())
    };
    params.not_before = day(now);
    params.not_after = day(now + (2 * 365 * 24).hours());
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(usage.into())];
    let mut apple = CustomExtension::from_oid_content(extension, NULL.into());
    apple.set_criticality(true);
    params.custom_extensions = vec![apple];
    let certificate = params.self_signed(&key).context("making the certificate")?;
    Ok(format!("{}{}", key_pem, certificate.pem()))
}

/// A key of RSA 2048, as PEM (PKCS #8).
pub(in crate::pkg) fn rsa_key() -> anyhow::Result<String> {
    let arguments = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let made = Command::new("openssl").args(arguments).stdin(Stdio::null()).output();
    let made = made.context("running openssl, which makes the keys: install it")?;
    let said = String::from_utf8_lossy(&made.stderr);
    ensure!(made.status.success(), "openssl {} failed ({}): {}", arguments.join(" "), made.status, said.trim());
    String::from_utf8(made.stdout).context("openssl wrote something else than a key as PEM")
}

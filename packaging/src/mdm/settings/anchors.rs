//! Certificates out of PEM files: what Macs are to trust.

use std::path::Path;

use anyhow::{Context, ensure};
use data_encoding::HEXLOWER;
use der::{Decode, EncodePem};
use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_cert::Certificate;

use crate::pkg::verify;

/// More than any authority's.
const MOST_BYTES: u64 = 256 << 10;

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// What people see.
    pub name: String,
    /// The first half of its SHA-256 sum, in lower-case hexadecimal digits.
    pub fingerprint: String,
    /// The certificate.
    pub der: Vec<u8>,
    /// Whether it issued itself.
    pub is_root: bool,
    /// The certificate as PEM.
    pub pem: String,
    /// When it ends, in seconds since 1970.
    pub ends: u64,
}

impl Anchor {
    /// All certificates of a file. A key in it is refused: it would be handed to every Mac.
    pub fn read(path: &Path) -> anyhow::Result<Vec<Self>> {
        let metadata = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
        ensure!(metadata.is_file(), "{} is no file", path.display());
        ensure!(metadata.len() <= MOST_BYTES, "{} is larger than {} KiB", path.display(), MOST_BYTES >> 10);
        let pem = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&pem).with_context(|| path.display().to_string())
    }

    fn parse(pem: &[u8]) -> anyhow::Result<Vec<Self>> {
        let text = String::from_utf8_lossy(pem);
        ensure!(
            !text.contains("PRIVATE KEY-----"),
            "there is a private key in it: name a file with certificates alone"
        );
        let found: Vec<_> = CertificateDer::pem_slice_iter(pem).collect();
        ensure!(!found.is_empty(), "there is no -----BEGIN CERTIFICATE----- in it");
        let anchor = |der: Result<CertificateDer<'_>, _>| {
            let der = der.ok().context("it is no PEM: -----BEGIN CERTIFICATE----- and base64 behind it")?;
            Self::of(&der)
        };
        found.into_iter().map(anchor).collect()
    }

    fn of(der: &[u8]) -> anyhow::Result<Self> {
        let certificate = Certificate::from_der(der).context("a certificate in it cannot be read")?;
        let tbs = &certificate.tbs_certificate;
        let pem = certificate.to_pem(der::pem::LineEnding::LF).context("writing a certificate")?;
        let sum = HEXLOWER.encode(digest(&SHA256, der).as_ref());
        Ok(Self {
            name: verify::name(&certificate).unwrap_or_else(|| tbs.subject.to_string()),
            fingerprint: sum.chars().take(32).collect(),
            is_root: tbs.subject == tbs.issuer,
            ends: tbs.validity.not_after.to_unix_duration().as_secs(),
            der: der.to_vec(),
            pem,
        })
    }
}

//! Certificates out of PEM files: what Macs are to trust.

use std::path::Path;

use anyhow::{Context, ensure};
use data_encoding::HEXLOWER;
use der::EncodePem;
use ring::digest::{SHA256, digest};
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
    /// Who issued it.
    pub issuer: String,
    /// Why nothing can have been issued with it, where that is so.
    pub no_authority: Option<&'static str>,
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

    /// All certificates of a PEM text; a key in it is refused.
    pub fn parse(pem: &[u8]) -> anyhow::Result<Vec<Self>> {
        let text = String::from_utf8_lossy(pem);
        ensure!(
            !text.contains("PRIVATE KEY-----"),
            "there is a private key in it: name a file with certificates alone"
        );
        verify::of_pem(pem)?.into_iter().map(|(certificate, der)| Self::of(&certificate, der)).collect()
    }

    fn of(certificate: &Certificate, der: Vec<u8>) -> anyhow::Result<Self> {
        let tbs = &certificate.tbs_certificate;
        let pem = certificate.to_pem(der::pem::LineEnding::LF).context("writing a certificate")?;
        let sum = HEXLOWER.encode(digest(&SHA256, &der).as_ref());
        Ok(Self {
            name: verify::name(certificate).unwrap_or_else(|| tbs.subject.to_string()),
            issuer: tbs.issuer.to_string(),
            no_authority: verify::authority(certificate).err(),
            fingerprint: sum.chars().take(32).collect(),
            is_root: verify::is_root(certificate),
            ends: tbs.validity.not_after.to_unix_duration().as_secs(),
            der,
            pem,
        })
    }

    /// Whether it may be told to Macs as an authority: else everybody would take its holder for one, or no server be believed.
    pub fn check_authority(&self) -> Result<(), String> {
        let Some(why) = self.no_authority else { return Ok(()) };
        let Self { name, issuer, .. } = self;
        Err(if self.is_root {
            format!(
                "{name:?} issued itself and is no authority's ({why}): make an authority that issues the server's certificate, \
                 as `emote init --secure` does, and name its file, such as ca.pem"
            )
        } else {
            format!(
                "{name:?}, which {issuer:?} issued, is a server's or a client's, no authority's ({why}): name the authority's \
                 file, such as ca.pem"
            )
        })
    }
}

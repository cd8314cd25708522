//! What a package says of itself, read from its bytes. Whether it is whole is proven by the archive's own checksums; whose
//! it is, and all that it holds, is for `emote-packaging verify` to prove.

use std::{fmt::Write as _, io::Read};

use data_encoding::HEXLOWER;
use der::{Decode as _, oid::ObjectIdentifier};
use emote_proto::deploy::{About, DeployError, Manifest};
use emote_xar::{Archive, Malformed, Signature, xml};
use ring::digest::{SHA256, digest};
use x509_cert::Certificate;

use super::MAX_PACKAGE;
use crate::core::Package;

/// Of the agent's product.
const IDENTIFIER: &str = "io.emote.agent";
/// Where the manifest would be fetched from; only the fold knows where brokers are.
const NOWHERE: &str = "https://emote.invalid/";
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Of whoever signed so much is shown, in characters.
const MAX_SIGNER: usize = 120;

/// A package that can be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// What it is.
    pub package: Package,
    /// Who signed it, as the signature itself names them; a Mac installs nothing without one that an MDM brings.
    pub signer: Option<Signer>,
}

/// Who signed a package. That the signature is theirs is for `emote-packaging verify` to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer(String);

impl Signer {
    fn of(signature: &Signature<'_>) -> Self {
        let certificate = signature.certificates.first().and_then(|der| Certificate::from_der(der).ok());
        let name = certificate.and_then(|certificate| {
            let names = certificate.tbs_certificate.subject.0.iter().flat_map(|name| name.0.iter());
            let value =
                { names }.find(|attribute| attribute.oid == COMMON_NAME).map(|attribute| attribute.value.value());
            String::from_utf8(value?.to_vec()).ok()
        });
        Self(name.unwrap_or_else(|| "somebody whose certificate has no name".to_owned()))
    }

    /// Whether it is nobody from whom Macs install what an MDM brings.
    pub fn is_no_developer(&self) -> bool {
        !self.0.starts_with("Developer ID Installer: ")
    }
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().filter(|c| !c.is_control()).take(MAX_SIGNER).try_for_each(|c| f.write_char(c))
    }
}

/// Why something is no package of the agent.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Too long to be one.
    #[error("it has more than {MAX_PACKAGE} bytes")]
    TooLarge,
    /// It cannot be read to its end.
    #[error("it cannot be read")]
    Io(#[from] std::io::Error),
    /// It is no archive, or a document in it is none.
    #[error("it is no flat package")]
    Malformed(#[from] Malformed),
    /// Bytes of it are not as they were packed.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It is some other package.
    #[error("{0}: expected the product {IDENTIFIER}, as `emote-packaging pkg` builds it")]
    Other(String),
    /// It cannot be installed by an MDM.
    #[error(transparent)]
    Deploy(#[from] DeployError),
}

/// All bytes of a package, as many as there may be.
pub fn bytes(from: impl Read) -> Result<Vec<u8>, PackageError> {
    let mut bytes = Vec::new();
    from.take(MAX_PACKAGE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PACKAGE { Err(PackageError::TooLarge) } else { Ok(bytes) }
}

/// Reads what a package is.
pub fn inspect(bytes: &[u8]) -> Result<Inspected, PackageError> {
    let archive = emote_xar::read(bytes)?;
    let damaged = archive.damaged();
    if !damaged.is_empty() {
        return Err(PackageError::Damaged(damaged.join("; ")));
    }
    let (version, title) = product(&archive)?;
    let about = About {
        url: NOWHERE.to_owned(),
        bundle_identifier: IDENTIFIER.to_owned(),
        bundle_version: version.clone(),
        title: title.clone(),
    };
    let manifest = Manifest::of_package(bytes, about)?;
    let package = Package {
        version,
        identifier: IDENTIFIER.to_owned(),
        title,
        size: manifest.size(),
        sha256: HEXLOWER.encode(digest(&SHA256, bytes).as_ref()),
        sha256s: manifest.sha256s().to_vec(),
    };
    Ok(Inspected { package, signer: archive.rsa.as_ref().or(archive.cms.as_ref()).map(Signer::of) })
}

/// Version and title of the product, as its Distribution says.
fn product(archive: &Archive<'_>) -> Result<(String, String), PackageError> {
    let other = |what: &str| PackageError::Other(what.to_owned());
    let distribution =
        archive.file("Distribution").ok_or_else(|| other("it has no Distribution: a component, no product"))?;
    let distribution = xml::parse("Distribution", distribution)?;
    let product = distribution.one("product").ok_or_else(|| other("its Distribution names no product"))?;
    let (id, version) = (product.attribute("id"), product.attribute("version"));
    if id != IDENTIFIER {
        return Err(PackageError::Other(format!("it is of the product {:?}", id.chars().take(80).collect::<String>())));
    }
    let is_number = |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if !version.split('.').all(is_number) || version.split('.').count() > 4 {
        return Err(other("its version is not made of numbers with dots between them"));
    }
    let title = distribution.one("title").map(xml::Element::text).filter(|title| !title.is_empty());
    Ok((version.to_owned(), title.unwrap_or("Emote Agent").to_owned()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A package of this version, as far as it is read here.
    pub(in crate::deploy) fn packed(distribution: &str, more: &[u8]) -> Vec<u8> {
        let files = [("Distribution", distribution.as_bytes()), ("EmoteAgent.pkg/Payload", more)];
        emote_xar::write(&files, jiff::Timestamp::UNIX_EPOCH).unwrap()
    }

    pub(in crate::deploy) fn distribution(id: &str, version: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><installer-gui-script minSpecVersion=\"2\"><title>Emote Agent</title>\
             <product id=\"{id}\" version=\"{version}\"/></installer-gui-script>"
        )
    }

    #[test]
    fn a_package_is_known_by_its_bytes() {
        let bytes = packed(&distribution(IDENTIFIER, "1.2.3"), b"payload");
        let Inspected { package, signer } = inspect(&bytes).unwrap();
        assert_eq!((package.version.as_str(), package.title.as_str(), signer), ("1.2.3", "Emote Agent", None));
        assert_eq!((package.size, package.file_name()), (bytes.len() as u64, "EmoteAgent-1.2.3.pkg".to_owned()));
        // Of one chunk both are the same.
        assert_eq!(package.sha256s, std::slice::from_ref(&package.sha256));
        let manifest = package.manifest("https://emote.example.com/").unwrap();
        assert_eq!(manifest.about().url, "https://emote.example.com/deploy/EmoteAgent-1.2.3.pkg");
    }

    #[test]
    fn who_signed_it_is_told_as_the_certificate_says_it() {
        let signer = |name: Option<&str>| {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            if let Some(name) = name {
                params.distinguished_name.push(rcgen::DnType::CommonName, name);
            }
            let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            Signer::of(&Signature { bytes: b"", certificates: vec![certificate.der().to_vec()] })
        };
        let none = Signer::of(&Signature { bytes: b"", certificates: vec![b"none".to_vec()] });
        for (signer, said, is_no_developer) in [
            (
                signer(Some("Developer ID Installer: Ada (ABCDE12345)")),
                "Developer ID Installer: Ada (ABCDE12345)",
                false,
            ),
            (signer(Some("DEVELOPMENT\u{1b}[31m")), "DEVELOPMENT[31m", true),
            (signer(None), "somebody whose certificate has no name", true),
            (none, "somebody whose certificate has no name", true),
        ] {
            assert_eq!((signer.to_string().as_str(), signer.is_no_developer()), (said, is_no_developer));
        }
    }

    #[test]
    fn what_is_none_is_refused_with_what_it_is() {
        let good = packed(&distribution(IDENTIFIER, "1.2.3"), b"payload");
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for (bytes, said) in [
            (b"#!/bin/sh".to_vec(), "it is no flat package: xar, byte "),
            (good[..good.len() - 1].to_vec(), "it is no flat package: "),
            (flipped, "it is damaged: EmoteAgent.pkg/Payload is not what its checksum was made of"),
            (packed(&distribution("com.example.app", "1"), b""), "it is of the product \"com.example.app\": expected"),
            (packed(&distribution(IDENTIFIER, "1.0-rc1"), b""), "its version is not made of numbers"),
            (packed(&distribution(IDENTIFIER, ""), b""), "its version is not made of numbers"),
            (packed("<a/>", b""), "its Distribution names no product"),
            (packed("<a", b""), "it is no flat package: Distribution, byte"),
            (emote_xar::write(&[("x", b"y")], jiff::Timestamp::UNIX_EPOCH).unwrap(), "it has no Distribution"),
        ] {
            let error = format!("{:#}", anyhow::Error::from(inspect(&bytes).unwrap_err()));
            assert!(error.starts_with(said), "{said}: {error}");
            assert!(error.matches(", byte ").count() <= 1, "once: {error}");
        }
    }
}

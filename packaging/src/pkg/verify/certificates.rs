//! Certificates: whose they are, what for, and whether a chain leads from them to somebody who is trusted (RFC 5280).

use anyhow::{Context, ensure};
use der::asn1::ObjectIdentifier;
use der::{Decode, DecodePem, Encode};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
};

use crate::pkg::development;

const SUBJECT_KEY: ObjectIdentifier = oid("2.5.29.14");
const AUTHORITY_KEY: ObjectIdentifier = oid("2.5.29.35");
const BASIC_CONSTRAINTS: ObjectIdentifier = oid("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = oid("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = oid("2.5.29.37");
const COMMON_NAME: ObjectIdentifier = oid("2.5.4.3");
const TEAM: ObjectIdentifier = oid("2.5.4.11");
/// Apple's arc for what a certificate is.
const APPLE: &str = "1.2.840.113635.100.6.";
/// Of the certificate that Developer IDs are issued with.
const DEVELOPER_ID_CA: ObjectIdentifier = oid("1.2.840.113635.100.6.2.6");
/// Longer than any of Apple's.
const MOST_LINKS: usize = 6;

/// Apple Root CA, as apple-codesign carries it, whose SHA-256 fingerprint is the one that Apple publishes:
/// B0B1730E CBC7FF45 05142C49 F1295E6E DA6BCAED 7E2C68C5 BE91B5A1 1001F024.
const APPLE_ROOT_CA: &str = include_str!("apple-root-ca.pem");

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// What a signer's certificate must be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Application,
    Installer,
    Timestamps,
}

impl Purpose {
    fn usage(self) -> ObjectIdentifier {
        match self {
            Self::Application => oid("1.3.6.1.5.5.7.3.3"),
            Self::Installer => oid("1.2.840.113635.100.4.13"),
            Self::Timestamps => oid("1.3.6.1.5.5.7.3.8"),
        }
    }

    /// Apple's mark, where there is one.
    fn mark(self) -> Option<ObjectIdentifier> {
        match self {
            Self::Application => Some(oid("1.2.840.113635.100.6.1.13")),
            Self::Installer => Some(oid("1.2.840.113635.100.6.1.14")),
            Self::Timestamps => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Application => "Developer ID Application",
            Self::Installer => "Developer ID Installer",
            Self::Timestamps => "secure time",
        }
    }
}

/// Who is believed.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Apple, for what it issued Developer IDs for.
    Apple,
    /// Whoever made a pair with `dev-identity`: this proves that nothing was changed, not by whom it was made.
    Development,
    /// Those who hold these, or whom they issued a certificate to.
    Anchors(Vec<Certificate>),
}

impl Trust {
    /// Certificates of a PEM file.
    pub fn anchors(pem: &[u8]) -> anyhow::Result<Self> {
        Ok(Self::Anchors(of_pem(pem)?.into_iter().map(|(certificate, _)| certificate).collect()))
    }

    fn roots(&self) -> Result<Vec<Certificate>, String> {
        match self {
            Self::Apple => {
                let root = Certificate::from_pem(APPLE_ROOT_CA).map_err(|error| format!("Apple's root: {error}"))?;
                Ok(vec![root])
            }
            Self::Development => Ok(Vec::new()),
            Self::Anchors(anchors) => Ok(anchors.clone()),
        }
    }

    fn is_root(&self, certificate: &Certificate, roots: &[Certificate]) -> bool {
        let of_development = || {
            let named = name(certificate).is_some_and(|name| name.starts_with(development::LABEL));
            named && is_issued_by(certificate, certificate)
        };
        roots.contains(certificate) || (matches!(self, Self::Development) && of_development())
    }
}

/// All certificates of a PEM file, in its order, each with its DER; whatever else is in it is passed over.
pub(crate) fn of_pem(pem: &[u8]) -> anyhow::Result<Vec<(Certificate, Vec<u8>)>> {
    let certificate = |der: Result<CertificateDer<'_>, _>| {
        let der = der.ok().context("it is no PEM: -----BEGIN CERTIFICATE----- and base64 behind it")?;
        let certificate = Certificate::from_der(&der).context("a certificate in it cannot be read")?;
        Ok((certificate, der.to_vec()))
    };
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).map(certificate).collect::<anyhow::Result<_>>()?;
    ensure!(!found.is_empty(), "there is no -----BEGIN CERTIFICATE----- in it");
    Ok(found)
}

/// The certificates from a signer's up to one that is trusted, at a time in seconds since 1970. `others` are those that the
/// signer sent along.
pub(super) fn chain(
    leaf: &Certificate,
    others: &[Certificate],
    trust: &Trust,
    purpose: Purpose,
    at: u64,
) -> Result<Vec<Certificate>, String> {
    let roots = trust.roots()?;
    check_signer(leaf, trust, purpose)?;
    let mut chain = vec![leaf.clone()];
    while let Some(last) = chain.last().filter(|last| !trust.is_root(last, &roots)) {
        check_validity(last, at)?;
        let mut above = others.iter().chain(&roots).filter(|above| *above != last && may_issue(above, chain.len() - 1));
        let issuer = above.find(|above| is_issued_by(last, above)).cloned();
        let who = || name(last).unwrap_or_else(|| "somebody without a name".into());
        let issuer = issuer.ok_or_else(|| format!("{} was issued by nobody who is trusted", who()))?;
        if chain.len() == MOST_LINKS {
            return Err(format!("more than {MOST_LINKS} certificates lead from {}", who()));
        }
        chain.push(issuer);
    }
    if let Some(root) = chain.last() {
        check_validity(root, at)?;
    }
    let developer_id = chain.get(1).is_some_and(|above| extension(above, DEVELOPER_ID_CA).is_some());
    if matches!(trust, Trust::Apple) && purpose != Purpose::Timestamps && !developer_id {
        return Err("it was not issued by a Developer ID Certification Authority of Apple's".into());
    }
    Ok(chain)
}

fn check_signer(leaf: &Certificate, trust: &Trust, purpose: Purpose) -> Result<(), String> {
    let usages = extension(leaf, EXTENDED_KEY_USAGE).and_then(|der| ExtendedKeyUsage::from_der(der).ok());
    let no = |what: &str| Err(format!("its certificate is not for {} ({what})", purpose.name()));
    if !usages.is_some_and(|usages| usages.0.contains(&purpose.usage())) {
        return no("extended key usage");
    }
    let usage = extension(leaf, KEY_USAGE).and_then(|der| KeyUsage::from_der(der).ok());
    if usage.is_some_and(|usage| !usage.digital_signature()) {
        return no("key usage");
    }
    let must_be_marked = matches!(trust, Trust::Apple | Trust::Development);
    if must_be_marked && purpose.mark().is_some_and(|mark| extension(leaf, mark).is_none()) {
        return no("Apple's mark is missing");
    }
    check_critical(leaf)
}

/// What must be understood is.
fn check_critical(certificate: &Certificate) -> Result<(), String> {
    let known = [BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE];
    let extensions = certificate.tbs_certificate.extensions.iter().flatten();
    let unknown = { extensions }.find(|extension| {
        let id = extension.extn_id;
        extension.critical && !known.contains(&id) && !id.to_string().starts_with(APPLE)
    });
    unknown.map_or(Ok(()), |unknown| Err(format!("a certificate has the critical extension {}", unknown.extn_id)))
}

fn check_validity(certificate: &Certificate, at: u64) -> Result<(), String> {
    let validity = &certificate.tbs_certificate.validity;
    let [from, to] = [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
    if (from..=to).contains(&at) {
        return Ok(());
    }
    let who = name(certificate).unwrap_or_default();
    Err(format!(
        "the certificate of {who} was not valid when it signed: it is from {} to {}",
        validity.not_before, validity.not_after
    ))
}

/// Whether it may issue a certificate that `below` others lie under.
fn may_issue(certificate: &Certificate, below: usize) -> bool {
    let long_enough = |limit: Option<u8>| limit.is_none_or(|limit| usize::from(limit) >= below);
    authority(certificate).is_ok_and(|constraints| long_enough(constraints.path_len_constraint))
        && check_critical(certificate).is_ok()
}

/// What an authority's certificate says of those below it, or why it is none (RFC 5280, 4.2.1.9 and 4.2.1.3).
pub(crate) fn authority(certificate: &Certificate) -> Result<BasicConstraints, &'static str> {
    let constraints = extension(certificate, BASIC_CONSTRAINTS).and_then(|der| BasicConstraints::from_der(der).ok());
    let usage = extension(certificate, KEY_USAGE).and_then(|der| KeyUsage::from_der(der).ok());
    let constraints = constraints.filter(|constraints| constraints.ca).ok_or("without basicConstraints CA:TRUE")?;
    if usage.is_none_or(|usage| usage.key_cert_sign()) {
        Ok(constraints)
    } else {
        Err("with a keyUsage without keyCertSign")
    }
}

/// Whether it says that it issued itself: by names, and by key identifiers where it has them, so that an authority's new key
/// that its old one signed is told apart (RFC 5280, 4.2.1.1).
pub(crate) fn is_root(certificate: &Certificate) -> bool {
    let tbs = &certificate.tbs_certificate;
    let own = extension(certificate, SUBJECT_KEY).and_then(|der| SubjectKeyIdentifier::from_der(der).ok());
    let issuers = extension(certificate, AUTHORITY_KEY).and_then(|der| AuthorityKeyIdentifier::from_der(der).ok());
    let keys = own.zip(issuers.and_then(|issuers| issuers.key_identifier));
    tbs.subject == tbs.issuer && keys.is_none_or(|(own, issuers)| own.0 == issuers)
}

fn is_issued_by(certificate: &Certificate, issuer: &Certificate) -> bool {
    let tbs = &certificate.tbs_certificate;
    let signed = tbs.to_der().ok().zip(certificate.signature.as_bytes());
    tbs.issuer == issuer.tbs_certificate.subject
        && tbs.signature == certificate.signature_algorithm
        && signed.is_some_and(|(message, signature)| {
            is_signed(issuer, &certificate.signature_algorithm.oid, None, &message, signature)
        })
}

/// Whether a signature over a message is by a certificate's key. Where the algorithm is plain RSA, `digest` is the hash.
pub(super) fn is_signed(
    by: &Certificate,
    algorithm: &ObjectIdentifier,
    digest: Option<&ObjectIdentifier>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let (algorithm, digest) = (algorithm.to_string(), digest.map(ToString::to_string));
    let (algorithm, digest) = (algorithm.as_str(), digest.as_deref());
    let key = &by.tbs_certificate.subject_public_key_info.algorithm;
    let curve = key.parameters.as_ref().and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
    let with = match (key.oid.to_string().as_str(), curve.map(|curve| curve.to_string()).as_deref()) {
        ("1.2.840.113549.1.1.1", _) => by_rsa(algorithm, digest),
        ("1.2.840.10045.2.1", Some(curve)) => by_curve(algorithm, curve),
        _ => None,
    };
    with.is_some_and(|with| is_signed_with(by, with, message, signature))
}

/// RFC 8017, A.2.4.
fn by_rsa(algorithm: &str, digest: Option<&str>) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (algorithm, digest) {
        ("1.2.840.113549.1.1.5", _) => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        ("1.2.840.113549.1.1.11", _) | ("1.2.840.113549.1.1.1", Some("2.16.840.1.101.3.4.2.1")) => {
            &RSA_PKCS1_2048_8192_SHA256
        }
        ("1.2.840.113549.1.1.12", _) | ("1.2.840.113549.1.1.1", Some("2.16.840.1.101.3.4.2.2")) => {
            &RSA_PKCS1_2048_8192_SHA384
        }
        ("1.2.840.113549.1.1.13", _) | ("1.2.840.113549.1.1.1", Some("2.16.840.1.101.3.4.2.3")) => {
            &RSA_PKCS1_2048_8192_SHA512
        }
        _ => return None,
    })
}

/// ecdsa-with-SHA256 and -SHA384 (RFC 5758, 3.2) on the curves P-256 and P-384 (RFC 5480, 2.1.1.1).
fn by_curve(algorithm: &str, curve: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (algorithm, curve) {
        ("1.2.840.10045.4.3.2", "1.2.840.10045.3.1.7") => &ECDSA_P256_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", "1.2.840.10045.3.1.7") => &ECDSA_P256_SHA384_ASN1,
        ("1.2.840.10045.4.3.2", "1.3.132.0.34") => &ECDSA_P384_SHA256_ASN1,
        ("1.2.840.10045.4.3.3", "1.3.132.0.34") => &ECDSA_P384_SHA384_ASN1,
        _ => return None,
    })
}

/// The same with an algorithm that is said elsewhere.
pub(super) fn is_signed_with(
    by: &Certificate,
    with: &'static dyn VerificationAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let key = by.tbs_certificate.subject_public_key_info.subject_public_key.as_bytes();
    key.is_some_and(|key| UnparsedPublicKey::new(with, key).verify(message, signature).is_ok())
}

fn extension(certificate: &Certificate, wanted: ObjectIdentifier) -> Option<&[u8]> {
    let mut extensions = certificate.tbs_certificate.extensions.iter().flatten();
    extensions.find(|extension| extension.extn_id == wanted).map(|extension| extension.extn_value.as_bytes())
}

/// The common name of whom a certificate is for.
pub(crate) fn name(certificate: &Certificate) -> Option<String> {
    attribute(certificate, COMMON_NAME)
}

/// The team's identifier, which Apple writes as the organizational unit.
pub(super) fn team(certificate: &Certificate) -> Option<String> {
    attribute(certificate, TEAM)
}

fn attribute(certificate: &Certificate, wanted: ObjectIdentifier) -> Option<String> {
    let names = certificate.tbs_certificate.subject.0.iter().flat_map(|name| name.0.iter());
    let value = { names }.find(|attribute| attribute.oid == wanted).map(|attribute| attribute.value.value())?;
    String::from_utf8(value.to_vec()).ok()
}

#[cfg(test)]
mod tests;

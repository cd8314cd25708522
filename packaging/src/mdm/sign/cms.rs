//! CMS signed data with its content in it (RFC 5652, section 5), as DER.
//!
//! The signed attributes are the content's type and hash alone. There is no signing time in them (it may be left out, RFC
//! 5652, 11.3), so an RSA key signs the same profile the same way each time; an EC key does not, by its nature.

use anyhow::Context;
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{OctetString, SetOfVec};
use der::{Any, Encode, Tag};
use ring::digest::{Algorithm, SHA256, SHA384, digest};
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::identity::{Identity, Pair};
use crate::pkg::verify::cms::{CONTENT_TYPE, DATA, MESSAGE_DIGEST, SIGNED_DATA, oid};

/// What a pair signs with: the hash, and the names of hash and signature (RFC 8017 A.2.4, RFC 5758).
struct With {
    hash: &'static Algorithm,
    digest: AlgorithmIdentifierOwned,
    signature: AlgorithmIdentifierOwned,
}

impl With {
    fn of(pair: &Pair) -> Self {
        let (hash, digest, signature, parameters) = match pair {
            Pair::Rsa(_) => (&SHA256, "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.1", Some(Any::null())),
            Pair::P256(_) => (&SHA256, "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.2", None),
            Pair::P384(_) => (&SHA384, "2.16.840.1.101.3.4.2.2", "1.2.840.10045.4.3.3", None),
        };
        let named = |name, parameters| AlgorithmIdentifierOwned { oid: oid(name), parameters };
        Self { hash, digest: named(digest, None), signature: named(signature, parameters) }
    }
}

/// Content, signed by an identity.
pub(super) fn signed(content: &[u8], by: &Identity) -> anyhow::Result<Vec<u8>> {
    let with = With::of(by.pair());
    let attributes = attributes(content, &with).context("writing what is signed")?;
    let signature = by.sign(&attributes.to_der().context("writing what is signed")?)?;
    wrapped(content, by, with, attributes, signature).context("writing CMS")
}

fn attributes(content: &[u8], with: &With) -> der::Result<Attributes> {
    let attribute = |oid, value: Any| Ok::<_, der::Error>(Attribute { oid, values: SetOfVec::try_from(vec![value])? });
    let sum = Any::new(Tag::OctetString, digest(with.hash, content).as_ref())?;
    SetOfVec::try_from(vec![attribute(CONTENT_TYPE, Any::encode_from(&DATA)?)?, attribute(MESSAGE_DIGEST, sum)?])
}

fn wrapped(
    content: &[u8],
    by: &Identity,
    with: With,
    attributes: Attributes,
    signature: Vec<u8>,
) -> der::Result<Vec<u8>> {
    let tbs = &by.certificate.tbs_certificate;
    let id = IssuerAndSerialNumber { issuer: tbs.issuer.clone(), serial_number: tbs.serial_number.clone() };
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(id),
        digest_alg: with.digest.clone(),
        signed_attrs: Some(attributes),
        signature_algorithm: with.signature,
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let all = std::iter::once(&by.certificate).chain(&by.others).cloned().map(CertificateChoices::Certificate);
    let data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![with.digest])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: DATA,
            econtent: Some(Any::new(Tag::OctetString, content)?),
        },
        certificates: Some(CertificateSet::try_from(all.collect::<Vec<_>>())?),
        crls: None,
        signer_infos: SignerInfos::try_from(vec![signer])?,
    };
    ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&data)? }.to_der()
}

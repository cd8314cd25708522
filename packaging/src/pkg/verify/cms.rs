//! CMS signatures (RFC 5652) of one signer, and the secure time that may be written beside them (RFC 3161).
//!
//! Apple's tools write BER with indefinite lengths, so what is read is brought into DER first. All fields count: what is
//! unknown, repeated or superfluous is refused, because what no signature covers must not be free to differ.

use cms::cert::CertificateChoices;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{ObjectIdentifier, OctetString};
use der::{Any, Decode, Encode, SliceReader, Tag, Tagged};
use ring::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use x509_cert::Certificate;
use x509_cert::attr::Attributes;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::certificates::is_signed;

/// That a CMS message is signed data (RFC 5652, section 5.1).
pub(crate) const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
/// Content that CMS does not look into (section 4).
pub(crate) const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
const TIME_INFO: ObjectIdentifier = oid("1.2.840.113549.1.9.16.1.4");
/// The attribute with the content's type (section 11.1).
pub(crate) const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
/// The attribute with the content's hash (section 11.2).
pub(crate) const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
const TIME_TOKEN: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.14");
const MOST_DEPTH: usize = 24;

/// An object identifier that is known when this is built.
pub(crate) const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// A signature that fits what it is of.
pub(super) struct Signed {
    /// The signer's.
    pub(super) leaf: Certificate,
    /// All that were sent along, the signer's too.
    pub(super) certificates: Vec<Certificate>,
    /// What is signed beside the content.
    attributes: Attributes,
    signature: Vec<u8>,
    token: Option<Vec<u8>>,
}

impl Signed {
    /// Reads a signature of `content` that stands elsewhere, with nothing but zeros behind it, and tries it.
    pub(super) fn of(cms: &[u8], content: &[u8]) -> Result<Self, String> {
        let (content_type, inside, signed) = open(cms, Some(content))?;
        if content_type != DATA || inside.is_some() {
            return Err("the signature is of something else than what it stands beside".into());
        }
        Ok(signed)
    }

    /// The one value of a signed attribute.
    pub(super) fn attribute(&self, wanted: &str) -> Option<&Any> {
        ObjectIdentifier::new(wanted).ok().and_then(|wanted| only(&self.attributes, wanted))
    }

    /// When it was signed as somebody else's clock says, and that signature; none where nobody was asked.
    pub(super) fn time(&self) -> Result<Option<(u64, Self)>, String> {
        let Some(token) = &self.token else { return Ok(None) };
        let (content_type, inside, signed) = open(token, None)?;
        let info = inside.filter(|_| content_type == TIME_INFO && signed.token.is_none());
        let info = info.ok_or("the secure time is none")?;
        let time = time_of(&info, &self.signature).ok_or("the secure time is of another signature, or unreadable")?;
        Ok(Some((time, signed)))
    }
}

/// Content type, the content where it is inside, and the signature; `outside` is the content where it is not.
fn open(cms: &[u8], outside: Option<&[u8]>) -> Result<(ObjectIdentifier, Option<Vec<u8>>, Signed), String> {
    let (der, rest) = to_der(cms, MOST_DEPTH).ok_or("the CMS signature is cut off, or no BER")?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err("something follows the CMS signature".into());
    }
    let unreadable = |error: der::Error| format!("the CMS signature: {error}");
    let info = ContentInfo::from_der(&der).map_err(unreadable)?;
    if info.content_type != SIGNED_DATA {
        return Err("the CMS signature is none".into());
    }
    let data: SignedData = info.content.decode_as().map_err(unreadable)?;
    let content_type = data.encap_content_info.econtent_type;
    let inside = match &data.encap_content_info.econtent {
        None => None,
        Some(any) => Some(any.decode_as::<OctetString>().map_err(unreadable)?.into_bytes()),
    };
    let content = inside.as_deref().or(outside).ok_or("the CMS signature is of nothing")?;
    let mut signers = data.signer_infos.0.iter();
    let (Some(signer), None, None) = (signers.next(), signers.next(), &data.crls) else {
        return Err("the CMS signature is not of exactly one signer, or brings revocations along".into());
    };
    let algorithms: Vec<_> = data.digest_algorithms.iter().collect();
    // RFC 5652, 5.1 and 5.3.
    let version = if content_type == DATA { CmsVersion::V1 } else { CmsVersion::V3 };
    if (data.version, signer.version) != (version, CmsVersion::V1) || algorithms != [&signer.digest_alg] {
        return Err("the CMS signature is of another version, or has hashes that its signer does not use".into());
    }
    let certificates: Vec<_> =
        data.certificates.iter().flat_map(|set| set.0.iter()).map(plain).collect::<Result<_, _>>()?;
    let signed = signed(signer, certificates, content_type, content)?;
    Ok((content_type, inside, signed))
}

fn plain(choice: &CertificateChoices) -> Result<Certificate, String> {
    match choice {
        CertificateChoices::Certificate(certificate) => Ok(certificate.clone()),
        CertificateChoices::Other(_) => Err("the CMS signature brings something else than X.509 certificates".into()),
    }
}

fn signed(
    signer: &SignerInfo,
    certificates: Vec<Certificate>,
    content_type: ObjectIdentifier,
    content: &[u8],
) -> Result<Signed, String> {
    let SignerIdentifier::IssuerAndSerialNumber(id) = &signer.sid else {
        return Err("the CMS signature does not name its signer by issuer and number".into());
    };
    let is_it = |certificate: &&Certificate| {
        let tbs = &certificate.tbs_certificate;
        tbs.issuer == id.issuer && tbs.serial_number == id.serial_number
    };
    let leaf =
        certificates.iter().find(is_it).cloned().ok_or("the CMS signature's signer sent no certificate along")?;
    let hash = hash_of(&signer.digest_alg).ok_or("the CMS signature's hash is not SHA-256, 384 or 512")?;
    if !has_no_parameters(&signer.signature_algorithm) {
        return Err("the CMS signature's algorithm has parameters".into());
    }
    let attributes = signer.signed_attrs.clone().ok_or("the CMS signature signs no attributes")?;
    let said = only(&attributes, CONTENT_TYPE).and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    let sum = only(&attributes, MESSAGE_DIGEST).and_then(|any| any.decode_as::<OctetString>().ok());
    if said != Some(content_type) || sum.is_none_or(|sum| sum.as_bytes() != digest(hash, content).as_ref()) {
        return Err("the CMS signature is of something else".into());
    }
    let message = attributes.to_der().map_err(|error| error.to_string())?;
    let (algorithm, signature) = (&signer.signature_algorithm.oid, signer.signature.as_bytes());
    if !is_signed(&leaf, algorithm, Some(&signer.digest_alg.oid), &message, signature) {
        return Err("the CMS signature does not fit its certificate and its attributes".into());
    }
    let token = match &signer.unsigned_attrs {
        None => None,
        Some(unsigned) => {
            let token = only(unsigned, TIME_TOKEN).filter(|_| unsigned.len() == 1);
            let token = token.ok_or("the CMS signature has attributes that nothing covers")?;
            Some(token.to_der().map_err(|error| error.to_string())?)
        }
    };
    let signature = signature.to_vec();
    Ok(Signed { leaf, certificates, attributes, signature, token })
}

/// The one value of an attribute that is there once.
fn only(attributes: &Attributes, wanted: ObjectIdentifier) -> Option<&Any> {
    let mut found = attributes.iter().filter(|attribute| attribute.oid == wanted);
    let attribute = found.next().filter(|attribute| attribute.values.len() == 1)?;
    if found.next().is_some() { None } else { attribute.values.iter().next() }
}

fn hash_of(algorithm: &AlgorithmIdentifierOwned) -> Option<&'static Algorithm> {
    let hash = match algorithm.oid.to_string().as_str() {
        "2.16.840.1.101.3.4.2.1" => &SHA256,
        "2.16.840.1.101.3.4.2.2" => &SHA384,
        "2.16.840.1.101.3.4.2.3" => &SHA512,
        _ => return None,
    };
    has_no_parameters(algorithm).then_some(hash)
}

fn has_no_parameters(algorithm: &AlgorithmIdentifierOwned) -> bool {
    algorithm.parameters.as_ref().is_none_or(|any| any.tag() == Tag::Null && any.value().is_empty())
}

/// The time in a `TSTInfo` (RFC 3161, 2.4.2) of a signature, in seconds since 1970.
fn time_of(info: &[u8], signature: &[u8]) -> Option<u64> {
    let any = Any::from_der(info).ok()?;
    let mut fields = SliceReader::new(any.value()).ok()?;
    let mut next = || Any::decode(&mut fields).ok();
    let (version, _policy, imprint, _serial, time) = (next()?, next()?, next()?, next()?, next()?);
    let mut imprint = SliceReader::new(imprint.value()).ok()?;
    let algorithm = AlgorithmIdentifierOwned::decode(&mut imprint).ok()?;
    let sum = OctetString::decode(&mut imprint).ok()?;
    let is_of_it = digest(hash_of(&algorithm)?, signature).as_ref() == sum.as_bytes();
    let text = std::str::from_utf8(time.value()).ok().filter(|_| time.tag() == Tag::GeneralizedTime)?;
    // With fractions of a second, perhaps, which DER's own type does not have.
    let whole = text.strip_suffix('Z')?.split('.').next()?;
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", whole).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    u64::try_from(time).ok().filter(|_| is_of_it && version.value() == [1])
}

/// The first value of BER, as DER, and what follows it: definite lengths, strings in one piece. Lengths that are longer than
/// they need be are refused.
fn to_der(ber: &[u8], depth: usize) -> Option<(Vec<u8>, &[u8])> {
    let (&tag, rest) = ber.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let constructed = tag & 0x20 != 0;
    let of_no_length = first == 0x80;
    if tag & 0x1f == 0x1f || depth == 0 || (of_no_length && !constructed) {
        return None;
    }
    let mut inside = Vec::new();
    if of_no_length {
        while !rest.starts_with(&[0, 0]) {
            let (value, after) = to_der(rest, depth - 1)?;
            inside.push(value);
            rest = after;
        }
        rest = &rest[2..];
    } else {
        let (length, after) = definite(first, rest)?;
        let (mut content, after) = after.split_at_checked(length)?;
        if !constructed {
            inside.push(content.to_vec());
        }
        while constructed && !content.is_empty() {
            let (value, more) = to_der(content, depth - 1)?;
            inside.push(value);
            content = more;
        }
        rest = after;
    }
    // An octet string in pieces.
    let in_pieces = tag == 0x24;
    let pieces: Vec<&[u8]> = inside
        .iter()
        .map(|value| if in_pieces { contents(value) } else { Some(value.as_slice()) })
        .collect::<Option<_>>()?;
    let inside = pieces.concat();
    let mut der = vec![if in_pieces { 0x04 } else { tag }];
    let length = u32::try_from(inside.len()).ok()?;
    match length {
        0..0x80 => der.push(length.to_be_bytes()[3]),
        _ => {
            let bytes = length.to_be_bytes();
            let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            der.extend([0x81, 0x82, 0x83, 0x84].get(bytes.len() - 1));
            der.extend_from_slice(bytes);
        }
    }
    der.extend_from_slice(&inside);
    Some((der, rest))
}

/// A length in as few bytes as it takes.
fn definite(first: u8, rest: &[u8]) -> Option<(usize, &[u8])> {
    if first < 0x80 {
        return Some((usize::from(first), rest));
    }
    let (bytes, rest) =
        rest.split_at_checked(usize::from(first & 0x7f)).filter(|(bytes, _)| (1..=4).contains(&bytes.len()))?;
    let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let shortest = bytes[0] != 0 && length >= 0x80;
    shortest.then_some((length, rest))
}

/// What is inside an octet string that is DER.
fn contents(der: &[u8]) -> Option<&[u8]> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (_, content) = definite(first, rest)?;
    (tag == 0x04).then_some(content)
}

#[cfg(test)]
mod tests;

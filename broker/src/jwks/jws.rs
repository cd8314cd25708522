//! The compact form of a JSON web signature: `header.payload.signature`, each in base64url (RFC 7515, section 3.1).

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::Value;

use super::{Algorithm, Refused};

/// Longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 256 * 1024;
/// Longest header, as it is sent.
const MAX_HEADER: usize = 8 * 1024;

/// A token whose parts are right, and of which nothing is believed yet.
#[derive(Debug)]
pub(super) struct Jws<'t> {
    header: Header,
    /// `header.payload` as it was sent: what is signed.
    signed: &'t str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// A name that stands there twice is an error, so that no two readers take different ones.
#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

impl<'t> Jws<'t> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'t str) -> Result<Self, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::Malformed("it is too long"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed("it has no three parts"))?;
        let (header, payload) = signed.split_once('.').ok_or(Refused::Malformed("it has no three parts"))?;
        if header.len() > MAX_HEADER {
            return Err(Refused::Malformed("its header is too long"));
        }
        let decode = |text: &str| {
            BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| Refused::Malformed("a part is not base64url"))
        };
        let header: Header = serde_json::from_slice(&decode(header)?)
            .map_err(|_| Refused::Malformed("its header is no JSON object with `alg`"))?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err(Refused::Header("it asks for an extension, which are not known here"));
        }
        Ok(Self { header, signed, payload: decode(payload)?, signature: decode(signature)? })
    }

    /// Which of `allowed` signed it.
    pub(super) fn algorithm(&self, allowed: &[Algorithm]) -> Result<Algorithm, Refused> {
        let named = allowed.iter().find(|algorithm| algorithm.name() == self.header.alg);
        named.copied().ok_or(Refused::Header("`alg` is none that is taken here"))
    }

    pub(super) fn key_id(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    pub(super) fn typ(&self) -> Option<&str> {
        self.header.typ.as_deref()
    }

    pub(super) fn signed(&self) -> &'t str {
        self.signed
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.signature
    }
}

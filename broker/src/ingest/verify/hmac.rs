//! An HMAC over the body and, where the sender signs one, a timestamp.
//!
//! `message` says what is signed: text with `{body}`, `{timestamp}` and `{header:NAME}` in it. GitHub and NanoMDM sign
//! `{body}`, Slack `v0:{timestamp}:{body}`, Zendesk `{timestamp}{body}`; they and others have names of their own
//! ([`super::named`]). The header may hold several signatures with spaces or commas between them; one that matches is enough. A
//! timestamp is one in seconds since 1970 or in RFC 3339.

use std::path::Path;

use emote_proto::{Time, Trust};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Check, Mark, Proof, Scheme, SecretRefs, signed_time};
use crate::{
    config::Problems,
    ingest::{Denied, Refusal, Request, Unverified, verify_header_name},
};

/// Signatures of one header that are looked at.
const MAX_SIGNATURES: usize = 16;

/// `hmac: {secret, header, encoding, prefix, message, timestamp_header, tolerance}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    secret: SecretRefs,
    /// How the secret's text gives the key.
    #[serde(default)]
    secret_encoding: SecretEncoding,
    #[serde(default)]
    algorithm: Algorithm,
    /// The header that holds the signature.
    header: String,
    encoding: Encoding,
    /// What stands before each signature, such as `sha256=`.
    #[serde(default)]
    prefix: String,
    #[serde(default = "body_only")]
    message: String,
    timestamp_header: Option<String>,
    /// How far the timestamp may lie from now, either way.
    #[serde(default = "five_minutes")]
    #[schemars(with = "crate::ingest::spec::Length")]
    tolerance: SignedDuration,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SecretEncoding {
    /// The text's bytes are the key.
    #[default]
    Text,
    /// The text is the key in base64, perhaps behind `whsec_`.
    Base64,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Algorithm {
    #[default]
    Sha256,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoding {
    Hex,
    Base64,
}

/// What a signed message is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Body,
    Timestamp,
    Header(String),
}

/// A key, overwritten when it is dropped.
pub(super) type Key = Zeroizing<Vec<u8>>;

/// A way to sign, with its keys.
pub(super) struct Signature {
    /// Each is right.
    pub(super) keys: Vec<Key>,
    pub(super) header: String,
    pub(super) encoding: Encoding,
    pub(super) prefix: String,
    pub(super) message: Vec<Piece>,
    /// The header that holds it, and how far it may lie from now.
    pub(super) timestamp: Option<(String, SignedDuration)>,
}

fn body_only() -> String {
    "{body}".to_owned()
}

fn five_minutes() -> SignedDuration {
    signed_time::TOLERANCE
}

impl Scheme for Spec {
    fn validate(&self, problems: &mut Problems) {
        // There is one algorithm; a second one makes the compiler point here.
        let Algorithm::Sha256 = self.algorithm;
        verify_header_name("hmac.header", &self.header, problems);
        if let Some(name) = &self.timestamp_header {
            verify_header_name("hmac.timestamp_header", name, problems);
        }
        let Some(message) = problems.take("hmac.message", pieces(&self.message)) else { return };
        let signs = |piece| message.contains(&piece);
        if !signs(Piece::Body) {
            problems.add("hmac.message", "must hold {body}: a signature that leaves it out proves nothing about it");
        }
        match (signs(Piece::Timestamp), &self.timestamp_header) {
            (true, None) => problems.add("hmac.timestamp_header", "is needed, because the message holds {timestamp}"),
            (false, Some(_)) => {
                problems.add("hmac.message", "must hold {timestamp}: one that is not signed proves nothing");
            }
            _ => {}
        }
        signed_time::validate(self.tolerance, "hmac.tolerance", problems);
    }

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        let secrets = self.secret.resolve("hmac.secret", folder, problems)?;
        let keys: Result<_, _> = secrets.iter().map(|secret| key(secret, self.secret_encoding)).collect();
        let keys = problems.take("hmac.secret", keys)?;
        let message = problems.take("hmac.message", pieces(&self.message))?;
        let timestamp = self.timestamp_header.as_ref().map(|name| (name.to_lowercase(), self.tolerance));
        let (header, prefix) = (self.header.to_lowercase(), self.prefix.clone());
        Some(Box::new(Signature { keys, header, encoding: self.encoding, prefix, message, timestamp }))
    }
}

impl Check for Signature {
    fn check(&self, request: &Request<Unverified>, now: Time) -> Result<Proof, Refusal> {
        let given = request.required(&self.header)?;
        let timestamp = match &self.timestamp {
            Some((name, tolerance)) => signed_time::checked(request, name, *tolerance, now)?,
            None => "",
        };
        let mut message: Vec<&[u8]> = Vec::with_capacity(self.message.len());
        for piece in &self.message {
            message.push(match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Body => &request.body,
                Piece::Timestamp => timestamp.as_bytes(),
                Piece::Header(name) => request.required(name)?.as_bytes(),
            });
        }
        // Standard Webhooks' prefix `v1,` has the comma in it.
        let separators: &[char] = if self.prefix.contains(',') { &[' '] } else { &[' ', ','] };
        let words = given.split(separators).filter_map(|word| word.strip_prefix(&self.prefix)).take(MAX_SIGNATURES);
        let signatures: Vec<Vec<u8>> = words.filter_map(|text| self.encoding.decode(text)).collect();
        if matches(&self.keys, &message, &signatures) {
            let mark = self.timestamp.as_ref().map(|_| Mark::Time(timestamp.to_owned()));
            let header = |piece: &Piece| match piece {
                Piece::Header(name) => Some(name.clone()),
                Piece::Timestamp => self.timestamp.as_ref().map(|(name, _)| name.clone()),
                Piece::Text(_) | Piece::Body => None,
            };
            let signed = Some(self.message.iter().filter_map(header).collect());
            Ok(Proof { trust: Trust::Verified, claims: None, mark, signed })
        } else {
            Err(Denied::new(format!("the signature in {} does not match the body", self.header)).into())
        }
    }

    fn secret_header(&self) -> Option<&str> {
        Some(&self.header)
    }
}

/// Whether one of the signatures is that of one of the keys.
pub(super) fn matches(keys: &[Key], message: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
    // HMAC takes keys of any length: none is left out.
    let mut macs = keys.iter().filter_map(|key| Hmac::<Sha256>::new_from_slice(key).ok());
    macs.any(|mut mac| {
        message.iter().for_each(|piece| mac.update(piece));
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    })
}

impl Encoding {
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
            Self::Base64 => data_encoding::BASE64.decode(text.as_bytes()).ok(),
        }
    }
}

fn key(secret: &str, encoding: SecretEncoding) -> Result<Key, &'static str> {
    match encoding {
        SecretEncoding::Text => Ok(secret.as_bytes().to_vec().into()),
        SecretEncoding::Base64 => {
            let text = secret.strip_prefix("whsec_").unwrap_or(secret).trim_end_matches('=');
            // An empty one is a key that everybody has.
            let key = data_encoding::BASE64_NOPAD.decode(text.as_bytes()).ok().filter(|key| !key.is_empty());
            key.map(Key::new).ok_or("the secret is not base64, as `secret_encoding: base64` says it is")
        }
    }
}

pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a { without its }")?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(match name.split_once(':') {
            None if name == "body" => Piece::Body,
            None if name == "timestamp" => Piece::Timestamp,
            Some(("header", header)) if !header.is_empty() => Piece::Header(header.to_lowercase()),
            _ => return Err(format!("{{{name}}} is none of {{body}}, {{timestamp}}, {{header:NAME}}")),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests;

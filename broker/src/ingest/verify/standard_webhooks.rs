//! Standard Webhooks (<https://www.standardwebhooks.com>), which Svix sends under names of its own: a signature over id,
//! time and body, by a shared secret (`v1`, `whsec_…`) or by the sender's private key (`v1a`, `whpk_…`).
//!
//! One header may hold several signatures of both versions; one that matches one of the keys is enough.

use std::path::Path;

use data_encoding::{BASE64, BASE64_NOPAD};
use emote_proto::{Time, Trust};
use jiff::SignedDuration;
use ring::signature::{ED25519, UnparsedPublicKey};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Check, Mark, OneOrMore, Proof, Scheme, SecretRefs, hmac, signed_time};
use crate::{
    config::Problems,
    ingest::{Denied, Refusal, Request, Unverified},
};

/// Signatures of one header that are looked at.
const MAX_SIGNATURES: usize = 16;
/// Public keys that are right at once.
const MAX_KEYS: usize = 4;

/// `standard_webhooks: {secret: ${env:NAME}}`, or `{public_key: whpk_…}`, or both.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// `whsec_…`, by reference; one or several.
    secret: Option<SecretRefs>,
    /// `whpk_…`, which is no secret; one or several.
    #[serde(default)]
    public_key: OneOrMore,
    /// How far the signed time may lie from now, either way.
    #[schemars(with = "Option<crate::ingest::spec::Length>")]
    tolerance: Option<SignedDuration>,
}

/// Under which names of headers it comes.
pub(super) struct Named {
    name: &'static str,
    id: &'static str,
    timestamp: &'static str,
    signature: &'static str,
}

/// The standard's names.
pub(super) const STANDARD: Named = Named {
    name: "standard_webhooks",
    id: "webhook-id",
    timestamp: "webhook-timestamp",
    signature: "webhook-signature",
};

/// Svix's.
pub(super) const SVIX: Named =
    Named { name: "svix", id: "svix-id", timestamp: "svix-timestamp", signature: "svix-signature" };

impl Named {
    /// The scheme with an administrator's settings.
    pub(super) fn with<'s>(&'static self, spec: &'s Spec) -> Of<'s> {
        Of { named: self, spec }
    }

    fn path(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }
}

/// The scheme under its names, with settings.
pub(super) struct Of<'s> {
    named: &'static Named,
    spec: &'s Spec,
}

struct Signatures {
    named: &'static Named,
    /// Keys of HMAC-SHA256.
    shared: Vec<hmac::Key>,
    /// Keys of Ed25519, 32 bytes each.
    public: Vec<Vec<u8>>,
    tolerance: SignedDuration,
}

impl Scheme for Of<'_> {
    fn validate(&self, problems: &mut Problems) {
        let OneOrMore(public) = &self.spec.public_key;
        if self.spec.secret.is_none() && public.is_empty() {
            problems.add(self.named.name, "give `secret: ${env:NAME}`, which holds whsec_…, or `public_key: whpk_…`");
        }
        if public.len() > MAX_KEYS {
            problems.add(self.named.path("public_key"), format!("at most {MAX_KEYS} at once"));
        }
        for text in public {
            problems.take(&self.named.path("public_key"), public_key(text));
        }
        if let Some(tolerance) = self.spec.tolerance {
            signed_time::validate(tolerance, &self.named.path("tolerance"), problems);
        }
    }

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        let (mut shared, mut public) = (Vec::new(), Vec::new());
        for text in &self.spec.public_key.0 {
            public.push(problems.take(&self.named.path("public_key"), public_key(text))?);
        }
        let path = self.named.path("secret");
        if let Some(secret) = &self.spec.secret {
            for text in secret.resolve(&path, folder, problems)?.iter() {
                // An administrator need not know which of the two it is that the sender gave.
                match text.starts_with("whpk_") {
                    true => public.push(problems.take(&path, public_key(text))?),
                    false => shared.push(problems.take(&path, shared_key(text))?),
                }
            }
        }
        let tolerance = self.spec.tolerance.unwrap_or(signed_time::TOLERANCE);
        Some(Box::new(Signatures { named: self.named, shared, public, tolerance }))
    }
}

impl Check for Signatures {
    fn check(&self, request: &Request<Unverified>, now: Time) -> Result<Proof, Refusal> {
        let given = request.required(self.named.signature)?;
        let timestamp = signed_time::checked(request, self.named.timestamp, self.tolerance, now)?;
        let id = request.required(self.named.id)?;
        // A dot in it would let the rest of an id be read as a time, and a time as part of the body.
        if id.contains('.') || timestamp.contains('.') {
            return Err(Denied::new(format!("a dot in {} or {}", self.named.id, self.named.timestamp)).into());
        }
        let message: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &request.body];
        let (mut macs, mut signatures) = (Vec::new(), Vec::new());
        for word in given.split(' ').take(MAX_SIGNATURES) {
            match word.split_once(',') {
                Some(("v1", text)) => macs.extend(BASE64.decode(text.as_bytes())),
                Some(("v1a", text)) => signatures.extend(BASE64.decode(text.as_bytes())),
                _ => {}
            }
        }
        let signed = || {
            let message = message.concat();
            signatures.iter().any(|one| self.public.iter().any(|key| right(key, &message, one)))
        };
        if hmac::matches(&self.shared, &message, &macs) || (!signatures.is_empty() && signed()) {
            let mark = Some(Mark::Id(id.to_owned()));
            let signed = Some(vec![self.named.id.to_owned(), self.named.timestamp.to_owned()]);
            return Ok(Proof { trust: Trust::Verified, claims: None, mark, signed });
        }
        Err(Denied::new(format!("no signature in {} matches the body", self.named.signature)).into())
    }

    fn secret_header(&self) -> Option<&str> {
        Some(self.named.signature)
    }
}

fn right(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

/// The key of a secret: base64 behind `whsec_`, perhaps without its padding.
fn shared_key(text: &str) -> Result<hmac::Key, &'static str> {
    if text.starts_with("whsk_") {
        return Err("this is the sender's private key: give the public one, whpk_…");
    }
    let text = text.strip_prefix("whsec_").unwrap_or(text).trim_end_matches('=');
    let key = BASE64_NOPAD.decode(text.as_bytes()).ok().filter(|key| !key.is_empty());
    key.map(hmac::Key::new).ok_or("the secret is not base64 behind whsec_, as the sender shows it")
}

/// The key of `whpk_…`: the 32 bytes of a point of Ed25519.
fn public_key(text: &str) -> Result<Vec<u8>, &'static str> {
    let text = text.strip_prefix("whpk_").map(|text| text.trim_end_matches('='));
    let key = text.and_then(|text| BASE64_NOPAD.decode(text.as_bytes()).ok()).filter(|key| key.len() == 32);
    key.ok_or("expected whpk_ and the 32 bytes of an Ed25519 key in base64")
}

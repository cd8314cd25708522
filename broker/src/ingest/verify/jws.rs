//! The body is a signed token, and its claims are what is mapped: security event tokens (RFC 8417) as they are pushed
//! (RFC 8935) by SSF, CAEP and RISC transmitters, and what Apple sends for Sign in with Apple, `{"payload": "<token>"}`.
//!
//! Beside the signature it checks `iss`, `aud`, that there is a `jti` (which becomes the event's id, so that a token that is
//! sent again is the same event), that `iat` is not older than `max_age`, and that there is `events`, so that no other
//! token of the same issuer (an ID token, say) is taken for one; or, where `types` are given, the token's `typ`.
//!
//! Headers and query of the request are not signed.

use std::{future::Future, path::Path, pin::Pin};

use emote_proto::{Time, Trust};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Check, Mark, OneOrMore, Proof, Scheme, SecretRefs, Secrets};
use crate::{
    config::Problems,
    ingest::{Denied, Refusal, Request, Unverified},
    jwks::{Algorithm, Expected, Expiry, Jwks, KeysUrl, Refused},
};

/// Transmitters send again what was not taken, at most for so long where nothing else is said.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);
/// The core remembers ids for 48 hours: an older token could be acted upon twice.
const MAX_MAX_AGE: SignedDuration = SignedDuration::from_hours(47);

/// `jws: {jwks, issuer, audience, algorithms, types, max_age, authorization}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Where the issuer's keys are: https, or http on this machine.
    jwks: String,
    /// `iss`, to the letter.
    issuer: String,
    /// One of these must be in `aud`.
    audience: OneOrMore,
    /// RS256, RS384, RS512, PS256, ES256, EdDSA; all where nothing is said.
    #[serde(default)]
    algorithms: OneOrMore,
    /// `typ` of the header, such as secevent+jwt.
    #[serde(default)]
    types: OneOrMore,
    /// How long ago `iat` may be.
    #[serde(default = "max_age")]
    #[schemars(with = "crate::ingest::spec::Length")]
    max_age: SignedDuration,
    /// What the transmitter was told to give as `Authorization`, to the letter.
    authorization: Option<SecretRefs>,
}

fn max_age() -> SignedDuration {
    MAX_AGE
}

struct Token {
    jwks: Jwks,
    expected: Expected,
    authorization: Option<Secrets>,
}

impl Spec {
    fn expected(&self, problems: &mut Problems) -> Expected {
        let named = self.algorithms.0.iter().filter_map(|name| {
            let known = Algorithm::ALL.map(Algorithm::name).join(", ");
            let algorithm = Algorithm::named(name).ok_or_else(|| format!("{name:?} is none of {known}"));
            problems.take("jws.algorithms", algorithm)
        });
        let named: Vec<_> = named.collect();
        let lower = |typ: &String| {
            let typ = typ.to_ascii_lowercase();
            typ.strip_prefix("application/").unwrap_or(&typ).to_owned()
        };
        Expected {
            algorithms: if named.is_empty() { Algorithm::ALL.to_vec() } else { named },
            issuer: self.issuer.clone(),
            audience: self.audience.0.clone(),
            types: self.types.0.iter().map(lower).collect(),
            expiry: Expiry::IfPresent,
            max_age: Some(self.max_age),
        }
    }
}

impl Scheme for Spec {
    fn validate(&self, problems: &mut Problems) {
        problems.take("jws.jwks", self.jwks.parse::<KeysUrl>());
        if self.issuer.is_empty() {
            problems.add("jws.issuer", "the `iss` of its tokens, such as https://idp.example.com");
        }
        if self.audience.0.is_empty() || self.audience.0.iter().any(String::is_empty) {
            problems.add(
                "jws.audience",
                "the `aud` of its tokens, such as https://emote.example.com: without it, tokens for others would do",
            );
        }
        if self.max_age <= SignedDuration::ZERO || self.max_age > MAX_MAX_AGE {
            problems.add(
                "jws.max_age",
                "from 1s to 47h: ids are remembered for 48 hours, and older tokens could be acted upon twice",
            );
        }
        self.expected(problems);
    }

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        let url = problems.take("jws.jwks", self.jwks.parse::<KeysUrl>())?;
        let jwks = problems.take("jws.jwks", Jwks::at(&url))?;
        let expected = self.expected(problems);
        let authorization = match &self.authorization {
            Some(refs) => Some(refs.resolve("jws.authorization", folder, problems)?),
            None => None,
        };
        Some(Box::new(Token { jwks, expected, authorization }))
    }
}

impl Check for Token {
    fn check(&self, request: &Request<Unverified>, now: Time) -> Result<Proof, Refusal> {
        if let Some(secrets) = &self.authorization
            && !request.header("authorization").is_some_and(|given| secrets.hold(given.as_bytes()))
        {
            let denied = Denied::new("the Authorization that this source asks for is missing or wrong");
            return Err(denied.err("authentication_failed").into());
        }
        self.check_fetched(request, now)
    }

    fn check_fetched(&self, request: &Request<Unverified>, now: Time) -> Result<Proof, Refusal> {
        let token = token(&request.body)?;
        let claims = self.jwks.verify_now(&token, &self.expected, now).map_err(refusal)?;
        let id = claims.get("jti").and_then(|id| id.as_str()).filter(|id| !id.is_empty()).map(str::to_owned);
        let Some(id) = id else { return Err(malformed("the token has no `jti`")) };
        if self.expected.types.is_empty() && !claims.contains_key("events") {
            return Err(malformed("the token has no `events`: it is another kind of token"));
        }
        Ok(Proof { trust: Trust::Verified, claims: Some(claims), mark: Some(Mark::Id(id)), signed: Some(Vec::new()) })
    }

    fn prepare<'a>(&'a self, request: &'a Request<Unverified>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            if let Ok(token) = token(&request.body) {
                self.jwks.prepare(&token, &self.expected).await;
            }
        })
    }

    fn takes_security_events(&self) -> bool {
        true
    }
}

/// The token in a body: all of it, or what stands under `payload`.
fn token(body: &[u8]) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct Enveloped {
        payload: String,
    }
    let text = std::str::from_utf8(body).map_err(|_| malformed("the body is no token"))?.trim_ascii();
    if text.starts_with('{') {
        let enveloped = serde_json::from_str::<Enveloped>(text);
        return enveloped
            .map(|it| it.payload)
            .map_err(|_| malformed("the body is no token, and holds none as `payload`"));
    }
    Ok(text.to_owned())
}

/// The claims of the token in a body, whoever made it.
pub(super) fn unproven_claims(body: &[u8]) -> Option<serde_json::Map<String, serde_json::Value>> {
    let token = token(body).ok()?;
    let claims = token.split('.').nth(1)?.as_bytes();
    serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(claims).ok()?).ok()
}

fn malformed(problem: &str) -> Refusal {
    Denied::new(problem).err("invalid_request").into()
}

/// As RFC 8935, section 2.4, calls it. What the sender cannot help is to be sent again.
fn refusal(refused: Refused) -> Refusal {
    let err = match &refused {
        Refused::NoKeys(_) => return Refusal::NoKeys,
        Refused::UnknownKey => "invalid_key",
        Refused::Signature => "authentication_failed",
        Refused::Claim { claim: "iss", .. } => "invalid_issuer",
        Refused::Claim { claim: "aud", .. } => "invalid_audience",
        Refused::Malformed(_) | Refused::Header(_) | Refused::Claim { .. } => "invalid_request",
    };
    Denied::new(refused.to_string()).err(err).into()
}

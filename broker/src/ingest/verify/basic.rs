//! `Authorization: Basic …` (RFC 7617).

use std::path::Path;

use emote_proto::{Time, Trust};
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Check, Proof, Scheme, SecretRefs, Secrets, bearer::credential};
use crate::{
    config::Problems,
    ingest::{Denied, Refusal, Request, Unverified},
};

/// `basic: {username: ${env:NAME}, password: ${env:NAME}}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    username: SecretRefs,
    password: SecretRefs,
}

struct Basic {
    username: Secrets,
    password: Secrets,
}

impl Scheme for Spec {
    fn validate(&self, _: &mut Problems) {}

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        let username = self.username.resolve("basic.username", folder, problems);
        let password = self.password.resolve("basic.password", folder, problems);
        Some(Box::new(Basic { username: username?, password: password? }))
    }
}

impl Check for Basic {
    fn check(&self, request: &Request<Unverified>, _: Time) -> Result<Proof, Refusal> {
        let given = request.header("authorization").and_then(|value| credential(value, "basic"));
        let pair = given.and_then(|given| data_encoding::BASE64.decode(given.as_bytes()).ok()).map(Zeroizing::new);
        let colon = pair.as_ref().and_then(|pair| pair.iter().position(|byte| *byte == b':'));
        let right = pair.zip(colon).is_some_and(|(pair, colon)| {
            let (username, password) = (&pair[..colon], &pair[colon + 1..]);
            // Both are compared, so that the time does not tell which one was wrong.
            self.username.hold(username) & self.password.hold(password)
        });
        if right {
            return Ok(Trust::Authenticated.into());
        }
        let denied = Denied::new("the user name and password that this source asks for are missing or wrong");
        Err(denied.challenge("Basic realm=\"emote\", charset=\"UTF-8\"").into())
    }

    fn secret_header(&self) -> Option<&str> {
        Some("authorization")
    }
}

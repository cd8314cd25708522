//! `Authorization: Bearer TOKEN` (RFC 6750).

use std::path::Path;

use emote_proto::{Time, Trust};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Check, Proof, Scheme, SecretRefs, Secrets};
use crate::{
    config::Problems,
    ingest::{Denied, Refusal, Request, Unverified},
};

/// `bearer: {token: ${env:NAME}}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    token: SecretRefs,
}

struct Bearer(Secrets);

impl Scheme for Spec {
    fn validate(&self, _: &mut Problems) {}

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        Some(Box::new(Bearer(self.token.resolve("bearer.token", folder, problems)?)))
    }
}

impl Check for Bearer {
    fn check(&self, request: &Request<Unverified>, _: Time) -> Result<Proof, Refusal> {
        let given = request.header("authorization").and_then(|value| credential(value, "bearer"));
        match given {
            Some(given) if self.0.hold(given.as_bytes()) => Ok(Trust::Authenticated.into()),
            _ => {
                let denied = Denied::new("the bearer token that this source asks for is missing or wrong");
                Err(denied.challenge("Bearer").into())
            }
        }
    }

    fn secret_header(&self) -> Option<&str> {
        Some("authorization")
    }
}

/// What stands behind the scheme's name, which may be written in any case.
pub(super) fn credential<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (name, credential) = value.trim().split_once(' ')?;
    name.eq_ignore_ascii_case(scheme).then(|| credential.trim())
}

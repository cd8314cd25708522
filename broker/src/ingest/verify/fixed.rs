//! A header or query parameter that holds a fixed value: what Okta, Jamf Pro and Jamf Protect call an authentication
//! header, and what is left to senders that can only be told a URL.

use std::path::Path;

use emote_proto::{Time, Trust};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Check, Proof, Scheme, SecretRefs, Secrets};
use crate::{
    config::Problems,
    ingest::{Denied, Refusal, Request, Unverified, verify_header_name},
};

/// `header: {name: X-Api-Key, value: ${env:NAME}}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderSpec {
    name: String,
    value: SecretRefs,
}

/// `query: {name: token, value: ${env:NAME}}`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuerySpec {
    name: String,
    value: SecretRefs,
}

/// `okta: {secret: ${env:NAME}}`: what Okta calls the authentication secret of an event hook, in the field `Authorization`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OktaSpec {
    secret: SecretRefs,
}

struct Header {
    name: String,
    value: Secrets,
}

struct Query {
    name: String,
    value: Secrets,
}

impl Scheme for HeaderSpec {
    fn validate(&self, problems: &mut Problems) {
        verify_header_name("header.name", &self.name, problems);
    }

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        let value = self.value.resolve("header.value", folder, problems)?;
        Some(Box::new(Header { name: self.name.to_lowercase(), value }))
    }
}

impl Scheme for OktaSpec {
    fn validate(&self, _: &mut Problems) {}

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        let value = self.secret.resolve("okta.secret", folder, problems)?;
        Some(Box::new(Header { name: "authorization".to_owned(), value }))
    }
}

impl Scheme for QuerySpec {
    fn validate(&self, problems: &mut Problems) {
        if self.name.is_empty() {
            problems.add("query.name", "the name of a query parameter, such as token");
        }
    }

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        let value = self.value.resolve("query.value", folder, problems)?;
        Some(Box::new(Query { name: self.name.clone(), value }))
    }
}

impl Check for Header {
    fn check(&self, request: &Request<Unverified>, _: Time) -> Result<Proof, Refusal> {
        match request.header(&self.name) {
            Some(given) if self.value.hold(given.as_bytes()) => Ok(Trust::Authenticated.into()),
            _ => Err(denied("header", &self.name)),
        }
    }

    fn secret_header(&self) -> Option<&str> {
        Some(&self.name)
    }
}

impl Check for Query {
    fn check(&self, request: &Request<Unverified>, _: Time) -> Result<Proof, Refusal> {
        match request.query.get(&self.name) {
            Some(Value::String(given)) if self.value.hold(given.as_bytes()) => Ok(Trust::Authenticated.into()),
            _ => Err(denied("query parameter", &self.name)),
        }
    }

    fn secret_query(&self) -> Option<&str> {
        Some(&self.name)
    }
}

fn denied(what: &str, name: &str) -> Refusal {
    Denied::new(format!("the {what} {name} that this source asks for is missing or wrong")).into()
}

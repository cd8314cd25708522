//! A header or query parameter that holds a fixed value: what Okta, Jamf Pro and Jamf Protect call an authentication
//! header, and what is left to senders that can only be told a URL.

use std::path::Path;

use emote_proto::{Time, Trust};
use serde::Deserialize;
use serde_json::Value;

use super::{Check, Scheme, same, secret};
use crate::{
    config::{Problems, Secret, SecretRef},
    ingest::{Denied, Request, Unverified, verify_header_name},
};

/// `header: {name: X-Api-Key, value: ${env:NAME}}`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderSpec {
    name: String,
    value: SecretRef,
}

/// `query: {name: token, value: ${env:NAME}}`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuerySpec {
    name: String,
    value: SecretRef,
}

struct Header {
    name: String,
    value: Secret,
}

struct Query {
    name: String,
    value: Secret,
}

impl Scheme for HeaderSpec {
    fn validate(&self, problems: &mut Problems) {
        verify_header_name("header.name", &self.name, problems);
    }

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        let value = secret("header.value", &self.value, folder, problems)?;
        Some(Box::new(Header { name: self.name.to_lowercase(), value }))
    }
}

impl Scheme for QuerySpec {
    fn validate(&self, problems: &mut Problems) {
        if self.name.is_empty() {
            problems.add("query.name", "the name of a query parameter, such as token");
        }
    }

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        let value = secret("query.value", &self.value, folder, problems)?;
        Some(Box::new(Query { name: self.name.clone(), value }))
    }
}

impl Check for Header {
    fn check(&self, request: &Request<Unverified>, _: Time) -> Result<Trust, Denied> {
        match request.header(&self.name) {
            Some(given) if same(given.as_bytes(), &self.value) => Ok(Trust::Authenticated),
            _ => Err(denied("header", &self.name)),
        }
    }

    fn secret_header(&self) -> Option<&str> {
        Some(&self.name)
    }
}

impl Check for Query {
    fn check(&self, request: &Request<Unverified>, _: Time) -> Result<Trust, Denied> {
        match request.query.get(&self.name) {
            Some(Value::String(given)) if same(given.as_bytes(), &self.value) => Ok(Trust::Authenticated),
            _ => Err(denied("query parameter", &self.name)),
        }
    }

    fn secret_query(&self) -> Option<&str> {
        Some(&self.name)
    }
}

fn denied(what: &str, name: &str) -> Denied {
    Denied { problem: format!("the {what} {name} that this source asks for is missing or wrong"), challenge: None }
}

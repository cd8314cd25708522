//! A webhook on its way in. What was not verified is another type than what was, and only the latter can be decoded.

use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use emote_proto::{Time, Trust};
use serde_json::{Map, Value};

use super::{
    Denied, Refusal,
    verify::{Check, Mark, Proof},
};
use crate::form;

/// Nothing was checked yet.
#[derive(Debug)]
pub struct Unverified;

/// The source's scheme was checked, and says how far the sender can be trusted.
#[derive(Debug)]
pub struct Verified(Proof);

/// A webhook: headers, query and body as they came, and how far it got.
#[derive(Debug)]
pub struct Request<State> {
    pub(super) headers: HeaderMap,
    pub(super) query: Map<String, Value>,
    pub(super) body: Bytes,
    /// How and where it was sent, where that says something.
    pub(super) method: Option<Method>,
    pub(super) path: Option<String>,
    state: State,
}

impl Request<Unverified> {
    /// A request as it came. `query` is the part behind the question mark.
    pub fn new(headers: HeaderMap, query: &str, body: Bytes) -> Self {
        Self { headers, query: pairs(query.as_bytes()), body, method: None, path: None, state: Unverified }
    }

    /// The request as it is when it was sent so, to this path behind the source's name.
    #[must_use]
    pub fn sent(self, method: Option<Method>, path: Option<String>) -> Self {
        Self { method, path, ..self }
    }

    /// The request as it is with these in its query.
    pub(super) fn asking(self, query: Map<String, Value>) -> Self {
        Self { query, ..self }
    }

    /// Checks the request as `check` says. `now` is for the windows of signed timestamps.
    pub fn verify(self, check: &dyn Check, now: Time) -> Result<Request<Verified>, Refusal> {
        let proof = check.check(&self, now)?;
        Ok(self.with(Verified(proof)))
    }

    /// The same of what was fetched from the sender.
    pub(super) fn verify_fetched(self, check: &dyn Check, now: Time) -> Result<Request<Verified>, Refusal> {
        let proof = check.check_fetched(&self, now)?;
        Ok(self.with(Verified(proof)))
    }

    /// For a rehearsal, whose events go nowhere: the request as though it had proven this.
    pub(super) fn unchecked(self, proof: impl Into<Proof>) -> Request<Verified> {
        self.with(Verified(proof.into()))
    }

    /// The value of a header that stands there exactly once, as text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// As [`Self::header`], and denied without it.
    pub(super) fn required(&self, name: &str) -> Result<&str, Denied> {
        let missing = || Denied::new(format!("the header {name} is missing, or stands there twice"));
        self.header(name).ok_or_else(missing)
    }
}

impl Request<Verified> {
    pub(super) fn trust(&self) -> Trust {
        self.state.0.trust
    }

    /// The claims that stand in place of the body, where it was a signed token.
    pub(super) fn claims(&self) -> Option<&Map<String, Value>> {
        self.state.0.claims.as_ref()
    }

    /// What was signed beside the body.
    pub(super) fn mark(&self) -> Option<&Mark> {
        self.state.0.mark.as_ref()
    }

    /// The headers that were signed with the body; none where nothing was signed.
    pub(super) fn signed(&self) -> Option<&[String]> {
        self.state.0.signed.as_deref()
    }
}

impl<State> Request<State> {
    fn with<Next>(self, state: Next) -> Request<Next> {
        let Self { headers, query, body, method, path, .. } = self;
        Request { headers, query, body, method, path, state }
    }
}

/// The pairs of a query or form: a name that stands there once gives a string, a repeated one an array.
pub(super) fn pairs(encoded: &[u8]) -> Map<String, Value> {
    form::object(form::pairs(encoded).unwrap_or_default())
}

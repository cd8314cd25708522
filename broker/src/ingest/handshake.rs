//! The question some vendors ask of a URL before they send to it: give back what this request holds.
//!
//! Asked once, by anyone, and answered with nothing but what was asked, so it needs no secret; where the question stands in
//! the body, as Slack's does, the body was verified first. Workspace ONE asks whether its credential is right: `reply: ok`
//! is the answer to a GET that proves who sent it, and to no other.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Refusal, Request, Unverified, verify_header_name};
use crate::config::Problems;

/// Longest challenge that is given back, in bytes.
const MAX_CHALLENGE: usize = 4096;

/// The `handshake` of a source, such as Okta's: `{header: X-Okta-Verification-Challenge, reply: {json: verification}}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandshakeSpec {
    /// How it is asked.
    #[serde(default)]
    method: AskedBy,
    /// The header that holds the challenge.
    header: Option<String>,
    /// Or the query parameter that does.
    query: Option<String>,
    /// Or the key of a JSON body that does; it is answered once the body was verified.
    body: Option<String>,
    /// What else must stand in that body for it to be a question.
    #[serde(default)]
    when: Map<String, Value>,
    reply: Reply,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum AskedBy {
    #[default]
    Get,
    Post,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Reply {
    /// The challenge alone, as text.
    Text,
    /// An object with the challenge under this key.
    Json(String),
    /// The challenge in a header of this name, and as text.
    Header(String),
    /// Nothing: there is no challenge, and the sender is told whether it proved who it is.
    Ok,
}

impl HandshakeSpec {
    /// What Okta asks when an event hook is verified.
    pub(super) fn okta() -> Self {
        Self {
            method: AskedBy::Get,
            header: Some("X-Okta-Verification-Challenge".to_owned()),
            reply: Reply::Json("verification".to_owned()),
            ..Self::nothing()
        }
    }

    /// What Microsoft Graph asks when a subscription is made, for notifications and for what it says of the subscription.
    pub(super) fn graph() -> Self {
        Self { method: AskedBy::Post, query: Some("validationToken".to_owned()), ..Self::nothing() }
    }

    /// What Slack asks of the address of an app's events.
    pub(super) fn slack() -> Self {
        Self {
            method: AskedBy::Post,
            body: Some("challenge".to_owned()),
            when: Map::from_iter([("type".to_owned(), Value::from("url_verification"))]),
            ..Self::nothing()
        }
    }

    fn nothing() -> Self {
        Self { method: AskedBy::Get, header: None, query: None, body: None, when: Map::new(), reply: Reply::Text }
    }

    /// Notes what is wrong with the settings.
    pub fn validate(&self, problems: &mut Problems) {
        match (&self.header, &self.query, &self.body) {
            (Some(name), None, None) => verify_header_name("header", name, problems),
            (None, Some(_), None) => {}
            (None, None, Some(_)) if self.method == AskedBy::Post => {}
            (None, None, None) if self.reply == Reply::Ok => {
                if self.method != AskedBy::Get {
                    problems.add("method", "what comes by POST is a webhook: its sender is told anyway");
                }
            }
            (None, None, Some(_)) => problems.add("method", "a challenge in the body comes by POST"),
            _ => problems.add("", "say where the challenge stands: either `header`, `query` or `body`"),
        }
        match &self.reply {
            Reply::Header(name) => verify_header_name("reply.header", name, problems),
            Reply::Ok if !self.asks_for_proof() => {
                problems.add("reply", "a challenge is given back: as `text`, `{json: KEY}` or `{header: NAME}`");
            }
            _ => {}
        }
        if self.body.is_none() && !self.when.is_empty() {
            problems.add("when", "is about the body, in which there is no challenge");
        }
    }

    /// Whether requests by this method may be a question.
    pub(super) fn asked_by(&self, method: &Method) -> bool {
        match self.method {
            AskedBy::Get => method == Method::GET,
            AskedBy::Post => method == Method::POST,
        }
    }

    /// Whether there is no challenge, and the sender is told whether it proved who it is.
    pub(super) fn asks_for_proof(&self) -> bool {
        self.header.is_none() && self.query.is_none() && self.body.is_none()
    }

    /// The answer, if the request asks.
    pub(super) fn answer(&self, request: &Request<Unverified>) -> Option<Result<Response, Refusal>> {
        let challenge = match (&self.header, &self.query) {
            (Some(name), _) => request.header(name)?,
            (_, Some(name)) => request.query.get(name)?.as_str()?,
            (None, None) => return None,
        };
        Some(self.reply(challenge))
    }

    /// The challenge of a verified body, if it asks.
    pub(super) fn asked(&self, decoded: &Value) -> Option<String> {
        let challenge = decoded.get(self.body.as_ref()?)?.as_str()?;
        self.when.iter().all(|(key, value)| decoded.get(key) == Some(value)).then(|| challenge.to_owned())
    }

    /// The answer to a challenge.
    pub(super) fn reply(&self, challenge: &str) -> Result<Response, Refusal> {
        if challenge.len() > MAX_CHALLENGE {
            return Err(Refusal::Undecodable(format!("a challenge of more than {MAX_CHALLENGE} bytes")));
        }
        Ok(match &self.reply {
            Reply::Json(key) => Json(Map::from_iter([(key.clone(), Value::from(challenge))])).into_response(),
            Reply::Text => as_text(challenge),
            Reply::Header(name) => {
                let mut response = as_text(challenge);
                // Both came out of a header, or were checked: what cannot stand in one is in the body alone.
                if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(challenge)) {
                    response.headers_mut().insert(name, value);
                }
                response
            }
            Reply::Ok => StatusCode::OK.into_response(),
        })
    }
}

fn as_text(challenge: &str) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, challenge.to_owned()).into_response()
}

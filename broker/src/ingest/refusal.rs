//! Why a request did not become events: one status each, and a body that says what would help.

use std::{net::IpAddr, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

/// A request that did not prove who sends it. Says which part is missing or wrong, never what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What is wrong.
    pub problem: String,
    /// The value of `WWW-Authenticate`, where the scheme is one of HTTP's own.
    pub challenge: Option<&'static str>,
    /// The word for it in RFC 8935, section 2.4, where a security event was pushed.
    pub err: Option<&'static str>,
}

impl Denied {
    /// Denied for this reason.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), challenge: None, err: None }
    }

    pub(super) fn challenge(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    pub(super) fn err(self, err: &'static str) -> Self {
        Self { err: Some(err), ..self }
    }
}

/// Why a request did not become events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 404
    #[error("no source of that name takes webhooks here")]
    NoSource,
    /// 403
    #[error("this source takes nothing from {}", .0.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string()))]
    Address(Option<IpAddr>),
    /// 429
    #[error("more requests than this source takes")]
    Rate {
        /// Until one is taken again.
        wait: Duration,
    },
    /// 422
    #[error("event {0} of the map is older than `max_age` of this source")]
    Stale(usize),
    /// 405
    #[error("a webhook is sent by POST")]
    Method {
        /// The methods that are answered.
        allow: &'static str,
    },
    /// 401
    #[error("{}", .0.problem)]
    Denied(Denied),
    /// 408
    #[error("the body did not arrive within {0} seconds")]
    Slow(u64),
    /// 413
    #[error("the body is larger than the {0} bytes that this source takes")]
    TooLarge(usize),
    /// 415
    #[error("{found} is not what this source takes")]
    Type {
        /// What came.
        found: String,
        /// What is accepted.
        accepted: String,
    },
    /// 400
    #[error("{0}")]
    Undecodable(String),
    /// 422
    #[error("{}{problem}", .output.map_or_else(String::new, |output| format!("event {output} of the map: ")))]
    Unmapped {
        /// Which output of the map, from 0; none where the map itself failed.
        output: Option<usize>,
        /// What is wrong.
        problem: String,
    },
    /// 503: more requests at once than are taken.
    #[error("too many requests at once")]
    Busy,
    /// 503: the keys of a token's issuer cannot be fetched.
    #[error("the keys of the token's issuer cannot be had")]
    NoKeys,
    /// 503: the stream did not acknowledge.
    #[error("the event stream cannot be reached")]
    Unavailable,
    /// 500
    #[error("{0}")]
    Internal(&'static str),
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoSource => StatusCode::NOT_FOUND,
            Self::Address(_) => StatusCode::FORBIDDEN,
            Self::Rate { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Stale(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Denied(Denied { err: Some(_), .. }) => StatusCode::BAD_REQUEST,
            Self::Denied(_) => StatusCode::UNAUTHORIZED,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Type { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Undecodable(_) => StatusCode::BAD_REQUEST,
            Self::Unmapped { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy | Self::NoKeys | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// One word for it, for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoSource => "no_source",
            Self::Address(_) => "address",
            Self::Rate { .. } => "rate",
            Self::Stale(_) => "stale",
            Self::Method { .. } => "method",
            Self::Denied(_) => "denied",
            Self::Slow(_) => "slow",
            Self::TooLarge(_) => "too_large",
            Self::Type { .. } => "type",
            Self::Undecodable(_) => "undecodable",
            Self::Unmapped { .. } => "unmapped",
            Self::Busy => "busy",
            Self::NoKeys => "no_keys",
            Self::Unavailable => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NoSource => "`emote sources` shows the sources in force and how each hears. A file sources/NAME.yaml is taken at /in/NAME once it is applied (`emote apply`; with `emote dev`, once it is saved); one that fetches, listens by itself or reads a folder takes webhooks only where it says `verify`.".to_owned(),
            Self::Address(_) => "Add the address to `from` of the source; behind a proxy, name the proxy in `trusted_proxies` under `ingest` in emote.yaml.".to_owned(),
            Self::Rate { .. } => "Send it again later, or raise `rate` of the source.".to_owned(),
            Self::Stale(_) => "If the sender's clock is right and it was not sent again by somebody else, raise `max_age` of the source.".to_owned(),
            Self::Denied(_) => "Compare what the sender is set to with `verify` of the source.".to_owned(),
            Self::TooLarge(_) => "Raise `max_body` of the source, or send less at once.".to_owned(),
            Self::Type { accepted, .. } => format!("Send {accepted}, or change `decode` of the source."),
            Self::Unmapped { .. } => {
                "Compare the payload with the source's `map`: what it gives for it is no event.".to_owned()
            }
            Self::Busy | Self::NoKeys | Self::Unavailable => {
                "Send it again; nothing was stored that a repeat would double.".to_owned()
            }
            Self::Method { .. } | Self::Slow(_) | Self::Undecodable(_) | Self::Internal(_) => return None,
        })
    }

    fn header(&self) -> Option<(header::HeaderName, HeaderValue)> {
        let text = HeaderValue::from_static;
        match self {
            Self::Method { allow } => Some((header::ALLOW, text(allow))),
            Self::Denied(Denied { challenge: Some(challenge), .. }) => {
                Some((header::WWW_AUTHENTICATE, text(challenge)))
            }
            Self::Unavailable => Some((header::RETRY_AFTER, text("5"))),
            Self::NoKeys => Some((header::RETRY_AFTER, text("60"))),
            Self::Busy => Some((header::RETRY_AFTER, text("1"))),
            // In whole seconds, and not too early.
            Self::Rate { wait } => Some((header::RETRY_AFTER, (wait.as_secs() + 1).into())),
            _ => None,
        }
    }
}

impl Refusal {
    /// The word for it of RFC 8935, section 2.4, where the fault is the security event's; none where it may be sent again.
    pub(crate) fn err(&self) -> Option<&'static str> {
        match self {
            Self::Denied(denied) => Some(denied.err.unwrap_or("access_denied")),
            Self::TooLarge(_) | Self::Type { .. } | Self::Undecodable(_) | Self::Unmapped { .. } | Self::Stale(_) => {
                Some("invalid_request")
            }
            _ => None,
        }
    }

    /// The answer to who pushed a security event (RFC 8935, section 2.3): where the fault is the event's, 400 with a word
    /// for it.
    pub(super) fn to_transmitter(&self) -> Response {
        let Some(err) = self.err() else { return self.clone().into_response() };
        let body = json!({"err": err, "description": self.to_string()});
        (StatusCode::BAD_REQUEST, [(header::CONTENT_LANGUAGE, "en")], Json(body)).into_response()
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = Map::from_iter([("error".to_owned(), Value::from(self.to_string()))]);
        if let Some(remedy) = self.remedy() {
            body.insert("remedy".to_owned(), Value::from(remedy));
        }
        let mut response = (self.status(), Json(body)).into_response();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

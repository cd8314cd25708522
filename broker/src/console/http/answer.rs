//! What a request is answered with: JSON for programs, a page for people, or the way to another page; and what speaks
//! against it.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::Markup;
use serde_json::{Value, json};

use super::{pages, path::LocalPath};
use crate::bus::{BusError, ReadError};

/// Who is asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A program: errors are JSON.
    Api,
    /// A person: errors are pages.
    Page,
}

/// An answer.
#[derive(Debug)]
pub(super) enum Answer {
    Json(Value),
    Page(Markup),
    /// A page that goes with another status.
    Told(StatusCode, Markup),
    /// On to another page of ours.
    See(LocalPath),
    /// On to the provider.
    Away(HeaderValue),
    Css(&'static str),
    /// With cookies set.
    With(Vec<String>, Box<Answer>),
}

/// What speaks against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// What is wrong.
    pub(super) error: String,
    /// What to do.
    pub(super) remedy: String,
    /// Seconds to wait.
    pub(super) retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status, error: error.into(), remedy: remedy.into(), retry_after: None }
    }

    pub(super) fn bad(error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, remedy)
    }

    pub(super) fn not_found(error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error, remedy)
    }

    pub(super) fn nothing_here() -> Self {
        Self::not_found("nothing is here", "Begin at /, or at /api/v1/me for programs.")
    }

    pub(super) fn signed_out() -> Self {
        let remedy = "Sign in at /login, or send Authorization: Bearer with the token in the data folder.";
        Self::new(StatusCode::UNAUTHORIZED, "this needs a sign-in", remedy)
    }

    pub(super) fn no_credentials() -> Self {
        let remedy = "Agents have credentials where emote.yaml has an identity section: `emote init --secure DIR` makes a folder with one.";
        Self::not_found("this broker gives out no credentials", remedy)
    }

    pub(super) fn foreign() -> Self {
        let remedy = "Open the page anew and try again; programs send X-CSRF-Token, which /api/v1/me tells.";
        Self::new(StatusCode::FORBIDDEN, "this did not come from a page of this session", remedy)
    }

    /// As the kind wants it.
    pub(super) fn into_response(self, kind: Kind) -> Response {
        let mut response = match kind {
            Kind::Api => (self.status, Json(json!({"error": self.error, "remedy": self.remedy}))).into_response(),
            Kind::Page => html(self.status, pages::refusal(&self)),
        };
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<BusError> for Refusal {
    fn from(error: BusError) -> Self {
        Self::from(anyhow::Error::from(error))
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        let away = error.is::<ReadError>()
            || error.downcast_ref::<BusError>().is_some_and(|error| {
                matches!(error, BusError::Unreachable { .. } | BusError::NoAnswer { .. } | BusError::NoBroker)
            });
        let text = format!("{error:#}");
        if away {
            let mut refusal =
                Self::new(StatusCode::SERVICE_UNAVAILABLE, text, "Try again when NATS and a broker answer.");
            refusal.retry_after = Some(5);
            return refusal;
        }
        Self::new(StatusCode::CONFLICT, text, "Look at what is there now, and try again.")
    }
}

impl Answer {
    /// Answers and sets cookies.
    pub(super) fn with(self, cookies: Vec<String>) -> Self {
        Self::With(cookies, Box::new(self))
    }

    pub(super) fn into_response(self) -> Response {
        match self {
            Self::Json(value) => Json(value).into_response(),
            Self::Page(page) => html(StatusCode::OK, page),
            Self::Told(status, page) => html(status, page),
            Self::See(path) => (StatusCode::SEE_OTHER, [(header::LOCATION, path.to_header())]).into_response(),
            Self::Away(url) => (StatusCode::SEE_OTHER, [(header::LOCATION, url)]).into_response(),
            Self::Css(text) => ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], text).into_response(),
            Self::With(cookies, answer) => {
                let mut response = answer.into_response();
                // Cookies are made of letters that headers may have; what could not be one is left out.
                let values = cookies.iter().filter_map(|cookie| HeaderValue::from_str(cookie).ok());
                for value in values {
                    response.headers_mut().append(header::SET_COOKIE, value);
                }
                response
            }
        }
    }
}

fn html(status: StatusCode, page: Markup) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
}

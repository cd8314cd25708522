//! What a sender wants to read once its events are stored, where 200 alone does not do. It is said after the stream's
//! acknowledgement and never otherwise: what is refused is answered as every source answers it.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::Problems;

/// Longest body, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// The `reply` of a source, such as Salesforce's: `{content_type: text/xml, body: <…><Ack>true</Ack></…>}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplySpec {
    /// From 200 to 299.
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    body: String,
}

fn ok() -> u16 {
    200
}

impl ReplySpec {
    /// Notes what is wrong with the settings.
    pub fn validate(&self, problems: &mut Problems) {
        if !(200..300).contains(&self.status) {
            problems.add("status", "from 200 to 299: what is stored is answered so");
        }
        if self.content_type.as_deref().is_some_and(|kind| HeaderValue::from_str(kind).is_err()) {
            problems.add("content_type", "is no value of a header, such as text/xml");
        }
        if self.body.len() > MAX_BODY {
            problems.add("body", format!("at most {MAX_BODY} bytes"));
        }
    }

    pub(super) fn response(&self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let kind = self.content_type.as_deref().unwrap_or("text/plain; charset=utf-8");
        let mut response = (status, self.body.clone()).into_response();
        if let Ok(kind) = HeaderValue::from_str(kind) {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        response
    }
}

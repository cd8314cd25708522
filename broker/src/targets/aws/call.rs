//! A request to AWS before it is signed, in the notations that its services speak.

use http::{
    HeaderName, HeaderValue, Method,
    header::{CONTENT_TYPE, InvalidHeaderValue},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// What AWS leaves as it is in a path or a query (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, and the slash between the segments of a path.
const IN_PATH: &AsciiSet = &RESERVED.remove(b'/');
const FORM: &str = "application/x-www-form-urlencoded";

#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// As it goes over the wire, from `/` on.
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Vec<u8>,
}

impl Call {
    /// A POST of `body`.
    pub(super) fn new(path: &str, content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            method: Method::POST,
            path: path.to_owned(),
            query: Vec::new(),
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))],
            body,
        }
    }

    /// AWS JSON 1.0 and 1.1: `operation` is in a header.
    pub(super) fn json(version: JsonVersion, operation: &'static str, body: &Value) -> Self {
        let content_type = match version {
            JsonVersion::V1_0 => "application/x-amz-json-1.0",
            JsonVersion::V1_1 => "application/x-amz-json-1.1",
        };
        let mut call = Self::new("/", content_type, body.to_string().into_bytes());
        call.headers.push((HeaderName::from_static("x-amz-target"), HeaderValue::from_static(operation)));
        call
    }

    /// REST with JSON: the path names the operation.
    pub(super) fn rest(path: &str, body: &Value) -> Self {
        Self::new(path, "application/json", body.to_string().into_bytes())
    }

    /// The query protocol: a form, whose answer is XML.
    pub(super) fn form(pairs: &[(String, String)]) -> Result<Self, String> {
        let body = serde_urlencoded::to_string(pairs).map_err(|error| error.to_string())?;
        Ok(Self::new("/", FORM, body.into_bytes()))
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Result<Self, InvalidHeaderValue> {
        self.headers.push((HeaderName::from_static(name), HeaderValue::from_str(value)?));
        Ok(self)
    }

    pub(super) fn content_type(mut self, value: &HeaderValue) -> Self {
        self.headers.retain(|(name, _)| *name != CONTENT_TYPE);
        self.headers.push((CONTENT_TYPE, value.clone()));
        self
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum JsonVersion {
    V1_0,
    V1_1,
}

/// `path` as AWS encodes it.
pub(super) fn path(path: &str) -> String {
    utf8_percent_encode(path, IN_PATH).to_string()
}

/// `pairs` as AWS encodes them.
pub(super) fn query(pairs: &[(&'static str, String)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
    pairs.join("&")
}

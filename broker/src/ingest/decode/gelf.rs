//! A GELF message, as [`crate::gelf`] reads it: as it is, or compressed, whatever `Content-Encoding` says.

use axum::http::HeaderMap;
use serde_json::Value;

use super::{Notation, json};
use crate::gelf;

/// Largest message once it is unpacked, in bytes.
const MAX_UNPACKED: usize = 1024 * 1024;

pub(super) const NOTATION: Notation = Notation {
    name: "gelf",
    types: "application/json",
    accepts: |_, _| false,
    accepts_by_name: |media_type, headers| {
        matches!(media_type, "application/gelf" | "application/octet-stream" | "text/plain")
            || (json::NOTATION.accepts)(media_type, headers)
    },
    decode,
    unpacks: true,
};

fn decode(_: &str, _: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    gelf::decode(body, MAX_UNPACKED.max(body.len())).map_err(|error| error.to_string())
}

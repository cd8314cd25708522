//! JSON (RFC 8259) in UTF-8. An empty body is null: some vendors say all they have to say in headers.

use axum::http::HeaderMap;
use serde_json::Value;

use super::{Notation, nothing_more};

pub(super) const NOTATION: Notation = Notation {
    name: "json",
    types: "application/json (or …+json)",
    accepts,
    accepts_by_name: nothing_more,
    decode,
    unpacks: false,
};

fn accepts(media_type: &str, _: &HeaderMap) -> bool {
    matches!(media_type, "application/json" | "text/json") || media_type.ends_with("+json")
}

fn decode(_: &str, _: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

//! XML, as [`crate::jq::xml`] reads it.

use axum::http::HeaderMap;
use serde_json::Value;

use super::{Notation, nothing_more};

pub(super) const NOTATION: Notation = Notation {
    name: "xml",
    types: "application/xml, text/xml (or …+xml)",
    accepts,
    accepts_by_name: nothing_more,
    decode,
    unpacks: false,
};

fn accepts(media_type: &str, _: &HeaderMap) -> bool {
    matches!(media_type, "application/xml" | "text/xml") || media_type.ends_with("+xml")
}

fn decode(_: &str, _: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    crate::jq::xml::parse(body).map_err(|error| error.to_string())
}

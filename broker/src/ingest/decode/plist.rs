//! Property lists, XML and binary, as [`crate::jq::plist`] reads them.

use axum::http::HeaderMap;
use serde_json::Value;

use super::{Notation, nothing_more};

pub(super) const NOTATION: Notation = Notation {
    name: "plist",
    types: "application/x-plist, application/x-apple-aspen-mdm",
    accepts,
    accepts_by_name: nothing_more,
    decode,
    unpacks: false,
};

fn accepts(media_type: &str, _: &HeaderMap) -> bool {
    matches!(
        media_type,
        "application/x-plist"
            | "application/x-apple-plist"
            | "application/x-apple-binary-plist"
            | "application/x-apple-aspen-mdm"
            | "application/x-apple-aspen-mdm-checkin"
            | "application/xml"
            | "text/xml"
    )
}

fn decode(_: &str, _: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    crate::jq::plist::parse(body)
}

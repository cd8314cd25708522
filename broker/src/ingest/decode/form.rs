//! `application/x-www-form-urlencoded` as an object of strings; a repeated name gives an array. JSON inside a field
//! (GitHub's and Slack's `payload`) is for the map to read: `.payload | fromjson`.

use axum::http::HeaderMap;
use serde_json::Value;

use super::{Notation, nothing_more};
use crate::ingest::request::pairs;

pub(super) const NOTATION: Notation = Notation {
    name: "form",
    types: "application/x-www-form-urlencoded",
    accepts,
    accepts_by_name: nothing_more,
    decode,
    unpacks: false,
};

fn accepts(media_type: &str, _: &HeaderMap) -> bool {
    media_type == "application/x-www-form-urlencoded"
}

fn decode(_: &str, _: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    Ok(Value::Object(pairs(body)))
}

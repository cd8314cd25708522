//! JSON lines as an array: one value a line, blank lines left out. What is one array already is that array, so that a
//! sender may be set to either.
//!
//! `text/plain` and JSON's own types are taken too, where the source names this notation: senders of logs call lines all
//! of these. Where `json` is named as well, a body of these types that is one value is that value.

use axum::http::HeaderMap;
use serde_json::{Deserializer, Value};

use super::{Notation, json};

pub(super) const NOTATION: Notation = Notation {
    name: "ndjson",
    types: "application/x-ndjson, application/jsonl",
    accepts,
    accepts_by_name: |media_type, headers| media_type == "text/plain" || (json::NOTATION.accepts)(media_type, headers),
    decode,
    unpacks: false,
};

fn accepts(media_type: &str, _: &HeaderMap) -> bool {
    matches!(
        media_type,
        "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonl"
            | "application/jsonlines"
            | "application/x-jsonlines"
            | "application/x-json-stream"
    )
}

fn decode(_: &str, _: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    let values = Deserializer::from_slice(body).into_iter::<Value>();
    let mut values: Vec<Value> = values.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    match &mut values[..] {
        [Value::Array(items)] => Ok(Value::Array(std::mem::take(items))),
        _ => Ok(Value::Array(values)),
    }
}

//! Syslog messages, as [`crate::syslog`] reads them: one, or several as an array.

use axum::http::HeaderMap;
use serde_json::Value;

use super::Notation;
use crate::syslog;

pub(super) const NOTATION: Notation = Notation {
    name: "syslog",
    types: "text/plain, application/octet-stream",
    accepts: |_, _| false,
    accepts_by_name: |media_type, _| matches!(media_type, "text/plain" | "application/octet-stream"),
    decode,
    unpacks: false,
};

fn decode(_: &str, _: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    let messages =
        syslog::messages(body).into_iter().map(|message| syslog::parse(message).map(|message| message.to_value()));
    let mut messages: Vec<Value> = messages.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    match messages.len() {
        1 => Ok(messages.remove(0)),
        _ => Ok(Value::Array(messages)),
    }
}

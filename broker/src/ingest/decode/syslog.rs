//! Syslog messages, as [`crate::syslog`] reads them: one, or several as an array. A message begins with its priority at the
//! beginning of a line; other lines belong to the message before them.

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
    let messages = messages(body).into_iter().map(|message| syslog::parse(message).map(|message| message.to_value()));
    let mut messages: Vec<Value> = messages.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    match messages.len() {
        1 => Ok(messages.remove(0)),
        _ => Ok(Value::Array(messages)),
    }
}

fn messages(body: &[u8]) -> Vec<&[u8]> {
    let begins = |at: usize| body[at] == b'<' && body.get(at + 1).is_some_and(u8::is_ascii_digit);
    let starts = (1..body.len()).filter(|at| body[at - 1] == b'\n' && begins(*at));
    let starts: Vec<usize> = std::iter::once(0).chain(starts).collect();
    let ends = starts.iter().skip(1).copied().chain([body.len()]);
    starts.iter().zip(ends).map(|(start, end)| &body[*start..end]).collect()
}

//! What the stream has of a Mac: its last event, asked for by a direct get (`allow_direct`, as Emote makes EVENTS).

use std::time::Duration;

use async_nats::{Client, HeaderMap, Request, RequestErrorKind};
use emote_proto::{Draft, EventId, Time, header, stream};
use serde_json::json;

use emote_proto::Serial;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Of a direct get's answer (ADR-31).
const SEQUENCE: &str = "Nats-Sequence";
const NOT_FOUND: u16 = 404;

/// The last event under a serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Last {
    /// In the stream.
    pub(super) sequence: u64,
    /// As the Mac counts; 0 when it does not say.
    pub(super) spool: u64,
    pub(super) id: EventId,
    /// Milliseconds since 1970; 0 when it does not say.
    pub(super) time: i64,
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(
        "nobody answers for the stream {}: is it there, and does it allow direct gets (allow_direct)?",
        stream::EVENTS
    )]
    NoStream,
    #[error("{0}")]
    Failed(String),
}

/// Asks for the last event of `serial`.
pub(super) async fn last(client: &Client, serial: &Serial) -> Result<Option<Last>, AskError> {
    let body = json!({"last_by_subj": serial.all_subjects()}).to_string();
    let request = Request::new().payload(body.into()).timeout(Some(TIMEOUT));
    let answer = client.send_request(format!("$JS.API.DIRECT.GET.{}", stream::EVENTS), request).await;
    let answer = answer.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => AskError::NoStream,
        _ => AskError::Failed(error.to_string()),
    })?;
    match answer.status.map(|status| status.as_u16()) {
        None => {}
        Some(NOT_FOUND) => return Ok(None),
        Some(other) => return Err(AskError::Failed(format!("{}: status {other}", stream::EVENTS))),
    }
    let headers = answer.headers.unwrap_or_default();
    let sequence = number(&headers, SEQUENCE);
    let sequence = sequence.ok_or_else(|| AskError::Failed("not a direct get's answer".into()))?;
    let time = Draft::parse(&answer.payload).ok().and_then(|draft| draft.time).map_or(0, Time::as_millis);
    let id = EventId::from_message_id(headers.get(header::MSG_ID).map_or("", |id| id.as_str()));
    Ok(Some(Last { sequence, spool: number(&headers, header::SPOOL_SEQUENCE).unwrap_or(0), id, time }))
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.as_str().parse().ok()
}

//! Entries of EVENTS whose headers are none. nats-server stores what a publisher calls headers without a look; the library
//! ends the whole connection where such a message is given out (seen with nats-server 2.15.1 and async-nats 0.51). Where
//! reading begins, the next entry is asked for in a form that leaves its headers alone.

use std::str::FromStr;

use async_nats::{
    HeaderName, StatusCode,
    jetstream::{self, ErrorCode},
};
use data_encoding::BASE64;
use emote_proto::{Time, stream};
use serde::Deserialize;

use super::{Bus, EventMessage, ReadError};

#[derive(Deserialize)]
struct Answer {
    message: Option<Stored>,
    error: Option<jetstream::Error>,
}

#[derive(Deserialize)]
struct Stored {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: jiff::Timestamp,
}

impl Bus {
    /// The first entry of EVENTS behind `position`, if no client could be given it: without its headers.
    pub(super) async fn unreadable_entry(&self, position: u64) -> Result<Option<EventMessage>, ReadError> {
        let Some(stored) = self.first_stored(position).await? else { return Ok(None) };
        let decoded = |text: &str| BASE64.decode(text.as_bytes()).map_err(|error| ReadError(error.to_string()));
        if is_readable(&decoded(&stored.hdrs)?) {
            return Ok(None);
        }
        let (sequence, subject, received) = (stored.seq, stored.subject.into(), Time::from(stored.time));
        Ok(Some(EventMessage::without_headers(sequence, received, subject, decoded(&stored.data)?.into())))
    }

    /// The sequence of the first entry of EVENTS behind `position`.
    pub(super) async fn first_sequence(&self, position: u64) -> Result<Option<u64>, ReadError> {
        Ok(self.first_stored(position).await?.map(|stored| stored.seq))
    }

    async fn first_stored(&self, position: u64) -> Result<Option<Stored>, ReadError> {
        let read = |error: &dyn std::fmt::Display| ReadError(error.to_string());
        let asked = format!(r#"{{"seq":{},"next_by_subj":">"}}"#, position.saturating_add(1));
        let subject = format!("$JS.API.STREAM.MSG.GET.{}", stream::EVENTS);
        let answer = self.client.request(subject, asked.into()).await.map_err(|error| read(&error))?;
        match serde_json::from_slice(&answer.payload).map_err(|error| read(&error))? {
            Answer { error: Some(failure), .. } if failure.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
            Answer { error: Some(failure), .. } => Err(read(&failure)),
            Answer { message, .. } => Ok(message),
        }
    }
}

/// Whether the library takes these for headers.
fn is_readable(headers: &[u8]) -> bool {
    if headers.is_empty() {
        return true;
    }
    let Some(text) = std::str::from_utf8(headers).ok() else { return false };
    let mut lines = text.lines();
    let Some(said) = lines.next().and_then(|line| line.strip_prefix("NATS/1.0")) else { return false };
    let status = said.trim().split(' ').next().unwrap_or_default();
    if !status.is_empty() && status.parse::<StatusCode>().is_err() {
        return false;
    }
    let mut is_first = true;
    lines.filter(|line| !line.is_empty()).all(|line| {
        // What begins with a space goes on with the value before.
        let goes_on = !is_first && line.starts_with(char::is_whitespace);
        is_first = false;
        goes_on || line.split_once(':').is_some_and(|(name, _)| HeaderName::from_str(name).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_from_what_is_none() {
        for headers in ["", "NATS/1.0\r\n\r\n", "NATS/1.0\r\nA: b\r\nC:d\r\n e\r\n\r\n", "NATS/1.0 503\r\n\r\n"] {
            assert!(is_readable(headers.as_bytes()), "{headers:?}");
        }
        for headers in
            ["NATS/1.0\r\nno colon\r\n\r\n", "HTTP/1.1\r\n\r\n", "NATS/1.0 abc\r\n\r\n", "NATS/1.0\r\na b: c\r\n\r\n"]
        {
            assert!(!is_readable(headers.as_bytes()), "{headers:?}");
        }
        assert!(!is_readable(b"NATS/1.0\r\nA: \xff\r\n\r\n"));
    }
}

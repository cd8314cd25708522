//! Messages whose headers, or subjects, are none. nats-server stores what a publisher calls so without a look; the library
//! ends the whole connection where such a message is given out (seen with nats-server 2.15.1 and async-nats 0.51). Where
//! reading begins, the next entry is asked for in a form that leaves them alone.

use std::str::FromStr;

use async_nats::{
    Client, HeaderName, StatusCode,
    jetstream::{self, ErrorCode},
};
use data_encoding::BASE64;
use emote_proto::{Time, stream};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Bus, ReadError,
    ordered::{Failed, Stored},
};

#[derive(Deserialize)]
struct Answer {
    message: Option<Raw>,
    error: Option<jetstream::Error>,
}

#[derive(Deserialize)]
struct Raw {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: jiff::Timestamp,
}

impl Bus {
    /// The sequence of the first entry of EVENTS behind `position`.
    pub(super) async fn first_sequence(&self, position: u64) -> Result<Option<u64>, ReadError> {
        Ok(first_behind(&self.client, stream::EVENTS, &[], position).await?)
    }
}

/// The first message behind `position` under one of `filters` (none for all), if no client can be given it: without its
/// headers. How many are behind it is not known.
pub(super) async fn unreadable(
    client: &Client,
    stream: &str,
    filters: &[String],
    position: u64,
) -> Result<Option<Stored>, Failed> {
    let Some(next) = first_of(client, stream, filters, position).await? else { return Ok(None) };
    let decoded = |text: &str| BASE64.decode(text.as_bytes()).map_err(|error| Failed::for_now(&error));
    if is_subject(&next.subject) && are_headers(&decoded(&next.hdrs)?) {
        return Ok(None);
    }
    let (sequence, subject, stored) = (next.seq, next.subject.into(), Time::from(next.time));
    Ok(Some(Stored { sequence, stored, subject, headers: None, payload: decoded(&next.data)?.into(), pending: 0 }))
}

/// The sequence of the first message behind `position` under one of `filters` (none for all), as the stream's leader has it.
pub(super) async fn first_behind(
    client: &Client,
    stream: &str,
    filters: &[String],
    position: u64,
) -> Result<Option<u64>, Failed> {
    Ok(first_of(client, stream, filters, position).await?.map(|message| message.seq))
}

/// The sequence of the first message that was stored at this time or later.
pub(super) async fn first_since(client: &Client, stream: &str, since: Time) -> Result<Option<u64>, Failed> {
    Ok(get(client, stream, json!({"start_time": since, "next_by_subj": ">"})).await?.map(|message| message.seq))
}

async fn first_of(client: &Client, stream: &str, filters: &[String], position: u64) -> Result<Option<Raw>, Failed> {
    let filters = if filters.is_empty() { vec![">"] } else { filters.iter().map(String::as_str).collect() };
    let behind = position.saturating_add(1);
    let asked = filters.into_iter().map(|filter| get(client, stream, json!({"seq": behind, "next_by_subj": filter})));
    let found = futures_util::future::try_join_all(asked).await?;
    Ok(found.into_iter().flatten().min_by_key(|message| message.seq))
}

/// A message in a form that every client can be given.
async fn get(client: &Client, stream: &str, asked: Value) -> Result<Option<Raw>, Failed> {
    let subject = format!("$JS.API.STREAM.MSG.GET.{stream}");
    let answer = client.request(subject, asked.to_string().into()).await.map_err(|error| Failed::for_now(&error))?;
    match serde_json::from_slice(&answer.payload).map_err(|error| Failed::for_now(&error))? {
        Answer { error: Some(failure), .. } => match failure.error_code() {
            ErrorCode::NO_MESSAGE_FOUND => Ok(None),
            ErrorCode::STREAM_NOT_FOUND => Err(Failed::ForGood(ReadError(failure.to_string()))),
            _ => Err(Failed::for_now(&failure)),
        },
        Answer { message, .. } => Ok(message),
    }
}

/// Whether the library takes this for a subject, wherever it is given one. (nats-server looks at none unless it is asked to;
/// in JSON it gives U+FFFD for what is not UTF-8.)
fn is_subject(subject: &str) -> bool {
    !subject.is_empty() && !subject.contains(|c: char| c == '\u{fffd}' || c.is_whitespace() || c.is_control())
}

/// Whether the library takes these for headers.
fn are_headers(headers: &[u8]) -> bool {
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
    let mut has_value_before = false;
    lines.all(|line| {
        // What begins with a space goes on with the value before, but not behind an empty line.
        let goes_on = has_value_before && line.starts_with(char::is_whitespace);
        has_value_before = !line.is_empty();
        goes_on || line.is_empty() || line.split_once(':').is_some_and(|(name, _)| HeaderName::from_str(name).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_from_what_is_none() {
        for headers in ["", "NATS/1.0\r\n\r\n", "NATS/1.0\r\nA: b\r\nC:d\r\n e\r\n\r\n", "NATS/1.0 503\r\n\r\n"] {
            assert!(are_headers(headers.as_bytes()), "{headers:?}");
        }
        for headers in [
            "NATS/1.0\r\nno colon\r\n\r\n",
            "HTTP/1.1\r\n\r\n",
            "NATS/1.0 abc\r\n\r\n",
            "NATS/1.0\r\na b: c\r\n\r\n",
            "NATS/1.0\r\nA: b\r\n\r\n c\r\n\r\n",
        ] {
            assert!(!are_headers(headers.as_bytes()), "{headers:?}");
        }
        assert!(!are_headers(b"NATS/1.0\r\nA: \xff\r\n\r\n"));
    }

    #[test]
    fn subjects_are_told_from_what_is_none() {
        assert!(is_subject("events.agent.C01.test.gezählt"));
        for subject in ["", "events.\u{fffd}", "events.a\u{a0}b", "events.a\u{b}b", "events.a\u{7f}"] {
            assert!(!is_subject(subject), "{subject:?}");
        }
    }
}

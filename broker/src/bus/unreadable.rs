//! Messages whose headers, or subjects, are none. nats-server stores what a publisher calls so without a look; the library
//! ends the whole connection where such a message is given out (seen with nats-server 2.15.1 and async-nats 0.51). Where
//! reading begins, the next entry is asked for in a form that leaves them alone.

use std::str::FromStr;

use async_nats::{Client, HeaderName, StatusCode};
use data_encoding::BASE64;
use emote_proto::Time;

use super::{
    ordered::{Failed, Stored},
    raw::first_behind,
};

/// So many are read before those behind them are.
pub(super) const AT_ONCE: usize = 500;

/// The messages right behind `position` under `filters` (none for all) that no client can be given, [`AT_ONCE`] at most:
/// without their headers. How many are behind each is not known.
pub(super) async fn unreadable(
    client: &Client,
    stream: &str,
    filters: &[String],
    mut position: u64,
) -> Result<Vec<Stored>, Failed> {
    let decoded = |text: &str| BASE64.decode(text.as_bytes()).map_err(|error| Failed::for_now(&error));
    let mut found = Vec::new();
    while found.len() < AT_ONCE {
        let Some(next) = first_behind(client, stream, filters, position).await? else { break };
        if is_subject(&next.subject) && are_headers(&decoded(&next.hdrs)?) {
            break;
        }
        let (sequence, payload, stored) = (next.seq, decoded(&next.data)?.into(), Time::from(next.time));
        tracing::warn!(
            stream,
            sequence,
            subject = next.subject,
            "its headers or its subject are none: read without headers"
        );
        found.push(Stored { sequence, stored, subject: next.subject.into(), headers: None, payload, pending: 0 });
        position = sequence;
    }
    Ok(found)
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

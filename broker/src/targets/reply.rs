//! What came back, and what it means for a job.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::{Map, Value};

use super::Outcome;
use crate::config::text::clip;

/// The longest wait that the other side may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// How much of a reply is quoted, in characters.
const MAX_QUOTE: usize = 200;

/// A reply, without secrets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// By name, in lower case.
    pub(crate) headers: Map<String, Value>,
    pub(crate) body: String,
    /// The body as it came, where it is protobuf. Nothing is taken out of it: it is to be read, not to be shown.
    pub(crate) protobuf: Option<Vec<u8>>,
    /// Whether there was more of it than is read.
    pub(crate) is_cut: bool,
}

impl Answer {
    /// The answer where its status is one of success, else what it means for the job.
    pub(crate) fn success(self) -> Result<Self, Outcome> {
        match self.status {
            200..=299 => Ok(self),
            300..=399 => Err(Outcome::never(format!(
                "{}: redirects are not followed; give the address that it leads to",
                self.describe()
            ))),
            408 | 425 | 429 | 500.. => Err(self.retry(self.describe())),
            _ => Err(Outcome::never(self.describe())),
        }
    }

    /// Not now; after the time that the other side named.
    pub(crate) fn retry(&self, reason: String) -> Outcome {
        Outcome::Retry { after: self.retry_after, reason }
    }

    /// Status and the start of the reply, for a reason.
    pub(crate) fn describe(&self) -> String {
        let name = reqwest::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let name = name.map(|name| format!(" {name}")).unwrap_or_default();
        let quote = quote(&self.body);
        if quote.is_empty() {
            format!("answered {}{name}", self.status)
        } else {
            format!("answered {}{name}: {quote}", self.status)
        }
    }
}

/// The start of what the other side wrote, on one line.
pub(crate) fn quote(text: &str) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clip(&printable.split_whitespace().collect::<Vec<_>>().join(" "), MAX_QUOTE)
}

/// What `Retry-After` asks for, in seconds or as a date (RFC 9110, 10.2.3); at most an hour.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            Duration::try_from(at.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.to_owned(), ..Answer::default() }
    }

    #[test]
    fn the_status_decides() {
        for (status, expected) in [
            (200, "done"),
            (204, "done"),
            (301, "never"),
            (400, "never"),
            (401, "never"),
            (403, "never"),
            (404, "never"),
            (408, "retry"),
            (409, "never"),
            (410, "never"),
            (413, "never"),
            (422, "never"),
            (425, "retry"),
            (429, "retry"),
            (500, "retry"),
            (502, "retry"),
            (503, "retry"),
            (504, "retry"),
        ] {
            let found = match answer(status, "").success() {
                Ok(_) => "done",
                Err(Outcome::Retry { .. }) => "retry",
                Err(_) => "never",
            };
            assert_eq!(found, expected, "{status}");
        }
    }

    #[test]
    fn a_reason_quotes_the_start_of_the_reply_on_one_line() {
        assert_eq!(answer(404, "").describe(), "answered 404 Not Found");
        assert_eq!(answer(404, " no\r\n\x1b[31m such ").describe(), "answered 404 Not Found: no [31m such");
        let long = answer(400, &"x".repeat(1000)).describe();
        assert_eq!(long.chars().count(), "answered 400 Bad Request: ".len() + MAX_QUOTE);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now: Timestamp = "2026-11-23T06:41:00Z".parse().unwrap();
        for (text, expected) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("86400", Some(3600)),
            ("Mon, 23 Nov 2026 06:41:30 GMT", Some(30)),
            ("Mon, 23 Nov 2026 06:40:00 GMT", Some(0)),
            ("Tue, 24 Nov 2026 06:41:00 GMT", Some(3600)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}

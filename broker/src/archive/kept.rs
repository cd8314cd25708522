//! An entry of EVENTS as it is kept: `{"sequence":…,"received":…,"subject":…,"message_id":…,"event":{…}}`, one line. The event
//! stands as it was stored, byte for byte; a body that is not one line of JSON stands as `body`, in Base64.

use bytes::Bytes;
use data_encoding::BASE64;
use emote_proto::{Name, Time};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{bus::EventMessage, core::Entry};

/// Where entries lie whose subject names no source.
const OTHER: &str = "_other";

/// An entry of EVENTS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the stream stored it.
    pub received: Time,
    /// Its subject.
    pub subject: String,
    /// Its `Nats-Msg-Id`.
    pub message_id: Option<String>,
    /// Its body.
    pub payload: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    sequence: u64,
    received: Time,
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    event: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl Kept {
    /// The entry as the core takes it.
    pub fn entry(&self) -> Entry<'_> {
        Entry {
            sequence: self.sequence,
            received: self.received,
            subject: &self.subject,
            message_id: self.message_id.as_deref(),
            payload: &self.payload,
        }
    }

    /// The source that its subject names, as a folder.
    pub fn source(&self) -> &str {
        let source = self.subject.split('.').nth(1).unwrap_or_default();
        if Name::new(source).is_ok() { source } else { OTHER }
    }

    /// The day that it was received on, in UTC: `2026-11-26`.
    pub fn day(&self) -> String {
        day_of(self.received)
    }

    /// What it takes in memory, about.
    pub fn size(&self) -> usize {
        self.payload.len() + self.subject.len() + self.message_id.as_ref().map_or(0, String::len) + size_of::<Self>()
    }

    /// Writes its line, with the line's end.
    pub fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let event = as_it_stands(&self.payload);
        let body = event.is_none().then(|| BASE64.encode(&self.payload));
        let (sequence, received, subject) = (self.sequence, self.received, self.subject.clone());
        let line = Line { sequence, received, subject, message_id: self.message_id.clone(), event, body };
        serde_json::to_writer(&mut *out, &line)?;
        out.push(b'\n');
        Ok(())
    }

    /// Reads a line.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let payload = match (line.event, line.body) {
            (Some(event), None) => Bytes::copy_from_slice(event.get().as_bytes()),
            (None, Some(body)) => BASE64.decode(body.as_bytes()).map_err(|error| format!("body: {error}"))?.into(),
            _ => return Err("either event or body is expected".to_owned()),
        };
        let Line { sequence, received, subject, message_id, .. } = line;
        Ok(Self { sequence, received, subject, message_id, payload })
    }
}

impl From<&EventMessage> for Kept {
    fn from(message: &EventMessage) -> Self {
        Self {
            sequence: message.sequence,
            received: message.received,
            subject: message.subject.to_string(),
            message_id: message.message_id().map(str::to_owned),
            // What it was read with is let go of.
            payload: Bytes::copy_from_slice(&message.payload),
        }
    }
}

/// The day of a time, in UTC: `2026-11-26`.
pub(super) fn day_of(time: Time) -> String {
    let text = time.to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// A body that may stand in a line as it is.
fn as_it_stands(payload: &[u8]) -> Option<&RawValue> {
    // White space around it would not be read back.
    let bare = payload.first() == Some(&b'{') && payload.last() == Some(&b'}');
    let one_line = bare && !payload.contains(&b'\n') && !payload.contains(&b'\r');
    one_line.then(|| serde_json::from_slice(payload).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_stored_is_read_back_byte_for_byte() {
        for payload in [
            &br#"{"scope":"device", "action":"enroll","n":1.50,"big":123456789012345678901234567890}"#[..],
            b"{\"a\":\n1}",
            b" {}",
            b"{} ",
            b"{",
            b"",
            b"3",
            b"null",
            b"{\"a\":\"\\u00e9 \xc3\xa9\"}",
            b"\xff\xfe",
            b"{\"a\":1}{\"a\":2}",
        ] {
            let received = Time::from_millis(1_767_225_600_123).unwrap();
            let (subject, message_id) = ("events.jamf.C02.device.enroll".to_owned(), Some("x \"y\"".to_owned()));
            let kept = Kept { sequence: 7, received, subject, message_id, payload: payload.into() };
            let mut line = Vec::new();
            kept.write(&mut line).unwrap();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(Kept::read(&line), Ok(kept));
        }
        for line in ["", "{}", r#"{"sequence":1,"received":"2026-01-01T00:00:00Z","subject":"s"}"#] {
            assert!(Kept::read(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn what_names_no_source_lies_apart() {
        for (subject, source) in [("events.jamf.-.a.b", "jamf"), ("events", "_other"), ("events.%2E%2E.x", "_other")] {
            let (subject, received) = (subject.to_owned(), Time::from_millis(0).unwrap());
            let kept = Kept { sequence: 1, received, subject, message_id: None, payload: Bytes::new() };
            assert_eq!((kept.source(), kept.day().as_str()), (source, "1970-01-01"));
        }
    }
}

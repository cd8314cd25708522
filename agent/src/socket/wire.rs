//! What is said over the local socket: one JSON line each way, then the connection ends. Only `tail` is answered by a line
//! for each event, until whoever asked hangs up.

use emote_proto::{Draft, EventId};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use crate::health::{Config, Status};

/// Longest line, with room around the largest event.
pub(super) const MAX_LINE: u64 = 300 * 1024;

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// `{"emit":{"scope":…}}`: keep this event.
    Emit(Box<Draft>),
    /// `{"status":{}}`.
    Status {},
    /// `{"tail":{"last":10}}`: the last events, then each as it is written.
    Tail {
        /// How many of those that are past.
        last: usize,
    },
    /// `{"config":{}}`.
    Config {},
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// `{"id":"…"}`: the event is on the disk.
    Id(EventId),
    /// `{"status":{…}}`.
    Status(Box<Status>),
    /// `{"event":{…}}`: one event of a tail.
    Event(Box<serde_json::value::RawValue>),
    /// `{"missed":3}`: so many events of a tail came too fast.
    Missed(u64),
    /// `{"config":{…}}`.
    Config(Box<Config>),
    /// `{"refused":"…"}`: what was asked is wrong, and would be the next time.
    Refused(String),
    /// `{"failed":"…"}`: this time it could not be done.
    Failed(String),
}

/// Reads one line without its end; an error names the limit.
pub(super) async fn read_line(stream: impl AsyncRead + Unpin) -> Result<Vec<u8>, String> {
    let mut line = Vec::new();
    let read = BufReader::new(stream.take(MAX_LINE + 1)).read_until(b'\n', &mut line).await;
    read.map_err(|error| error.to_string())?;
    match line.pop() {
        Some(b'\n') => Ok(line),
        _ if line.len() as u64 >= MAX_LINE => Err(format!("a line of more than {MAX_LINE} bytes")),
        _ => Err("the line does not end".into()),
    }
}

/// `value` as one line.
pub(super) fn to_line(value: &impl Serialize) -> Vec<u8> {
    // Derived from structs with string keys: nothing here can fail to serialise.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_documented() {
        let ask: Ask = serde_json::from_str(r#"{"emit":{"scope":"a","action":"b"}}"#).unwrap();
        assert_eq!(to_line(&ask), b"{\"emit\":{\"scope\":\"a\",\"action\":\"b\"}}\n");
        assert!(matches!(serde_json::from_str(r#"{"status":{}}"#).unwrap(), Ask::Status {}));
        assert_eq!(to_line(&Answer::Refused("x".into())), b"{\"refused\":\"x\"}\n");
    }

    #[tokio::test]
    async fn a_line_is_bounded_and_must_end() {
        assert_eq!(read_line(&b"{}\nmore"[..]).await.unwrap(), b"{}");
        assert!(read_line(&b"{}"[..]).await.unwrap_err().contains("does not end"));
        assert!(read_line(&b""[..]).await.is_err());
        let long = vec![b' '; 400 * 1024];
        assert!(read_line(&long[..]).await.unwrap_err().contains("more than"));
    }
}

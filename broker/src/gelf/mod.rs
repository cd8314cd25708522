//! GELF 1.1, Graylog's format of log messages: a JSON object, over UDP perhaps compressed and in chunks. Pure; time is an
//! argument. Wire facts: <https://go2docs.graylog.org/current/getting_in_log_data/gelf.html>.
//!
//! What is unpacked and what is put together is bounded: a small datagram can stand for gigabytes, and chunks can come
//! without an end.

mod chunk;
mod message;
mod pack;

use serde_json::Value;

pub use chunk::{Added, Assembly, Bounds, MAX_CHUNKS, chunks};
pub use message::{FieldError, Message};
pub use pack::{Compression, pack};

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GelfError {
    /// It is larger than a message may be, once unpacked.
    #[error("unpacked it is larger than {0} bytes")]
    TooLarge(usize),
    /// It says that it is compressed, and cannot be unpacked.
    #[error("it cannot be unpacked: {0}")]
    Packed(String),
    /// It is no JSON.
    #[error("{0}")]
    Json(String),
    /// It is JSON, and no object.
    #[error("a GELF message is a JSON object")]
    NoObject,
}

/// Reads one message, as it is or compressed, of at most `most` bytes once it is unpacked.
pub fn decode(bytes: &[u8], most: usize) -> Result<Value, GelfError> {
    let unpacked = pack::unpack(bytes, most)?;
    // Senders over TCP leave their trailer where each message is read by itself.
    let end = unpacked.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match serde_json::from_slice(&unpacked[..end]) {
        Ok(message @ Value::Object(_)) => Ok(message),
        Ok(_) => Err(GelfError::NoObject),
        Err(error) => Err(GelfError::Json(error.to_string())),
    }
}

#[cfg(test)]
mod tests;

//! A message as it came: where it ends in what was read, and what it says.

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::{Codec, Plan, plan::Transport};
use crate::{
    framing::{FrameError, Framer, Piece},
    gelf,
    ingest::Refusal,
    syslog,
};

impl Codec {
    /// What a message says; one that unpacks to more than `most` bytes is refused.
    pub(super) fn decode(self, bytes: &[u8], most: usize) -> Result<Value, Refusal> {
        let undecodable = |error: String| Refusal::Undecodable(error);
        match self {
            Self::Syslog => {
                syslog::parse(bytes).map(|it| it.to_value()).map_err(|error| undecodable(error.to_string()))
            }
            Self::Gelf => match gelf::decode(bytes, most) {
                Err(gelf::GelfError::TooLarge(most)) => Err(Refusal::TooLarge(most)),
                decoded => decoded.map_err(|error| undecodable(error.to_string())),
            },
        }
    }

    /// Takes messages of at most `most` bytes out of what a connection brings.
    pub(super) fn framer(self, most: usize) -> Framer {
        match self {
            Self::Syslog => Framer::syslog(most),
            Self::Gelf => Framer::gelf(most),
        }
    }
}

/// Notes in a message where it came from.
pub(super) fn said_by(message: &mut Value, peer: IpAddr) {
    if let Value::Object(message) = message {
        message.insert("peer".to_owned(), peer.to_string().into());
    }
}

impl Plan {
    /// The messages in `bytes` and what they say, as if this machine had sent them here: over a connection one behind the
    /// other, over UDP in datagrams. Where those end a file does not say: each message of syslog is one, and all of GELF.
    pub(crate) fn rehearse(&self, bytes: &Bytes, most: usize) -> Result<Vec<(Bytes, Value)>, Refusal> {
        let messages = match (self.transport, self.codec) {
            (Transport::Udp, Codec::Syslog) => {
                syslog::messages(bytes).into_iter().map(|message| bytes.slice_ref(message)).collect()
            }
            (Transport::Udp, Codec::Gelf) => vec![bytes.clone()],
            (Transport::Tcp | Transport::Tls, _) => self.framed(bytes, most)?,
        };
        let said = messages.into_iter().map(|bytes| {
            if bytes.len() > most {
                return Err(Refusal::TooLarge(most));
            }
            let mut said = self.codec.decode(&bytes, most)?;
            said_by(&mut said, IpAddr::from([127, 0, 0, 1]));
            Ok((bytes, said))
        });
        said.collect()
    }

    fn framed(&self, bytes: &[u8], most: usize) -> Result<Vec<Bytes>, Refusal> {
        let (mut framer, mut buffer, mut messages) = (self.codec.framer(most), BytesMut::from(bytes), Vec::new());
        let undecodable = |error: FrameError| Refusal::Undecodable(error.to_string());
        while let Some(piece) = framer.next(&mut buffer).map_err(undecodable)?.or_else(|| framer.last(&mut buffer)) {
            match piece {
                Piece::Message(message) => messages.push(message),
                Piece::TooLong => return Err(Refusal::TooLarge(most)),
            }
        }
        if framer.is_within(&buffer) {
            return Err(Refusal::Undecodable("the last message is shorter than it says".to_owned()));
        }
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Problems;

    fn texts(codec: Codec, transport: &str, bytes: &[u8]) -> Result<Vec<String>, String> {
        let mut problems = Problems::default();
        let socket = serde_json::json!({"transport": transport, "address": "127.0.0.1:1"});
        let plan = Plan::read_all(&socket, codec, &mut problems).pop().unwrap_or_else(|| panic!("{problems:?}"));
        let said = plan.rehearse(&Bytes::copy_from_slice(bytes), 100).map_err(|refusal| refusal.to_string())?;
        let text = |(_, said): (Bytes, Value)| {
            assert_eq!(said["peer"], "127.0.0.1");
            said["message"].as_str().or(said["short_message"].as_str()).unwrap_or_default().to_owned()
        };
        Ok(said.into_iter().map(text).collect())
    }

    #[test]
    fn a_file_is_cut_into_messages_as_a_socket_would_get_them() {
        let gelf = br#"{"version":"1.1","host":"a","short_message":"x"}"#;
        let two = [&gelf[..], b"\0", &gelf[..], b"\n"].concat();
        let packed = gelf::pack(gelf, gelf::Compression::Gzip).unwrap();
        for (codec, transport, bytes, expected) in [
            (Codec::Syslog, "udp", &b"<14>a: 1\n<15>b: 2\n  3\n"[..], Ok(vec!["1", "2\n  3"])),
            (Codec::Syslog, "tcp", b"<14>a: 1\n<15>b: 2", Ok(vec!["1", "2"])),
            (Codec::Syslog, "tcp", b"8 <14>a: 1", Ok(vec!["1"])),
            (Codec::Syslog, "tcp", b"80 <14>a: 1", Err("the last message is shorter")),
            (Codec::Syslog, "tcp", b"hello", Err("a priority")),
            (Codec::Syslog, "tcp", &[b'<'; 101], Err("100 bytes")),
            (Codec::Gelf, "udp", &packed, Ok(vec!["x"])),
            (Codec::Gelf, "tcp", &two, Ok(vec!["x", "x"])),
            (Codec::Gelf, "tcp", b"", Ok(vec![])),
        ] {
            match (texts(codec, transport, bytes), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            }
        }
    }
}

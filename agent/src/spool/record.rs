//! One record of the spool as bytes: postcard of `{version: u8, checksum: u32, body: bytes}`, where `body` is postcard of
//! `{class, time, id, subject, json}` and `checksum` its CRC-32 (IEEE 802.3). Nothing panics on foreign bytes.

use emote_proto::{EventId, Time};
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;

/// What may be dropped first when the spool is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// Something happened.
    Lifecycle,
    /// Nothing happened, and the agent is there.
    Heartbeat,
}

/// An event, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// See [`Class`].
    pub class: Class,
    /// When it happened.
    pub time: Time,
    /// Its id and `Nats-Msg-Id`.
    pub id: EventId,
    /// Where it is published.
    pub subject: String,
    /// The event.
    pub json: Vec<u8>,
}

/// Why stored bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Not postcard of the shape above.
    #[error("unreadable")]
    Shape,
    /// Written by a newer agent.
    #[error("record version {0}, this agent knows {VERSION}")]
    Version(u8),
    /// The bytes are not those that were written.
    #[error("checksum mismatch")]
    Checksum,
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    version: u8,
    checksum: u32,
    #[serde(borrow)]
    body: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct Body<'a> {
    class: Class,
    time: i64,
    id: u128,
    #[serde(borrow)]
    subject: &'a str,
    #[serde(borrow)]
    json: &'a [u8],
}

impl Record {
    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        let id = u128::from_be_bytes(*self.id.as_bytes());
        let body =
            Body { class: self.class, time: self.time.as_millis(), id, subject: &self.subject, json: &self.json };
        // Integers, a string and bytes into a growing vector: nothing here can fail to serialise.
        let body = postcard::to_stdvec(&body).unwrap_or_default();
        postcard::to_stdvec(&Envelope { version: VERSION, checksum: crc32(&body), body: &body }).unwrap_or_default()
    }

    /// Reads stored bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let envelope = open(bytes)?;
        if crc32(envelope.body) != envelope.checksum {
            return Err(Damage::Checksum);
        }
        let body: Body<'_> = postcard::from_bytes(envelope.body).map_err(|_| Damage::Shape)?;
        let id = EventId::from_message_id(&hyphenated(body.id));
        let time = Time::from_millis(body.time).ok_or(Damage::Shape)?;
        Ok(Self { class: body.class, time, id, subject: body.subject.to_owned(), json: body.json.to_vec() })
    }
}

/// Class and time (milliseconds) of stored bytes, unchecked: for counting. Damaged bytes count as lifecycle.
pub(super) fn peek(bytes: &[u8]) -> (Class, Option<i64>) {
    let body = open(bytes).ok().and_then(|envelope| postcard::from_bytes::<Body<'_>>(envelope.body).ok());
    body.map_or((Class::Lifecycle, None), |body| (body.class, Some(body.time)))
}

fn open(bytes: &[u8]) -> Result<Envelope<'_>, Damage> {
    match bytes.first() {
        Some(&VERSION) => postcard::from_bytes(bytes).map_err(|_| Damage::Shape),
        Some(&other) => Err(Damage::Version(other)),
        None => Err(Damage::Shape),
    }
}

fn hyphenated(id: u128) -> String {
    let hex = format!("{id:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte, 0);
        while bit < 8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ CRC_TABLE[((crc ^ u32::from(*byte)) & 0xFF) as usize])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::spool) fn record(class: Class, number: u64, size: usize) -> Record {
        let id = EventId::fresh(number, &[7; 10]);
        let time = Time::from_millis(1_700_000_000_000 + i64::try_from(number).unwrap()).unwrap();
        let json = format!("{{\"n\":{number},\"pad\":\"{}\"}}", "x".repeat(size)).into_bytes();
        Record { class, time, id, subject: "events.agent.T1.a.b".into(), json }
    }

    #[test]
    fn the_checksum_is_the_published_crc_32() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = record(Class::Lifecycle, 1, 40).encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::decode(&damaged).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn decoding_what_was_encoded_gives_it_back(number in 0_u64..1 << 47, size in 0_usize..300, heartbeat: bool) {
            let class = if heartbeat { Class::Heartbeat } else { Class::Lifecycle };
            let record = record(class, number, size);
            prop_assert_eq!(peek(&record.encode()), (class, Some(record.time.as_millis())));
            prop_assert_eq!(Record::decode(&record.encode()).unwrap(), record);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            let _ = (Record::decode(&bytes), peek(&bytes));
        }
    }
}

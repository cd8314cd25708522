//! A segment's bytes: lines, compressed. What is made is read again before it is stored: an archive that nobody can read is
//! found out when it is written.
//!
//! structured-zstd does both in Rust. ruzstd writes at its fastest level only, and `zstd` is C; in tests that one reads what
//! is written here.

use std::io::{BufRead, BufReader, Read, Write};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use structured_zstd::{
    decoding::{ContentChecksum, FrameDecoder, StreamingDecoder},
    encoding::{CompressionLevel, StreamingEncoder},
};

use super::{Kept, cut::Segment};

/// Longest line that is read: a body as large as NATS can be made to take (64 MiB), in Base64.
const MAX_LINE: u64 = 96 << 20;

/// Why a segment cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SegmentError {
    /// Its bytes are not what was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A line is no entry, or not in order.
    #[error("line {line}: {problem}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
}

/// Compresses entries, of which there is one at least, and reads them again.
pub(super) fn write(path: &str, source: &str, entries: &[&Kept]) -> Result<(Segment, Bytes), String> {
    let mut encoder = StreamingEncoder::new(Vec::new(), CompressionLevel::Default);
    encoder.set_content_checksum(true).map_err(|error| error.to_string())?;
    let mut line = Vec::new();
    for entry in entries {
        line.clear();
        entry.write(&mut line).map_err(|error| error.to_string())?;
        encoder.write_all(&line).map_err(|error| error.to_string())?;
    }
    let stored = Bytes::from(encoder.finish().map_err(|error| error.to_string())?);
    let mut expected = entries.iter();
    let (segment, _) = describe(path, source, &stored, |entry| expected.next().is_some_and(|kept| **kept == entry))
        .map_err(|error| format!("what was compressed cannot be read again: {error}"))?;
    if expected.next().is_some() {
        return Err("what was compressed ends early when it is read again".to_owned());
    }
    Ok((segment, stored))
}

/// Reads a segment through: what is to be said of it, and the sequences in it. Each entry must be as `is_fine` says.
pub(super) fn describe(
    path: &str,
    source: &str,
    stored: &Bytes,
    mut is_fine: impl FnMut(Kept) -> bool,
) -> Result<(Segment, Vec<u64>), SegmentError> {
    let (mut sequences, mut received, mut bytes) = (Vec::new(), None, 0_u64);
    for line in Lines::of(stored.clone()) {
        let (length, entry) = line?;
        let number = sequences.len() as u64 + 1;
        let wrong = |problem: &str| SegmentError::Line { line: number, problem: problem.to_owned() };
        if sequences.last().is_some_and(|last| *last >= entry.sequence) {
            return Err(wrong("its sequence does not come after the one before"));
        }
        let (from, to) = received.unwrap_or((entry.received, entry.received));
        received = Some((from.min(entry.received), to.max(entry.received)));
        sequences.push(entry.sequence);
        bytes += length;
        if !is_fine(entry) {
            return Err(wrong("it is not the entry that belongs here"));
        }
    }
    let (Some(first), Some(last), Some(received)) = (sequences.first(), sequences.last(), received) else {
        return Err(SegmentError::Damaged("it is empty".to_owned()));
    };
    let segment = Segment {
        path: path.to_owned(),
        source: source.to_owned(),
        first: *first,
        last: *last,
        events: sequences.len() as u64,
        bytes,
        stored_bytes: stored.len() as u64,
        sha256: sha256(stored),
        received,
    };
    Ok((segment, sequences))
}

/// SHA-256 in hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

type Decoder = StreamingDecoder<std::io::Cursor<Bytes>, FrameDecoder>;

/// The entries of a segment, one in memory at a time, each with the length of its line.
pub(super) struct Lines {
    lines: Option<BufReader<Decoder>>,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    pub(super) fn of(stored: Bytes) -> Self {
        let mut decoder = StreamingDecoder::new(std::io::Cursor::new(stored));
        decoder.decoder_mut().set_content_checksum(ContentChecksum::Verify);
        Self { lines: Some(BufReader::new(decoder)), line: Vec::new(), number: 0 }
    }

    fn read(&mut self) -> Result<Option<(u64, Kept)>, SegmentError> {
        let Some(lines) = &mut self.lines else { return Ok(None) };
        self.line.clear();
        let mut bounded = lines.take(MAX_LINE);
        let length = bounded.read_until(b'\n', &mut self.line);
        let length = length.map_err(|error| SegmentError::Damaged(error.to_string()))? as u64;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        let wrong = |problem| SegmentError::Line { line: self.number, problem };
        if self.line.last() != Some(&b'\n') {
            return Err(wrong(if length == MAX_LINE { "it is too long" } else { "it has no end" }.to_owned()));
        }
        Ok(Some((length, Kept::read(&self.line).map_err(wrong)?)))
    }
}

impl Iterator for Lines {
    type Item = Result<(u64, Kept), SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            self.lines = None;
        }
        read.transpose()
    }
}

#[cfg(test)]
mod tests {
    use emote_proto::Time;
    use proptest::prelude::*;

    use super::*;

    fn entries(bodies: Vec<Vec<u8>>) -> Vec<Kept> {
        let entry = |(sequence, payload): (u64, Vec<u8>)| Kept {
            sequence,
            received: Time::from_millis(1_767_225_600_000 + (sequence as i64)).unwrap(),
            subject: "events.jamf.C02.device.enroll".to_owned(),
            message_id: None,
            payload: payload.into(),
        };
        (1_u64..).zip(bodies).map(entry).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn what_is_written_is_read_here_and_by_the_reference(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 1..40),
            repeated in 1_usize..20,
        ) {
            let bodies = std::iter::repeat_n(bodies, repeated).flatten().collect();
            let kept = entries(bodies);
            let (segment, stored) = write("p", "jamf", &kept.iter().collect::<Vec<_>>()).unwrap();
            let mut lines = Vec::new();
            kept.iter().for_each(|entry| entry.write(&mut lines).unwrap());
            prop_assert_eq!(segment.bytes, lines.len() as u64);
            prop_assert_eq!(zstd::decode_all(&stored[..]).unwrap(), lines);
            let read: Vec<Kept> = Lines::of(stored).map(|line| line.unwrap().1).collect();
            prop_assert_eq!(read, kept);
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let framed = [&[0x28, 0xb5, 0x2f, 0xfd][..], &bytes].concat();
            for bytes in [bytes, framed] {
                prop_assert!(describe("p", "s", &Bytes::from(bytes), |_| true).is_err());
            }
        }
    }

    #[test]
    fn what_the_reference_writes_is_read_and_what_is_damaged_is_told() {
        let kept = entries(vec![br#"{"scope":"a","action":"b"}"#.to_vec(); 1_000]);
        let mut lines = Vec::new();
        kept.iter().for_each(|entry| entry.write(&mut lines).unwrap());
        let theirs = Bytes::from(zstd::encode_all(&lines[..], 19).unwrap());
        assert_eq!(describe("p", "jamf", &theirs, |_| true).unwrap().0.events, 1_000);
        let (_, stored) = write("p", "jamf", &kept.iter().collect::<Vec<_>>()).unwrap();
        for at in [20, 40, stored.len() / 2, stored.len() - 1] {
            let mut damaged = stored.to_vec();
            damaged[at] ^= 0x10;
            assert!(describe("p", "jamf", &damaged.into(), |_| true).is_err(), "byte {at}");
            assert!(describe("p", "jamf", &stored.slice(..at), |_| true).is_err(), "cut at {at}");
        }
        let twice: Vec<&Kept> = vec![&kept[0], &kept[0]];
        assert!(write("p", "jamf", &twice).is_err());
    }
}

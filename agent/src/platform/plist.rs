//! Property lists, XML and binary, from whoever wrote them.
//!
//! A few bytes can nest deeper than any stack, and a binary list can name one object a million times, so depth and
//! growth are counted while it is read. The bytes of `data` are left out: what is in there is certificates and keys,
//! which are nobody's business here.

use std::borrow::Cow;
use std::io::Cursor;

use ::plist::stream::{BinaryReader, Event, OwnedEvent, XmlReader};
use ::plist::{Dictionary, Value};

/// Lists within lists at most; real ones have about ten.
const DEPTH: usize = 32;
/// Values at most, keys among them: some 20 MB while they are looked at.
const VALUES: u64 = 200_000;
/// Bytes of text and data at most, all values together.
const BYTES: usize = 8 << 20;
/// Bytes of what [`text`] gives.
const TEXT: usize = 256;

/// Why it could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlistError {
    /// It is none, or not a whole one.
    #[error("no property list: {0}")]
    Malformed(String),
    /// More than is read.
    #[error("the property list has too many {0}")]
    TooLarge(&'static str),
}

/// The value at the root. In it, all data is empty.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, PlistError> {
    if bytes.starts_with(b"bplist00") {
        build(BinaryReader::new(Cursor::new(bytes)))
    } else {
        build(XmlReader::new(bytes))
    }
}

/// The text at `key`, without white space around it and cut to 256 bytes; `None` where there is none.
pub(crate) fn text(dictionary: &Dictionary, key: &str) -> Option<String> {
    let text = dictionary.get(key)?.as_string()?.trim();
    let text = text.get(..text.floor_char_boundary(TEXT))?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn build(events: impl Iterator<Item = Result<OwnedEvent, ::plist::Error>>) -> Result<Value, PlistError> {
    let mut counted = Counted { events, depth: 0, values: 0, bytes: 0, refused: None };
    let value = Value::from_events(&mut counted);
    match (counted.refused, value) {
        (Some(what), _) => Err(PlistError::TooLarge(what)),
        (None, value) => value.map_err(|error| PlistError::Malformed(error.to_string())),
    }
}

/// Ends with `refused` before there is too much.
struct Counted<I> {
    events: I,
    depth: usize,
    values: u64,
    bytes: usize,
    refused: Option<&'static str>,
}

impl<I> Counted<I> {
    fn count(&mut self, event: &OwnedEvent) -> Option<&'static str> {
        match event {
            // The reader of a binary list has room for all that a list announces.
            Event::StartArray(announced) | Event::StartDictionary(announced) => {
                self.depth += 1;
                self.values = self.values.saturating_add(announced.unwrap_or(0));
            }
            Event::EndCollection => self.depth = self.depth.saturating_sub(1),
            Event::String(text) => self.bytes = self.bytes.saturating_add(text.len()),
            Event::Data(data) => self.bytes = self.bytes.saturating_add(data.len()),
            _ => {}
        }
        self.values = self.values.saturating_add(1);
        let limits = [
            (self.depth > DEPTH, "lists within lists"),
            (self.values > VALUES, "values"),
            (self.bytes > BYTES, "bytes"),
        ];
        limits.into_iter().find_map(|(over, what)| over.then_some(what))
    }
}

impl<I: Iterator<Item = Result<OwnedEvent, ::plist::Error>>> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let event = match self.events.next()? {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        self.refused = self.count(&event);
        match (self.refused, event) {
            (Some(_), _) => None,
            (None, Event::Data(_)) => Some(Ok(Event::Data(Cow::Borrowed(&[])))),
            (None, event) => Some(Ok(event)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn xml(value: &Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        value.to_writer_xml(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn both_notations_are_read_and_data_is_left_out() {
        let mut sample = Dictionary::new();
        sample.insert("version".into(), " 5312 ".into());
        sample.insert("empty".into(), " ".into());
        sample.insert("long".into(), format!("x{}", "ä".repeat(1000)).into());
        sample.insert("number".into(), 3.into());
        sample.insert("key".into(), Value::Data(b"secret".to_vec()));
        let sample = Value::Dictionary(sample);
        let mut binary = Vec::new();
        sample.to_writer_binary(&mut binary).unwrap();
        for bytes in [xml(&sample), binary] {
            let read = parse(&bytes).unwrap().into_dictionary().unwrap();
            assert_eq!(text(&read, "version").as_deref(), Some("5312"));
            assert_eq!(text(&read, "long").unwrap(), format!("x{}", "ä".repeat(127)));
            for key in ["empty", "number", "missing"] {
                assert_eq!(text(&read, key), None, "{key}");
            }
            assert_eq!(read["key"], Value::Data(Vec::new()));
        }
    }

    #[test]
    fn what_is_no_whole_property_list_is_an_error() {
        for bytes in ["", "none", "There are no profiles", "<plist>", "<plist><dict><key>a</key>", "bplist00", "(a, b)"]
        {
            assert!(matches!(parse(bytes.as_bytes()), Err(PlistError::Malformed(_))), "{bytes}");
        }
    }

    #[test]
    fn a_list_that_nests_for_ever_ends_early() {
        let nested = |depth: usize| format!("<plist>{}{}</plist>", "<array>".repeat(depth), "</array>".repeat(depth));
        assert!(parse(nested(DEPTH).as_bytes()).is_ok());
        for depth in [DEPTH + 1, 1_000_000] {
            assert_eq!(parse(nested(depth).as_bytes()), Err(PlistError::TooLarge("lists within lists")));
        }
        let many = format!("<plist><array>{}</array></plist>", "<true/>".repeat(300_000));
        assert_eq!(parse(many.as_bytes()), Err(PlistError::TooLarge("values")));
        let long = format!("<plist><string>{}</string></plist>", "x".repeat(BYTES + 1));
        assert_eq!(parse(long.as_bytes()), Err(PlistError::TooLarge("bytes")));
    }

    /// Arrays, each of which has the next one `times` times; the last has a text.
    fn laughs(levels: u8, times: u8) -> Vec<u8> {
        let mut bytes = b"bplist00".to_vec();
        let mut offsets = Vec::new();
        for level in 0..levels {
            offsets.push(u8::try_from(bytes.len()).unwrap());
            bytes.push(0xa0 | times);
            bytes.extend(std::iter::repeat_n(level + 1, times.into()));
        }
        offsets.push(u8::try_from(bytes.len()).unwrap());
        bytes.extend(b"\x51x");
        let table = u8::try_from(bytes.len()).unwrap();
        bytes.extend(&offsets);
        bytes.extend([0, 0, 0, 0, 0, 0, 1, 1]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, levels + 1]);
        bytes.extend([0; 8]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, table]);
        bytes
    }

    #[test]
    fn an_object_that_is_named_a_billion_times_is_not_built() {
        assert!(parse(&laughs(3, 4)).is_ok());
        assert_eq!(parse(&laughs(24, 2)), Err(PlistError::TooLarge("values")));
        assert_eq!(parse(&laughs(12, 14)), Err(PlistError::TooLarge("values")));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".*", cut in 0_usize..80) {
            let _ = parse(&bytes);
            let _ = parse(format!("<plist>{text}").as_bytes());
            let _ = parse(&[b"bplist00", &bytes[..]].concat());
            let mut broken = laughs(4, 3);
            for (at, byte) in bytes.iter().take(4).enumerate() {
                let place = (usize::from(*byte) + cut * at) % broken.len();
                broken[place] = broken[place].wrapping_add(*byte);
            }
            let _ = parse(&broken);
        }
    }
}

//! Apple property lists, XML and binary, as JSON: dates as RFC 3339 text, data as base64, UIDs as numbers.
//!
//! A binary plist may name one object in many places, so that a small one can stand for a huge tree: what comes out is
//! counted while it is read.

use std::io::Cursor;

use plist::stream::{BinaryReader, Event, OwnedEvent, XmlReader};
use serde_json::{Map, Value};

/// Arrays and dictionaries may stand this deep in one another.
const MAX_DEPTH: usize = 64;
/// Values in one plist, keys included.
const MAX_VALUES: usize = 200_000;
/// Bytes of text and data in one plist, as JSON.
const MAX_BYTES: usize = 8 * 1024 * 1024;

const BINARY_MAGIC: &[u8] = b"bplist00";

/// Reads an XML or binary plist.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.starts_with(BINARY_MAGIC) {
        build(BinaryReader::new(Cursor::new(bytes)))
    } else {
        build(XmlReader::new(Cursor::new(bytes)))
    }
}

/// Reads a plist from text: XML as it is, or either kind in base64 (white space inside it is passed over).
pub fn from_text(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('<') {
        return parse(text.as_bytes());
    }
    let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let bytes =
        data_encoding::BASE64.decode(&packed).map_err(|error| format!("neither XML nor base64 of a plist: {error}"))?;
    parse(&bytes)
}

enum Open {
    Array(Vec<Value>),
    Dictionary(Map<String, Value>, Option<String>),
}

fn build(events: impl Iterator<Item = Result<OwnedEvent, plist::Error>>) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let (mut values, mut bytes) = (0, 0_usize);
    for event in events {
        let event = event.map_err(|error| error.to_string())?;
        values += 1;
        if values > MAX_VALUES {
            return Err(format!("a plist of more than {MAX_VALUES} values"));
        }
        if root.is_some() {
            return Err("a plist of more than one value".to_owned());
        }
        let value = match event {
            Event::StartArray(_) | Event::StartDictionary(_) if open.len() == MAX_DEPTH => {
                return Err(format!("a plist deeper than {MAX_DEPTH} collections"));
            }
            Event::StartArray(_) => {
                open.push(Open::Array(Vec::new()));
                continue;
            }
            Event::StartDictionary(_) => {
                open.push(Open::Dictionary(Map::new(), None));
                continue;
            }
            Event::EndCollection => match open.pop() {
                Some(Open::Array(items)) => Value::Array(items),
                Some(Open::Dictionary(map, None)) => Value::Object(map),
                Some(Open::Dictionary(_, Some(key))) => return Err(format!("the key {key:?} has no value")),
                None => return Err("a collection ends that never began".to_owned()),
            },
            scalar => scalar_value(scalar)?,
        };
        if let Value::String(text) = &value {
            bytes = bytes.saturating_add(text.len());
            if bytes > MAX_BYTES {
                return Err(format!("a plist of more than {MAX_BYTES} bytes"));
            }
        }
        match (open.last_mut(), value) {
            (None, value) => root = Some(value),
            (Some(Open::Array(items)), value) => items.push(value),
            (Some(Open::Dictionary(_, key @ None)), Value::String(name)) => *key = Some(name),
            (Some(Open::Dictionary(_, None)), _) => return Err("a dictionary key that is no string".to_owned()),
            (Some(Open::Dictionary(map, key)), value) => {
                map.insert(key.take().unwrap_or_default(), value);
            }
        }
    }
    match root {
        Some(value) if open.is_empty() => Ok(value),
        Some(_) => Err("the plist ends inside a collection".to_owned()),
        None => Err("no value in the plist".to_owned()),
    }
}

fn scalar_value(event: OwnedEvent) -> Result<Value, String> {
    Ok(match event {
        Event::Boolean(flag) => Value::Bool(flag),
        Event::Data(data) => Value::from(data_encoding::BASE64.encode(&data)),
        Event::Date(date) => Value::from(date.to_xml_format()),
        Event::Integer(integer) => match (integer.as_signed(), integer.as_unsigned()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::Null,
        },
        Event::Real(real) => Value::from(real),
        Event::String(text) => Value::from(text.into_owned()),
        Event::Uid(uid) => Value::from(uid.get()),
        other => return Err(format!("a plist value of an unknown kind: {other:?}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const XML: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
  <key>Name</key><string>Ada&#39;s Mac &amp; more</string>
  <key>Token</key><data> aGk= </data>
  <key>When</key><date>2026-11-23T06:41:00Z</date>
  <key>Many</key><array><integer>-1</integer><real>1.5</real><true/><dict/><string></string></array>
</dict></plist>"#;

    fn expected() -> Value {
        json!({"Name": "Ada's Mac & more", "Token": "aGk=", "When": "2026-11-23T06:41:00Z", "Many": [-1, 1.5, true, {}, ""]})
    }

    #[test]
    fn xml_and_binary_read_alike() {
        assert_eq!(parse(XML.as_bytes()), Ok(expected()));
        let mut binary = Vec::new();
        plist::from_bytes::<plist::Value>(XML.as_bytes()).unwrap().to_writer_binary(&mut binary).unwrap();
        assert!(binary.starts_with(BINARY_MAGIC));
        assert_eq!(parse(&binary), Ok(expected()));
        assert_eq!(from_text(&data_encoding::BASE64.encode(&binary)), Ok(expected()));
    }

    /// Fifty arrays, each naming the next twice: 2^50 values from some 300 bytes.
    #[test]
    fn a_plist_that_grows_without_end_is_refused() {
        let mut bytes = BINARY_MAGIC.to_vec();
        let mut offsets = Vec::new();
        for next in 1..=50_u8 {
            offsets.push(u8::try_from(bytes.len()).unwrap());
            bytes.extend([0xa2, next, next]);
        }
        offsets.push(u8::try_from(bytes.len()).unwrap());
        bytes.push(0x09);
        let table = bytes.len() as u64;
        bytes.extend(&offsets);
        bytes.extend([0, 0, 0, 0, 0, 0, 1, 1]);
        for number in [offsets.len() as u64, 0, table] {
            bytes.extend(number.to_be_bytes());
        }
        assert_eq!(parse(&bytes), Err(format!("a plist of more than {MAX_VALUES} values")));
    }

    #[test]
    fn what_is_no_plist_says_so() {
        for text in ["", "<plist/>", "<plist><dict><key>a</key></dict></plist>", "<plist><array>", "%%%", "<html/>"] {
            assert!(from_text(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tail in proptest::collection::vec(any::<u8>(), 0..200), binary in any::<bool>()) {
            let mut bytes = if binary { BINARY_MAGIC.to_vec() } else { b"<plist>".to_vec() };
            bytes.extend(tail);
            let _ = parse(&bytes);
        }
    }
}

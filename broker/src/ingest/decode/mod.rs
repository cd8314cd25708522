//! From a verified body to JSON: one file a notation, one line in [`NOTATIONS`].
//!
//! A source takes one notation or several; among several the request's `Content-Type` picks, and where it fits more than
//! one the first that can read the body. A request without one is taken where the source has one notation only.

mod cloudevents;
mod form;
mod gelf;
mod guess;
mod json;
mod ndjson;
mod pieces;
mod plist;
mod syslog;
mod xml;

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

pub(crate) use guess::media_type;
pub(crate) use pieces::{Piece, Pieces};

use super::{Refusal, Request, Verified};
use crate::config::Problems;

/// A way to write data down.
pub(super) struct Notation {
    name: &'static str,
    /// Its content types, for people.
    types: &'static str,
    accepts: fn(media_type: &str, headers: &HeaderMap) -> bool,
    /// What it accepts beyond that where a source names it.
    accepts_by_name: fn(media_type: &str, headers: &HeaderMap) -> bool,
    decode: fn(media_type: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, String>,
    /// Whether it tells by itself that a body is compressed, and unpacks it.
    unpacks: bool,
}

/// In the order in which they are asked. CloudEvents come first, because theirs are JSON types too.
const NOTATIONS: [&Notation; 8] = [
    &cloudevents::NOTATION,
    &json::NOTATION,
    &ndjson::NOTATION,
    &form::NOTATION,
    &xml::NOTATION,
    &plist::NOTATION,
    &syslog::NOTATION,
    &gelf::NOTATION,
];

/// Takes whatever any notation accepts.
const AUTO: &str = "auto";

/// The `decode` of a source: the name of a notation, a list of them, or `auto`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeSpec(Vec<String>);

/// The notations that a source takes, and whether it names them.
pub struct Decoder(Vec<(&'static Notation, bool)>);

impl DecodeSpec {
    /// Takes whatever any notation accepts.
    pub fn auto() -> Self {
        Self(vec![AUTO.to_owned()])
    }

    /// The one notation that it names, if it is one.
    pub(super) fn only(&self) -> Option<&str> {
        match &self.0[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    /// The notations named, or problems at `decode`.
    pub fn validate(&self, problems: &mut Problems) -> Option<Decoder> {
        let mut wanted = Vec::new();
        for name in &self.0 {
            match NOTATIONS.iter().find(|notation| notation.name == name) {
                Some(notation) => wanted.push((*notation, true)),
                None if name == AUTO => wanted.extend(NOTATIONS.map(|notation| (notation, false))),
                None => problems.add("decode", format!("{name:?} is no notation; expected {}", expected())),
            }
        }
        if self.0.is_empty() {
            problems.add("decode", format!("expected {}", expected()));
        }
        let complete = wanted.len() >= self.0.len() && !wanted.is_empty();
        wanted.sort_by_key(|(notation, _)| NOTATIONS.iter().position(|other| other.name == notation.name));
        complete.then_some(Decoder(wanted))
    }
}

fn expected() -> String {
    let names: Vec<_> = NOTATIONS.iter().map(|notation| notation.name).collect();
    format!("one of {}, {AUTO}, or a list of them", names.join(", "))
}

impl JsonSchema for DecodeSpec {
    fn schema_name() -> Cow<'static, str> {
        "notation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = NOTATIONS.iter().map(|notation| notation.name).chain([AUTO]).collect();
        json_schema!({"anyOf": [{"enum": names}, {"type": "array", "items": {"enum": names}, "minItems": 1}]})
    }
}

impl<'de> Deserialize<'de> for DecodeSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> de::Visitor<'de> for Names {
            type Value = Vec<String>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&expected())
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Vec<String>, E> {
                Ok(vec![name.to_owned()])
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut names: A) -> Result<Vec<String>, A::Error> {
                let mut list = Vec::new();
                while let Some(name) = names.next_element()? {
                    list.push(name);
                }
                Ok(list)
            }
        }
        deserializer.deserialize_any(Names).map(Self)
    }
}

impl Decoder {
    /// The body as JSON.
    pub(super) fn decode(&self, request: &Request<Verified>) -> Result<Value, Refusal> {
        let headers = &request.headers;
        let wrong_type = |found: String| Refusal::Type { found, accepted: self.accepted() };
        if let Some(coding) =
            headers.get(header::CONTENT_ENCODING).filter(|coding| *coding != "identity" && !self.unpacks())
        {
            return Err(wrong_type(format!("the content encoding {}", String::from_utf8_lossy(coding.as_bytes()))));
        }
        let declared = headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let media_type = declared.as_deref().map(essence);
        let fits = |(notation, named): &&(&'static Notation, bool)| match (&media_type, &self.0[..]) {
            (None, [_]) => true,
            (media_type, _) => {
                let media_type = media_type.as_deref().unwrap_or_default();
                (notation.accepts)(media_type, headers) || *named && (notation.accepts_by_name)(media_type, headers)
            }
        };
        let mut refused = None;
        for (notation, _) in self.0.iter().filter(fits) {
            let essence = media_type.as_deref().unwrap_or_default();
            let signed = request.signed().filter(|_| notation.name == cloudevents::NOTATION.name);
            if let Some(name) = signed.and_then(|signed| cloudevents::unsigned(essence, headers, signed)) {
                let problem =
                    format!("the signature does not cover the header {name}: send CloudEvents in structured mode");
                return Err(Refusal::Undecodable(problem));
            }
            match (notation.decode)(essence, headers, &request.body) {
                Ok(decoded) => return Ok(decoded),
                // The first says what is wrong: it is what the type means.
                Err(problem) => {
                    refused =
                        refused.or_else(|| Some(format!("the body cannot be read as {}: {problem}", notation.name)));
                }
            }
        }
        Err(match refused {
            Some(problem) => Refusal::Undecodable(problem),
            None => wrong_type(
                declared.map_or("a body without Content-Type".to_owned(), |text| format!("Content-Type {text}")),
            ),
        })
    }

    fn unpacks(&self) -> bool {
        self.0.iter().all(|(notation, _)| notation.unpacks)
    }

    /// The same of a body that nobody says the type of: what it looks like, else the one notation that there is.
    pub(super) fn decode_unlabelled(&self, request: &mut Request<Verified>) -> Result<Value, Refusal> {
        let guessed = HeaderValue::from_static(media_type(&request.body));
        request.headers.insert(header::CONTENT_TYPE, guessed);
        match self.decode(request) {
            // What was guessed is not held against the body.
            Err(refusal @ Refusal::Type { .. }) => {
                request.headers.remove(header::CONTENT_TYPE);
                self.decode(request)
                    .map_err(|again| if matches!(again, Refusal::Type { .. }) { refusal } else { again })
            }
            decoded => decoded,
        }
    }

    /// Whether each line is a body of its own, where there is room for that.
    pub(super) fn is_of_lines(&self) -> bool {
        matches!(&self.0[..], [(notation, _)] if notation.name == ndjson::NOTATION.name)
    }

    fn accepted(&self) -> String {
        let types: Vec<_> = self.0.iter().map(|(notation, _)| notation.types).collect();
        types.join(", ")
    }
}

/// For notations whose content types are theirs alone.
fn nothing_more(_: &str, _: &HeaderMap) -> bool {
    false
}

/// The media type without its parameters, in lower case.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use emote_proto::Trust;
    use proptest::prelude::*;
    use serde_json::json;

    fn decoder(yaml: &str) -> Decoder {
        let mut problems = Problems::default();
        let decoder = serde_saphyr::from_str::<DecodeSpec>(yaml).unwrap().validate(&mut problems);
        decoder.unwrap_or_else(|| panic!("{problems:?}"))
    }

    fn decode(yaml: &str, content_type: Option<&str>, body: &[u8]) -> Result<Value, Refusal> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert("content-type", HeaderValue::from_str(content_type).unwrap());
        }
        decoder(yaml).decode(&Request::new(headers, "", Bytes::copy_from_slice(body)).unchecked(Trust::Unverified))
    }

    #[test]
    fn the_content_type_picks_the_notation() {
        for (decode_as, content_type, body, value) in [
            ("json", Some("application/json; charset=utf-8"), r#"{"a":1}"#, json!({"a": 1})),
            ("json", Some("Application/SCIM+json"), "[1]", json!([1])),
            ("json", None, "1", json!(1)),
            ("json", Some("application/json"), "", Value::Null),
            ("auto", Some("text/xml"), "<a>1</a>", json!({"a": "1"})),
            ("[json, xml]", Some("application/atom+xml"), "<a/>", json!({"a": ""})),
            (
                "form",
                Some("application/x-www-form-urlencoded"),
                "a=1&b=x+y&b=%41",
                json!({"a": "1", "b": ["x y", "A"]}),
            ),
            ("auto", Some("application/x-plist"), "<plist><true/></plist>", json!(true)),
            ("plist", Some("application/x-apple-aspen-mdm-checkin"), "<plist><true/></plist>", json!(true)),
            ("plist", Some("text/xml"), "<plist><true/></plist>", json!(true)),
            ("auto", Some("application/x-ndjson"), "{\"a\":1}\n\n[2]\r\n", json!([{"a": 1}, [2]])),
            ("ndjson", Some("application/jsonl"), "[1,2]\n", json!([1, 2])),
            ("ndjson", Some("text/plain; charset=utf-8"), "1\n2", json!([1, 2])),
            ("ndjson", Some("application/json"), r#"{"a":1}"#, json!([{"a": 1}])),
            ("ndjson", Some("application/json"), "", json!([])),
            ("[ndjson, json]", Some("application/json"), r#"{"a":1}"#, json!({"a": 1})),
            ("gelf", Some("application/json"), r#"{"a":1}"#, json!({"a": 1})),
            ("gelf", None, "{}\0", json!({})),
            (
                "syslog",
                Some("text/plain; charset=utf-8"),
                "<14>a: b\n<15>c\n  d",
                json!([
                    {"format": "rfc3164", "facility": "user", "severity": "info", "level": 6, "app_name": "a", "message": "b"},
                    {"format": "rfc3164", "facility": "user", "severity": "debug", "level": 7, "message": "c\n  d"},
                ]),
            ),
            ("[json, ndjson]", Some("application/json"), "{\"a\":1}\n{\"a\":2}", json!([{"a": 1}, {"a": 2}])),
        ] {
            assert_eq!(decode(decode_as, content_type, body.as_bytes()), Ok(value), "{decode_as} {body}");
        }
    }

    #[test]
    fn another_type_is_refused_with_what_is_taken() {
        insta::assert_snapshot!(decode("json", Some("text/csv"), b"a").unwrap_err(), @"Content-Type text/csv is not what this source takes");
        let Err(Refusal::Type { found, accepted }) = decode("[xml, json]", None, b"a") else { panic!("taken") };
        insta::assert_snapshot!(format!("{found} | {accepted}"), @"a body without Content-Type | application/json (or …+json), application/xml, text/xml (or …+xml)");
        assert!(matches!(decode("auto", Some("text/plain"), b"{}"), Err(Refusal::Type { .. })), "named is ndjson only");
        let mut headers = HeaderMap::new();
        headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        let packed =
            decoder("json").decode(&Request::new(headers.clone(), "", Bytes::new()).unchecked(Trust::Unverified));
        assert!(matches!(packed, Err(Refusal::Type { .. })));
        let body = crate::gelf::pack(b"{}", crate::gelf::Compression::Gzip).unwrap();
        let packed = decoder("gelf").decode(&Request::new(headers, "", body.into()).unchecked(Trust::Unverified));
        assert_eq!(packed, Ok(json!({})));
    }

    #[test]
    fn what_cannot_be_decoded_says_where() {
        for (decode_as, body, said) in [
            ("json", "{\"a\":\n ]", "line 2 column 2"),
            ("xml", "<a>\n</b>", "line 2"),
            ("plist", "<plist><x/></plist>", "plist"),
            ("json", "[[[[", "line 1"),
            ("ndjson", "{\"a\": 1}\n{\"b\"\n", "line 3"),
            ("cloudevents", "{}", "specversion"),
            ("syslog", "hello", "a priority"),
            ("gelf", "[]", "object"),
        ] {
            let error = decode(decode_as, None, body.as_bytes()).unwrap_err();
            assert!(matches!(error, Refusal::Undecodable(_)) && error.to_string().contains(said), "{body}: {error}");
        }
    }

    #[test]
    fn unknown_notations_are_refused_with_those_there_are() {
        let mut problems = Problems::default();
        assert!(serde_saphyr::from_str::<DecodeSpec>("[json, toml]").unwrap().validate(&mut problems).is_none());
        insta::assert_snapshot!(problems.iter().next().unwrap().message, @r#""toml" is no notation; expected one of cloudevents, json, ndjson, form, xml, plist, syslog, gelf, auto, or a list of them"#);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_a_notation(body in proptest::collection::vec(any::<u8>(), 0..300), text in any::<String>()) {
            for notation in NOTATIONS {
                let _ = decode(notation.name, None, &body);
                let _ = decode(notation.name, None, text.as_bytes());
            }
        }
    }
}

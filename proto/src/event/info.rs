//! `info`: free form, so it is kept as it was written; few ever look into it.

use std::{fmt, ops::Deref, sync::OnceLock};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// So deep may what is taken as it was written be nested; what goes deeper is read as a value, or refused.
const MAX_DEPTH: usize = 64;
/// So many keys of one object are compared; an object of more is read as a value.
const MAX_KEYS: usize = 32;

/// What an event says beyond its known fields. Its JSON is one line, and no object in it has a key twice.
#[derive(Clone)]
pub struct Info {
    json: Box<RawValue>,
    value: OnceLock<Box<Value>>,
}

impl Info {
    /// Its JSON, on one line.
    pub fn json(&self) -> &str {
        self.json.get()
    }

    /// As a value; read when first asked for.
    pub fn value(&self) -> &Value {
        // What is held was read before.
        self.value.get_or_init(|| Box::new(serde_json::from_str(self.json()).unwrap_or_default()))
    }

    /// As a value of one's own.
    pub fn into_value(self) -> Value {
        self.value();
        self.value.into_inner().map_or(Value::Null, |value| *value)
    }

    /// What was written, if it needs no change: everything that a [`Value`] would refuse or change is left to that.
    pub(super) fn as_written(json: &RawValue) -> Option<Self> {
        let one_line = !json.get().bytes().fold(false, |found, byte| found | (byte < b' '));
        let plain = one_line && (is_plain(json.get()) || serde_json::from_str::<Plain>(json.get()).is_ok());
        plain.then(|| Self { json: json.to_owned(), value: OnceLock::new() })
    }
}

impl From<Value> for Info {
    fn from(value: Value) -> Self {
        // Maps with string keys, strings, numbers and booleans: this cannot fail.
        let json = serde_json::value::to_raw_value(&value).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self { json, value: OnceLock::from(Box::new(value)) }
    }
}

impl From<Info> for Value {
    fn from(info: Info) -> Self {
        info.into_value()
    }
}

impl Deref for Info {
    type Target = Value;

    fn deref(&self) -> &Value {
        self.value()
    }
}

impl PartialEq for Info {
    fn eq(&self, other: &Self) -> bool {
        self.json() == other.json() || self.value() == other.value()
    }
}

impl PartialEq<Value> for Info {
    fn eq(&self, other: &Value) -> bool {
        self.value() == other
    }
}

impl fmt::Debug for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.json())
    }
}

impl Serialize for Info {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

/// Whether JSON, which this must be, is plainly what a [`Value`] would be of it: without escapes, numbers that may be too
/// large, deep nesting or many keys, which are left to [`Plain`], and without a key twice.
fn is_plain(json: &str) -> bool {
    let json = json.as_bytes();
    let (mut keys, mut known) = ([[].as_slice(); MAX_KEYS], 0);
    // Of each array and object that is open: where its keys begin.
    let (mut begin, mut depth) = ([0; MAX_DEPTH], 0);
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let rest = &json[at..];
                let Some(end) = memchr::memchr2(b'"', b'\\', rest).filter(|end| rest[*end] == b'"') else {
                    return false;
                };
                at += end + 1;
                if json[at..].iter().find(|byte| **byte != b' ') == Some(&b':') {
                    let key = &rest[..end];
                    let first = if depth == 0 { 0 } else { begin[depth - 1] };
                    if known == MAX_KEYS || keys[first..known].contains(&key) {
                        return false;
                    }
                    keys[known] = key;
                    known += 1;
                }
            }
            b'{' | b'[' if depth == MAX_DEPTH => return false,
            b'{' | b'[' => {
                begin[depth] = known;
                depth += 1;
            }
            b'}' | b']' if depth == 0 => return false,
            b'}' | b']' => {
                depth -= 1;
                known = begin[depth];
            }
            b'-' | b'0'..=b'9' => {
                let length = json[at..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
                at += length;
                // The largest that fits has 309 digits.
                if length > 300 || matches!(json.get(at), Some(b'e' | b'E')) {
                    return false;
                }
            }
            _ => {}
        }
    }
    true
}

/// Reads JSON as a [`Value`] would, keeps nothing, and fails where keeping what was written would not be the same.
struct Plain;

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Level(0).read(deserializer)
    }
}

#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn read<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<Plain, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn down<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.0 < MAX_DEPTH { Ok(Self(self.0 + 1)) } else { Err(E::custom("too deep")) }
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Level {
    type Value = Plain;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Plain, D::Error> {
        self.read(deserializer)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_str<E>(self, _: &str) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Plain, A::Error> {
        let level = self.down()?;
        while seq.next_element_seed(level)?.is_some() {}
        Ok(Plain)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Plain, A::Error> {
        let level = self.down()?;
        let (mut keys, mut count) = ([""; MAX_KEYS], 0);
        // A key that is borrowed has no escapes: two that differ are two keys.
        while let Some(key) = map.next_key::<&str>()? {
            if count == MAX_KEYS || keys[..count].contains(&key) {
                return Err(A::Error::custom("a key twice, or many"));
            }
            keys[count] = key;
            count += 1;
            map.next_value_seed(level)?;
        }
        Ok(Plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(json: &str) -> Option<Box<RawValue>> {
        RawValue::from_string(json.to_owned()).ok()
    }

    fn as_written(json: &str) -> Option<Info> {
        Info::as_written(&raw(json)?)
    }

    #[test]
    fn what_is_plain_is_seen_at_once() {
        for (json, plain) in [
            (r#"{"a": 1, "b": {"a": [true, -0.5, "x: y"]}, "c" : {"a": null}}"#, true),
            (r#"["a", "a", {"a": "a"}, {"a": "a"}]"#, true),
            (r#"{"a": {"b": 1, "b": 2}}"#, false),
            (r#"{"a": [1], "b": {}, "a": 2}"#, false),
            (r#"{"a" :1,"a" :2}"#, false),
            (r#"{"a": "\u0041"}"#, false),
            ("1e5", false),
            (&"9".repeat(400), false),
            (&"[".repeat(MAX_DEPTH + 1), false),
        ] {
            assert_eq!(is_plain(json), plain, "{json}");
        }
    }

    #[test]
    fn what_a_value_would_change_is_not_taken_as_written() {
        for json in [
            "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"\\u0061\":2}",
            "{\"a\":[{\"b\":1,\"b\":1}]}",
            "{\"a\":\n1}",
            "{\"a\":\t1}",
            "1e999",
            "\"\\ud800\"",
            &format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1)),
        ] {
            assert!(as_written(json).is_none(), "{json}");
        }
        let many: Vec<String> = (0..=MAX_KEYS).map(|n| format!("\"k{n}\":1")).collect();
        assert!(as_written(&format!("{{{}}}", many.join(","))).is_none());
        assert!(as_written(&format!("{{{}}}", many[1..].join(","))).is_some());
    }

    #[test]
    fn what_is_taken_as_written_stays_so() {
        for json in [
            r#"{"z": 1.50, "a": [1e2, -0.0, true, null, "\u00e9\ud83d\ude00"]}"#,
            "[]",
            "\"x\"",
            "12345678901234567890123",
        ] {
            let info = as_written(json).unwrap();
            assert_eq!(info.json(), json);
            assert_eq!(*info.value(), serde_json::from_str::<Value>(json).unwrap());
            assert_eq!(info, Info::from(info.value().clone()));
            assert_eq!(serde_json::to_string(&info).unwrap(), json);
        }
    }

    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| n.to_string()),
            any::<i64>().prop_map(|n| n.to_string()),
            "-?[0-9]{1,30}(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
            "\"([a-zé \\\\]|\\\\u[0-9a-fA-F]{4}|\\\\n){0,8}\"",
            ".*".prop_map(|text| serde_json::to_string(&text).unwrap()),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let key = prop_oneof!["\"[ab]\"", "\"\\\\u006[1-3]\"", "\"[a-z]{0,6}\""];
            let space = || "[ \n\t]{0,2}";
            prop_oneof![
                proptest::collection::vec((space(), inner.clone()), 0..6).prop_map(|items| {
                    let items: Vec<String> = items.into_iter().map(|(space, item)| format!("{space}{item}")).collect();
                    format!("[{}]", items.join(","))
                }),
                proptest::collection::vec((key, space(), inner), 0..6).prop_map(|fields| {
                    let fields: Vec<String> =
                        fields.into_iter().map(|(key, space, item)| format!("{key}:{space}{item}")).collect();
                    format!("{{{}}}", fields.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_taken_as_written_is_what_a_value_would_be(json in any_json()) {
            prop_assert!(!raw(&json).is_some_and(|raw| is_plain(raw.get())) || serde_json::from_str::<Plain>(json.trim()).is_ok());
            if let Some(info) = as_written(&json) {
                let value: Value = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(info.value(), &value);
                prop_assert!(!info.json().contains(['\n', '\t']));
            }
        }
    }
}

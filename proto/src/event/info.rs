//! `info`: free form, so it is kept as it was written; few ever look into it.

use std::{fmt, ops::Deref, sync::OnceLock};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
    ser::Error as _,
};
use serde_json::{Value, value::RawValue};

use super::cursor::{MAX_DEPTH, MAX_KEYS, SERDES_OWN};

/// What an event says beyond its known fields. Its JSON is one line, and no object in it has a key twice.
#[derive(Clone)]
pub struct Info {
    json: Box<str>,
    value: OnceLock<Box<Value>>,
}

impl Info {
    /// Its JSON, on one line.
    pub fn json(&self) -> &str {
        &self.json
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

    /// What a [`Cursor`](super::cursor::Cursor) found to be plain.
    pub(super) fn plain(json: &str) -> Self {
        Self { json: json.into(), value: OnceLock::new() }
    }

    /// Of JSON, what was written, if it needs no change: everything that a [`Value`] would refuse or change is left to that.
    pub(super) fn as_written(json: &str) -> Option<Self> {
        let one_line = !json.bytes().fold(false, |found, byte| found | (byte < b' '));
        (one_line && serde_json::from_str::<Plain>(json).is_ok()).then(|| Self::plain(json))
    }
}

impl From<Value> for Info {
    fn from(value: Value) -> Self {
        // Maps with string keys, strings, numbers and booleans: this cannot fail.
        let json = serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned());
        Self { json: json.into(), value: OnceLock::from(Box::new(value)) }
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
        let raw: &RawValue = serde_json::from_str(&self.json).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
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
            if count == MAX_KEYS || keys[..count].contains(&key) || key.starts_with(SERDES_OWN) {
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
    use super::{super::cursor::Cursor, *};
    use proptest::prelude::*;

    fn raw(json: &str) -> Option<Box<RawValue>> {
        RawValue::from_string(json.to_owned()).ok()
    }

    fn as_written(json: &str) -> Option<Info> {
        Info::as_written(raw(json)?.get())
    }

    #[test]
    fn what_a_value_would_change_is_not_taken_as_written() {
        for json in [
            "{\"a\":1,\"a\":2}",
            "{\"$serde_json::private::RawValue\":\"{}\"}",
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
            prop_assert!(Cursor::new(&json).plain_value().is_none() || serde_json::from_str::<Plain>(json.trim()).is_ok());
            if let Some(info) = as_written(&json) {
                let value: Value = serde_json::from_str(&json).unwrap();
                prop_assert_eq!(info.value(), &value);
                prop_assert!(!info.json().contains(['\n', '\t']));
            }
        }
    }
}

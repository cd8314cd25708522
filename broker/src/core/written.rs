//! Event and record as jobs carry them: shared by all jobs of an event, and their JSON is written once.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, OnceLock},
};

use emote_proto::Event;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Value, value::RawValue};

/// An event that many jobs are about.
#[derive(Debug, Clone)]
pub struct SharedEvent(Arc<Shared>);

#[derive(Debug, Clone)]
struct Shared {
    event: Event,
    json: OnceLock<String>,
}

impl SharedEvent {
    /// Its JSON.
    pub fn json(&self) -> &str {
        self.0.json.get_or_init(|| self.0.event.to_text())
    }
}

impl From<Event> for SharedEvent {
    fn from(event: Event) -> Self {
        Self(Arc::new(Shared { event, json: OnceLock::new() }))
    }
}

impl Deref for SharedEvent {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.0.event
    }
}

impl DerefMut for SharedEvent {
    fn deref_mut(&mut self) -> &mut Event {
        let shared = Arc::make_mut(&mut self.0);
        shared.json = OnceLock::new();
        &mut shared.event
    }
}

impl PartialEq for SharedEvent {
    fn eq(&self, other: &Self) -> bool {
        self.0.event == other.0.event
    }
}

impl Serialize for SharedEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(self.json())?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let event = Event::parse(json.get().as_bytes()).map_err(D::Error::custom)?;
        Ok(Self::from(event))
    }
}

/// A node's record as it was when the event was folded.
#[derive(Debug, Clone)]
pub struct Record {
    json: Arc<String>,
    value: OnceLock<Arc<Value>>,
}

/// Room for the record of most nodes.
const ROOM: usize = 1024;

impl Record {
    /// Of what writes itself as the record.
    pub fn of(record: &impl Serialize) -> Self {
        Self { json: written(record).into(), value: OnceLock::new() }
    }

    /// As it is written.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// As a value.
    pub fn value(&self) -> &Value {
        self.value.get_or_init(|| Arc::new(serde_json::from_str(&self.json).unwrap_or_default()))
    }

    /// One of its fields.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.value().get(key)
    }
}

impl From<Value> for Record {
    fn from(value: Value) -> Self {
        Self { json: written(&value).into(), value: OnceLock::from(Arc::new(value)) }
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json || self.value() == other.value()
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        raw(&self.json)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        // What a target is to read later must be readable.
        let value: Value = serde_json::from_str(json.get()).map_err(D::Error::custom)?;
        Ok(Self { json: Box::<str>::from(json).into_string().into(), value: OnceLock::from(Arc::new(value)) })
    }
}

/// Maps with string keys, strings, numbers and booleans: nothing of ours can fail to be written.
fn written(value: &impl Serialize) -> String {
    let mut json = Vec::with_capacity(ROOM);
    match serde_json::to_writer(&mut json, value) {
        Ok(()) => String::from_utf8(json).unwrap_or_default(),
        Err(_) => "null".to_owned(),
    }
}

fn raw<E: serde::ser::Error>(json: &str) -> Result<&RawValue, E> {
    serde_json::from_str(json).map_err(E::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EVENT: &str = r#"{"id":"a64c29d5-87af-5257-b215-b904e4a840d8","time":"2026-11-23T06:41:00.000Z","source":"jamf","scope":"device","action":"enroll","trust":"verified","info":{"n":1.50}}"#;

    #[test]
    fn a_shared_event_is_written_as_the_event_and_read_back() {
        let event: SharedEvent = serde_json::from_str(EVENT).unwrap();
        assert_eq!(serde_json::to_vec(&event).unwrap(), event.to_json());
        let other = event.clone();
        let mut changed = event.clone();
        changed.log = Some(true);
        assert!(changed.json().contains(r#""log":true"#), "what was written before is not kept");
        assert_eq!((other.log, changed != other), (None, true));
        assert!(serde_json::from_str::<SharedEvent>(r#"{"scope":"x"}"#).is_err());
    }

    #[test]
    fn a_record_is_what_it_was_made_of() {
        let record = Record::from(json!({"serial": "C02", "asset": {"name": "x"}}));
        let json = serde_json::to_string(&record).unwrap();
        let read: Record = serde_json::from_str(&json).unwrap();
        assert_eq!(read, record);
        assert_eq!(read.get("serial"), Some(&json!("C02")));
        assert_eq!(serde_json::from_value::<Record>(record.value().clone()).unwrap(), record);
        assert_eq!(serde_json::to_value(&record).unwrap(), *record.value());
    }
}

//! Reading JSON, with every mistake at its field.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

use super::{Cause, Device, Draft, Event, EventError, Info, Trust, User, fast};
use crate::{limits, serial::spelled};

impl Draft {
    /// Reads the bytes of a message.
    pub fn parse(json: &[u8]) -> Result<Self, EventError> {
        Self::parse_within(json, limits::MAX_EVENT)
    }

    fn parse_within(json: &[u8], max: usize) -> Result<Self, EventError> {
        if json.len() > max {
            return Err(EventError::TooLarge { length: json.len(), max });
        }
        if let Some(draft) = fast::draft(json) {
            return Ok(draft);
        }
        let value: Value = serde_json::from_slice(json).map_err(|error| EventError::NotJson(error.to_string()))?;
        Self::from_value(value)
    }

    /// Reads a JSON value.
    pub fn from_value(value: Value) -> Result<Self, EventError> {
        let Value::Object(mut map) = value else { return Err(EventError::NotObject(kind(&value))) };
        let scope = required(&mut map, "scope")?;
        let action = required(&mut map, "action")?;
        Ok(Self {
            id: parsed(&mut map, "id")?,
            time: parsed(&mut map, "time")?,
            source: parsed(&mut map, "source")?,
            scope,
            action,
            device: object(&mut map, "device")?.map(Device::from_map).transpose()?,
            user: object(&mut map, "user")?.map(User::from_map).transpose()?,
            info: map.remove("info").filter(|info| !info.is_null()).map(Info::from),
            communicate: boolean(&mut map, "communicate")?,
            log: boolean(&mut map, "log")?,
            trust: trust(&mut map)?,
            cause: cause(&mut map)?,
            other: map,
        })
    }
}

impl Event {
    /// Reads an event that was complete when written, such as the one inside a job.
    pub fn parse(json: &[u8]) -> Result<Self, EventError> {
        let draft = Draft::parse_within(json, limits::MAX_COMPLETED)?;
        Ok(Self {
            id: draft.id.ok_or(EventError::Missing("id"))?,
            time: draft.time.ok_or(EventError::Missing("time"))?,
            source: draft.source.ok_or(EventError::Missing("source"))?,
            scope: draft.scope,
            action: draft.action,
            device: draft.device,
            user: draft.user,
            info: draft.info,
            communicate: draft.communicate,
            log: draft.log,
            trust: draft.trust.unwrap_or_default(),
            cause: draft.cause,
            other: draft.other,
        })
    }
}

impl Device {
    fn from_map(mut map: Map<String, Value>) -> Result<Self, EventError> {
        Ok(Self {
            uuid: text(&mut map, "uuid", "device.uuid")?.map(spelled),
            udid: text(&mut map, "udid", "device.udid")?,
            hardware_uuid: text(&mut map, "hardware_uuid", "device.hardware_uuid")?,
            name: text(&mut map, "name", "device.name")?,
            model: text(&mut map, "model", "device.model")?,
            os_version: text(&mut map, "os_version", "device.os_version")?,
            other: map,
        })
    }
}

impl User {
    fn from_map(mut map: Map<String, Value>) -> Result<Self, EventError> {
        Ok(Self { id: text(&mut map, "id", "user.id")?, name: text(&mut map, "name", "user.name")?, other: map })
    }
}

impl<'de> Deserialize<'de> for Draft {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let json = serde_json::to_vec(&value).map_err(D::Error::custom)?;
        Self::parse(&json).map_err(D::Error::custom)
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Takes a string field; null and the empty string count as absent, as vendors send both for "unknown".
fn text(map: &mut Map<String, Value>, key: &str, field: &'static str) -> Result<Option<String>, EventError> {
    match map.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(EventError::Field { field, problem: format!("expected a string, found {}", kind(&other)) }),
    }
}

fn parsed<T>(map: &mut Map<String, Value>, key: &'static str) -> Result<Option<T>, EventError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let Some(text) = text(map, key, key)? else { return Ok(None) };
    match text.parse() {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(EventError::Field { field: key, problem: error.to_string() }),
    }
}

fn required<T>(map: &mut Map<String, Value>, key: &'static str) -> Result<T, EventError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    parsed(map, key)?.ok_or(EventError::Missing(key))
}

fn boolean(map: &mut Map<String, Value>, key: &'static str) -> Result<Option<bool>, EventError> {
    match map.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(other) => {
            Err(EventError::Field { field: key, problem: format!("expected true or false, found {}", kind(&other)) })
        }
    }
}

fn object(map: &mut Map<String, Value>, key: &'static str) -> Result<Option<Map<String, Value>>, EventError> {
    match map.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(other) => {
            Err(EventError::Field { field: key, problem: format!("expected an object, found {}", kind(&other)) })
        }
    }
}

fn trust(map: &mut Map<String, Value>) -> Result<Option<Trust>, EventError> {
    let Some(word) = text(map, "trust", "trust")? else { return Ok(None) };
    let problem = || format!("{word:?} is none of verified, authenticated, unverified");
    Trust::parse(&word).map(Some).ok_or_else(|| EventError::Field { field: "trust", problem: problem() })
}

fn cause(map: &mut Map<String, Value>) -> Result<Option<Cause>, EventError> {
    let Some(cause) = map.remove("cause").filter(|cause| !cause.is_null()) else { return Ok(None) };
    let problem = |error: serde_json::Error| EventError::Field { field: "cause", problem: error.to_string() };
    serde_json::from_value(cause).map(Some).map_err(problem)
}

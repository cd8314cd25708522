//! What is told of a source itself, under its own name: `events.<source>.-.source.<action>`.

use bytes::Bytes;
use emote_proto::{Draft, EventError, EventId, Name, Subject, Time, Trust};
use serde_json::{Value, json};

/// The subject of such an event.
pub(crate) fn subject(source: &Name, action: &str) -> Result<Subject, EventError> {
    draft(action, Value::Null)?.subject(source.clone())
}

/// The event itself. It is believed: Emote tells it.
pub(crate) fn event(
    source: &Name,
    action: &str,
    id: EventId,
    info: Value,
    now: Time,
) -> Result<(Subject, EventId, Bytes), EventError> {
    let mut draft = draft(action, info)?;
    (draft.id, draft.time, draft.source) = (Some(id), Some(now), Some(source.clone()));
    draft.trust = Some(Trust::Verified);
    Ok((draft.subject(source.clone())?, id, draft.to_json().into()))
}

/// The same of what is told once at a time: at another time it is another event.
pub(crate) fn event_of_now(
    source: &Name,
    action: &str,
    info: Value,
    now: Time,
) -> Result<(Subject, EventId, Bytes), EventError> {
    let id = EventId::derived(&["source", source.as_str(), action, &now.to_string(), &info.to_string()]);
    event(source, action, id, info, now)
}

fn draft(action: &str, info: Value) -> Result<Draft, EventError> {
    let mut draft = json!({"scope": "source", "action": action});
    if let (Value::Object(draft), false) = (&mut draft, info.is_null()) {
        draft.insert("info".to_owned(), info);
    }
    Draft::from_value(draft)
}

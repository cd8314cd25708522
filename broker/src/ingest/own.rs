//! What a broker itself has to tell of a source, under the source's name: how fetching is doing, what was dropped.

use emote_proto::{Draft, EventError, EventId, Name, Subject, Time, Trust};
use serde_json::{Value, json};

/// The event `source.<action>` of `source`.
pub(crate) fn event(
    source: &Name,
    action: &str,
    info: Value,
    now: Time,
) -> Result<(Subject, EventId, Vec<u8>), EventError> {
    // Told once at a time, and another time is another event.
    let id = EventId::derived(&["source", source.as_str(), action, &now.to_string(), &info.to_string()]);
    let mut draft = draft(action, info)?;
    (draft.id, draft.time, draft.source) = (Some(id), Some(now), Some(source.clone()));
    draft.trust = Some(Trust::Verified);
    Ok((draft.subject(source.clone())?, id, draft.to_json()))
}

/// The subject of such an event.
pub(crate) fn subject(source: &Name, action: &str) -> Result<Subject, EventError> {
    draft(action, Value::Null)?.subject(source.clone())
}

fn draft(action: &str, info: Value) -> Result<Draft, EventError> {
    let mut draft = json!({"scope": "source", "action": action});
    if let (Value::Object(draft), false) = (&mut draft, info.is_null()) {
        draft.insert("info".to_owned(), info);
    }
    Draft::from_value(draft)
}

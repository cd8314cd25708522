//! An event as another Emote is told it: under its own id, as one of the source that this Emote is known by there. In
//! `origin` stands which source it was of here, and the names under which it was told so far.

use emote_proto::{Event, Name};
use serde_json::{Value, json};

use crate::bus::Message;

const ORIGIN: &str = "origin";
/// The most Emotes that an event goes through.
const MAX_HOPS: usize = 4;

/// The message that tells it, or why it is not told.
pub(super) fn event(event: &Event, source: &Name) -> Result<Message, String> {
    if event.cause.is_some() {
        return Err("effects are each Emote's own: two that told each other theirs would never end".to_owned());
    }
    let mut path: Vec<String> = match event.other.get(ORIGIN).and_then(|origin| origin.get("path")) {
        None => Vec::new(),
        Some(path) => serde_json::from_value(path.clone()).map_err(|_| format!("its {ORIGIN} is not as it must be"))?,
    };
    if path.iter().any(|before| before == source.as_str()) {
        return Err(format!("it came from here: it was told as one of {source} already"));
    }
    if path.len() >= MAX_HOPS {
        return Err(format!("it went through {MAX_HOPS} Emotes already"));
    }
    path.push(source.to_string());
    let mut told = event.clone();
    let was = std::mem::replace(&mut told.source, source.clone());
    let first = event.other.get(ORIGIN).and_then(|origin| origin.get("source")).cloned();
    let first = first.unwrap_or_else(|| Value::from(was.to_string()));
    told.other.insert(ORIGIN.to_owned(), json!({"source": first, "path": path}));
    let subject = told.subject().map_err(|error| error.to_string())?.to_string();
    let body = told.to_json();
    if body.len() > emote_proto::limits::MAX_EVENT {
        return Err(format!("it has {} bytes, and an event may have {}", body.len(), emote_proto::limits::MAX_EVENT));
    }
    Ok(Message { subject, id: event.id.to_string(), headers: Vec::new(), body })
}

//! Orders to play events again. Each carries its event; what was played again under the same name before is left out.

use std::collections::HashSet;

use bytes::Bytes;
use emote_proto::{EventId, Filter, Name, Subject, Time, Token, limits, source};
use serde_json::{Value, json};

use super::Signature;
use crate::{
    archive::Kept,
    bus::{Bus, TailStart},
    core::{REPLAYED, Terms, replay_info, replay_of, replayed_id},
};

/// Orders that are sent before their answers are waited for.
pub(crate) const AT_ONCE: usize = 100;

/// An event that is to be played again, as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Original {
    pub(crate) id: EventId,
    pub(crate) entry: Kept,
}

/// The order that plays an event again, ready to be published; `None` where it would be too large.
pub(crate) fn order(
    signature: &Signature,
    terms: &Terms,
    original: &Original,
) -> anyhow::Result<Option<(Subject, EventId, Bytes)>> {
    let mut info = replay_info(terms, original.id, &original.entry.entry())?;
    if let (Value::Object(info), Some(reason)) = (&mut info, &signature.reason) {
        info.insert("reason".to_owned(), json!(reason));
    }
    let (scope, action) = REPLAYED.split_once('.').unwrap_or_default();
    let id = replayed_id(&terms.id, original.id);
    let now = Time::from(jiff::Timestamp::now());
    let event =
        json!({"id": id, "time": now, "scope": scope, "action": action, "user": {"id": signature.who}, "info": info});
    let body = serde_json::to_vec(&event)?;
    let subject = Subject {
        source: Name::new(source::ADMIN)?,
        node: Some(signature.who.clone()),
        scope: Token::new(scope)?,
        action: Token::new(action)?,
    };
    Ok((body.len() <= limits::MAX_EVENT).then_some((subject, id, body.into())))
}

/// The events that the replay of this name has played again already, as far as the stream goes back.
pub(crate) async fn already(bus: &Bus, name: &str) -> anyhow::Result<HashSet<EventId>> {
    let (scope, action) = REPLAYED.split_once('.').unwrap_or_default();
    let filter = Filter {
        source: Some(Name::new(source::ADMIN)?),
        node: None,
        scope: Some(Token::new(scope)?),
        action: Some(Token::new(action)?),
    };
    let mut tail = bus.tail(vec![filter.to_string()], TailStart::First).await?;
    let mut found = HashSet::new();
    while let Some(message) = tail.read_there().await? {
        found.extend(replay_of(&message.payload).filter(|(replay, _)| replay == name).map(|(_, original)| original));
    }
    Ok(found)
}

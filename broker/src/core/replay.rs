//! Replays: orders of administrators that carry an event which happened before. The entry of such an order is folded as the
//! event that it carries, under an id that is derived from the replay's name and the event's own: the same replay of the same
//! event is one event, however often it is ordered.
//!
//! What is carried is believed as it was in its own place, and at most as whoever orders it. What Emote itself reported, and
//! what people ordered, is not played again: rules that act report again. Who carries the mark of a replay may do less for it
//! and never more, along the whole chain of effects.

use emote_proto::{Draft, Event, EventId, Name, Receipt, Replay, Subject, Time, source};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

use super::{Believed, Entry, Rejection};

/// What the order is called.
pub const REPLAYED: &str = "event.replayed";
/// Longest name of a replay.
pub const MAX_NAME: usize = 100;
/// Rules that a replay may name.
const MAX_RULES: usize = 200;

/// What a replay may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Its name: the same name and event are the same replayed event.
    pub id: String,
    /// Only these rules act; none for all.
    pub rules: Vec<Name>,
    /// Whether destructive targets act.
    pub destructive: bool,
}

/// The `info` of an order.
#[derive(Serialize, Deserialize)]
struct Order {
    replay: String,
    original: EventId,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<Name>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    destructive: bool,
    entry: Place,
    event: Box<RawValue>,
}

/// Where the event was found.
#[derive(Serialize, Deserialize)]
struct Place {
    sequence: u64,
    received: Time,
    subject: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
}

/// An event, and the replay that it, or what set it off, belongs to.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) event: Event,
    pub(super) replay: Option<Replay>,
}

/// Whether events of this source are played again.
pub fn may_be_replayed(source: &str) -> bool {
    source != source::ADMIN && source != source::BROKER
}

/// The id of an event that is played again.
pub fn replayed_id(replay: &str, original: EventId) -> EventId {
    EventId::derived(&["replay", replay, &original.to_string()])
}

/// The `info` of the order that plays the event of `entry` again.
pub fn replay_info(terms: &Terms, original: EventId, entry: &Entry<'_>) -> Result<Value, serde_json::Error> {
    let place = Place {
        sequence: entry.sequence,
        received: entry.received,
        subject: entry.subject.to_owned(),
        message_id: entry.message_id.map(str::to_owned),
    };
    let event: &RawValue = serde_json::from_slice(entry.payload)?;
    serde_json::to_value(Order {
        replay: terms.id.clone(),
        original,
        rules: terms.rules.clone(),
        destructive: terms.destructive,
        entry: place,
        event: event.to_owned(),
    })
}

/// The replay that an order under this subject with this body belongs to, and the id of the event; for those who look for what
/// was played again already.
pub fn replay_of(body: &[u8]) -> Option<(String, EventId)> {
    #[derive(Deserialize)]
    struct Body {
        info: Named,
    }
    #[derive(Deserialize)]
    struct Named {
        replay: String,
        original: EventId,
    }
    let Body { info: Named { replay, original } } = serde_json::from_slice(body).ok()?;
    Some((replay, original))
}

/// The event that an entry stands for: what it carries, where it is a replay.
pub(super) fn open(event: Event, entry: &Entry<'_>, believed: &Believed) -> Result<Opened, Rejection> {
    let words = (event.source.as_str(), event.scope.as_str(), event.action.as_str());
    if words == (source::ADMIN, "event", "replayed") {
        return carried(&event, entry, believed).map_err(Rejection::Replay);
    }
    let replay = of_the_brokers_own(&event);
    Ok(Opened { event, replay })
}

/// What Emote reports of a replay bears its mark: in the chain, or where it tells of the replayed event itself.
fn of_the_brokers_own(event: &Event) -> Option<Replay> {
    if event.source.as_str() != source::BROKER {
        return None;
    }
    match &event.cause {
        Some(cause) => cause.replay.clone(),
        None => serde_json::from_value(event.info_at(&["replay"])?.clone()).ok(),
    }
}

fn carried(order: &Event, entry: &Entry<'_>, believed: &Believed) -> Result<Opened, String> {
    let info = order.info.as_ref().ok_or("it says nothing")?;
    let carried: Order = serde_json::from_str(info.json()).map_err(|error| format!("its info: {error}"))?;
    if carried.replay.is_empty() || carried.replay.len() > MAX_NAME || carried.rules.len() > MAX_RULES {
        return Err(format!("its name has 1 to {MAX_NAME} bytes, and it names {MAX_RULES} rules at most"));
    }
    if order.id != replayed_id(&carried.replay, carried.original) {
        return Err("its id is not the one that follows from its name and the event".to_owned());
    }
    let Place { sequence, received, subject, message_id } = carried.entry;
    let subject: Subject = subject.parse().map_err(|error| format!("its event: {error}"))?;
    if !may_be_replayed(subject.source.as_str()) {
        return Err(format!("events of {} are not played again", subject.source));
    }
    let draft = Draft::parse(carried.event.get().as_bytes()).map_err(|error| format!("its event: {error}"))?;
    let trust = believed.of(subject.source.as_str(), &draft).min(order.trust);
    let receipt = Receipt { subject: &subject, message_id: message_id.as_deref(), sequence, received };
    let mut event = draft.receive(&receipt, trust).map_err(|error| format!("its event: {error}"))?;
    if event.id != carried.original {
        return Err("the event is not the one that it names".to_owned());
    }
    let replay = Replay {
        id: carried.replay,
        original: carried.original,
        time: entry.received,
        rules: carried.rules,
        destructive: carried.destructive,
    };
    event.id = order.id;
    let mark = json!({"id": replay.id, "original": replay.original, "time": replay.time});
    let mut info = match event.info.take().map(Value::from) {
        Some(Value::Object(info)) => info,
        None | Some(Value::Null) => serde_json::Map::new(),
        Some(other) => serde_json::Map::from_iter([("value".to_owned(), other)]),
    };
    info.insert("replay".to_owned(), mark);
    event.info = Some(Value::Object(info).into());
    Ok(Opened { event, replay: Some(replay) })
}

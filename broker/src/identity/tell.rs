//! Events that tell what became of agents' credentials: `events.broker.<serial>.agent.<action>`. Their ids are derived, so
//! that telling again is telling once.

use emote_proto::{Cause, Device, Event, EventId, Name, Serial, Time, Token, Trust, enroll::UserKey, source};
use serde_json::{Map, Value, json};

use super::record::Issued;
use crate::bus::{Bus, BusError};

/// What is told.
#[derive(Debug, Clone)]
pub(super) struct Tidings {
    /// Of which device; none where it is a token.
    pub(super) serial: Option<Serial>,
    /// The action.
    pub(super) action: &'static str,
    /// What it is derived from, beside serial number and action.
    pub(super) known_by: Vec<String>,
    /// When it happened.
    pub(super) time: Time,
    /// The rest.
    pub(super) info: Value,
    /// The event that it follows from.
    pub(super) cause: Option<EventId>,
}

impl Tidings {
    pub(super) fn of(serial: &Serial, action: &'static str, time: Time, info: Value) -> Self {
        Self { serial: Some(serial.clone()), action, known_by: Vec::new(), time, info, cause: None }
    }

    /// What else it is derived from.
    pub(super) fn known_by(self, parts: &[&str]) -> Self {
        Self { known_by: parts.iter().map(|part| (*part).to_owned()).collect(), ..self }
    }

    pub(super) fn because_of(self, cause: EventId) -> Self {
        Self { cause: Some(cause), ..self }
    }

    fn id(&self) -> EventId {
        let serial = self.serial.as_ref().map_or("-", Serial::as_str);
        let mut parts = vec!["identity", serial, self.action];
        parts.extend(self.known_by.iter().map(String::as_str));
        EventId::derived(&parts)
    }

    fn event(&self) -> Result<Event, BusError> {
        let wrong = |error: &dyn std::fmt::Display| BusError::Refused { doing: "telling", reason: error.to_string() };
        let device = self.serial.as_ref();
        let device = device.map(|serial| Device { uuid: Some(serial.to_string()), ..Device::default() });
        Ok(Event {
            id: self.id(),
            time: self.time,
            source: Name::new(source::BROKER).map_err(|error| wrong(&error))?,
            scope: Token::new("agent").map_err(|error| wrong(&error))?,
            action: Token::new(self.action).map_err(|error| wrong(&error))?,
            device,
            user: None,
            info: Some(self.info.clone().into()),
            communicate: None,
            log: None,
            trust: Trust::Verified,
            cause: self.cause.map(|event| cause(event, self.action)),
            other: Map::new(),
        })
    }

    /// Stores the event, unless it is the last one under its subject already. (Beyond that the stream takes an id once in
    /// two minutes, and the core once in two days.)
    pub(super) async fn tell(&self, bus: &Bus) -> Result<EventId, BusError> {
        let event = self.event()?;
        let subject =
            event.subject().map_err(|error| BusError::Refused { doing: "telling", reason: error.to_string() })?;
        let id = event.id;
        if bus.last_event_id(&subject.to_string()).await?.is_some_and(|last| last == id.to_string()) {
            return Ok(id);
        }
        bus.publish_events(vec![(subject, id, event.to_json().into())]).await?;
        Ok(id)
    }
}

fn cause(event: EventId, action: &str) -> Cause {
    let (rule, target) = ("identity".to_owned(), action.to_owned());
    Cause {
        event,
        rule,
        target,
        root: event,
        depth: 1,
        chain: Vec::new(),
        job: None,
        trust: Some(Trust::Verified),
        replay: None,
    }
}

/// A key as events have it.
pub(super) fn key_info(key: &UserKey) -> Value {
    json!({"key": key, "fingerprint": key.fingerprint()})
}

/// A key with its credential as events have it.
pub(super) fn issued_info(issued: &Issued) -> Value {
    let mut info = key_info(&issued.key);
    info["expires"] = json!(issued.expires);
    info["agent"] = json!(issued.agent);
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_tidings_are_the_same_event_and_others_are_not() {
        let serial = Serial::new("C02").unwrap();
        let at = Time::from_millis(0).unwrap();
        let of = |parts: &[&str]| Tidings::of(&serial, "enrolled", at, json!({})).known_by(parts);
        let event = of(&["a"]).event().unwrap();
        assert_eq!(event, of(&["a"]).event().unwrap());
        assert_ne!(event.id, of(&["b"]).id());
        assert_eq!(event.subject().unwrap().to_string(), "events.broker.C02.agent.enrolled");
        let nobody = Tidings { serial: None, ..of(&[]) };
        assert_eq!(nobody.event().unwrap().subject().unwrap().to_string(), "events.broker.-.agent.enrolled");
    }
}

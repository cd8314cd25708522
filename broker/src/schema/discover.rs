//! The schemas that events have, as they come: `schemas: {discover: true}` in `emote.yaml`.
//!
//! The broker that leads looks at some events of each kind (`<source>.<scope>.<action>`), a few a half-minute, and keeps what it
//! saw in the bucket `emote-schemas`, a [`Record`] a kind. Where the schema that this gives differs from the last one, it
//! is the next version, with what changed and for whom that breaks, and an event `events.broker.-.schema.discovered` tells
//! of it, so that rules can. The core is not asked and knows nothing of it: what is discovered is a view of the log, and
//! losing it loses nothing but the view. It does not lie in the log itself because it must outlive what the log keeps.
//!
//! Likewise, events of the sources that `report` names, which come by NATS and so pass no source's map, are held against
//! the vocabulary.

mod work;

use emote_proto::{Draft, EventError, EventId, Name, Subject, Time, Trust, source};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use work::Discovery;

use super::{
    compat::{self, Change, Compatibility},
    events::Verdict,
    infer::Seen,
};

/// Versions of a schema that are kept.
const MAX_VERSIONS: usize = 20;
/// Events before there is a first version.
const FEW: u64 = 3;
/// Largest record, in bytes of JSON: what a NATS server takes in one message is more.
const MAX_RECORD: usize = 384 * 1024;
/// Changes that the event of a version names.
const MAX_CHANGES: usize = 50;
/// Largest schema that an event has in it, in bytes.
const MAX_SCHEMA: usize = 128 * 1024;

/// What is discovered, and of whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaSettings {
    /// Whether schemas are discovered.
    pub discover: bool,
    /// Sources that come by NATS whose events are held against the vocabulary.
    pub report: Vec<Name>,
}

/// What is known of the events of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// `<source>.<scope>.<action>`.
    pub name: String,
    /// What was seen of them.
    pub seen: Seen,
    /// The schemas that this gave, the oldest first.
    pub versions: Vec<Version>,
}

/// A schema that events had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// From 1.
    pub version: u32,
    /// When it was found.
    pub since: Time,
    /// How many events had been seen by then.
    pub events: u64,
    /// Against the version before it.
    pub compatibility: Compatibility,
    /// Likewise, field by field.
    pub changes: Vec<Change>,
    /// JSON Schema 2020-12.
    pub schema: Value,
}

/// Why a record is not gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the schema of {bytes} bytes is larger than {MAX_RECORD}: its events are too various to be described")]
pub struct TooLarge {
    bytes: usize,
}

impl Record {
    /// Of events that were never seen.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), seen: Seen::default(), versions: Vec::new() }
    }

    /// Takes note of what was seen more; the next version, if that is one.
    pub fn note(&mut self, more: Seen, now: Time) -> Option<&Version> {
        self.seen.merge(more);
        if self.seen.count < FEW {
            return None;
        }
        let mut schema = self.seen.schema();
        schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        schema["title"] = self.name.as_str().into();
        let last = self.versions.last();
        if last.is_some_and(|last| last.schema == schema) {
            return None;
        }
        let changes = last.map(|last| compat::changes(&last.schema, &schema)).unwrap_or_default();
        let compatibility = Compatibility::of(&changes);
        let version = last.map_or(1, |last| last.version.saturating_add(1));
        self.versions.push(Version { version, since: now, events: self.seen.count, compatibility, changes, schema });
        let over = self.versions.len().saturating_sub(MAX_VERSIONS);
        self.versions.drain(..over);
        self.versions.last()
    }

    /// Its JSON, if it is not too large to be kept.
    pub fn to_json(&mut self) -> Result<Vec<u8>, TooLarge> {
        loop {
            let json = serde_json::to_vec(self).unwrap_or_default();
            match json.len() {
                bytes if bytes <= MAX_RECORD => return Ok(json),
                // What came before is worth less than what is.
                _ if self.versions.len() > 1 => drop(self.versions.remove(0)),
                bytes => return Err(TooLarge { bytes }),
            }
        }
    }

    /// The version of this number; the last where none is named.
    pub fn version(&self, number: Option<u32>) -> Option<&Version> {
        match number {
            None => self.versions.last(),
            Some(number) => self.versions.iter().find(|version| version.version == number),
        }
    }
}

impl Version {
    /// The event that tells of it.
    pub fn event(&self, name: &str) -> Result<(Subject, EventId, Vec<u8>), EventError> {
        let changes: Vec<&Change> = self.changes.iter().take(MAX_CHANGES).collect();
        let schema = self.schema.to_string();
        let small = schema.len() <= MAX_SCHEMA;
        let info = json!({
            "name": name, "version": self.version, "compatibility": self.compatibility, "changes": changes,
            "schema": if small { self.schema.clone() } else { json!({"left_out": "emote schema show has it"}) },
        });
        // Not of when: what is told, and then not kept, is found again later.
        let id = EventId::derived(&["schema", name, &self.version.to_string(), &schema]);
        told("discovered", id, info, self.since)
    }
}

/// The event that tells of one which is not as its schema says. `event` is its id, and what it is about.
pub(super) fn violation(
    event: &emote_proto::Event,
    verdict: &Verdict,
) -> Result<(Subject, EventId, Vec<u8>), EventError> {
    let id = EventId::derived(&["schema", "violation", &event.id.to_string()]);
    let mut info = verdict.info(event.id, event.scope.as_str(), event.action.as_str());
    info["source"] = json!(event.source);
    let mut draft = draft("violation", id, info, event.time)?;
    (draft.device, draft.user) = (event.device.clone(), event.user.clone());
    let subject = draft.subject(broker()?)?;
    Ok((subject, id, draft.to_json()))
}

fn told(action: &str, id: EventId, info: Value, time: Time) -> Result<(Subject, EventId, Vec<u8>), EventError> {
    let draft = draft(action, id, info, time)?;
    Ok((draft.subject(broker()?)?, id, draft.to_json()))
}

fn draft(action: &str, id: EventId, info: Value, time: Time) -> Result<Draft, EventError> {
    let mut draft = Draft::from_value(json!({"scope": "schema", "action": action, "info": info}))?;
    (draft.id, draft.time, draft.source, draft.trust) = (Some(id), Some(time), Some(broker()?), Some(Trust::Verified));
    Ok(draft)
}

fn broker() -> Result<Name, EventError> {
    Name::new(source::BROKER).map_err(|error| EventError::Field { field: "source", problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::events::Vocabulary;

    fn seen(events: &[Value]) -> Seen {
        let mut seen = Seen::default();
        events.iter().for_each(|event| seen.add(event));
        seen
    }

    fn at(second: i64) -> Time {
        Time::from_millis(1_790_000_000_000 + second * 1000).unwrap()
    }

    #[test]
    fn another_schema_is_another_version_and_an_event() {
        let of = |info: Value| json!({"scope": "user", "action": "created", "info": info});
        let mut record = Record::new("hr.user.created");
        assert!(record.note(seen(&[of(json!({"n": 1})), of(json!({"n": 2}))]), at(0)).is_none(), "too few");
        let first = record.note(seen(&[of(json!({"n": 3}))]), at(1)).unwrap();
        assert_eq!((first.version, first.compatibility, first.events), (1, Compatibility::Same, 3));
        assert!(record.note(seen(&[of(json!({"n": 4}))]), at(2)).is_none(), "the same");
        let second = record.note(seen(&[of(json!({"n": "five", "x": true}))]), at(3)).unwrap().clone();
        assert_eq!((second.version, second.compatibility), (2, Compatibility::Backward));
        let lines: Vec<String> = second.changes.iter().map(|c| format!("{} {}", c.field, c.change)).collect();
        assert_eq!(lines, ["info.n was integer, is integer or string", "info.x is new, and may be missing"]);
        let kept: Record = serde_json::from_slice(&record.to_json().unwrap()).unwrap();
        assert_eq!(kept, record);
        assert_eq!(kept.version(Some(1)).unwrap().since, at(1));
        let (subject, id, body) = second.event(&record.name).unwrap();
        assert_eq!(subject.to_string(), "events.broker.-.schema.discovered");
        let again = Version { since: at(9), events: 99, ..second.clone() };
        assert_eq!(again.event(&record.name).unwrap().1, id, "found again it is the same event");
        let other = Version { schema: json!({"type": "object"}), ..second.clone() };
        assert_ne!(other.event(&record.name).unwrap().1, id);
        let event: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(Vocabulary::built_in().check(&event), None);
        assert_eq!(event["info"]["compatibility"], "backward");
    }

    #[test]
    fn records_are_bounded_whatever_is_seen() {
        let mut record = Record::new("hr.user.created");
        for n in 0..20 {
            let info: serde_json::Map<String, Value> = (0..90).map(|k| (format!("{k:0>180}"), json!(n))).collect();
            record.note(seen(&vec![json!({"info": {format!("a{n}"): info}}); 3]), at(n));
        }
        assert!(record.versions.len() <= MAX_VERSIONS);
        assert!(record.to_json().is_err(), "its latest version alone is too large: it is given up");
        assert_eq!(record.versions.len(), 1);
        let mut record = Record::new("hr.user.created");
        for n in 0..100 {
            record.note(seen(&vec![json!({"info": {format!("key{n}"): n}}); 3]), at(n));
        }
        assert!(record.to_json().is_ok_and(|json| json.len() <= MAX_RECORD));
    }
}

//! The event: what a source writes ([`Draft`]) and what it is once received ([`Event`]).
//!
//! A draft may be as small as `{"scope":"device","action":"enroll"}`; [`Draft::receive`] fills in the rest from where
//! the message was found (subject, stream position, stream time) and is a pure function, so that everyone who reads the
//! stream sees the same event. Keys this version does not know are kept and written again.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

use crate::{EventId, Name, NodeError, NodeKey, Subject, Time, Token, limits};

/// Why bytes are no event. Every text names the field and says what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not JSON at all.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// Larger than [`limits::MAX_EVENT`].
    #[error("{0} bytes: an event may have at most {max}", max = limits::MAX_EVENT)]
    TooLarge(usize),
    /// JSON, but no object.
    #[error("an event is a JSON object such as {{\"scope\":\"device\",\"action\":\"enroll\"}}, not {0}")]
    NotObject(&'static str),
    /// A required field is not there.
    #[error("the field {0:?} is missing")]
    Missing(&'static str),
    /// A field holds something else than it must.
    #[error("the field {field:?}: {problem}")]
    Field {
        /// Dotted path.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The body says another thing than the subject it was published under.
    #[error(
        "{field:?} is {body:?}, but the subject says {subject:?}: publish under the subject of what the event says"
    )]
    Conflict {
        /// Dotted path in the body.
        field: &'static str,
        /// What the body says.
        body: String,
        /// What the subject says.
        subject: String,
    },
}

/// How far the receiver could check who says it. Ordered: `Unverified < Authenticated < Verified`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Nothing was checked.
    #[default]
    Unverified,
    /// A shared credential was checked.
    Authenticated,
    /// A signature or a client certificate was checked.
    Verified,
}

impl Trust {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "unverified" => Some(Self::Unverified),
            "authenticated" => Some(Self::Authenticated),
            "verified" => Some(Self::Verified),
            _ => None,
        }
    }
}

/// The device an event is about. `uuid` is its serial number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Device {
    /// Serial number: the one key that MDM, agent and asset records share.
    pub uuid: Option<String>,
    /// The identifier the MDM knows it by.
    pub udid: Option<String>,
    /// IOPlatformUUID; on Apple silicon not the UDID.
    pub hardware_uuid: Option<String>,
    /// Computer name.
    pub name: Option<String>,
    /// Model identifier or name.
    pub model: Option<String>,
    /// For example `15.1`.
    pub os_version: Option<String>,
    /// Keys this version does not know.
    pub other: Map<String, Value>,
}

/// The person an event is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct User {
    /// UPN or e-mail address, lower case.
    pub id: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Keys this version does not know, such as the provider's own id.
    pub other: Map<String, Value>,
}

/// On a result event: what it is the effect of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// The event that the rule matched.
    pub event: EventId,
    /// The rule.
    pub rule: String,
    /// The target.
    pub target: String,
    /// The event at the start of the chain.
    pub root: EventId,
    /// Effects since the root; the first is 1.
    pub depth: u32,
    /// The rules from the root to here with the node each acted on, oldest first, this one included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<Link>,
    /// The job that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// One step of a chain of effects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The rule that acted.
    pub rule: String,
    /// On which node; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// An event as a source writes it: only scope and action are required.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Set by the source; derived on receipt when missing.
    pub id: Option<EventId>,
    /// When it happened at the source.
    pub time: Option<Time>,
    /// Who says it; must agree with the subject.
    pub source: Option<Name>,
    /// What kind of thing.
    pub scope: Token,
    /// What happened.
    pub action: Token,
    /// About which device.
    pub device: Option<Device>,
    /// About whom.
    pub user: Option<User>,
    /// Free form.
    pub info: Option<Value>,
    /// Whether people should be told.
    pub communicate: Option<bool>,
    /// Whether it should be logged.
    pub log: Option<bool>,
    /// What the writer says was checked; believed only where the writer is (see [`Receipt::trust`]).
    pub trust: Option<Trust>,
    /// The chain back, on result events.
    pub cause: Option<Cause>,
    /// Keys this version does not know.
    pub other: Map<String, Value>,
}

/// Where a message was found: what [`Draft::receive`] fills in from.
#[derive(Debug, Clone)]
pub struct Receipt<'a> {
    /// The message's subject, parsed.
    pub subject: &'a Subject,
    /// Its `Nats-Msg-Id`, if any.
    pub message_id: Option<&'a str>,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the stream stored it.
    pub received: Time,
}

/// An event, complete. What [`Draft::receive`] returns; its JSON is read back by [`Event::parse`].
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// See [`Draft::id`].
    pub id: EventId,
    /// See [`Draft::time`].
    pub time: Time,
    /// See [`Draft::source`].
    pub source: Name,
    /// See [`Draft::scope`].
    pub scope: Token,
    /// See [`Draft::action`].
    pub action: Token,
    /// See [`Draft::device`].
    pub device: Option<Device>,
    /// See [`Draft::user`].
    pub user: Option<User>,
    /// See [`Draft::info`].
    pub info: Option<Value>,
    /// See [`Draft::communicate`].
    pub communicate: Option<bool>,
    /// See [`Draft::log`].
    pub log: Option<bool>,
    /// How far it was checked.
    pub trust: Trust,
    /// See [`Draft::cause`].
    pub cause: Option<Cause>,
    /// See [`Draft::other`].
    pub other: Map<String, Value>,
}

impl Draft {
    /// A draft with scope and action only.
    pub fn new(scope: Token, action: Token) -> Self {
        Self {
            id: None,
            time: None,
            source: None,
            scope,
            action,
            device: None,
            user: None,
            info: None,
            communicate: None,
            log: None,
            trust: None,
            cause: None,
            other: Map::new(),
        }
    }

    /// Reads the bytes of a message.
    pub fn parse(json: &[u8]) -> Result<Self, EventError> {
        if json.len() > limits::MAX_EVENT {
            return Err(EventError::TooLarge(json.len()));
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
            info: map.remove("info").filter(|info| !info.is_null()),
            communicate: boolean(&mut map, "communicate")?,
            log: boolean(&mut map, "log")?,
            trust: trust(&mut map)?,
            cause: cause(&mut map)?,
            other: map,
        })
    }

    /// The node that the event says it is about: its device's serial number, else its UDID, else its user.
    pub fn node(&self) -> Result<Option<NodeKey>, EventError> {
        let device = self.device.as_ref();
        let candidates = [
            ("device.uuid", device.and_then(|device| device.uuid.as_ref())),
            ("device.udid", device.and_then(|device| device.udid.as_ref())),
            ("user.id", self.user.as_ref().and_then(|user| user.id.as_ref())),
        ];
        match candidates.into_iter().find_map(|(field, key)| key.map(|key| (field, key))) {
            None => Ok(None),
            Some((field, key)) => match NodeKey::new(key.as_str()) {
                Ok(key) => Ok(Some(key)),
                Err(error) => Err(field_error(field, &error)),
            },
        }
    }

    /// The subject to publish under, as `source`.
    pub fn subject(&self, source: Name) -> Result<Subject, EventError> {
        Ok(Subject { source, node: self.node()?, scope: self.scope.clone(), action: self.action.clone() })
    }

    /// The event's JSON.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }

    /// Completes the event from where it was found. The subject is what a publisher was allowed to say, so the body may
    /// leave out what the subject says but not contradict it.
    ///
    /// `trust` is what the receiver knows of the subject's source; the body's own word is not taken.
    pub fn receive(mut self, receipt: &Receipt<'_>, trust: Trust) -> Result<Event, EventError> {
        let subject = receipt.subject;
        agree("scope", self.scope.as_str(), subject.scope.as_str())?;
        agree("action", self.action.as_str(), subject.action.as_str())?;
        if let Some(source) = &self.source {
            agree("source", source.as_str(), subject.source.as_str())?;
        }
        if let Some(user) = &mut self.user {
            user.id = user.id.take().map(|id| id.to_lowercase());
        }
        self.fill_node(subject.node.as_ref())?;
        let id = self.id.unwrap_or_else(|| match receipt.message_id {
            Some(id) => EventId::from_message_id(id),
            None => {
                let (sequence, received) = (receipt.sequence.to_string(), receipt.received.to_string());
                EventId::derived(&["position", &sequence, &received])
            }
        });
        Ok(Event {
            id,
            time: self.time.unwrap_or(receipt.received),
            source: subject.source.clone(),
            scope: self.scope,
            action: self.action,
            device: self.device,
            user: self.user,
            info: self.info,
            communicate: self.communicate,
            log: self.log,
            trust,
            cause: self.cause,
            other: self.other,
        })
    }

    /// The subject's node must be one that the body names; where the body names none, it goes where the scope says.
    fn fill_node(&mut self, node: Option<&NodeKey>) -> Result<(), EventError> {
        let own = self.node()?;
        let Some(node) = node else {
            return match own {
                None => Ok(()),
                Some(own) => Err(conflict("device.uuid", own.as_str(), "-")),
            };
        };
        let about_user = self.scope.as_str() == "user";
        let device = self.device.get_or_insert_default();
        let user_id = self.user.as_ref().and_then(|user| user.id.as_deref());
        let named = [device.uuid.as_deref(), device.udid.as_deref(), user_id];
        let is_named = named.contains(&Some(node.as_str()));
        let (uuid_free, user_free) = (device.uuid.is_none(), user_id.is_none());
        if *device == Device::default() && (is_named || about_user) {
            self.device = None;
        }
        match (is_named, about_user) {
            (true, _) => Ok(()),
            (false, true) if user_free => {
                self.user.get_or_insert_default().id = Some(node.as_str().to_lowercase());
                Ok(())
            }
            (false, false) if uuid_free => {
                self.device.get_or_insert_default().uuid = Some(node.to_string());
                Ok(())
            }
            (false, _) => {
                let own = own.map_or_else(|| "-".to_owned(), String::from);
                Err(conflict(if about_user { "user.id" } else { "device.uuid" }, &own, node.as_str()))
            }
        }
    }
}

impl Event {
    /// Reads an event that was complete when written, such as the one inside a job.
    pub fn parse(json: &[u8]) -> Result<Self, EventError> {
        let draft = Draft::parse(json)?;
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

    /// The event's JSON, every field that is known, in the documented order.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self)
    }

    /// The event's serial number, if it is about a device whose serial number is known.
    pub fn serial(&self) -> Option<&str> {
        self.device.as_ref()?.uuid.as_deref()
    }

    /// The event's UDID, if it names one.
    pub fn udid(&self) -> Option<&str> {
        self.device.as_ref()?.udid.as_deref()
    }

    /// The event's user id, if it names one.
    pub fn user_id(&self) -> Option<&str> {
        self.user.as_ref()?.id.as_deref()
    }

    /// The subject it is published under.
    pub fn subject(&self) -> Result<Subject, EventError> {
        let key = self.serial().or(self.udid()).or(self.user_id());
        let node = key.map(NodeKey::new).transpose().map_err(|error| field_error("device.uuid", &error))?;
        Ok(Subject { source: self.source.clone(), node, scope: self.scope.clone(), action: self.action.clone() })
    }

    /// `info` at `path`.
    pub fn info_at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self.info.as_ref()?, |value, key| value.get(key))
    }
}

impl Device {
    fn from_map(mut map: Map<String, Value>) -> Result<Self, EventError> {
        Ok(Self {
            uuid: text(&mut map, "uuid", "device.uuid")?,
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

fn field_error(field: &'static str, error: &NodeError) -> EventError {
    EventError::Field { field, problem: error.to_string() }
}

fn conflict(field: &'static str, body: &str, subject: &str) -> EventError {
    EventError::Conflict { field, body: body.to_owned(), subject: subject.to_owned() }
}

fn agree(field: &'static str, body: &str, subject: &str) -> Result<(), EventError> {
    if body == subject { Ok(()) } else { Err(conflict(field, body, subject)) }
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

fn to_json(event: &impl Serialize) -> Vec<u8> {
    // Maps with string keys, strings, numbers and booleans: nothing here can fail to serialise.
    serde_json::to_vec(event).unwrap_or_default()
}

/// Writes the known fields that are there, then the unknown ones.
macro_rules! write_fields {
    ($serializer:expr, $self:expr, required: [$($required:ident),*], optional: [$($optional:ident),*]) => {{
        use serde::ser::SerializeMap;
        let mut map = $serializer.serialize_map(None)?;
        $(map.serialize_entry(stringify!($required), &$self.$required)?;)*
        $(if let Some(value) = &$self.$optional { map.serialize_entry(stringify!($optional), value)?; })*
        for (key, value) in &$self.other { map.serialize_entry(key, value)?; }
        map.end()
    }};
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_fields!(serializer, self, required: [], optional: [uuid, udid, hardware_uuid, name, model, os_version])
    }
}

impl Serialize for User {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_fields!(serializer, self, required: [], optional: [id, name])
    }
}

impl Serialize for Draft {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        macro_rules! optional {
            ($($field:ident),*) => { $(if let Some(value) = &self.$field { map.serialize_entry(stringify!($field), value)?; })* };
        }
        optional!(id, time, source);
        map.serialize_entry("scope", &self.scope)?;
        map.serialize_entry("action", &self.action)?;
        optional!(device, user, info, communicate, log, trust, cause);
        for (key, value) in &self.other {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_fields!(serializer, self,
            required: [id, time, source, scope, action, trust],
            optional: [device, user, info, communicate, log, cause])
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINIMAL: &str =
        r#"{"scope":"device","action":"enroll","device":{"uuid":"C02XL0GTJGH5"},"communicate":true,"log":true}"#;

    fn receive(subject: &str, body: &str) -> Result<Event, EventError> {
        let subject: Subject = subject.parse().unwrap();
        let received = "2026-01-02T03:04:05.678Z".parse().unwrap();
        Draft::parse(body.as_bytes())?
            .receive(&Receipt { subject: &subject, message_id: None, sequence: 7, received }, Trust::Unverified)
    }

    #[test]
    fn the_smallest_event_is_completed_from_where_it_was_found() {
        let event = receive("events.manual.C02XL0GTJGH5.device.enroll", MINIMAL).unwrap();
        assert_eq!(event.serial(), Some("C02XL0GTJGH5"));
        assert_eq!(event.source.as_str(), "manual");
        assert_eq!(event.time.to_string(), "2026-01-02T03:04:05.678Z");
        assert_eq!(event.trust, Trust::Unverified);
        assert_eq!(event.id, EventId::derived(&["position", "7", "2026-01-02T03:04:05.678Z"]));
        assert_eq!(Event::parse(&event.to_json()).unwrap(), event);
    }

    #[test]
    fn the_node_comes_from_the_subject_where_the_body_leaves_it_out() {
        let device = receive("events.manual.C02.disk.low", r#"{"scope":"disk","action":"low"}"#).unwrap();
        assert_eq!((device.serial(), device.user_id()), (Some("C02"), None));
        let user =
            receive("events.okta.Ada@x%2Eio.user.deactivated", r#"{"scope":"user","action":"deactivated"}"#).unwrap();
        assert_eq!((user.serial(), user.user_id()), (None, Some("ada@x.io")));
        let udid = receive(
            "events.nanomdm.U1.device.checkin",
            r#"{"scope":"device","action":"checkin","device":{"udid":"U1"}}"#,
        )
        .unwrap();
        assert_eq!((udid.serial(), udid.udid()), (None, Some("U1")), "a UDID is no serial number");
        let login =
            receive("events.agent.C02.session.login", r#"{"scope":"session","action":"login","user":{"id":"ADA"}}"#)
                .unwrap();
        assert_eq!((login.serial(), login.user_id()), (Some("C02"), Some("ada")));
        let none = receive("events.broker.-.broker.started", r#"{"scope":"broker","action":"started"}"#).unwrap();
        assert_eq!((none.device, none.user), (None, None));
    }

    #[test]
    fn a_body_that_contradicts_its_subject_is_refused() {
        for (subject, body) in [
            ("events.agent.C02.device.boot", r#"{"scope":"device","action":"boot","device":{"uuid":"C03"}}"#),
            ("events.agent.C02.device.boot", r#"{"scope":"device","action":"wipe"}"#),
            ("events.agent.C02.device.boot", r#"{"scope":"os","action":"boot"}"#),
            ("events.agent.C02.device.boot", r#"{"scope":"device","action":"boot","source":"okta"}"#),
            ("events.okta.ada.user.deleted", r#"{"scope":"user","action":"deleted","user":{"id":"bob"}}"#),
            ("events.okta.-.user.deleted", r#"{"scope":"user","action":"deleted","user":{"id":"bob"}}"#),
        ] {
            let error = receive(subject, body).unwrap_err();
            assert!(matches!(error, EventError::Conflict { .. }), "{subject} {body}: {error}");
        }
    }

    #[test]
    fn wrong_fields_are_named() {
        for (body, said) in [
            ("", "not JSON"),
            ("[]", "an array"),
            ("{}", "\"scope\" is missing"),
            (r#"{"scope":"device"}"#, "\"action\" is missing"),
            (r#"{"scope":"Device","action":"a"}"#, "\"scope\""),
            (r#"{"scope":"d","action":"a","device":3}"#, "\"device\": expected an object, found a number"),
            (r#"{"scope":"d","action":"a","device":{"uuid":3}}"#, "\"device.uuid\": expected a string"),
            (r#"{"scope":"d","action":"a","log":"yes"}"#, "\"log\": expected true or false"),
            (r#"{"scope":"d","action":"a","time":"now"}"#, "\"time\""),
            (r#"{"scope":"d","action":"a","id":"x"}"#, "\"id\""),
            (r#"{"scope":"d","action":"a","trust":"full"}"#, "\"trust\""),
            (r#"{"scope":"d","action":"a","cause":{}}"#, "\"cause\""),
        ] {
            let error = Draft::parse(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{body}: {error}");
        }
        let large = format!(r#"{{"scope":"d","action":"a","info":"{}"}}"#, "x".repeat(limits::MAX_EVENT));
        assert!(matches!(Draft::parse(large.as_bytes()), Err(EventError::TooLarge(_))));
    }

    #[test]
    fn unknown_keys_are_kept() {
        let body = r#"{"scope":"d","action":"a","device":{"uuid":"C","colour":"grey"},"user":{"id":"u","okta_id":"00u"},"extra":[1]}"#;
        let again: Value = serde_json::from_slice(&Draft::parse(body.as_bytes()).unwrap().to_json()).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(body).unwrap());
    }

    #[test]
    fn trust_is_the_receivers_word() {
        let event = receive("events.agent.C.d.a", r#"{"scope":"d","action":"a","trust":"verified"}"#).unwrap();
        assert_eq!(event.trust, Trust::Unverified);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Draft::parse(&bytes);
        }

        #[test]
        fn a_completed_event_is_read_back_as_it_was(serial in "[A-Z0-9]{1,12}", name in ".{0,20}", user in "[a-z@.]{1,20}", flag: bool, extra in -1e9..1e9f64) {
            let body = serde_json::json!({"scope": "device", "action": "checkin", "device": {"uuid": serial, "name": name},
                "user": {"id": user}, "log": flag, "info": {"n": extra}, "zz": [extra]});
            let event = receive(&format!("events.jamf.{serial}.device.checkin"), &body.to_string()).unwrap();
            prop_assert_eq!(Event::parse(&event.to_json()).unwrap(), event);
        }
    }
}

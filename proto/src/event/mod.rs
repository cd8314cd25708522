//! The event: what a source writes ([`Draft`]) and what it is once received ([`Event`]).
//!
//! A draft may be as small as `{"scope":"device","action":"enroll"}`; [`Draft::receive`] fills in the rest from where
//! the message was found (subject, stream position, stream time) and is a pure function, so that everyone who reads the
//! stream sees the same event. Keys this version does not know are kept and written again.

mod cursor;
mod error;
mod fast;
mod info;
mod read;
mod receive;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{EventId, Name, NodeKey, Subject, Time, Token};
pub use error::EventError;
pub use info::Info;
pub use receive::Receipt;

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
    /// As it is written.
    fn word(self) -> &'static str {
        match self {
            Self::Unverified => "unverified",
            Self::Authenticated => "authenticated",
            Self::Verified => "verified",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "unverified" => Some(Self::Unverified),
            "authenticated" => Some(Self::Authenticated),
            "verified" => Some(Self::Verified),
            _ => None,
        }
    }
}

/// The device an event is about. `uuid` is its serial number, in upper case however it was written.
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
    /// The least that any event from the root to here was trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// The root is an event that happened once and was played again, by this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

/// On an event that is played again, and on what it sets off: by which replay, and what that may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The name of the replay.
    pub id: String,
    /// The event that is played again.
    pub original: EventId,
    /// When it was played again.
    pub time: Time,
    /// Only these rules act; none for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Name>,
    /// Whether destructive targets act.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub destructive: bool,
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
    pub info: Option<Info>,
    /// Whether people should be told.
    pub communicate: Option<bool>,
    /// Whether it should be logged.
    pub log: Option<bool>,
    /// What the writer says was checked; believed only where the writer is (see [`Draft::receive`]).
    pub trust: Option<Trust>,
    /// The chain back, on result events.
    pub cause: Option<Cause>,
    /// Keys this version does not know.
    pub other: Map<String, Value>,
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
    pub info: Option<Info>,
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

    /// The node that the event says it is about: its device's serial number, else its UDID, else its user.
    pub fn node(&self) -> Result<Option<NodeKey>, EventError> {
        self.check_keys()?;
        let device = self.device.as_ref();
        let user = self.user.as_ref().and_then(|user| user.id.as_ref()).map(|id| id.to_lowercase());
        let candidates = [
            ("device.uuid", device.and_then(|device| device.uuid.as_ref())),
            ("device.udid", device.and_then(|device| device.udid.as_ref())),
            ("user.id", user.as_ref()),
        ];
        match candidates.into_iter().find_map(|(field, key)| key.map(|key| (field, key))) {
            None => Ok(None),
            Some((field, key)) => match NodeKey::new(key.as_str()) {
                Ok(key) => Ok(Some(key)),
                Err(error) => Err(EventError::field(field, &error)),
            },
        }
    }

    /// Records are kept under these, whatever the subject names: they must be what a subject could name.
    fn check_keys(&self) -> Result<(), EventError> {
        let Some(device) = &self.device else { return Ok(()) };
        for (field, key) in [("device.uuid", &device.uuid), ("device.udid", &device.udid)] {
            if let Some(key) = key {
                NodeKey::check(key).map_err(|error| EventError::field(field, &error))?;
            }
        }
        Ok(())
    }

    /// The subject to publish under, as `source`.
    pub fn subject(&self, source: Name) -> Result<Subject, EventError> {
        Ok(Subject { source, node: self.node()?, scope: self.scope.clone(), action: self.action.clone() })
    }

    /// The event's JSON.
    pub fn to_json(&self) -> Vec<u8> {
        write::draft(self)
    }
}

impl Event {
    /// The event's JSON, every field that is known, in the documented order.
    pub fn to_json(&self) -> Vec<u8> {
        self.to_text().into_bytes()
    }

    /// [`Event::to_json`], as text.
    pub fn to_text(&self) -> String {
        write::event(self)
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
        let node = key.map(NodeKey::new).transpose().map_err(|error| EventError::field("device.uuid", &error))?;
        Ok(Subject { source: self.source.clone(), node, scope: self.scope.clone(), action: self.action.clone() })
    }

    /// `info` at `path`.
    pub fn info_at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self.info.as_ref()?.value(), |value, key| value.get(key))
    }
}

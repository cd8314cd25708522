//! A draft becomes an event by where it was found.

use super::{Device, Draft, Event, EventError, Trust};
use crate::{EventId, NodeKey, Subject, Time};

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

impl Draft {
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
                Some(own) => Err(EventError::conflict("device.uuid", own.as_str(), "-")),
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
                Err(EventError::conflict(if about_user { "user.id" } else { "device.uuid" }, &own, node.as_str()))
            }
        }
    }
}

fn agree(field: &'static str, body: &str, subject: &str) -> Result<(), EventError> {
    if body == subject { Ok(()) } else { Err(EventError::conflict(field, body, subject)) }
}

//! A draft becomes an event by where it was found.

use super::{Draft, Event, EventError, Trust};
use crate::{EventId, NodeKey, Subject, Time, serial::spelled, source};

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
        self.fill_node(subject)?;
        self.check_keys()?;
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

    /// The subject's node is the device that the body names, or the user where the event is about a user; where the body
    /// leaves it out, it is filled in. What an agent says is about its own Mac, whatever else the body names; what an
    /// administrator says is by that user.
    fn fill_node(&mut self, subject: &Subject) -> Result<(), EventError> {
        let Some(node) = &subject.node else {
            return match self.node()? {
                None => Ok(()),
                Some(own) => Err(EventError::conflict("device.uuid", own.as_str(), "-")),
            };
        };
        if subject.source.as_str() == source::ADMIN {
            return self.fill_who_says_so(node);
        }
        let by_agent = subject.source.as_str() == source::AGENT;
        // As most say it: the body names the Mac that the subject is about, in the one spelling.
        let uuid = self.device.as_ref().and_then(|device| device.uuid.as_deref());
        if uuid.is_some_and(|uuid| uuid == node.as_str() && !uuid.bytes().any(|byte| byte.is_ascii_lowercase())) {
            return Ok(());
        }
        let about_user = self.scope.as_str() == "user";
        let user = self.user.as_ref().and_then(|user| user.id.clone());
        let is_user = !by_agent && user.as_deref() == Some(node.as_str().to_lowercase().as_str());
        let device = self.device.as_ref();
        let (uuid, udid) =
            (device.and_then(|device| device.uuid.clone()), device.and_then(|device| device.udid.clone()));
        let serial = spelled(node.to_string());
        // No credential is given out for another spelling: it would be a second one for the same Mac.
        if by_agent && serial != node.as_str() {
            return Err(EventError::conflict("device.uuid", &serial, node.as_str()));
        }
        match (uuid, udid, user) {
            (Some(uuid), ..) if uuid == serial || (about_user && is_user) => Ok(()),
            (Some(uuid), ..) => Err(EventError::conflict("device.uuid", &uuid, node.as_str())),
            (None, Some(udid), _) if !by_agent && udid == node.as_str() => Ok(()),
            (None, ..) if is_user => Ok(()),
            (None, None, Some(user)) if about_user && !by_agent => {
                Err(EventError::conflict("user.id", &user, node.as_str()))
            }
            (None, None, None) if about_user && !by_agent => {
                self.user.get_or_insert_default().id = Some(node.as_str().to_lowercase());
                Ok(())
            }
            (None, ..) => {
                self.device.get_or_insert_default().uuid = Some(serial);
                Ok(())
            }
        }
    }

    /// Whom an administrator's event is by, is the subject's word alone, whatever device it names beside.
    fn fill_who_says_so(&mut self, node: &NodeKey) -> Result<(), EventError> {
        let by = node.as_str().to_lowercase();
        let user = self.user.get_or_insert_default();
        match user.id.get_or_insert_with(|| by.clone()) {
            user if *user == by => Ok(()),
            user => Err(EventError::conflict("user.id", user, node.as_str())),
        }
    }
}

fn agree(field: &'static str, body: &str, subject: &str) -> Result<(), EventError> {
    if body == subject { Ok(()) } else { Err(EventError::conflict(field, body, subject)) }
}

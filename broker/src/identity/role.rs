//! What each kind of user may publish and read, in one place: users are signed with it, and so are templates of scoped
//! signing keys, in which NATS puts the user's name for `{{name()}}`.

use serde_json::{Value, json};

/// A kind of user of the account Emote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A Mac: named by its serial number. It may tell its own events and read its own inbox; JetStream answers its
    /// publishing there, so it needs no API of the stream.
    Device,
    /// Whoever has an enrolment token: named by the token's id. It may ask for a credential.
    Enroll,
    /// A broker: all of the account. It folds, delivers, and answers whoever asks.
    Broker,
    /// An administrator's command line: all of the account, too. Its orders are events of the broker's.
    Admin,
    /// Somebody who looks: reads events and what is kept, and orders nothing.
    Viewer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Device, Self::Enroll, Self::Broker, Self::Admin, Self::Viewer];

    /// As a signing key's `role`, and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Enroll => "enroll",
            Self::Broker => "broker",
            Self::Admin => "admin",
            Self::Viewer => "viewer",
        }
    }

    /// The subjects it may publish to.
    pub fn publish(self) -> &'static [&'static str] {
        match self {
            Self::Device => &["events.agent.{{name()}}.>"],
            Self::Enroll => &["enroll.{{name()}}"],
            Self::Broker | Self::Admin => &[">"],
            // Reading a stream is asking its API; what changes one is not among these.
            Self::Viewer => &[
                "$JS.API.INFO",
                "$JS.API.STREAM.NAMES",
                "$JS.API.STREAM.LIST",
                "$JS.API.STREAM.INFO.*",
                "$JS.API.STREAM.MSG.GET.*",
                "$JS.API.DIRECT.GET.>",
                "$JS.API.CONSUMER.LIST.*",
                "$JS.API.CONSUMER.NAMES.*",
                "$JS.API.CONSUMER.INFO.>",
                "emote.api.>",
            ],
        }
    }

    /// The subjects it may subscribe to.
    pub fn subscribe(self) -> &'static [&'static str] {
        match self {
            Self::Device => &["_INBOX.{{name()}}.>"],
            Self::Enroll => &["_ENROLL.{{name()}}.>"],
            Self::Broker | Self::Admin => &[">"],
            Self::Viewer => &["events.>", "_INBOX.>"],
        }
    }

    /// The permissions as JWTs and templates hold them.
    pub fn permissions(self) -> Value {
        json!({"pub": {"allow": self.publish()}, "sub": {"allow": self.subscribe()}})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_and_a_token_have_nothing_but_what_bears_their_name() {
        for role in [Role::Device, Role::Enroll] {
            for subject in role.publish().iter().chain(role.subscribe()) {
                assert!(subject.contains(".{{name()}}"), "{role:?} {subject}");
            }
        }
    }

    #[test]
    fn whoever_looks_changes_nothing() {
        for subject in Role::Viewer.publish() {
            let changes = ["CREATE", "UPDATE", "DELETE", "PURGE", "RESTORE", "PAUSE", "events", "deliver", "$KV"];
            assert!(!changes.iter().any(|word| subject.contains(word)), "{subject}");
        }
    }
}

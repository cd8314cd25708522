//! What each kind of user may publish and read, in one place: users are signed with it, and so are templates of scoped
//! signing keys, in which NATS puts the user's name for `{{name()}}`.

use emote_proto::{NodeKey, Serial, enroll, limits, source};
use serde_json::{Value, json};

/// What headers may add to a message, in bytes.
const HEADERS: usize = 16 * 1024;

/// Where a template has the user's name.
const NAME: &str = "{{name()}}";

/// A kind of user. Devices and tokens are of one account, who looks after them of another; see the parent module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A Mac: named by its serial number. It may tell its own events and read its own inbox; JetStream answers its
    /// publishing there, so it needs no API of the stream.
    Device,
    /// Whoever has an enrolment token: named by the token's id. It may ask for a credential.
    Enroll,
    /// A broker: all of the account. It folds, delivers, and answers whoever asks.
    Broker,
    /// An administrator's command line. It reads everything and orders under its own name. JetStream's whole API is its, as
    /// reading a stream takes: who misuses that can destroy streams and, by where an answer is sent, forge what is in them
    /// (SECURITY.md). People who must not be trusted so far come to the console, which has roles.
    Admin,
    /// The broker as a user of the system account: brings accounts' JWTs up to date, which the operator must have signed,
    /// and sees who connects.
    System,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Device, Self::Enroll, Self::Broker, Self::Admin, Self::System];

    /// As a signing key's `role`, and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Enroll => "enroll",
            Self::Broker => "broker",
            Self::Admin => "admin",
            Self::System => "system",
        }
    }

    /// What users signed by a scoped key may do, and their limits: NATS fills in the name.
    pub fn template(self) -> Value {
        self.permissions(NAME)
    }

    /// What the user of this name may do.
    pub fn of(self, name: &NodeKey) -> Value {
        self.permissions(&name.to_subject_token())
    }

    /// What the Mac of this serial number may do, where no template says it.
    pub fn of_serial(self, serial: &Serial) -> Value {
        self.permissions(serial.as_str())
    }

    fn permissions(self, name: &str) -> Value {
        let limit = |limit: Option<usize>| limit.map_or(json!(-1), |limit| json!(limit));
        // Nobody comes as a leaf node or by MQTT, where other rules hold.
        json!({"pub": {"allow": self.publish(name)}, "sub": {"allow": self.subscribe(name)}, "data": -1,
            "payload": limit(self.payload()), "subs": limit(self.subscriptions()),
            "allowed_connection_types": ["STANDARD", "WEBSOCKET"]})
    }

    fn publish(self, name: &str) -> Vec<String> {
        let own = match self {
            Self::Device => format!("events.{}.{name}.>", source::AGENT),
            Self::Enroll => format!("enroll.{name}"),
            Self::Admin => format!("events.{}.{name}.>", source::ADMIN),
            Self::Broker => ">".to_owned(),
            Self::System => "$SYS.REQ.CLAIMS.UPDATE".to_owned(),
        };
        let more: &[&str] = match self {
            Self::Device | Self::Enroll | Self::Broker => &[],
            Self::Admin => &[
                "events.manual.>",
                "emote.api.>",
                "$JS.API.>",
                "$JS.ACK.>",
                "$JS.FC.>",
                "$KV.emote-config.>",
                "$O.emote-packages.>",
            ],
            Self::System => &["$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", "$SYS.REQ.SERVER.PING.>"],
        };
        std::iter::once(own).chain(more.iter().map(|subject| (*subject).to_owned())).collect()
    }

    fn subscribe(self, name: &str) -> Vec<String> {
        match self {
            Self::Device => vec![format!("_INBOX.{name}.>")],
            Self::Enroll => vec![format!("_ENROLL.{name}.>")],
            Self::Broker | Self::Admin => vec![">".to_owned()],
            Self::System => {
                ["_INBOX.>", "$SYS.ACCOUNT.*.CONNECT", "$SYS.ACCOUNT.*.DISCONNECT"].map(str::to_owned).to_vec()
            }
        }
    }

    /// The largest message it may send, in bytes with headers; none: as large as the server takes.
    fn payload(self) -> Option<usize> {
        match self {
            Self::Device => Some(limits::MAX_EVENT + HEADERS),
            Self::Enroll => Some(enroll::MAX_MESSAGE + HEADERS),
            Self::Broker | Self::Admin | Self::System => None,
        }
    }

    /// How many subscriptions it may have at once; none: as many as it likes. A Mac has three.
    fn subscriptions(self) -> Option<usize> {
        matches!(self, Self::Device | Self::Enroll).then_some(16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(permissions: &Value, way: &str) -> Vec<String> {
        serde_json::from_value(permissions[way]["allow"].clone()).unwrap()
    }

    #[test]
    fn a_device_and_a_token_have_nothing_but_what_bears_their_name() {
        for role in [Role::Device, Role::Enroll] {
            let template = role.template();
            for subject in subjects(&template, "pub").iter().chain(&subjects(&template, "sub")) {
                assert!(subject.contains(".{{name()}}"), "{role:?} {subject}");
            }
        }
    }

    #[test]
    fn an_administrator_publishes_under_no_other_name() {
        let admin = Role::Admin.of(&NodeKey::new("ada@example.com").unwrap());
        let events: Vec<String> =
            subjects(&admin, "pub").into_iter().filter(|subject| subject.starts_with("events.")).collect();
        assert_eq!(events, ["events.admin.ada@example%2Ecom.>", "events.manual.>"]);
        assert!(!subjects(&admin, "pub").iter().any(|subject| subject == ">"));
        let wild = Role::Admin.of(&NodeKey::new("*").unwrap());
        assert_eq!(subjects(&wild, "pub")[0], "events.admin.%2A.>");
    }
}

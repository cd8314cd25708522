//! How it can fail that records are stored, and what that means for their jobs.

use std::{io, time::Duration};

use super::{super::Outcome, primitive::Malformed};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The connection broke off, or there is none. What was sent over it may be stored.
    #[error("{broker}: {reason}")]
    Lost { broker: String, reason: String },
    /// A broker said no.
    #[error("the cluster says {said}{}", .code.remedy())]
    Refused { code: Code, said: String },
    /// The login was refused.
    #[error("{broker} does not take the login: {reason}: check `auth` and `mechanism`")]
    Login { broker: String, reason: String },
    /// It cannot be otherwise, however often it is tried.
    #[error("{0}")]
    Lasting(String),
}

/// An error code of Kafka's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) code: i16,
    name: &'static str,
    meaning: Meaning,
}

/// What a code means for the records of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// They are for another broker, or were when the cluster was asked.
    Moved,
    /// It may be otherwise in a while.
    Passing,
    /// Something in the batch, or that it is one: fewer of them may be taken.
    Batch,
    /// It will not be otherwise before somebody changes something.
    Lasting(&'static str),
}

/// The codes that an answer to a producer may hold (kafka.apache.org/protocol, "Error Codes"); any other one passes.
const CODES: [(i16, &str, Meaning); 28] = [
    (-1, "UNKNOWN_SERVER_ERROR", Meaning::Passing),
    (2, "CORRUPT_MESSAGE", Meaning::Batch),
    (3, "UNKNOWN_TOPIC_OR_PARTITION", Meaning::Moved),
    (5, "LEADER_NOT_AVAILABLE", Meaning::Moved),
    (6, "NOT_LEADER_OR_FOLLOWER", Meaning::Moved),
    (7, "REQUEST_TIMED_OUT", Meaning::Passing),
    (8, "BROKER_NOT_AVAILABLE", Meaning::Moved),
    (9, "REPLICA_NOT_AVAILABLE", Meaning::Moved),
    (10, "MESSAGE_TOO_LARGE", Meaning::Batch),
    (17, "INVALID_TOPIC_EXCEPTION", Meaning::Lasting("check `topic`")),
    (18, "RECORD_LIST_TOO_LARGE", Meaning::Batch),
    (19, "NOT_ENOUGH_REPLICAS", Meaning::Passing),
    (20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", Meaning::Passing),
    (29, "TOPIC_AUTHORIZATION_FAILED", Meaning::Lasting("allow the user to write to the topic and to describe it")),
    (31, "CLUSTER_AUTHORIZATION_FAILED", Meaning::Lasting("allow the user to write")),
    (32, "INVALID_TIMESTAMP", Meaning::Batch),
    (33, "UNSUPPORTED_SASL_MECHANISM", Meaning::Lasting("check `mechanism`")),
    (34, "ILLEGAL_SASL_STATE", Meaning::Lasting("check `auth`: that listener may want no login, or another one")),
    (35, "UNSUPPORTED_VERSION", Meaning::Lasting("brokers are to be of Kafka 1.0 or newer")),
    (42, "INVALID_REQUEST", Meaning::Batch),
    (43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Meaning::Lasting("the topic is kept in a format of before Kafka 0.11")),
    (44, "POLICY_VIOLATION", Meaning::Batch),
    (56, "KAFKA_STORAGE_ERROR", Meaning::Moved),
    (58, "SASL_AUTHENTICATION_FAILED", Meaning::Lasting("check `auth`")),
    (65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", Meaning::Lasting("check `auth`")),
    (74, "FENCED_LEADER_EPOCH", Meaning::Moved),
    (76, "UNSUPPORTED_COMPRESSION_TYPE", Meaning::Lasting("leave `compress` out")),
    (87, "INVALID_RECORD", Meaning::Batch),
];

impl Code {
    /// What a number says; none for 0, which is no error.
    pub(super) fn of(code: i16) -> Option<Self> {
        let known = CODES.iter().find(|(number, ..)| *number == code);
        let (_, name, meaning) = known.copied().unwrap_or((code, "an error", Meaning::Passing));
        (code != 0).then_some(Self { code, name, meaning })
    }

    /// Name and number, and what the broker itself said of it.
    pub(super) fn says(self, said: Option<&str>) -> String {
        let said = said.map(super::super::wire::quote).filter(|said| !said.is_empty());
        format!("{} ({}){}", self.name, self.code, said.map_or_else(String::new, |said| format!(": {said}")))
    }

    fn remedy(self) -> String {
        match self.meaning {
            Meaning::Lasting(remedy) => format!(": {remedy}"),
            _ if self.code == 3 => ": create the topic, or correct `topic`".to_owned(),
            _ => String::new(),
        }
    }
}

impl Failure {
    pub(super) fn lost(broker: impl ToString, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the broker has closed the connection".to_owned(),
            _ => error.to_string(),
        };
        Self::Lost { broker: broker.to_string(), reason }
    }

    pub(super) fn slow(broker: impl ToString, within: Duration) -> Self {
        Self::Lost { broker: broker.to_string(), reason: format!("no connection within {within:?}") }
    }

    pub(super) fn late(whom: &str) -> Self {
        Self::Lost { broker: whom.to_owned(), reason: "no answer in time".to_owned() }
    }

    pub(super) fn malformed(broker: impl ToString, error: Malformed) -> Self {
        Self::Lost { broker: broker.to_string(), reason: error.to_string() }
    }

    /// A connection that broke off while somebody logged in: not every broker says that it refuses.
    pub(super) fn in_login(self) -> Self {
        match self {
            Self::Lost { broker, reason } => {
                Self::Lost { broker, reason: format!("{reason} during the login: check `auth` and `mechanism`") }
            }
            other => other,
        }
    }

    /// With what the broker itself said of it.
    pub(super) fn refused(code: Code, said: Option<&str>) -> Self {
        Self::Refused { code, said: code.says(said) }
    }

    pub(super) fn is_of_login(&self) -> bool {
        matches!(self, Self::Login { .. })
    }

    /// Whether asking the cluster anew may lead to where it is taken.
    pub(super) fn is_of_place(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Refused { code: Code { meaning: Meaning::Moved, .. }, .. })
    }

    /// Whether some of the batch's records may be taken without the others.
    pub(super) fn is_of_batch(&self) -> bool {
        matches!(self, Self::Refused { code: Code { meaning: Meaning::Batch, .. }, .. })
    }

    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Lost { .. } => Outcome::retry(self),
            Self::Refused { code, .. } => match code.meaning {
                Meaning::Moved | Meaning::Passing => Outcome::retry(self),
                Meaning::Batch | Meaning::Lasting(_) => Outcome::never(self),
            },
            Self::Login { .. } | Self::Lasting(_) => Outcome::never(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::testing::show;

    #[test]
    fn a_code_says_whether_to_try_again() {
        for (code, shown) in [
            (3, "retry the cluster says UNKNOWN_TOPIC_OR_PARTITION (3): create the topic, or correct `topic`"),
            (6, "retry the cluster says NOT_LEADER_OR_FOLLOWER (6)"),
            (10, "never the cluster says MESSAGE_TOO_LARGE (10)"),
            (19, "retry the cluster says NOT_ENOUGH_REPLICAS (19)"),
            (
                29,
                "never the cluster says TOPIC_AUTHORIZATION_FAILED (29): allow the user to write to the topic and to describe it",
            ),
            (56, "retry the cluster says KAFKA_STORAGE_ERROR (56)"),
            (999, "retry the cluster says an error (999)"),
        ] {
            assert_eq!(show(&Failure::refused(Code::of(code).unwrap(), None).outcome()), shown);
        }
        assert_eq!(Code::of(0), None);
        let said = Failure::refused(Code::of(87).unwrap(), Some("no\r\nkey")).to_string();
        assert_eq!(said, "the cluster says INVALID_RECORD (87): no key");
    }

    #[test]
    fn codes_stand_in_their_order_and_once() {
        assert!(CODES.is_sorted_by(|a, b| a.0 < b.0));
    }
}

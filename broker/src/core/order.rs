//! Orders: events by which somebody tells the core itself what to do. They take effect at their place in the log.
//!
//! Their source is `admin` and their node is who gives them, which NATS can be made to prove: see [`crate::identity::role`].

use std::{collections::HashSet, hash::Hash};

use emote_proto::{Event, source};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::JobId;

/// Jobs or letters that one order may name.
pub const MAX_NAMED: usize = 500;

/// What an event tells the core to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// `config.applied`: from the next entry on the set of rules of this hash is in force.
    Configure {
        /// SHA-256 of the set, in hex.
        hash: String,
    },
    /// `guard.approved`: these jobs are let through.
    Approve {
        /// Jobs that are held.
        jobs: Vec<JobId>,
    },
    /// `guard.denied`: nothing that is held of this rule will be done.
    Deny {
        /// The rule's name.
        rule: String,
    },
    /// `dead.redriven`: these dead letters become jobs again.
    Redrive {
        /// Which.
        letters: Vec<Letter>,
    },
    /// `dead.dropped`: these dead letters are thrown away.
    Drop {
        /// Which.
        letters: Vec<Letter>,
    },
}

/// A dead letter's place, and what it is expected to hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Letter {
    /// Its sequence in DEAD.
    pub sequence: u64,
    /// The job that it tells of, or what a letter without a job is known by.
    pub job: String,
}

/// An order that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{scope}.{action} without {wanted}")]
pub struct OrderError {
    scope: String,
    action: String,
    wanted: &'static str,
}

impl Order {
    /// Whether an event under this subject may be an order: it must then be folded by itself.
    pub fn may_be_under(subject: &str) -> bool {
        let Some(rest) = subject.strip_prefix("events.admin.") else { return false };
        let Some((_, what)) = rest.split_once('.') else { return false };
        matches!(what, "config.applied" | "guard.approved" | "guard.denied" | "dead.redriven" | "dead.dropped")
    }

    /// The order that `event` is, if it is one.
    pub fn read(event: &Event) -> Result<Option<Self>, OrderError> {
        if event.source.as_str() != source::ADMIN {
            return Ok(None);
        }
        let (scope, action) = (event.scope.as_str(), event.action.as_str());
        let lacks = |wanted| OrderError { scope: scope.to_owned(), action: action.to_owned(), wanted };
        Ok(Some(match (scope, action) {
            ("config", "applied") => {
                let hash = text(event, "hash").filter(|hash| is_hash(hash));
                Self::Configure { hash: hash.ok_or_else(|| lacks("info.hash, a SHA-256 in hex"))? }
            }
            ("guard", "approved") => {
                Self::Approve { jobs: list(event, "jobs").ok_or_else(|| lacks("info.jobs, 1 to 500 ids of jobs"))? }
            }
            ("guard", "denied") => {
                Self::Deny { rule: text(event, "rule").ok_or_else(|| lacks("info.rule, a rule's name"))? }
            }
            ("dead", "redriven" | "dropped") => {
                let letters = list(event, "letters")
                    .ok_or_else(|| lacks("info.letters, 1 to 500 of {\"sequence\":…,\"job\":…}"))?;
                if action == "dropped" { Self::Drop { letters } } else { Self::Redrive { letters } }
            }
            _ => return Ok(None),
        }))
    }
}

/// Whether it is a SHA-256 as it is written in hex.
pub fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn text(event: &Event, key: &str) -> Option<String> {
    event.info_at(&[key]).and_then(Value::as_str).map(str::to_owned)
}

/// What an order names more than once is named once: each is done once.
fn list<T: serde::de::DeserializeOwned + Clone + Eq + Hash>(event: &Event, key: &str) -> Option<Vec<T>> {
    let mut list: Vec<T> = serde_json::from_value(event.info_at(&[key])?.clone()).ok()?;
    let fits = (1..=MAX_NAMED).contains(&list.len());
    let mut named = HashSet::new();
    list.retain(|one| named.insert(one.clone()));
    fits.then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn id(text: &str) -> JobId {
        serde_json::from_value(json!(text)).unwrap()
    }

    fn read(what: &str, info: &Value) -> Result<Option<Order>, String> {
        let (scope, action) = what.split_once('.').unwrap();
        let event = json!({"id": "00000000-0000-7000-8000-000000000000", "time": "2026-01-01T00:00:00Z",
            "source": "admin", "scope": scope, "action": action, "info": info});
        Order::read(&Event::parse(event.to_string().as_bytes()).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_order_names_what_it_is_about() {
        let hash = "0".repeat(64);
        assert_eq!(read("config.applied", &json!({"hash": hash})), Ok(Some(Order::Configure { hash })));
        assert_eq!(read("guard.denied", &json!({"rule": "r"})), Ok(Some(Order::Deny { rule: "r".to_owned() })));
        let letters = vec![Letter { sequence: 3, job: "j".to_owned() }];
        let info = json!({"letters": [{"sequence": 3, "job": "j"}]});
        assert_eq!(read("dead.redriven", &info), Ok(Some(Order::Redrive { letters: letters.clone() })));
        assert_eq!(read("dead.dropped", &info), Ok(Some(Order::Drop { letters })));
        let jobs = Ok(Some(Order::Approve { jobs: vec![id("a/b/c"), id("d/e/f")] }));
        assert_eq!(read("guard.approved", &json!({"jobs": ["a/b/c", "d/e/f", "a/b/c"]})), jobs, "each once");
        assert_eq!(read("device.enroll", &json!({})), Ok(None));
        for (what, info) in [
            ("config.applied", json!({"hash": "../../x"})),
            ("guard.approved", json!({"jobs": []})),
            ("guard.approved", json!({"jobs": vec!["a/b/c"; 501]})),
            ("guard.denied", json!({"rule": 1})),
            ("dead.redriven", json!({"letters": [{"sequence": -1, "job": ""}]})),
        ] {
            assert!(read(what, &info).is_err_and(|error| error.starts_with(what)), "{what}");
        }
    }

    #[test]
    fn subjects_tell_which_entries_may_be_orders() {
        assert!(Order::may_be_under("events.admin.ada.config.applied"));
        assert!(Order::may_be_under("events.admin.ada@example%2Ecom.guard.approved"));
        assert!(!Order::may_be_under("events.broker.-.guard.approved"));
        assert!(!Order::may_be_under("events.admin.ada.config.refused"));
    }
}

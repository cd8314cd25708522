//! What should be seen, and whether it was: each thing as often as it should, no more and no less. Pure.

use std::collections::{BTreeMap, BTreeSet};

use emote_proto::{Event, EventId};
use serde_json::Value;

use super::Sent;
use crate::standins::{Command, Message};

/// A job of DELIVERIES, as `emote trace -o json` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// `<event>/<rule>/<target>` and perhaps `/<node>`.
    pub id: String,
    /// The event that it is about.
    pub event: EventId,
}

/// Everything that was seen, wherever.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// How the webhooks of each step were answered.
    pub answers: Vec<Vec<Sent>>,
    /// EVENTS since the run began.
    pub events: Vec<Event>,
    /// DELIVERIES, as far as the played events are concerned.
    pub jobs: Vec<Job>,
    /// What the MDM took.
    pub commands: Vec<Command>,
    /// What Slack took.
    pub messages: Vec<Message>,
    /// The lines of the log target's file.
    pub log: Vec<Value>,
    /// Node records by serial number, as `emote node -o json` shows them.
    pub nodes: BTreeMap<String, Value>,
}

/// Something that can be counted in [`Observed`].
#[derive(Debug, Clone, PartialEq)]
pub enum Sight {
    /// Answers to the webhooks of a step with this status, and with this event's id where one is named.
    Answer {
        /// The step's place in the story.
        step: usize,
        /// The HTTP status.
        status: u16,
        /// The event.
        event: Option<EventId>,
    },
    /// Entries of EVENTS with this id.
    Event(EventId),
    /// Entries of EVENTS that mention a text anywhere.
    Mention(String),
    /// Results of a rule for an event, whose `cause` leads straight back to it.
    Result {
        /// The event that set it off.
        event: EventId,
        /// The rule.
        rule: &'static str,
        /// Scope and action of the result.
        what: (&'static str, &'static str),
        /// The node, where it is about one.
        serial: Option<String>,
        /// What its `info` holds at least.
        info: Value,
    },
    /// The node's asset record holds these fields.
    Record {
        /// The node.
        serial: String,
        /// The fields.
        asset: Value,
    },
    /// Commands that the MDM took because of a rule and an event.
    Command {
        /// The event.
        event: EventId,
        /// The rule.
        rule: &'static str,
        /// The device.
        udid: String,
        /// What the command holds at least.
        command: Value,
    },
    /// Locks that the MDM took for a device because of any of these events.
    Lock {
        /// The events.
        events: BTreeSet<EventId>,
        /// The device.
        udid: String,
    },
    /// Messages that Slack took because of an event.
    Message(EventId),
    /// Lines in the log about an event.
    LogLine(EventId),
    /// Jobs because of any of these events.
    Jobs(BTreeSet<EventId>),
    /// Result events that go back to any of these events, of whatever kind.
    Results(BTreeSet<EventId>),
    /// Requests that the MDM and Slack took because of any of these events.
    Requests(BTreeSet<EventId>),
}

impl Sight {
    /// Whether it is counted in [`Observed::jobs`].
    pub fn is_of_jobs(&self) -> bool {
        matches!(self, Self::Jobs(_))
    }

    /// How often it was seen.
    pub fn count(&self, observed: &Observed) -> usize {
        match self {
            Self::Answer { step, status, event } => count(observed.answers.get(*step).into_iter().flatten(), |sent| {
                sent.status == *status && event.is_none_or(|event| sent.events == [event])
            }),
            Self::Event(id) => count(&observed.events, |event| event.id == *id),
            Self::Mention(text) => {
                count(&observed.events, |event| String::from_utf8_lossy(&event.to_json()).contains(text))
            }
            Self::Result { event, rule, what, serial, info } => count(&observed.events, |result| {
                let goes_back = result.cause.as_ref().is_some_and(|cause| {
                    cause.root == *event && cause.event == *event && cause.rule == *rule && cause.depth == 1
                });
                goes_back
                    && result.source.as_str() == "broker"
                    && (result.scope.as_str(), result.action.as_str()) == *what
                    && serial.as_deref().is_none_or(|serial| result.serial() == Some(serial))
                    && holds(result.info.as_deref().unwrap_or(&Value::Null), info)
            }),
            Self::Record { serial, asset } => {
                count(observed.nodes.get(serial), |record| holds(&record["asset"], asset))
            }
            Self::Command { event, rule, udid, command } => count(&observed.commands, |sent| {
                sent.idempotency_key.starts_with(&format!("{event}/{rule}/"))
                    && sent.udid == *udid
                    && holds(&sent.command, command)
            }),
            Self::Lock { events, udid } => count(&observed.commands, |sent| {
                sent.udid == *udid && sent.request_type == "DeviceLock" && is_of(&sent.idempotency_key, events)
            }),
            Self::Message(event) => {
                count(&observed.messages, |message| message.idempotency_key.starts_with(&format!("{event}/")))
            }
            Self::LogLine(event) => {
                let id = event.to_string();
                count(&observed.log, |line| line["event"]["id"] == id.as_str())
            }
            Self::Jobs(events) => count(&observed.jobs, |job| events.contains(&job.event)),
            Self::Results(events) => {
                count(&observed.events, |event| event.cause.as_ref().is_some_and(|cause| events.contains(&cause.root)))
            }
            Self::Requests(events) => {
                count(&observed.commands, |sent| is_of(&sent.idempotency_key, events))
                    + count(&observed.messages, |message| is_of(&message.idempotency_key, events))
            }
        }
    }
}

fn count<'a, T: 'a>(items: impl IntoIterator<Item = &'a T>, is_one: impl Fn(&T) -> bool) -> usize {
    items.into_iter().filter(|item| is_one(item)).count()
}

/// Whether the job of this idempotency key is about one of these events.
fn is_of(idempotency_key: &str, events: &BTreeSet<EventId>) -> bool {
    let event = idempotency_key.split('/').next().and_then(|event| event.parse().ok());
    event.is_some_and(|event: EventId| events.contains(&event))
}

/// Whether `whole` holds what `part` holds: objects may have more fields, null is anything at all, and everything else
/// must be equal.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| holds(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| holds(whole, part))
        }
        (_, Value::Null) => true,
        (whole, part) => whole == part,
    }
}

/// One line of the story's account: what should have come of a step, and where that shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// The step's place in the story.
    pub step: usize,
    /// What should have come of it, for people.
    pub what: String,
    /// Where it shows, what to count there, and how often it should be seen.
    pub seen: Vec<(&'static str, Sight, usize)>,
}

/// Whether an expectation was met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Where it was not: `MDM: seen 0 times, expected exactly 1`.
    pub problems: Vec<String>,
    /// Something was seen more often than expected; waiting longer cannot help.
    pub excess: bool,
}

impl Outcome {
    /// Whether it was met.
    pub fn is_met(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Holds each expectation against what was seen.
pub fn verify(expectations: &[Expectation], observed: &Observed) -> Vec<Outcome> {
    expectations.iter().map(|expectation| outcome(expectation, observed)).collect()
}

fn outcome(expectation: &Expectation, observed: &Observed) -> Outcome {
    let mut outcome = Outcome::default();
    for (place, sight, wanted) in &expectation.seen {
        let seen = sight.count(observed);
        if seen != *wanted {
            outcome.problems.push(format!("{place}: seen {seen} times, expected exactly {wanted}"));
            outcome.excess |= seen > *wanted;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ROOT: &str = "018bcfe5-687b-7707-8707-070707070707";

    fn root() -> EventId {
        ROOT.parse().unwrap()
    }

    fn result(info: Value) -> Event {
        let json = json!({"id": EventId::derived(&["r"]), "time": "2026-01-01T00:00:00Z", "source": "broker", "scope": "mdm",
            "action": "command_sent", "device": {"uuid": "C02"}, "info": info,
            "cause": {"event": ROOT, "rule": "lock-leavers", "target": "mdm-lock", "root": ROOT, "depth": 1}});
        Event::parse(json.to_string().as_bytes()).unwrap()
    }

    fn lock() -> Command {
        Command {
            udid: "U-1".into(),
            uuid: "C-1".into(),
            request_type: "DeviceLock".into(),
            command: json!({"RequestType": "DeviceLock", "PIN": "123456"}),
            idempotency_key: format!("{ROOT}/lock-leavers/mdm-lock/C02"),
        }
    }

    fn expectation() -> Expectation {
        let command = Sight::Command {
            event: root(),
            rule: "lock-leavers",
            udid: "U-1".into(),
            command: json!({"RequestType": "DeviceLock"}),
        };
        let result = Sight::Result {
            event: root(),
            rule: "lock-leavers",
            what: ("mdm", "command_sent"),
            serial: Some("C02".into()),
            info: json!({"request_type": "DeviceLock"}),
        };
        Expectation { step: 0, what: "locked".into(), seen: vec![("MDM", command, 1), ("EVENTS", result, 1)] }
    }

    fn check(observed: &Observed) -> Vec<String> {
        verify(&[expectation()], observed).remove(0).problems
    }

    #[test]
    fn once_is_met_and_never_and_twice_are_not() {
        let event = || result(json!({"request_type": "DeviceLock", "udid": "U-1"}));
        let once = Observed { events: vec![event()], commands: vec![lock()], ..Observed::default() };
        assert_eq!(check(&once), [""; 0]);
        let never = verify(&[expectation()], &Observed::default()).remove(0);
        assert_eq!(
            never.problems,
            ["MDM: seen 0 times, expected exactly 1", "EVENTS: seen 0 times, expected exactly 1"]
        );
        assert!(!never.excess && !never.is_met());
        let twice = Observed { commands: vec![lock(), lock()], ..once.clone() };
        let twice = verify(&[expectation()], &twice).remove(0);
        assert_eq!(twice.problems, ["MDM: seen 2 times, expected exactly 1"]);
        assert!(twice.excess);
        let reported_twice = Observed { events: vec![event(), event()], ..once };
        assert_eq!(check(&reported_twice), ["EVENTS: seen 2 times, expected exactly 1"]);
    }

    #[test]
    fn only_what_is_meant_counts() {
        let good = Observed {
            events: vec![result(json!({"request_type": "DeviceLock"}))],
            commands: vec![lock()],
            ..Observed::default()
        };
        let with = |change: &dyn Fn(&mut Observed)| {
            let mut observed = good.clone();
            change(&mut observed);
            check(&observed).len()
        };
        assert_eq!(with(&|_| {}), 0);
        assert_eq!(with(&|observed| observed.commands[0].udid = "U-2".into()), 1);
        assert_eq!(with(&|observed| observed.commands[0].idempotency_key = "another/lock-leavers/mdm-lock".into()), 1);
        assert_eq!(with(&|observed| observed.commands[0].command = json!({"RequestType": "Settings"})), 1);
        assert_eq!(with(&|observed| observed.events[0] = result(json!({"request_type": "Settings"}))), 1);
        assert_eq!(with(&|observed| observed.events[0].cause.as_mut().unwrap().depth = 2), 1);
        assert_eq!(with(&|observed| observed.events[0].cause = None), 1);
    }

    #[test]
    fn totals_find_what_no_line_asks_for() {
        let events = BTreeSet::from([root()]);
        let observed = Observed {
            events: vec![result(json!({}))],
            commands: vec![lock(), Command { idempotency_key: "x".into(), ..lock() }],
            messages: vec![Message { text: "hi".into(), idempotency_key: format!("{ROOT}/communicate/slack") }],
            jobs: vec![Job { id: format!("{ROOT}/log/log"), event: root() }],
            answers: vec![vec![Sent { status: 200, events: vec![root()], ..Sent::default() }]],
            log: vec![json!({"event": {"id": ROOT}})],
            nodes: BTreeMap::from([("C02".to_owned(), json!({"asset": {"enrolled": true, "name": "x"}}))]),
        };
        for (sight, seen) in [
            (Sight::Requests(events.clone()), 2),
            (Sight::Results(events.clone()), 1),
            (Sight::Jobs(events.clone()), 1),
            (Sight::Jobs(BTreeSet::new()), 0),
            (Sight::Lock { events, udid: "U-1".into() }, 1),
            (Sight::Message(root()), 1),
            (Sight::LogLine(root()), 1),
            (Sight::Mention("lock-leavers".into()), 1),
            (Sight::Answer { step: 0, status: 200, event: Some(root()) }, 1),
            (Sight::Answer { step: 1, status: 200, event: None }, 0),
            (Sight::Record { serial: "C02".into(), asset: json!({"enrolled": true}) }, 1),
            (Sight::Record { serial: "C02".into(), asset: json!({"enrolled": false}) }, 0),
        ] {
            assert_eq!(sight.count(&observed), seen, "{sight:?}");
        }
    }
}

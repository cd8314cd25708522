//! Sources from which nothing comes any more. When each was last heard is a record like any other; that it is too long ago
//! is told by a timer, which whoever leads publishes into the log and which is acted on when it comes back in order.
//! Pure: the time of an entry is when the stream stored it.

use emote_proto::{Event, Name, Time, source};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Job, Overlay, StateError, fold::own};

/// The scope and the action of a timer that is due.
pub const TIMER: (&str, &str) = ("timer", "due");
/// What a timer about a source's silence is called in `info.timer`.
pub const SILENCE: &str = "silence";

/// When a source was last heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// When its last event was received, or since when it is waited for.
    pub at: Time,
    /// Since when it is told to be silent, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<Time>,
}

impl Heard {
    /// Whether a source that may be silent for `limit` milliseconds has been so for longer, and that was not told yet.
    pub fn is_due(&self, limit: i64, now: Time) -> bool {
        self.silent.is_none() && now.millis_since(self.at) >= limit
    }
}

/// Notes who speaks; gives the event that tells of a silence or of its end. `limit` is how long a source may be silent, in
/// milliseconds, where it is waited for.
pub(super) fn note(
    state: &mut Overlay<'_>,
    event: &Event,
    received: Time,
    limit: impl Fn(&str) -> Option<i64>,
) -> Result<Option<Job>, StateError> {
    if let Some(name) = timed(event) {
        let Some(limit) = limit(name) else { return Ok(None) };
        return match state.heard(name)? {
            None => {
                state.put_heard(name, Heard { at: received, silent: None });
                Ok(None)
            }
            Some(heard) if heard.is_due(limit, received) => {
                state.put_heard(name, Heard { silent: Some(received), ..heard });
                Ok(Some(own::silent(event, name, heard.at, received, limit)))
            }
            Some(_) => Ok(None),
        };
    }
    let name = event.source.as_str();
    if limit(name).is_none() || !speaks(event) {
        return Ok(None);
    }
    let before = state.heard(name)?;
    state.put_heard(name, Heard { at: received, silent: None });
    let ended = before.filter(|heard| heard.silent.is_some());
    Ok(ended.map(|heard| own::recovered(event, heard.at, received)))
}

/// The source that a timer is about.
fn timed(event: &Event) -> Option<&str> {
    let words = (event.source.as_str(), event.scope.as_str(), event.action.as_str());
    // `info` is read only where it is one: that costs more than all else which is asked of most events.
    if words != (source::BROKER, TIMER.0, TIMER.1) {
        return None;
    }
    let text = |key| event.info_at(&[key]).and_then(Value::as_str);
    text("source").filter(|name| text("timer") == Some(SILENCE) && Name::new(*name).is_ok())
}

/// Whether an event says that its source is there: not what is told of trouble with it, nor what it did not tell itself.
fn speaks(event: &Event) -> bool {
    let trouble = ["poll_failed", "reconcile_failed", "reconciled", "dropped", "folder_failed"];
    let is_trouble = event.scope.as_str() == "source" && trouble.contains(&event.action.as_str());
    !is_trouble && event.info_at(&["reconciled"]) != Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::core::{Core, Entry, Memory, RuleBook};

    const MINUTE: i64 = 60_000;

    struct Log {
        core: Core,
        memory: Memory,
        sequence: u64,
    }

    impl Log {
        fn new() -> Self {
            let name = |text: &str| Name::new(text).unwrap();
            let silent_after: BTreeMap<Name, i64> = [(name("okta"), 10 * MINUTE)].into();
            let sources = vec![name("okta"), name("jamf")];
            let core = Core::new(RuleBook { sources, silent_after, ..RuleBook::default() });
            Self { core, memory: Memory::default(), sequence: 0 }
        }

        /// Folds an event that is received at this minute; what is told.
        fn at(&mut self, minute: i64, subject: &str, info: Value) -> Vec<String> {
            let parts: Vec<&str> = subject.split('.').collect();
            let body = json!({"scope": parts[3], "action": parts[4], "info": info, "trust": "verified"}).to_string();
            self.sequence += 1;
            let received = Time::from_millis(1_772_600_000_000 + minute * MINUTE).unwrap();
            let payload = body.as_bytes();
            let entry = Entry { sequence: self.sequence, received, subject, message_id: None, payload };
            let mut overlay = Overlay::new(&self.memory);
            let jobs = self.core.apply(&mut overlay, &entry).unwrap();
            let changes = overlay.into_changes();
            self.memory.apply(changes);
            let told = |job: Job| {
                let json: Value = serde_json::from_str(job.event.json()).unwrap();
                format!("{}.{} {}", json["scope"].as_str().unwrap(), json["action"].as_str().unwrap(), json["info"])
            };
            jobs.into_iter().map(told).collect()
        }

        fn timer(&mut self, minute: i64) -> Vec<String> {
            self.at(minute, "events.broker.-.timer.due", json!({"timer": "silence", "source": "okta"}))
        }
    }

    #[test]
    fn silence_is_told_once_and_its_end_with_how_long_it_was() {
        let mut log = Log::new();
        assert_eq!(log.timer(0), [""; 0], "from now on it is waited for");
        assert_eq!(log.timer(9), [""; 0]);
        assert_eq!(log.at(9, "events.okta.-.session.login", json!({})), [""; 0]);
        assert_eq!(log.timer(18), [""; 0], "it has spoken since");
        let told = log.timer(19);
        assert!(told.len() == 1 && told[0].starts_with("source.silent "), "{told:?}");
        assert_eq!(log.timer(20), [""; 0]);
        for (action, info) in [
            ("poll_failed", json!({})),
            ("dropped", json!({})),
            ("reconciled", json!({})),
            ("x", json!({"reconciled": true})),
        ] {
            assert_eq!(log.at(25, &format!("events.okta.-.source.{action}"), info), [""; 0]);
        }
        assert_eq!(log.at(29, "events.jamf.-.device.enroll", json!({})), [""; 0], "another one");
        let told = log.at(39, "events.okta.-.source.polled", json!({}));
        assert!(
            told.len() == 1 && told[0].starts_with("source.recovered ") && told[0].contains("\"silent_for_s\":1800"),
            "{told:?}"
        );
        assert_eq!(log.at(40, "events.okta.-.session.login", json!({})), [""; 0]);
        assert_eq!(log.timer(49), [""; 0]);
        assert_eq!(log.timer(50).len(), 1);
    }

    #[test]
    fn only_a_broker_says_what_time_it_is() {
        let mut log = Log::new();
        log.timer(0);
        let info = json!({"timer": "silence", "source": "okta"});
        assert_eq!(log.at(60, "events.jamf.-.timer.due", info.clone()), [""; 0]);
        assert_eq!(log.at(60, "events.broker.-.timer.due", json!({"timer": "silence", "source": "jamf"})), [""; 0]);
        assert_eq!(log.at(60, "events.broker.-.timer.due", info).len(), 1);
    }

    proptest! {
        /// Timers that come too often, too early or twice change nothing.
        #[test]
        fn however_many_timers_come_a_silence_has_one_beginning_and_one_end(
            steps in proptest::collection::vec((0_i64..8, any::<bool>()), 1..60),
        ) {
            let (mut log, mut minute, mut silent, mut last) = (Log::new(), 0, false, 0);
            log.timer(0);
            for (wait, speaks) in steps {
                minute += wait;
                let told = if speaks { log.at(minute, "events.okta.-.session.login", json!({})) } else { log.timer(minute) };
                let expected = match speaks {
                    true => silent,
                    false => !silent && minute - last >= 10,
                };
                prop_assert_eq!(told.len(), usize::from(expected));
                if speaks {
                    (silent, last) = (false, minute);
                } else {
                    silent |= expected;
                }
            }
        }
    }
}

//! A job: one rule's order to one target about one event. What DELIVERIES carries.

use std::collections::BTreeMap;

use emote_proto::{Cause, Event, EventId, Link, Name, Replay, Trust, deploy::Manifest, source};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Record, SharedEvent};

/// `<event>/<rule>/<target>`, or `<event>/<rule>/<target>/<node>` where one event became a job per device.
/// The same log gives the same id; it is the `Idempotency-Key` of what the job does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct JobId(String);

impl TryFrom<String> for JobId {
    type Error = &'static str;

    /// A header could not bear control characters.
    fn try_from(id: String) -> Result<Self, &'static str> {
        if id.chars().any(char::is_control) { Err("a job's id has no control characters") } else { Ok(Self(id)) }
    }
}

impl JobId {
    /// The id of the job of `rule` for `target` about `event`, and about `node`, a node's key, where the rule fans out.
    pub fn new(event: EventId, rule: &Name, target: &Name, node: Option<&str>) -> Self {
        let mut buffer = [0; _];
        let (event, rule, target) = (event.written(&mut buffer), rule.as_str(), target.as_str());
        Self(match node {
            None => [event, "/", rule, "/", target].concat(),
            Some(node) => [event, "/", rule, "/", target, "/", node].concat(),
        })
    }

    /// The id as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as one word of a subject.
    pub fn token(&self) -> String {
        EventId::derived(&["job", &self.0]).to_string()
    }

    /// Target and rule, as the id names them; `None` for a text that is no job's id.
    pub fn target_and_rule(&self) -> Option<(Name, Name)> {
        let mut parts = self.0.splitn(4, '/').skip(1);
        let (rule, target) = (Name::new(parts.next()?).ok()?, Name::new(parts.next()?).ok()?);
        Some((target, rule))
    }

    /// The same id in the form of a UUID, for systems that want one: an MDM's CommandUUID, in upper case as Apple
    /// writes them.
    pub fn command_uuid(&self) -> String {
        EventId::derived(&["command", &self.0]).to_string().to_uppercase()
    }
}

impl std::fmt::Display for JobId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a target is asked to do. It holds all that the delivery needs, so that a job means the same however long it
/// waits and whatever becomes of the rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// See [`JobId`].
    pub id: JobId,
    /// The rule that matched.
    pub rule: Name,
    /// The target that is to act.
    pub target: Name,
    /// The event that matched, complete.
    pub event: SharedEvent,
    /// The node's record when the event was folded, as `emote node -o json` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Record>,
    /// Whom the event is about, and which devices are theirs: `{"id":…,"name":…,"devices":[…]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Value>,
    /// The rule's input transform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// What the agent is installed from, where the target installs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installs: Option<Manifest>,
    /// Hash of the set of rules that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Whether it is about this Mac because of an owner whom only unverified events name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owner_unproven: bool,
    /// Where the target keeps order: the event that tells the end of the node's job before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<EventId>,
    /// Why it is held back until somebody approves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// The order by which somebody let it through or gave it out again: it is done however old its event is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_by: Option<EventId>,
    /// How often it was taken from the dead letters and given out again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redriven: u32,
    /// Where the event, or what led to it, is played again: by which replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// The entry of EVENTS that could not be folded, where that is what the job tells: it goes to the dead letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poison: Option<Poison>,
}

/// How a rule turns what there is into what its target is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input {
    /// A jq program over `{event, node, user, rule, target, job}`.
    Jq(String),
    /// EventBridge's `InputPath` or `InputTransformer`.
    Bridge(BridgeInput),
}

/// EventBridge's own two ways, as they are written there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum BridgeInput {
    /// A JSON path: that part of the event.
    InputPath(String),
    /// A template with values from the event.
    InputTransformer {
        /// JSON paths by the names that the template has for them.
        #[serde(rename = "InputPathsMap", default, skip_serializing_if = "BTreeMap::is_empty")]
        paths: BTreeMap<String, String>,
        /// Text with `<name>` where a value goes.
        #[serde(rename = "InputTemplate")]
        template: String,
    },
}

/// An entry of EVENTS as it was found, for a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poison {
    /// Its sequence.
    pub sequence: u64,
    /// Its subject.
    pub subject: String,
    /// Its body, as far as it is UTF-8.
    pub body: String,
    /// Why it could not be folded.
    pub reason: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Job {
    /// A job that nothing is known of but who is to do what about which event.
    pub fn new(id: JobId, rule: Name, target: Name, event: impl Into<SharedEvent>) -> Self {
        Self {
            id,
            rule,
            target,
            event: event.into(),
            node: None,
            user: None,
            input: None,
            installs: None,
            config: None,
            owner_unproven: false,
            after: None,
            held: None,
            ordered_by: None,
            redriven: 0,
            replay: None,
            poison: None,
        }
    }

    /// The id of the event that reports how the job ended. One job has one end, so a repeated report is the same event;
    /// a job that was dead and is given out again may end once more.
    pub fn result_id(&self) -> EventId {
        match self.redriven {
            0 => EventId::derived(&["result", self.id.as_str()]),
            times => EventId::derived(&["result", self.id.as_str(), &times.to_string()]),
        }
    }

    /// The least that any event of the chain was trusted. A Mac is believed about itself: what it says of a user proves
    /// nothing about that user's other Macs; nor does what is proven of a user, of Macs that nobody proved to be theirs.
    pub fn trust(&self) -> Trust {
        let by_agent = self.event.source.as_str() == source::AGENT;
        let is_another = || self.node_key().as_deref() != self.event.serial();
        if self.owner_unproven || by_agent && is_another() { Trust::Unverified } else { least_trust(&self.event) }
    }

    /// The `cause` of the event that reports on this job.
    pub fn cause(&self) -> Cause {
        let before = self.event.cause.as_ref();
        let mut chain = before.map(|cause| cause.chain.clone()).unwrap_or_default();
        chain.push(Link { rule: self.rule.to_string(), node: self.node_key() });
        Cause {
            event: self.event.id,
            rule: self.rule.to_string(),
            target: self.target.to_string(),
            root: before.map_or(self.event.id, |cause| cause.root),
            depth: before.map_or(0, |cause| cause.depth).saturating_add(1),
            chain,
            job: Some(self.id.to_string()),
            trust: Some(self.trust()),
            replay: self.replay.clone(),
        }
    }

    /// The node that the job acts on: its serial number or UDID, else the user, else nothing.
    pub fn node_key(&self) -> Option<String> {
        let from_record =
            self.node.as_ref().and_then(|node| ["serial", "udid"].iter().find_map(|key| node.get(key)?.as_str()));
        let from_event = || self.event.serial().or_else(|| self.event.udid()).or_else(|| self.event.user_id());
        from_record.or_else(from_event).map(str::to_owned)
    }

    /// Its JSON, as `Serialize` writes it, in fewer steps: every job is written once at least.
    pub fn to_json(&self) -> Vec<u8> {
        // All of them, so that none that comes is forgotten.
        let Self {
            id,
            rule,
            target,
            event,
            node,
            user,
            input,
            installs,
            config,
            owner_unproven,
            after,
            held,
            ordered_by,
            redriven,
            replay,
            poison,
        } = self;
        let event = event.json();
        let node = node.as_ref().map(Record::json);
        let mut json = Fields(Vec::with_capacity(ROOM + event.len() + node.map_or(0, str::len)));
        json.raw("{\"id\":", "");
        json.value("", id);
        json.value(",\"rule\":", rule);
        json.value(",\"target\":", target);
        json.raw(",\"event\":", event);
        if let Some(node) = node {
            json.raw(",\"node\":", node);
        }
        json.some(",\"user\":", user.as_ref());
        json.some(",\"input\":", input.as_ref());
        json.some(",\"installs\":", installs.as_ref());
        json.some(",\"config\":", config.as_ref());
        json.some(",\"owner_unproven\":", owner_unproven.then_some(&true));
        json.some(",\"after\":", after.as_ref());
        json.some(",\"held\":", held.as_ref());
        json.some(",\"ordered_by\":", ordered_by.as_ref());
        json.some(",\"redriven\":", Some(redriven).filter(|times| !is_zero(times)));
        json.some(",\"replay\":", replay.as_ref());
        json.some(",\"poison\":", poison.as_ref());
        json.raw("}", "");
        json.0
    }

    /// What jq programs of rules and targets see: `{event, node, user, rule, target, job}`.
    pub fn context(&self) -> Value {
        serde_json::json!({
            "event": self.event, "node": self.node, "user": self.user, "rule": self.rule, "target": self.target,
            "job": self.id,
        })
    }
}

/// Room for what most jobs have besides their event and their node.
const ROOM: usize = 384;

/// JSON on the way.
struct Fields(Vec<u8>);

impl Fields {
    fn raw(&mut self, key: &str, json: &str) {
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(json.as_bytes());
    }

    fn value(&mut self, key: &str, value: &(impl Serialize + ?Sized)) {
        self.raw(key, "");
        // Strings, numbers, maps with string keys and JSON values, into memory: nothing here can fail.
        serde_json::to_writer(&mut self.0, value).unwrap_or_default();
    }

    fn some(&mut self, key: &str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.value(key, value);
        }
    }
}

/// The least that `event`, and whatever led to it, was trusted. Only what the broker reports has a cause.
pub(super) fn least_trust(event: &Event) -> Trust {
    let cause = event.cause.as_ref().filter(|_| event.source.as_str() == source::BROKER);
    event.trust.min(cause.and_then(|cause| cause.trust).unwrap_or(event.trust))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Package;
    use proptest::prelude::*;
    use serde_json::json;

    const EVENT: &str = r#"{"id":"a64c29d5-87af-5257-b215-b904e4a840d8","time":"2026-11-23T06:41:00.000Z","source":"jamf","scope":"device","action":"enroll","trust":"verified","info":{"n":1.50}}"#;

    proptest! {
        #[test]
        fn a_job_is_written_as_serde_writes_it(
            there: u16, node in "[A-Z ü\"/]{0,12}", text in ".{0,12}", redriven in 0..3_u32,
        ) {
            let event: SharedEvent = serde_json::from_str(EVENT).unwrap();
            let (rule, target) = (Name::new("lock-leavers").unwrap(), Name::new("jamf").unwrap());
            let id = JobId::new(event.id, &rule, &target, Some(&node));
            prop_assert_eq!(id.as_str(), format!("{}/lock-leavers/jamf/{node}", event.id));
            let split = format!("{id}\r\nNats-Rollup: all");
            prop_assert!(serde_json::from_value::<JobId>(json!(split)).is_err());
            let is = |bit: u32| there & 1 << bit != 0;
            let bridge = BridgeInput::InputTransformer { paths: [(text.clone(), "$".to_owned())].into(), template: text.clone() };
            let replay = Replay { id: text.clone(), original: event.id, time: event.time, rules: vec![], destructive: is(1) };
            let poison = Poison { sequence: 7, subject: text.clone(), body: text.clone(), reason: text.clone() };
            let job = Job {
                node: is(0).then(|| Record::from(json!({"serial": text, "n": [null, 1.5]}))),
                user: is(1).then(|| json!({"id": text})),
                input: is(2).then(|| if is(3) { Input::Jq(text.clone()) } else { Input::Bridge(bridge) }),
                installs: is(4).then(|| Package::example().manifest("https://emote.example.com").unwrap()),
                config: is(5).then(|| text.clone()),
                owner_unproven: is(6),
                after: is(7).then_some(event.id),
                held: is(8).then(|| text.clone()),
                ordered_by: is(9).then_some(event.id),
                redriven,
                replay: is(10).then_some(replay),
                poison: is(11).then_some(poison),
                ..Job::new(id, rule, target, event)
            };
            let written = String::from_utf8(job.to_json()).unwrap();
            prop_assert_eq!(&written, &serde_json::to_string(&job).unwrap());
            prop_assert_eq!(serde_json::from_str::<Job>(&written).unwrap(), job);
        }
    }
}

//! A job: one rule's order to one target about one event. What DELIVERIES carries.

use emote_proto::{Cause, Event, EventId, Link, Name};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `<event>/<rule>/<target>`, or `<event>/<rule>/<target>/<node>` where one event became a job per device.
/// The same log gives the same id; it is the `Idempotency-Key` of what the job does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(String);

impl JobId {
    /// The id of the job of `rule` for `target` about `event`, and about `node` where the rule fans out.
    pub fn new(event: EventId, rule: &Name, target: &Name, node: Option<&str>) -> Self {
        Self(match node {
            None => format!("{event}/{rule}/{target}"),
            Some(node) => format!("{event}/{rule}/{target}/{node}"),
        })
    }

    /// The id as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same id in the form of a UUID, for systems that want one: an MDM's CommandUUID, in upper case as Apple
    /// writes them.
    pub fn command_uuid(&self) -> String {
        EventId::derived(&["command", &self.0]).to_string().to_uppercase()
    }

    /// The id of the event that reports how the job ended. One job has one end, so a repeated report is the same event.
    pub fn result_id(&self) -> EventId {
        EventId::derived(&["result", &self.0])
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
    pub event: Event,
    /// The node's record when the event was folded, as `emote node -o json` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Value>,
    /// The rule's input transform: a jq program over `{event, node, rule, target, job}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

impl Job {
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
        }
    }

    /// The node that the job acts on: its serial number or UDID, else the user, else nothing.
    pub fn node_key(&self) -> Option<String> {
        let from_record =
            self.node.as_ref().and_then(|node| ["serial", "udid"].iter().find_map(|key| node.get(key)?.as_str()));
        let from_event = || self.event.serial().or_else(|| self.event.udid()).or_else(|| self.event.user_id());
        from_record.or_else(from_event).map(str::to_owned)
    }

    /// What jq programs of rules and targets see: `{event, node, rule, target, job}`.
    pub fn context(&self) -> Value {
        serde_json::json!({
            "event": self.event, "node": self.node, "rule": self.rule, "target": self.target, "job": self.id,
        })
    }
}

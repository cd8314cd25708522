//! What a rule without input tells people: what happened, to which node, whose it is, and who says so.

use serde_json::Value;

use super::serial;
use crate::core::Job;

/// See the module. Nothing in it is escaped.
pub(super) struct Summary {
    /// `device enroll`.
    pub(super) what: String,
    /// `ada-mbp (C02XL0GTJGH5)`.
    pub(super) node: Option<String>,
    owner: Option<String>,
    source: String,
    time: String,
    /// Which rule says it, of which event.
    pub(super) origin: String,
}

impl Summary {
    pub(super) fn of(job: &Job) -> Self {
        let event = &job.event;
        let of_node = |key: &str| job.node.as_ref().and_then(|node| node.get(key)).and_then(Value::as_str);
        let name = of_node("name").or(event.device.as_ref().and_then(|device| device.name.as_deref()));
        let node = match (name, serial(job).or(event.udid())) {
            (Some(name), Some(key)) => Some(format!("{name} ({key})")),
            (name, key) => name.or(key).map(str::to_owned),
        };
        Self {
            what: format!("{} {}", event.scope, event.action),
            node,
            owner: of_node("owner").or(event.user_id()).map(str::to_owned),
            source: event.source.to_string(),
            time: event.time.to_string(),
            origin: format!("rule {} · event {}", job.rule, event.id),
        }
    }

    /// All of it on one line: `device enroll: ada-mbp (C02XL0GTJGH5)`.
    pub(super) fn line(&self) -> String {
        match &self.node {
            None => self.what.clone(),
            Some(node) => format!("{}: {node}", self.what),
        }
    }

    /// What is known, each with its label.
    pub(super) fn facts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let facts = [
            ("Node", self.node.as_deref()),
            ("Owner", self.owner.as_deref()),
            ("Source", Some(self.source.as_str())),
            ("Time", Some(self.time.as_str())),
        ];
        facts.into_iter().filter_map(|(label, value)| Some((label, value?)))
    }
}

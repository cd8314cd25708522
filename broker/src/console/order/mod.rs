//! Orders to the core: events of source `admin` that say what is to be done, under the name of who says so, and why. And what
//! Emote itself tells of those who work with it.

pub(crate) mod agents;
pub(crate) mod config;
pub(crate) mod dead;
pub(crate) mod deploy;
pub(crate) mod held;
pub(crate) mod replay;

use std::time::Duration;

use emote_proto::{EventId, NodeKey, Subject, Time, source};
use serde_json::{Value, json};

use crate::bus::Bus;

pub(crate) use config::Applied;

/// How long the core may take to come to an order.
const WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who gives an order, and why.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    /// In lower case, such as `ada@example.com (oidc)`.
    pub(crate) who: NodeKey,
    /// For those who read the events later.
    pub(crate) reason: Option<String>,
}

impl Signature {
    /// Publishes an order, with the reason beside what it says. It is in the log once this is done.
    pub(crate) async fn order(&self, bus: &Bus, what: &str, mut info: Value) -> anyhow::Result<EventId> {
        if let (Value::Object(info), Some(reason)) = (&mut info, &self.reason) {
            info.insert("reason".to_owned(), json!(reason));
        }
        let event = json!({"user": {"id": self.who}, "info": info});
        publish(bus, &format!("{}.{}", source::ADMIN, self.who.to_subject_token()), what, event).await
    }
}

/// Publishes what Emote itself has to tell. It is in the log once this is done.
pub(crate) async fn tell(bus: &Bus, what: &str, info: &Value) -> anyhow::Result<EventId> {
    let event = json!({"trust": "verified", "info": info});
    publish(bus, &format!("{}.-", source::BROKER), what, event).await
}

/// `from` is source and node as they stand in the subject.
async fn publish(bus: &Bus, from: &str, what: &str, mut event: Value) -> anyhow::Result<EventId> {
    let (scope, action) = what.split_once('.').unwrap_or((what, ""));
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes)?;
    let now = jiff::Timestamp::now();
    let id = EventId::fresh(u64::try_from(now.as_millisecond()).unwrap_or(0), &bytes);
    let subject: Subject = format!("events.{from}.{scope}.{action}").parse()?;
    event["id"] = json!(id);
    event["time"] = json!(Time::from(now));
    (event["scope"], event["action"]) = (json!(scope), json!(action));
    bus.publish_events(vec![(subject, id, serde_json::to_vec(&event)?.into())]).await?;
    Ok(id)
}

//! Putting a set of rules in force: stored under its hash, told by an event, awaited.

use std::time::Duration;

use anyhow::Context;
use emote_proto::{EventId, NodeKey, Subject, source};
use serde_json::{Value, json};

use crate::{
    bus::{Bus, BusError, InForce, TailStart},
    config::Set,
};

/// How long a broker may take to come to it.
const WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What became of an order to put a set in force.
pub(super) enum Applied {
    /// It is in force.
    InForce(InForce),
    /// The broker cannot run it, and says why.
    Refused(String),
    /// It is in the log, but no broker has come to it yet.
    Waiting,
}

/// Who gives an order, and why.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Signed {
    /// Why, for those who read the events later
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Who gives the order; where nothing is said the name of the NATS credential, or USER@HOST without one
    #[arg(long, value_name = "NAME", env = "EMOTE_BY")]
    by: Option<String>,
}

impl Signed {
    /// By the program itself.
    pub(super) fn because(message: &str) -> Self {
        Self { message: Some(message.to_owned()), by: None }
    }

    /// Publishes an order, with the reason beside what it says. It is in the log once this is done.
    pub(super) async fn order(&self, bus: &Bus, what: &str, mut info: Value) -> anyhow::Result<EventId> {
        if let (Value::Object(info), Some(message)) = (&mut info, &self.message) {
            info.insert("reason".to_owned(), json!(message));
        }
        order(bus, &self.who(bus.user_name())?, what, &info).await
    }

    /// Who signs: NATS knows whoever has a credential by its name, and lets that one speak under no other.
    fn who(&self, known: Option<&str>) -> anyhow::Result<NodeKey> {
        let name = match (known, &self.by) {
            (Some(known), Some(by)) if known != by => {
                anyhow::bail!("--by {by}: the credential is {known}'s, and NATS takes orders under that name only")
            }
            (Some(known), _) => known.to_owned(),
            (None, by) => by.clone().unwrap_or_else(whoever),
        };
        NodeKey::new(name.to_lowercase()).context("--by")
    }
}

/// Publishes an order of `who`. It is in the log once this is done.
pub(crate) async fn order(bus: &Bus, who: &NodeKey, what: &str, info: &Value) -> anyhow::Result<EventId> {
    let (scope, action) = what.split_once('.').unwrap_or((what, ""));
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes)?;
    let now = jiff::Timestamp::now();
    let id = EventId::fresh(u64::try_from(now.as_millisecond()).unwrap_or(0), &bytes);
    let node = who.to_subject_token();
    let subject: Subject = format!("events.{}.{node}.{scope}.{action}", source::ADMIN).parse()?;
    let time = emote_proto::Time::from(now);
    let event = json!({"id": id, "time": time, "scope": scope, "action": action, "user": {"id": who}, "info": info});
    bus.publish_events(vec![(subject, id, serde_json::to_vec(&event)?)]).await?;
    Ok(id)
}

/// Stores a set and orders that it be in force.
pub(super) async fn apply(bus: &Bus, set: &Set, signed: &Signed) -> anyhow::Result<Applied> {
    let hash = set.hash();
    bus.store_set(&hash, &set.to_json()).await?;
    apply_stored(bus, &hash, set.files().count(), signed).await
}

/// Orders that a set that is stored be in force.
pub(super) async fn apply_stored(bus: &Bus, hash: &str, files: usize, signed: &Signed) -> anyhow::Result<Applied> {
    let before = bus.in_force().await?;
    let mut refusals = bus.tail(vec![format!("events.{}.*.config.refused", source::BROKER)], TailStart::New).await?;
    let info = json!({"hash": hash, "before": before.map(|before| before.hash), "files": files});
    let id = signed.order(bus, "config.applied", info).await?;
    let in_force = async {
        loop {
            match bus.in_force().await? {
                Some(now) if now.event == Some(id) => return Ok::<_, BusError>(Applied::InForce(now)),
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    };
    let refused = async {
        while let Ok(message) = refusals.read().await {
            let event: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            if event["info"]["event"] == json!(id) {
                return event["info"]["reason"].as_str().unwrap_or_default().to_owned();
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        now = in_force => Ok(now?),
        reason = refused => Ok(Applied::Refused(reason)),
        () = tokio::time::sleep(WITHIN) => Ok(Applied::Waiting),
    }
}

/// `ada@mac-mini.local`
fn whoever() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host}")
}

/// The beginning of a hash, as people read it.
pub(super) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

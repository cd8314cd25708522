//! A word on jobs that are held: let through, or never done.

use emote_proto::{EventId, source};
use serde_json::{Value, json};

use super::{LOOK_EVERY, Signature, WITHIN};
use crate::{
    bus::{Bus, Tail, TailStart},
    core::MAX_NAMED,
};

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// How many jobs it was about.
    pub(crate) named: usize,
    /// Why it did not come to all of them, where it did not.
    pub(crate) refused: Option<String>,
}

/// Lets these jobs through. What is not held is an error, and nothing is ordered then.
pub(crate) async fn approve(bus: &Bus, jobs: Vec<String>, signature: &Signature) -> anyhow::Result<Outcome> {
    let held = bus.all_held(None).await?;
    if let Some(unknown) = jobs.iter().find(|id| !held.iter().any(|held| held.job.id.as_str() == *id)) {
        anyhow::bail!("{unknown} is not held: `emote held ls` lists what is");
    }
    let (named, mut refused) = (jobs.len(), None);
    for some in jobs.chunks(MAX_NAMED) {
        let waited = Waited::begin(bus).await?;
        let id = signature.order(bus, "guard.approved", json!({"jobs": some})).await?;
        refused = waited.outcome(bus, id, some.to_vec()).await?.or(refused);
    }
    Ok(Outcome { named, refused })
}

/// Cancels everything that is held of this rule; where that is nothing, nothing is ordered.
pub(crate) async fn deny(bus: &Bus, rule: &str, signature: &Signature) -> anyhow::Result<Outcome> {
    let held = bus.all_held(Some(rule)).await?;
    if held.is_empty() {
        return Ok(Outcome { named: 0, refused: None });
    }
    let waited = Waited::begin(bus).await?;
    let id = signature.order(bus, "guard.denied", json!({"rule": rule})).await?;
    let ids = held.iter().map(|held| held.job.id.to_string()).collect();
    Ok(Outcome { named: held.len(), refused: waited.outcome(bus, id, ids).await? })
}

/// Waits until the core has carried out an order about held jobs.
struct Waited {
    refusals: Tail,
}

impl Waited {
    async fn begin(bus: &Bus) -> anyhow::Result<Self> {
        let filter = format!("events.{}.*.order.refused", source::BROKER);
        Ok(Self { refusals: bus.tail(vec![filter], TailStart::New).await? })
    }

    /// Nothing where none of `jobs` is held any longer, else what was said, or that nothing was.
    async fn outcome(mut self, bus: &Bus, order: EventId, jobs: Vec<String>) -> anyhow::Result<Option<String>> {
        let gone = async {
            loop {
                let held = bus.all_held(None).await?;
                if !held.iter().any(|held| jobs.iter().any(|id| held.job.id.as_str() == id)) {
                    return Ok::<_, crate::bus::BusError>(None);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let refused = async {
            while let Ok(message) = self.refusals.read().await {
                let event: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
                if event["info"]["event"] == json!(order) {
                    return event["info"]["reason"].as_str().map(str::to_owned);
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            reason = refused => Ok(reason),
            gone = gone => Ok(gone?),
            () = tokio::time::sleep(WITHIN) => {
                Ok(Some("it is ordered, but no broker has come to it yet: does one run? (`emote held ls`)".to_owned()))
            }
        }
    }
}

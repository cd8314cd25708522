//! Putting a set of rules in force: stored under its hash, told by an event, awaited.

use emote_proto::source;
use serde_json::{Value, json};

use super::{LOOK_EVERY, Signature, WITHIN};
use crate::{
    bus::{Bus, BusError, InForce, TailStart},
    config::Set,
};

/// What became of an order to put a set in force.
pub(crate) enum Applied {
    /// It is in force.
    InForce(InForce),
    /// The broker cannot run it, and says why.
    Refused(String),
    /// It is in the log, but no broker has come to it yet.
    Waiting,
}

/// Stores a set and orders that it be in force.
pub(crate) async fn apply(bus: &Bus, set: &Set, signed: &Signature) -> anyhow::Result<Applied> {
    let hash = set.hash();
    bus.store_set(&hash, &set.to_json()).await?;
    apply_stored(bus, &hash, set.files().count(), signed).await
}

/// Orders that a set that is stored be in force.
pub(crate) async fn apply_stored(bus: &Bus, hash: &str, files: usize, signed: &Signature) -> anyhow::Result<Applied> {
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

//! Waits for what became of an order: events that name it.

use std::time::Duration;

use emote_proto::{EventId, source};
use serde_json::{Value, json};

use crate::{
    bus::{Bus, Tail, TailStart},
    identity::order::What,
};

/// How long a broker may take to come to it.
const WITHIN: Duration = Duration::from_secs(10);

/// Hears what becomes of orders from now on.
pub(super) struct Waited(Tail);

/// What became of an order for one device, or for the token.
pub(super) struct Outcome {
    /// Of which device; none where it is a token.
    pub(super) serial: Option<String>,
    /// Why it was not carried out, if it was not.
    pub(super) refused: Option<String>,
}

impl Waited {
    pub(super) async fn begin(bus: &Bus) -> anyhow::Result<Self> {
        let done = What::ALL.map(What::done).into_iter();
        let actions = done.chain(["order_refused", "token_created", "token_revoked"]);
        let filters = actions.map(|action| format!("events.{}.*.agent.{action}", source::BROKER)).collect();
        Ok(Self(bus.tail(filters, TailStart::New).await?))
    }

    /// As many outcomes of this order as there are to be, or as there are within 10 s.
    pub(super) async fn outcomes(&mut self, order: EventId, count: usize) -> anyhow::Result<Vec<Outcome>> {
        let (mut outcomes, until) = (Vec::new(), tokio::time::Instant::now() + WITHIN);
        while outcomes.len() < count {
            let Ok(read) = tokio::time::timeout_at(until, self.0.read()).await else { break };
            let event: Value = serde_json::from_slice(&read?.payload).unwrap_or_default();
            if event["info"]["order"] == json!(order) {
                let is_refused = event["action"] == "order_refused";
                let text = |value: &Value| value.as_str().map(str::to_owned);
                let refused = text(&event["info"]["reason"]).filter(|_| is_refused);
                outcomes.push(Outcome { serial: text(&event["device"]["uuid"]), refused });
            }
        }
        Ok(outcomes)
    }
}

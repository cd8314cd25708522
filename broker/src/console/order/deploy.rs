//! Which package of the agent is deployed, and on which Macs it is to be installed.

use std::collections::BTreeSet;

use emote_proto::{EventId, source};
use serde_json::{Value, json};

use super::{LOOK_EVERY, Signature, WITHIN};
use crate::{
    bus::{Bus, Tail, TailStart},
    console::deploys::{self, DeployTerms},
    core::{Deployment, MAX_NODES, ORDERED, PACKAGE_SET, Package},
};

/// What became of an order to install the agent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Became {
    /// On so many nodes it is under way.
    pub(crate) ordered: usize,
    /// Where it is not, and why.
    pub(crate) refused: Vec<String>,
    /// Of so many nodes nothing was heard in time.
    pub(crate) unheard: usize,
}

/// What became of an order that a package is deployed.
#[derive(Debug)]
pub(crate) enum InForce {
    /// It is deployed, on the terms of the set of rules, where that has some.
    Yes { terms: Option<DeployTerms> },
    /// The core has not done it, and says why.
    Refused(String),
    /// Nothing was heard of it in time.
    Unheard,
}

/// Has this package deployed from now on.
pub(crate) async fn set_package(bus: &Bus, package: &Package, signature: &Signature) -> anyhow::Result<InForce> {
    let mut waited = Waited::begin(bus).await?;
    let order = signature.order(bus, PACKAGE_SET, json!({"package": package})).await?;
    let until = tokio::time::Instant::now() + WITHIN;
    while tokio::time::Instant::now() < until {
        if let Some(event) = waited.refusal(order).await? {
            return Ok(InForce::Refused(reason(&event).to_owned()));
        }
        // The order is in the log: that no broker answers now is no reason not to wait for one.
        match deploys::ask(bus, Vec::new()).await {
            Ok(answer) if answer.package.as_ref() == Some(package) => return Ok(InForce::Yes { terms: answer.terms }),
            Ok(_) => {}
            Err(error) => tracing::debug!(error = format!("{error:#}"), "what is deployed is not known"),
        }
    }
    Ok(InForce::Unheard)
}

/// Has the agent installed on these nodes, known by their keys; `again` where it is there already, too.
pub(crate) async fn install(bus: &Bus, nodes: &[String], again: bool, signature: &Signature) -> anyhow::Result<Became> {
    let mut became = Became::default();
    for some in nodes.chunks(MAX_NODES) {
        let mut waited = Waited::begin(bus).await?;
        let mut info = json!({"nodes": some});
        if again {
            info["again"] = json!(true);
        }
        let order = signature.order(bus, ORDERED, info).await?;
        waited.outcome(bus, order, some, &mut became).await?;
    }
    Ok(became)
}

/// Hears what is refused, from now on.
struct Waited(Tail);

impl Waited {
    async fn begin(bus: &Bus) -> anyhow::Result<Self> {
        let filters = ["guard.refused", "order.refused"].map(|what| format!("events.{}.*.{what}", source::BROKER));
        Ok(Self(bus.tail(filters.to_vec(), TailStart::New).await?))
    }

    /// What is refused of this order, heard within a moment.
    async fn refusal(&mut self, order: EventId) -> anyhow::Result<Option<Value>> {
        let until = tokio::time::Instant::now() + LOOK_EVERY;
        while let Ok(read) = tokio::time::timeout_at(until, self.0.read()).await {
            let event: Value = serde_json::from_slice(&read?.payload).unwrap_or_default();
            if event["info"]["event"] == json!(order) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Waits until each of the nodes has an install of this order, or was refused.
    async fn outcome(
        &mut self,
        bus: &Bus,
        order: EventId,
        nodes: &[String],
        became: &mut Became,
    ) -> anyhow::Result<()> {
        let mut left: BTreeSet<&str> = nodes.iter().map(String::as_str).collect();
        let until = tokio::time::Instant::now() + WITHIN;
        while !left.is_empty() && tokio::time::Instant::now() < until {
            if let Some(event) = self.refusal(order).await? {
                refused(&event, &mut left, became);
                continue;
            }
            let asked = left.iter().map(|key| (*key).to_owned()).collect();
            for deployment in deploys::ask(bus, asked).await?.deployments {
                if is_of(&deployment, order) && left.remove(deployment.key()) {
                    became.ordered += 1;
                }
            }
        }
        became.unheard += left.len();
        Ok(())
    }
}

/// Notes what an event refuses: one node, or what it names of the order as a whole.
fn refused(event: &Value, left: &mut BTreeSet<&str>, became: &mut Became) {
    let reason = reason(event);
    let device = ["uuid", "udid"].iter().find_map(|key| event["device"][*key].as_str());
    match device {
        Some(node) => {
            left.remove(node);
            became.refused.push(format!("{node}: {reason}"));
        }
        None => {
            // It names those that nobody knows, or is about all of them.
            let named: Vec<&str> =
                left.iter().copied().filter(|node| reason.split(&[' ', ';'][..]).any(|word| word == *node)).collect();
            if named.is_empty() {
                left.clear();
            }
            left.retain(|node| !named.contains(node));
            became.refused.push(reason.to_owned());
        }
    }
}

fn reason(event: &Value) -> &str {
    event["info"]["reason"].as_str().unwrap_or("no reason was given")
}

fn is_of(deployment: &Deployment, order: EventId) -> bool {
    deployment.job.as_str().starts_with(&format!("{order}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_told_of_each_node_or_of_all() {
        let told = |event: Value| {
            let mut left: BTreeSet<&str> = ["C1", "C2", "C3"].into();
            let mut became = Became::default();
            refused(&event, &mut left, &mut became);
            (left.into_iter().map(str::to_owned).collect::<Vec<_>>().join(" "), became.refused)
        };
        let one = json!({"device": {"uuid": "C2"}, "info": {"reason": "it has 1.2.3 already"}});
        assert_eq!(told(one), ("C1 C3".to_owned(), vec!["C2: it has 1.2.3 already".to_owned()]));
        let reason = "no event has named a node C1; no event has named a node C3";
        assert_eq!(told(json!({"info": {"reason": reason}})), ("C2".to_owned(), vec![reason.to_owned()]));
        let all = json!({"info": {"reason": "there is no deploy.yaml"}});
        assert_eq!(told(all), (String::new(), vec!["there is no deploy.yaml".to_owned()]));
    }
}

//! Questions to the broker, with the answers' own errors turned into ours.

use emote_proto::service;

use crate::{
    bus::Bus,
    console::{NodeAnswer, NodeQuestion, NodeRecord, NodesAnswer, NodesQuestion},
};

/// Every node, page by page.
pub(super) async fn nodes(bus: &Bus) -> anyhow::Result<Vec<NodeRecord>> {
    let mut nodes: Vec<NodeRecord> = Vec::new();
    loop {
        let after = nodes.last().map(|node| node.key.clone()).unwrap_or_default();
        let answer: NodesAnswer = bus.ask(service::NODES, &NodesQuestion { after }).await?;
        if let Some(error) = answer.error {
            anyhow::bail!("the broker: {error}");
        }
        nodes.extend(answer.nodes);
        if !answer.more {
            return Ok(nodes);
        }
    }
}

/// One node by serial number or UDID.
pub(super) async fn node(bus: &Bus, key: &str) -> anyhow::Result<Option<NodeRecord>> {
    let answer: NodeAnswer = bus.ask(service::NODE, &NodeQuestion { key: key.to_owned() }).await?;
    match answer.error {
        Some(error) => anyhow::bail!("the broker: {error}"),
        None => Ok(answer.node),
    }
}

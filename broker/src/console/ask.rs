//! Questions to the broker, with the answers' own errors turned into ours.

use emote_proto::service;

use crate::{
    bus::Bus,
    console::{NodeAnswer, NodeQuestion, NodeRecord, NodesAnswer, NodesQuestion},
};

/// The nodes whose keys come after this one, as many as fit into an answer.
pub(crate) async fn page_of_nodes(bus: &Bus, after: &str) -> anyhow::Result<NodesAnswer> {
    let answer: NodesAnswer = bus.ask(service::NODES, &NodesQuestion { after: after.to_owned() }).await?;
    match answer.error {
        Some(error) => anyhow::bail!("the broker: {error}"),
        None => Ok(answer),
    }
}

/// Every node, page by page.
pub(crate) async fn nodes(bus: &Bus) -> anyhow::Result<Vec<NodeRecord>> {
    let mut nodes: Vec<NodeRecord> = Vec::new();
    loop {
        let after = nodes.last().map(|node| node.key.clone()).unwrap_or_default();
        let answer = page_of_nodes(bus, &after).await?;
        nodes.extend(answer.nodes);
        if !answer.more {
            return Ok(nodes);
        }
    }
}

/// One node by serial number or UDID.
pub(crate) async fn node(bus: &Bus, key: &str) -> anyhow::Result<Option<NodeRecord>> {
    let answer: NodeAnswer = bus.ask(service::NODE, &NodeQuestion { key: key.to_owned() }).await?;
    match answer.error {
        Some(error) => anyhow::bail!("the broker: {error}"),
        None => Ok(answer.node),
    }
}

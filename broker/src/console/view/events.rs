//! The latest events, as far as a page shows them.

use emote_proto::{Event, Filter, NodeKey};

use crate::{
    bus::{Bus, EventMessage},
    console::ask,
    core::{Believed, Rejection, open_entry},
};

/// The subject filters for a filter: a node is asked for under its serial number and its UDID.
pub(crate) async fn filters(bus: &Bus, filter: &Filter) -> Vec<String> {
    let mut nodes = vec![filter.node.clone()];
    if let Some(node) = &filter.node
        && let Ok(Some(found)) = ask::node(bus, node.as_str()).await
    {
        let keys = ["serial", "udid"].iter().filter_map(|field| found.record[*field].as_str());
        nodes.extend(keys.filter_map(|key| NodeKey::new(key).ok()).filter(|key| key != node).map(Some));
    }
    let with = |node| {
        let (source, scope, action) = (filter.source.clone(), filter.scope.clone(), filter.action.clone());
        Filter { source, node, scope, action }.to_string()
    };
    nodes.into_iter().map(with).collect()
}

/// The last `count` entries under these filters that are events, the oldest first.
pub(crate) async fn latest(bus: &Bus, filters: Vec<String>, count: usize) -> anyhow::Result<Vec<(u64, Event)>> {
    let messages = bus.latest_events(filters, count).await?;
    Ok(messages.iter().filter_map(|message| Some((message.sequence, open(message).ok()?))).collect())
}

/// The event in a message, completed.
pub(crate) fn open(message: &EventMessage) -> Result<Event, Rejection> {
    // What the body says of its trust is shown as it stands: this is for reading, nothing is decided on it.
    let believed = Believed::the_word_of(message.subject.split('.').nth(1).unwrap_or_default());
    open_entry(&message.entry(), &believed)
}

//! Orders about what is deployed, and to whom. All that carrying them out takes is in the log.

use std::{collections::HashSet, sync::Arc};

use emote_proto::{Event, Trust, source};
use serde_json::Value;

use super::Package;
use crate::core::{Node, Overlay, StateError};

/// The order that a package is deployed from now on: `info.package`.
pub const PACKAGE_SET: &str = "deploy.package_set";
/// The order to install the agent: `info.nodes`, and `info.again` where it is there already.
pub const ORDERED: &str = "deploy.ordered";
/// Nodes that one order may name: each of its jobs carries it.
pub const MAX_NODES: usize = 100;
/// Longest key of a node.
const MAX_KEY: usize = 255;

/// What an event orders.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::core) enum Order {
    /// This package is deployed from now on.
    Package(Box<Package>),
    /// The agent is to be installed on these nodes: serial numbers or UDIDs.
    Install { nodes: Vec<String> },
}

impl Order {
    /// The order that `event` is, if it is one.
    pub(in crate::core) fn read(event: &Event) -> Result<Option<Self>, String> {
        if event.source.as_str() != source::ADMIN {
            return Ok(None);
        }
        match format!("{}.{}", event.scope, event.action).as_str() {
            PACKAGE_SET => package(event).map(|package| Some(Self::Package(Box::new(package)))),
            ORDERED => nodes(event).map(|nodes| Some(Self::Install { nodes })),
            _ => Ok(None),
        }
    }
}

fn package(event: &Event) -> Result<Package, String> {
    let lacks = |error: &dyn std::fmt::Display| format!("{PACKAGE_SET} without info.package, a package: {error}");
    let value = event.info_at(&["package"]).cloned().unwrap_or_default();
    let package: Package = serde_json::from_value(value).map_err(|error| lacks(&error))?;
    package.check().map_err(|error| lacks(&error))?;
    Ok(package)
}

fn nodes(event: &Event) -> Result<Vec<String>, String> {
    let list = event.info_at(&["nodes"]).and_then(Value::as_array).filter(|nodes| nodes.len() <= MAX_NODES);
    let mut named = HashSet::new();
    let texts = list.into_iter().flatten().map(|node| {
        let key = node.as_str().filter(|key| (1..=MAX_KEY).contains(&key.len()))?;
        Some(named.insert(key).then(|| key.to_owned()))
    });
    let nodes = texts.collect::<Option<Vec<_>>>().map(|nodes| nodes.into_iter().flatten().collect::<Vec<_>>());
    nodes
        .filter(|nodes| !nodes.is_empty())
        .ok_or_else(|| format!("{ORDERED} without info.nodes, 1 to {MAX_NODES} serial numbers or UDIDs"))
}

/// The node of this serial number, in whatever case, or UDID.
pub(in crate::core) fn find_node(state: &Overlay<'_>, key: &str) -> Result<Option<Arc<Node>>, StateError> {
    if let Some(serial) = state.serial_for(key, Trust::Verified)?
        && let Some(node) = state.node(&serial)?
    {
        return Ok(Some(node));
    }
    match state.node(key)? {
        None => state.node(&key.to_ascii_uppercase()),
        found => Ok(found),
    }
}

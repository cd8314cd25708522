//! What the MDM says of a Mac, as the broker's records have it.

use emote_proto::Serial;

use super::super::ask;
use crate::{bus::Bus, core::Node, identity::Vouch};

/// What it says; an error where no broker answers.
pub(super) async fn of(bus: &Bus, serial: &Serial) -> anyhow::Result<Vouch> {
    let Some(found) = ask::node(bus, serial.as_str()).await? else { return Ok(Vouch::Unknown) };
    let mut node = Node::new(serial.as_str(), jiff::Timestamp::now().into());
    node.sources = serde_json::from_value(found.record["sources"].clone())?;
    Ok(Vouch::of(Some(&node), &[]))
}

/// For people.
pub(super) fn text(vouch: &anyhow::Result<Vouch>) -> String {
    match vouch {
        Ok(vouch) => vouch.to_string(),
        Err(_) => "no broker answers".to_owned(),
    }
}

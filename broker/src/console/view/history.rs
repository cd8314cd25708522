//! Which rules were in force when, who applied them and why.

use emote_proto::{Event, source};
use serde_json::{Value, json};

use crate::{
    bus::{Bus, InForce, TailStart},
    core::{Believed, open_entry},
};

/// What was in force when, and what is known of it.
pub(crate) struct History {
    /// The oldest first.
    pub(crate) sets: Vec<InForce>,
    orders: Vec<Event>,
}

impl History {
    /// Asks NATS.
    pub(crate) async fn ask(bus: &Bus) -> anyhow::Result<Self> {
        Ok(Self { sets: bus.sets_over_time().await?, orders: orders(bus).await? })
    }

    /// The event that put a set in force, where it is still kept.
    pub(crate) fn order(&self, set: &InForce) -> Option<&Event> {
        set.event.and_then(|id| self.orders.iter().find(|event| event.id == id))
    }
}

/// A set for programs, with the order that put it in force.
pub(crate) fn json_of(set: &InForce, order: Option<&Event>) -> Value {
    let (by, info) = order.map(|event| (event.user_id(), event.info.as_ref())).unwrap_or_default();
    json!({"hash": set.hash, "sequence": set.sequence, "since": set.since, "by": by, "order": info})
}

/// The events that put sets in force, as far as they are kept.
async fn orders(bus: &Bus) -> anyhow::Result<Vec<Event>> {
    let filter = format!("events.{}.*.config.applied", source::ADMIN);
    let mut tail = bus.tail(vec![filter], TailStart::First).await?;
    let mut events = Vec::new();
    while let Some(message) = tail.read_there().await? {
        let believed = Believed::the_word_of(source::ADMIN);
        events.extend(open_entry(&message.entry(), &believed).ok());
    }
    Ok(events)
}

/// The last set that is another than the one in force.
pub(crate) fn before_now(sets: &[InForce]) -> Option<&InForce> {
    let now = sets.last()?;
    sets.iter().rfind(|set| set.hash != now.hash)
}

/// The set whose hash begins like this; the one in force where none is named.
pub(crate) async fn find(bus: &Bus, hash: Option<&str>) -> anyhow::Result<Option<InForce>> {
    let Some(begin) = hash else { return Ok(bus.in_force().await?) };
    let sets = bus.sets_over_time().await?;
    let mut found: Vec<&InForce> = sets.iter().rev().filter(|set| set.hash.starts_with(begin)).collect();
    found.dedup_by(|one, other| one.hash == other.hash);
    found.sort_by(|one, other| one.hash.cmp(&other.hash));
    found.dedup_by(|one, other| one.hash == other.hash);
    match found.as_slice() {
        [one] => Ok(Some((*one).clone())),
        [] => anyhow::bail!("no set of rules begins with {begin}: `emote config history` lists them"),
        many => anyhow::bail!("{} sets of rules begin with {begin}: give more of the hash", many.len()),
    }
}

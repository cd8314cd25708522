//! Two machines under one identity: a disk that was copied, or a credential that was stolen.
//!
//! NATS lets one credential connect twice. A Mac that changes its network does so too, for as long as it takes the server
//! to notice that the first connection is dead. So [`Presence`] of two counts only once both have been there for
//! [`TOGETHER`]; that a second one writes is told by the agent itself (`agent.conflict`), at once.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use emote_proto::{EventId, Serial, Time};
use serde_json::json;

use super::{Registry, record::Duplicate, tell::Tidings};
use crate::bus::{BusError, Presence};

/// Longer than a server takes to find a connection dead: by default two pings, two minutes apart, go unanswered.
pub(super) const TOGETHER: Duration = Duration::from_secs(600);
/// The same duplicate is told of once in this time, in ms.
const TOLD_EVERY: i64 = 24 * 3600 * 1000;
/// Connections that are kept in view.
const MAX_CONNECTIONS: usize = 200_000;

/// Tells of a duplicate and notes it, at most once a day.
pub(super) async fn report(
    registry: &Registry,
    serial: &Serial,
    seen: &str,
    cause: Option<EventId>,
    now: Time,
) -> Result<(), BusError> {
    let change = registry.change_device(serial, |device| {
        let Some(mut device) = device.cloned() else { return (None, None) };
        let before = device.duplicate.as_ref();
        if before.is_some_and(|before| now.millis_since(before.told) < TOLD_EVERY) {
            // It may be the first telling that broke off.
            return (before.filter(|before| before.told == now).cloned(), None);
        }
        let first = before.map_or(now, |before| before.first);
        let duplicate = Duplicate { first, told: now, seen: seen.to_owned() };
        device.duplicate = Some(duplicate.clone());
        (Some(duplicate), Some(device))
    });
    let Some(duplicate) = change.await? else { return Ok(()) };
    tracing::warn!(%serial, seen, "two machines speak under one identity");
    let info = json!({"seen": seen, "first": duplicate.first, "remedy": "emote agents show; emote agents revoke"});
    let tidings = Tidings::of(serial, "duplicate", now, info).known_by(&[&duplicate.told.to_string()]);
    let tidings = Tidings { cause, ..tidings };
    tidings.tell(registry.bus()).await.map(drop)
}

/// Who is connected, by the user's key. Pure: the time is an argument.
#[derive(Default)]
pub(super) struct Watch {
    here: HashMap<String, BTreeMap<String, Connection>>,
    count: usize,
    several: HashSet<String>,
}

struct Connection {
    since: Instant,
    host: String,
}

impl Watch {
    /// Somebody comes or goes.
    pub(super) fn note(&mut self, presence: Presence, now: Instant) {
        if presence.is_here {
            if self.count >= MAX_CONNECTIONS {
                return;
            }
            let connections = self.here.entry(presence.user.clone()).or_default();
            let connection = Connection { since: now, host: presence.host };
            self.count += usize::from(connections.insert(presence.connection, connection).is_none());
            if connections.len() > 1 {
                self.several.insert(presence.user);
            }
        } else if let Some(connections) = self.here.get_mut(&presence.user) {
            self.count -= usize::from(connections.remove(&presence.connection).is_some());
            if connections.len() < 2 {
                self.several.remove(&presence.user);
            }
            if connections.is_empty() {
                self.here.remove(&presence.user);
            }
        }
    }

    /// Keys with more than one connection that have been there together for [`TOGETHER`], and from where.
    pub(super) fn duplicates(&self, now: Instant) -> Vec<(String, Vec<String>)> {
        let of = |user: &String| {
            let connections = self.here.get(user)?;
            let lasting = connections.values().filter(|one| now.saturating_duration_since(one.since) >= TOGETHER);
            let hosts: Vec<String> = lasting.map(|one| one.host.clone()).collect();
            (hosts.len() > 1).then(|| (user.clone(), hosts))
        };
        self.several.iter().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(is_here: bool, user: &str, connection: &str) -> Presence {
        let host = format!("10.0.0.{connection}");
        Presence { is_here, user: user.to_owned(), connection: connection.to_owned(), host, name: String::new() }
    }

    #[test]
    fn a_mac_that_changes_its_network_is_one_and_two_that_stay_are_two() {
        let (mut watch, begun) = (Watch::default(), Instant::now());
        watch.note(presence(true, "U1", "1"), begun);
        watch.note(presence(true, "U2", "2"), begun);
        watch.note(presence(true, "U1", "3"), begun);
        watch.note(presence(true, "U2", "4"), begun);
        watch.note(presence(false, "U2", "2"), begun + TOGETHER / 2);
        assert_eq!(watch.duplicates(begun + TOGETHER / 2), []);
        let hosts = vec!["10.0.0.1".to_owned(), "10.0.0.3".to_owned()];
        assert_eq!(watch.duplicates(begun + TOGETHER), [("U1".to_owned(), hosts)]);
        watch.note(presence(false, "U1", "1"), begun + TOGETHER);
        watch.note(presence(false, "U1", "1"), begun + TOGETHER);
        assert_eq!(watch.duplicates(begun + TOGETHER * 2), []);
        watch.note(presence(false, "U1", "3"), begun + TOGETHER);
        watch.note(presence(false, "U2", "4"), begun + TOGETHER);
        assert_eq!((watch.count, watch.here.len(), watch.several.len()), (0, 0, 0));
    }
}

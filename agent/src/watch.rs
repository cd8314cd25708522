//! Lets each source look when it is due, and writes what changed together with the new snapshot.
//!
//! Sources that see something for the first time share one `device.inventory`. Nothing is written while nothing changes,
//! so after a restart a source is known to have looked at the last heartbeat or change, and may have looked later.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use emote_proto::Time;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};

use crate::health::Health;
use crate::identity::{Describe, Identity};
use crate::journal::{Entry, Journal};
use crate::settings::Settings;
use crate::sources::{self, Look, Watch};
use crate::spool::{Class, Spool, SpoolError};
use crate::vocabulary::Kind;
use crate::{lifecycle, platform};

/// A source and what it saw last.
struct Watched {
    source: Box<dyn Watch>,
    interval: Duration,
    due: Instant,
    snapshot: Option<Vec<u8>>,
    observed: Option<Time>,
}

/// All enabled sources.
pub(crate) struct Watcher {
    sources: Vec<Watched>,
    identity: Arc<Identity>,
    journal: Journal,
    health: Arc<Health>,
}

impl Watcher {
    /// `observed` is when each source looked last in the run before: changes since then happened in between.
    pub(crate) fn new(
        settings: &Settings,
        spool: &Spool,
        observed: &BTreeMap<String, i64>,
        identity: Arc<Identity>,
        journal: Journal,
        health: Arc<Health>,
    ) -> Result<Self, SpoolError> {
        let mut watched = Vec::new();
        for source in sources::all() {
            let Some(interval) = settings.sources.get(source.name()).copied() else { continue };
            let snapshot = spool.snapshot(source.name())?;
            let observed = observed.get(source.name()).copied().and_then(Time::from_millis);
            watched.push(Watched { source, interval, due: Instant::now(), snapshot, observed });
        }
        Ok(Self { sources: watched, identity, journal, health })
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            let Some(due) = self.sources.iter().map(|watched| watched.due).min() else {
                return std::future::pending().await;
            };
            sleep_until(due).await;
            self.round(jiff::Timestamp::now().into()).await;
        }
    }

    async fn round(&mut self, now: Time) {
        let mut found = Vec::new();
        for (index, watched) in self.sources.iter_mut().enumerate() {
            if watched.due > Instant::now() {
                continue;
            }
            watched.due = Instant::now() + watched.interval;
            match watched.source.look(watched.snapshot.as_deref()) {
                Ok(Look::Same) => watched.saw(now, &self.health),
                Ok(look) => found.push((index, look)),
                Err(error) => {
                    tracing::warn!(source = watched.source.name(), %error, "cannot look");
                    self.health.observed(watched.source.name(), now, Some(error.to_string()));
                }
            }
        }
        if found.is_empty() {
            return;
        }
        let (name, os_version) = platform::name_and_version();
        self.identity.rename(name, os_version);
        let looks = found.iter().map(|(index, look)| {
            let watched = &self.sources[*index];
            (watched.source.name(), look, watched.observed)
        });
        let mut entry = entry(looks, now);
        let looked = found.iter().map(|(index, _)| (self.sources[*index].source.name().to_owned(), now.as_millis()));
        let observed = self.health.observed_times().into_iter().chain(looked).collect();
        entry.run = Some(lifecycle::state(false, now, observed));
        // Not written: the snapshots stay as they were, and the next look finds the difference again.
        if let Err(error) = self.journal.write(entry).await {
            tracing::warn!(%error, "sources");
            return;
        }
        for (index, look) in found {
            let watched = &mut self.sources[index];
            if let Look::Changed { snapshot, .. } | Look::First { snapshot, .. } = look {
                watched.snapshot = Some(snapshot);
            }
            watched.saw(now, &self.health);
        }
    }
}

impl Watched {
    fn saw(&mut self, now: Time, health: &Health) {
        self.observed = Some(now);
        health.observed(self.source.name(), now, None);
    }
}

/// What is written of one round: the first-time looks as one inventory, then each change.
fn entry<'a>(looks: impl Iterator<Item = (&'static str, &'a Look, Option<Time>)>, now: Time) -> Entry {
    let (mut entry, mut inventory, mut changes) = (Entry::default(), Map::new(), Vec::new());
    for (name, look, observed) in looks {
        match look {
            Look::Same => {}
            Look::First { snapshot, inventory: part } => {
                inventory.insert(name.to_owned(), part.clone());
                entry.snapshots.push((name.to_owned(), snapshot.clone()));
            }
            Look::Changed { snapshot, drafts } => {
                changes.extend(drafts.iter().map(|draft| sources::within(draft.clone(), observed, now)));
                entry.snapshots.push((name.to_owned(), snapshot.clone()));
            }
        }
    }
    let inventory = (!inventory.is_empty()).then(|| Kind::DeviceInventory.draft(Value::Object(inventory)));
    let drafts = inventory.into_iter().chain(changes);
    entry.drafts = drafts.map(|draft| (draft, Class::Lifecycle, Describe::Whole)).collect();
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_first_round_is_one_inventory_and_a_later_one_its_changes() {
        let now: Time = "2026-11-23T07:00:00Z".parse().unwrap();
        let first = |part: Value| Look::First { snapshot: vec![1], inventory: part };
        let changed = Look::Changed { snapshot: vec![2], drafts: vec![Kind::DiskLow.draft(json!({"mount": "/"}))] };
        let looks =
            [("os", &first(json!({"v": 1})), None), ("disk", &changed, Some(now)), ("boot", &first(json!({})), None)];
        let entry = entry(looks.into_iter(), now);
        let info: Vec<_> = entry.drafts.iter().map(|(draft, ..)| draft.info.clone().unwrap()).collect();
        assert_eq!(info[0], json!({"os": {"v": 1}, "boot": {}}));
        assert_eq!(info[1], json!({"mount": "/", "since": now, "until": now}));
        assert_eq!((entry.drafts.len(), entry.snapshots.len()), (2, 3));
    }
}

//! Lets each source look when it is due or something hints at a change, and writes what changed together with the new
//! snapshot.
//!
//! Looks block, so they are made on a thread of their own, all that are due one after the other ([`round`]); moments are
//! written as they come meanwhile. Sources that see something for the first time share one `device.inventory`. Nothing is written
//! while nothing changes, so after a restart a source is known to have looked at the last heartbeat or change, and may
//! have looked later.

mod due;
mod round;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use emote_proto::Time;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::gather::Gather;
use crate::health::Health;
use crate::identity::{Describe, Identity};
use crate::journal::{Entry, Journal};
use crate::lifecycle;
use crate::platform::{Happening, Host, Moment, Signal, Signals};
use crate::settings::Settings;
use crate::sources::{self, Look, Watch};
use crate::spool::{Class, Spool, SpoolError};
use crate::uplink::Nudge;
use due::{Due, Slept};
use round::{Left, Round, Seen, Turn};

/// How long the system is made to wait for the event that it is about to sleep to be sent.
const HOLD: Duration = Duration::from_secs(1);

/// A source and what it saw last.
struct Watched {
    source: &'static dyn Watch,
    due: Due,
    snapshot: Option<Vec<u8>>,
    /// Raised with every new snapshot: a look that began before it is of no use.
    generation: u64,
    observed: Option<Time>,
    /// It has its turn in a round, or does not come back from one.
    looking: bool,
}

/// How it was seen. A moment is no look: it does not make good one that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Looked,
    Told,
}

/// All enabled sources.
pub(crate) struct Watcher {
    sources: Vec<Watched>,
    host: Arc<dyn Host>,
    spool: Arc<Spool>,
    identity: Arc<Identity>,
    journal: Journal,
    health: Arc<Health>,
    nudge: watch::Sender<Nudge>,
    slept: Slept,
}

/// What a [`Watcher`] works with.
pub(crate) struct Parts {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) journal: Journal,
    pub(crate) health: Arc<Health>,
    /// Tells the uplink what concerns it.
    pub(crate) nudge: watch::Sender<Nudge>,
}

impl Watcher {
    /// `observed` is when each source looked last in the run before: changes since then happened in between.
    pub(crate) fn new(settings: &Settings, observed: &BTreeMap<String, i64>, parts: Parts) -> Result<Self, SpoolError> {
        let mut watched = Vec::new();
        let now = Instant::now();
        for source in sources::ALL.iter().copied().filter(|source| source.on().contains(&parts.host.system())) {
            let Some(timing) = settings.sources.get(source.name()).copied() else { continue };
            let snapshot = parts.spool.snapshot(source.name())?;
            let observed = observed.get(source.name()).copied().and_then(Time::from_millis);
            watched.push(Watched {
                source,
                due: Due::new(timing, now),
                snapshot,
                generation: 0,
                observed,
                looking: false,
            });
        }
        let Parts { host, spool, identity, journal, health, nudge } = parts;
        let slept = Slept::new(now, host.clocks().running_ms);
        Ok(Self { sources: watched, host, spool, identity, journal, health, nudge, slept })
    }

    /// Runs until it is dropped; then another may take over the signals. What a look that still goes on sees by then is
    /// nobody's: the other one looks at everything again.
    pub(crate) async fn run(mut self, signals: Arc<Mutex<Signals>>) {
        let mut signals = signals.lock().await;
        let (sender, mut results) = mpsc::unbounded_channel::<Seen>();
        let mut rounds: Vec<Round> = Vec::new();
        loop {
            let idle = self.sources.iter().filter(|watched| !watched.looking && rounds.len() < round::MOST);
            let next = idle.map(|watched| watched.due.at()).chain(rounds.iter().map(Round::until)).min();
            tokio::select! {
                Some(signal) = signals.recv() => self.signal(signal).await,
                Some(seen) = results.recv() => {
                    let seen = round::take(&mut rounds, seen);
                    self.write(seen, How::Looked).await;
                }
                () = at(next) => match rounds.iter().position(|round| round.until() <= Instant::now()) {
                    Some(late) => self.leave(rounds.remove(late)).await,
                    None => rounds.push(Round::begin(self.turns(), Arc::clone(&self.host), sender.clone())),
                },
            }
        }
    }

    /// The looks that are due.
    fn turns(&mut self) -> Vec<Turn> {
        let now = Instant::now();
        let mut turns = Vec::new();
        for (index, watched) in self.sources.iter_mut().enumerate() {
            if watched.due.is_due(now) && !watched.looking {
                watched.due.look(now);
                watched.looking = true;
                let (generation, source, old) = (watched.generation, watched.source, watched.snapshot.clone());
                turns.push(Turn { index, generation, source, old });
            }
        }
        turns
    }

    async fn leave(&mut self, round: Round) {
        let Left { seen, missed, stuck } = round.leave();
        let now = Instant::now();
        for index in missed {
            self.sources[index].due.hint(now);
            self.sources[index].looking = false;
        }
        for index in stuck {
            let watched = &mut self.sources[index];
            let problem = format!("does not come back after {} s", round::PATIENCE.as_secs());
            tracing::warn!(source = watched.source.name(), problem, "cannot look");
            self.health.observed(watched.source.name(), jiff::Timestamp::now().into(), Some(problem));
        }
        self.write(seen, How::Looked).await;
    }

    async fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Look(names) => {
                let now = Instant::now();
                for watched in self.sources.iter_mut().filter(|watched| names.contains(&watched.source.name())) {
                    watched.due.hint(now);
                }
            }
            Signal::Moment(moment) => self.moment(moment).await,
        }
    }

    async fn moment(&mut self, moment: Moment) {
        let Moment { what, at, hold } = moment;
        tracing::debug!(?what, "moment");
        let told = self.sources.iter().enumerate().map(|(index, watched)| Seen {
            index,
            generation: watched.generation,
            result: watched.source.told(watched.snapshot.as_deref(), what, at),
        });
        let told = told.filter(|seen| !matches!(seen.result, Ok(Look::Same))).collect();
        self.write(told, How::Told).await;
        if what == Happening::Woke {
            let now = Instant::now();
            let slept = self.slept.since(now, self.host.clocks().running_ms);
            self.sources.iter_mut().for_each(|watched| watched.due.slept(slept, now));
            self.nudge.send_modify(|nudge| nudge.woke = nudge.woke.wrapping_add(1));
        }
        if hold.is_some() {
            crate::run::flush(&self.spool, &self.health, HOLD).await;
        }
    }

    /// Writes what was seen, all in one transaction.
    async fn write(&mut self, seen: Vec<Seen>, how: How) {
        let now: Time = jiff::Timestamp::now().into();
        let mut found = Vec::new();
        for Seen { index, generation, result } in seen {
            let watched = &mut self.sources[index];
            watched.looking &= how == How::Told;
            match result {
                Ok(_) if watched.generation != generation => watched.due.hint(Instant::now()),
                Ok(Look::Same) => watched.saw(now, &self.health),
                Ok(Look::Moved { snapshot }) => {
                    watched.snapshot = Some(snapshot);
                    watched.generation += 1;
                    watched.saw(now, &self.health);
                }
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
        let (name, os_version) = sources::name_and_version(&*self.host);
        self.identity.rename(name, os_version);
        let looks = found.iter().map(|(index, look)| {
            let watched = &self.sources[*index];
            (watched.source.name(), look, watched.observed)
        });
        let mut entry = entry(looks, now);
        let looked = found.iter().filter(|_| how == How::Looked);
        let looked = looked.map(|(index, _)| (self.sources[*index].source.name().to_owned(), now.as_millis()));
        let observed = self.health.observed_times().into_iter().chain(looked).gather();
        entry.run = Some(lifecycle::state(false, now, observed));
        // Not written: the snapshots stay as they were, and the next look finds the difference again. A moment is lost, but
        // for a sleep, which the system's own log still tells.
        if let Err(error) = self.journal.write(entry).await {
            tracing::warn!(%error, "sources");
            return;
        }
        for (index, look) in found {
            let watched = &mut self.sources[index];
            if watched.source.name() == sources::NETWORK && matches!(look, Look::Changed { .. }) {
                self.nudge.send_modify(|nudge| nudge.network = nudge.network.wrapping_add(1));
            }
            if let Look::Changed { snapshot, .. } | Look::First { snapshot, .. } = look {
                watched.snapshot = Some(snapshot);
                watched.generation += 1;
            }
            if how == How::Looked {
                watched.saw(now, &self.health);
            }
        }
    }
}

impl Watched {
    fn saw(&mut self, now: Time, health: &Health) {
        self.observed = Some(now);
        health.observed(self.source.name(), now, None);
    }
}

async fn at(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => std::future::pending().await,
    }
}

/// What is written of one round: the first-time looks as an inventory, then each change.
fn entry<'a>(looks: impl Iterator<Item = (&'static str, &'a Look, Option<Time>)>, now: Time) -> Entry {
    let (mut entry, mut inventory, mut changes) = (Entry::default(), Vec::new(), Vec::new());
    for (name, look, observed) in looks {
        match look {
            Look::Same | Look::Moved { .. } => {}
            Look::First { snapshot, inventory: part } => {
                inventory.push((name, part.clone()));
                entry.snapshots.push((name.to_owned(), snapshot.clone()));
            }
            Look::Changed { snapshot, drafts } => {
                changes.extend(drafts.iter().map(|draft| sources::within(draft.clone(), observed, now)));
                entry.snapshots.push((name.to_owned(), snapshot.clone()));
            }
        }
    }
    let drafts = sources::inventory_drafts(inventory).into_iter().chain(changes);
    entry.drafts = drafts.map(|draft| (draft, Class::Lifecycle, Describe::Whole)).collect();
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use crate::platform::tools;
    use crate::vocabulary::Kind;
    use emote_proto::Device;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    /// A watcher of the sources `names` and the spool it writes to.
    fn watching(dir: &TempDir, host: Recorded, names: &[&str]) -> (Watcher, Arc<Spool>) {
        let others = sources::names().into_iter().filter(|name| !names.contains(name));
        let settings: String = others.map(|name| format!("[sources.{name}]\nenabled = false\n")).collect();
        let settings = Settings::of_toml(&settings);
        let now = Time::from_millis(1_795_416_060_000).unwrap();
        let spool = Arc::new(Spool::open(dir.path(), 1 << 20, now, Box::new(|_| None)).unwrap().spool);
        let identity = Arc::new(Identity::new("C02".parse().unwrap(), Device::default()));
        let (written, _) = watch::channel(0);
        let (journal, writer) = Journal::new(Arc::clone(&spool), Arc::clone(&identity), written, Arc::default());
        tokio::spawn(writer.run());
        let (host, (nudge, _)) = (Arc::new(host), watch::channel(Nudge::default()));
        let parts = Parts { host, spool: Arc::clone(&spool), identity, journal, health: Arc::default(), nudge };
        (Watcher::new(&settings, &BTreeMap::new(), parts).unwrap(), spool)
    }

    /// Begins a round; what it yields is everything that was seen.
    fn round(watcher: &mut Watcher) -> impl Future<Output = Vec<Seen>> + use<> {
        let (sender, mut results) = mpsc::unbounded_channel();
        let mut rounds = vec![Round::begin(watcher.turns(), Arc::clone(&watcher.host), sender)];
        async move {
            let mut all = Vec::new();
            while !rounds.is_empty() {
                all.extend(round::take(&mut rounds, results.recv().await.unwrap()));
            }
            all
        }
    }

    fn actions(spool: &Spool) -> Vec<String> {
        let records = spool.read(&(1..=u64::MAX)).unwrap().into_iter();
        records.filter_map(|(_, record)| record.subject.rsplit('.').next().map(str::to_owned)).collect()
    }

    fn moment(what: Happening) -> Moment {
        Moment { what, at: jiff::Timestamp::now().into(), hold: None }
    }

    const LOG: &str = "Time stamp  Domain  Message\n\
        2026-09-26 22:29:58 +0000 Sleep  \tEntering Sleep state due to 'Idle Sleep'\n\
        2026-09-26 22:40:00 +0000 Wake  \tWake from Deep Idle\n";

    #[tokio::test]
    async fn a_moment_that_comes_during_a_round_is_written_and_the_round_does_not_undo_it() {
        let dir = TempDir::new().unwrap();
        let host = Recorded::mac().tool(&tools::PMSET_LOG, LOG);
        let (mut watcher, spool) = watching(&dir, host, &["sleep", "ending"]);
        let seen = round(&mut watcher);
        watcher.moment(moment(Happening::WillSleep)).await;
        assert_eq!(actions(&spool), ["sleep"], "there was no snapshot, and it is an event all the same");
        watcher.write(seen.await, How::Looked).await;
        assert_eq!(actions(&spool), ["sleep", "inventory"], "of the other source");
        watcher.sources.iter_mut().for_each(|watched| watched.due = Due::new(watched.source.timing(), Instant::now()));
        let seen = round(&mut watcher);
        watcher.write(seen.await, How::Looked).await;
        watcher.moment(moment(Happening::Woke)).await;
        watcher.moment(moment(Happening::Woke)).await;
        assert_eq!(actions(&spool), ["sleep", "inventory", "wake"], "once");
    }

    #[tokio::test]
    async fn a_moment_does_not_make_good_a_look_that_failed() {
        let dir = TempDir::new().unwrap();
        let (mut watcher, spool) = watching(&dir, Recorded::mac(), &["sleep"]);
        let seen = round(&mut watcher);
        watcher.write(seen.await, How::Looked).await;
        watcher.moment(moment(Happening::WillSleep)).await;
        assert_eq!(actions(&spool), ["sleep"]);
        let status = watcher.health.status(spool.totals());
        assert!(status.sources["sleep"].error.is_some() && status.sources["sleep"].observed.is_none());
    }

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

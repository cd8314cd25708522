//! What depends on settings that may change any time: sources, heartbeats, the connection.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use emote_proto::Time;
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::base::Base;
use super::{RunError, now};
use crate::health::Health;
use crate::journal::{Entry, Journal};
use crate::platform::{Signals, System, tools};
use crate::settings::{Follow, Loaded, Settings};
use crate::spool::Spool;
use crate::uplink::{Clock, Nudge, Uplink, woken};
use crate::watch::{Parts, Watcher};
use crate::{lifecycle, unified_log};

/// Why the parts that depend on settings do not go on.
pub(super) enum Ended {
    Stop,
    Reload(Box<Loaded>),
}

/// What depends on settings that may change any time.
pub(super) struct Working {
    pub(super) tasks: JoinSet<()>,
    uplink: JoinHandle<()>,
    nudge: watch::Sender<Nudge>,
}

impl Base {
    /// Puts together what depends on settings.
    pub(super) fn work(&self, settings: &Settings, signals: &Arc<Mutex<Signals>>) -> Result<Working, RunError> {
        let mut tasks = JoinSet::new();
        let (nudge, nudges) = watch::channel(Nudge::default());
        let parts = Parts {
            host: Arc::clone(&self.host),
            spool: Arc::clone(&self.spool),
            identity: Arc::clone(&self.identity),
            journal: self.journal.clone(),
            health: Arc::clone(&self.health),
            nudge: nudge.clone(),
        };
        let watcher = Watcher::new(settings, &self.health.observed_times(), parts)?;
        tasks.spawn(watcher.run(Arc::clone(signals)));
        let beats = Heartbeats {
            journal: self.journal.clone(),
            spool: Arc::clone(&self.spool),
            health: Arc::clone(&self.health),
            started: self.started,
        };
        tasks.spawn(beats.run(settings.heartbeat, nudges.clone()));
        if has_unified_log(settings) {
            for wanted in settings.unified_log.iter().cloned() {
                tasks.spawn(unified_log::watch(wanted, &tools::LOG_STREAM, self.journal.clone()));
            }
        }
        if settings.servers.is_empty() {
            let trouble = "no server is known: events wait until the setting server says where NATS is";
            tracing::warn!("{trouble}");
            self.health.set_error(Some(trouble.into()));
            return Ok(Working { tasks, uplink: tokio::spawn(std::future::pending()), nudge });
        }
        let (host, journal, health) = (Arc::clone(&self.host), self.journal.clone(), Arc::clone(&self.health));
        let clock = Arc::new(Clock::new(host, journal, health, &self.spool)?);
        let uplink = Uplink {
            settings: Arc::new(settings.clone()),
            serial: self.serial.clone(),
            host: Arc::clone(&self.host),
            spool: Arc::clone(&self.spool),
            health: Arc::clone(&self.health),
            written: self.written.clone(),
            nudges,
            clock,
            keeper: Arc::clone(&self.keeper),
            journal: self.journal.clone(),
        };
        Ok(Working { tasks, uplink: tokio::spawn(uplink.run()), nudge })
    }

    /// Until it is to stop, or values have changed. A change of nothing but problems is told on the way, and somebody who
    /// changed nothing wants whoever waits to ask again.
    pub(super) async fn watch(
        &mut self,
        working: &mut Working,
        loaded: &mut Loaded,
        follow: &mut Follow,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Ended, RunError> {
        let ended = |part: &str, ended: &dyn Debug| Err(RunError::PartEnded(format!("{part}: {ended:?}")));
        loop {
            let new = tokio::select! {
                () = shutdown.as_mut() => return Ok(Ended::Stop),
                new = follow.changed() => new,
                // None ends by itself: a panic is a failure of the whole agent.
                Some(end) = working.tasks.join_next() => return ended("a source", &end),
                end = &mut self.writer => return ended("the journal", &end),
                end = &mut self.server => return ended("the socket", &end),
                end = &mut working.uplink => return ended("the uplink", &end),
            };
            // What could not be applied is tried again whenever something is said.
            let kept = new.settings.place() != loaded.settings.place();
            if kept || !new.values.changed(&loaded.values).is_empty() {
                return Ok(Ended::Reload(Box::new(new)));
            }
            working.nudge.send_modify(|nudge| nudge.asked = nudge.asked.wrapping_add(1));
            *loaded = Loaded { settings: loaded.settings.clone(), ..new };
            self.health.configured(loaded);
            if let Err(error) = self.tell(Entry::default(), loaded, None).await {
                tracing::warn!(%error, "settings");
            }
        }
    }
}

impl Working {
    pub(super) async fn end_uplink(self) {
        self.uplink.abort();
        self.uplink.await.ok();
    }
}

/// Whether what the settings want of the unified log can be had; said where it cannot.
fn has_unified_log(settings: &Settings) -> bool {
    let is_mac = System::HERE == System::Mac;
    if !is_mac && !settings.unified_log.is_empty() {
        tracing::warn!("unified_log: only macOS has one");
    }
    is_mac
}

struct Heartbeats {
    journal: Journal,
    spool: Arc<Spool>,
    health: Arc<Health>,
    started: Time,
}

impl Heartbeats {
    /// One after each `interval`, and one when the machine wakes: it is there again, and asks for the time.
    async fn run(self, interval: Duration, mut nudges: watch::Receiver<Nudge>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = woken(&mut nudges) => {}
            }
            let entry = lifecycle::heartbeat(self.started, now(), self.spool.totals(), self.health.observed_times());
            if let Err(error) = self.journal.write(entry).await {
                tracing::warn!(%error, "heartbeat");
            }
        }
    }
}

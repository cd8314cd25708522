//! What is put together once, for as long as folder, socket, serial number and quota stay the same.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use emote_proto::Time;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::work::Working;
use super::{FLUSH, RunError, flush, now};
use crate::credential::{Keeper, Machine};
use crate::gather::Gather;
use crate::health::{Health, SourceStatus, SpoolStatus, Status, UplinkStatus};
use crate::identity::{Describe, Identity};
use crate::journal::{Entry, Journal, JournalError};
use crate::platform::{Host, Real, System};
use crate::recent::Recent;
use crate::settings::{Applied, Loaded, SNAPSHOT, Settings, server_name};
use crate::spool::{Class, Opened, Previous, Spool, TellGap};
use crate::vocabulary::Kind;
use crate::{crash, lifecycle, log, platform, socket, sources};
use emote_proto::Serial;

/// What is there as long as the agent keeps its folder, socket, serial number and quota.
pub(super) struct Base {
    pub(super) host: Arc<dyn Host>,
    pub(super) serial: Serial,
    pub(super) started: Time,
    pub(super) identity: Arc<Identity>,
    pub(super) spool: Arc<Spool>,
    pub(super) health: Arc<Health>,
    pub(super) journal: Journal,
    pub(super) recent: Arc<Recent>,
    pub(super) written: watch::Receiver<u64>,
    pub(super) writer: JoinHandle<()>,
    pub(super) socket: PathBuf,
    pub(super) server: JoinHandle<()>,
    pub(super) stop_server: oneshot::Sender<()>,
    pub(super) keeper: Arc<Keeper>,
}

impl Base {
    /// `recent` is shown on, whatever folder comes.
    pub(super) fn open(settings: &Settings, started: Time, recent: Arc<Recent>) -> Result<(Self, Previous), RunError> {
        prepare(&settings.state_dir)?;
        log::keep_in(&settings.state_dir);
        crash::keep_in(&settings.state_dir);
        let host: Arc<dyn Host> = Arc::new(Real);
        let hardware = platform::hardware(&*host);
        let serial = settings.serial.clone().or_else(|| hardware.serial.clone()).ok_or(RunError::NoSerial)?;
        let identity =
            Arc::new(Identity::new(serial.clone(), platform::device(&hardware, sources::name_and_version(&*host))));
        let Opened { spool, previous } =
            Spool::open(&settings.state_dir, settings.quota, now(), gap_teller(Arc::clone(&identity)))?;
        let spool = Arc::new(spool);
        let socket = settings.socket.clone();
        let listener = socket::listen(&socket);
        let listener = listener.map_err(|error| RunError::Folder { path: socket.clone(), error })?;

        let (sender, written) = watch::channel(0);
        let (journal, writer) = Journal::new(Arc::clone(&spool), Arc::clone(&identity), sender, Arc::clone(&recent));
        let writer = tokio::spawn(writer.run());
        let health = Arc::new(Health::default());
        let machine = Machine { serial: serial.clone(), hardware_uuid: hardware.uuid.clone() };
        let keeper = Arc::new(Keeper::open(&settings.state_dir, machine, Arc::clone(&health)));
        let server = socket::Server {
            identity: Arc::clone(&identity),
            spool: Arc::clone(&spool),
            journal: journal.clone(),
            health: Arc::clone(&health),
            recent: Arc::clone(&recent),
        };
        let (stop_server, stop) = oneshot::channel();
        let server = tokio::spawn(server.run(listener, stop));
        let base = Self {
            host,
            serial,
            started,
            identity,
            spool,
            health,
            journal,
            recent,
            written,
            writer,
            socket,
            server,
            stop_server,
            keeper,
        };
        Ok((base, previous))
    }

    /// What is known of these settings from the start.
    pub(super) fn begin(&self, loaded: &Loaded, observed: &BTreeMap<String, i64>) {
        let settings = &loaded.settings;
        self.health.begin(status(settings, self.serial.as_str(), self.started, observed));
        self.health.configured(loaded);
        for problem in &loaded.problems {
            tracing::warn!(%problem, "settings");
        }
        let (version, serial) = (lifecycle::VERSION, &self.serial);
        tracing::info!(version, %serial, servers = settings.server_names(), "running");
        if settings.is_exposed() {
            tracing::warn!("--insecure: events leave this machine unencrypted");
        }
    }

    /// Writes `entry` together with what must be told of the settings: what is other than what was told last, or, in a new
    /// folder, other than `before`.
    pub(super) async fn tell(
        &self,
        mut entry: Entry,
        loaded: &Loaded,
        before: Option<&Loaded>,
    ) -> Result<(), JournalError> {
        let old = self.spool.snapshot(SNAPSHOT).unwrap_or_else(|error| {
            tracing::warn!(%error, "what was told of the settings");
            None
        });
        let (old, new) = (old.as_deref().and_then(Applied::decode), Applied::of(loaded));
        let drafts = new.drafts(old.as_ref().or(before.map(Applied::of).as_ref()), loaded).into_iter();
        entry.drafts.extend(drafts.map(|draft| (draft, Class::Lifecycle, Describe::Whole)));
        if old.as_ref() != Some(&new) {
            entry.snapshots.push((SNAPSHOT.into(), new.encode()));
        }
        self.journal.write(entry).await.map(drop)
    }

    /// Applies other settings. Those under which the agent could not run at all are told, and not applied.
    pub(super) async fn reload(self, old: &Loaded, mut new: Loaded) -> Result<(Self, Loaded), RunError> {
        let observed = self.health.observed_times();
        let base = if old.settings.place() == new.settings.place() {
            self
        } else {
            let (started, waiting, recent) = (self.started, self.spool.totals().count, Arc::clone(&self.recent));
            if waiting > 0 && old.settings.state_dir != new.settings.state_dir {
                tracing::warn!(waiting, dir = %old.settings.state_dir.display(), "events stay behind in the old folder");
            }
            self.close(None).await;
            match Self::open(&new.settings, started, Arc::clone(&recent)) {
                Ok((base, _)) => base,
                Err(error) => {
                    tracing::error!(%error, "other settings cannot be used");
                    new.keep_place_of(old, &error.to_string());
                    Self::open(&new.settings, started, recent)?.0
                }
            }
        };
        base.begin(&new, &observed);
        let run = Some(lifecycle::state(false, now(), observed));
        if let Err(error) = base.tell(Entry { run, ..Entry::default() }, &new, Some(old)).await {
            // Told at the next start.
            tracing::warn!(%error, "settings");
        }
        Ok((base, new))
    }

    /// Gives up folder and socket, when whoever waits has been answered and everything is written, `last` at last.
    async fn close(self, last: Option<Entry>) {
        let Self { journal, writer, server, stop_server, socket, .. } = self;
        std::fs::remove_file(&socket).ok();
        stop_server.send(()).ok();
        server.await.ok();
        match last {
            // On the disk, and with it all that was written before. The uplink, which has something to write too, goes on.
            Some(last) => {
                if let Err(error) = journal.write(last).await {
                    tracing::error!(%error, "the last event was not written");
                }
            }
            None => {
                drop(journal);
                timeout(FLUSH, writer).await.ok();
            }
        }
    }

    pub(super) async fn stop(self, working: Working) -> Result<(), RunError> {
        tracing::info!("stopping");
        let (spool, health) = (Arc::clone(&self.spool), Arc::clone(&self.health));
        let system = sources::ending_under_way(&spool, now());
        let last = lifecycle::stopped(self.started, now(), health.observed_times(), system);
        self.close(Some(last)).await;
        flush(&spool, &health, FLUSH).await;
        working.end_uplink().await;
        Ok(())
    }
}

/// Makes the folder. One that is there is left as it is, unless others could put files into it.
fn prepare(dir: &Path) -> Result<(), RunError> {
    let failed = |error| RunError::Folder { path: dir.to_owned(), error };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let mode = std::fs::metadata(dir).map_err(failed)?.permissions().mode();
    if mode & 0o022 == 0 {
        return Ok(());
    }
    Err(failed(std::io::Error::other(format!("others may write here (mode {:o}): chmod 700 it", mode & 0o7777))))
}

/// Makes the event that tells of a loss; it goes into the same transaction.
fn gap_teller(identity: Arc<Identity>) -> TellGap {
    Box::new(move |gap| {
        tracing::warn!(reason = ?gap.reason, count = gap.count, "events were lost");
        let draft = Kind::AgentGap.draft(serde_json::to_value(gap).unwrap_or_default());
        let sealed = identity.seal(draft, Class::Lifecycle, Describe::Serial, now());
        sealed.map_err(|error| tracing::error!(%error, "gap")).ok()
    })
}

fn status(settings: &Settings, serial: &str, started: Time, observed: &BTreeMap<String, i64>) -> Status {
    let here = sources::list().into_iter().filter(|about| about.on.contains(&System::HERE));
    let sources = here.filter_map(|about| {
        let timing = settings.sources.get(about.name).copied()?;
        let observed = observed.get(about.name).copied().and_then(Time::from_millis);
        Some((about.name.to_owned(), SourceStatus { observed, error: None, timing: Some(timing) }))
    });
    Status {
        sources: sources.gather(),
        version: lifecycle::VERSION.into(),
        pid: std::process::id(),
        serial: serial.into(),
        started: Some(started),
        uplink: UplinkStatus { servers: settings.servers.iter().map(server_name).collect(), ..UplinkStatus::default() },
        spool: SpoolStatus { quota: settings.quota, ..SpoolStatus::default() },
        ..Status::default()
    }
}

//! `emote-agent run`: puts the parts together, and takes them apart when told to stop.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use emote_proto::Time;
use rustix::fs::Mode;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::health::{Health, SourceStatus, SpoolStatus, Status, UplinkStatus};
use crate::identity::{Describe, Identity};
use crate::journal::Journal;
use crate::platform::{Host, Real, System};
use crate::recent::Recent;
use crate::settings::{Settings, server_name};
use crate::spool::{Class, Opened, Previous, Spool, SpoolError, TellGap};
use crate::uplink::{Nudge, Uplink};
use crate::vocabulary::Kind;
use crate::watch::{Parts, Watcher};
use crate::{crash, lifecycle, log, platform, socket, sources, unified_log};

/// How long the last events may take to be sent.
const FLUSH: Duration = Duration::from_secs(2);

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No serial number is known.
    #[error("this machine has no serial number that can be used: give one with --serial")]
    NoSerial,
    /// The state folder cannot be used.
    #[error("{path}: {error}")]
    Folder {
        /// The folder or the socket in it.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The spool cannot be used; [`SpoolError::AlreadyRunning`] is one of the reasons.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The first event could not be written.
    #[error("{0}")]
    FirstEvent(String),
    /// Something that runs as long as the agent does not run any more.
    #[error("a part of the agent ended: {0}")]
    PartEnded(String),
}

/// Runs the agent until `shutdown` is done; then says so in a last event, and gives it a moment to be sent.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    // Someone else in this process may have chosen already, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    rustix::process::umask(Mode::from_raw_mode(0o077));
    prepare(&settings.state_dir)?;
    log::keep_in(&settings.state_dir);
    let settings = Arc::new(settings);
    let host: Arc<dyn Host> = Arc::new(Real);
    let hardware = platform::hardware(&*host);
    let serial = settings.serial.clone().or_else(|| hardware.serial.clone()).ok_or(RunError::NoSerial)?;
    let identity =
        Arc::new(Identity::new(serial.clone(), platform::device(&hardware, sources::name_and_version(&*host))));
    let started = now();
    let Opened { spool, previous } =
        Spool::open(&settings.state_dir, settings.quota, started, gap_teller(Arc::clone(&identity)))?;
    let spool = Arc::new(spool);
    let listener = socket::listen(&settings.socket);
    let listener = listener.map_err(|error| RunError::Folder { path: settings.socket.clone(), error })?;

    let (sender, written) = watch::channel(0);
    let recent = Arc::new(Recent::default());
    let (journal, writer) = Journal::new(Arc::clone(&spool), Arc::clone(&identity), sender, Arc::clone(&recent));
    let mut writer = tokio::spawn(writer.run());
    let health = Arc::new(Health::default());
    let observed = observed(&previous);
    health.begin(status(&settings, serial.as_str(), started, &observed));
    let told = spool.snapshot(crash::SNAPSHOT)?;
    let mut crashes = crash::Found::look(&*host, &settings.state_dir, told.as_deref());
    let mut first = lifecycle::started(&previous, started);
    crashes.tell(&mut first, &serial);
    journal.write(first).await.map_err(|error| RunError::FirstEvent(error.to_string()))?;
    crashes.forget();
    tracing::info!(version = lifecycle::VERSION, %serial, servers = settings.server_names(), "running");
    if settings.is_exposed() {
        tracing::warn!("--insecure: events leave this machine unencrypted");
    }

    let mut tasks = JoinSet::new();
    let (nudge, nudges) = watch::channel(Nudge::default());
    let parts = Parts {
        host: Arc::clone(&host),
        spool: Arc::clone(&spool),
        identity: Arc::clone(&identity),
        journal: journal.clone(),
        health: Arc::clone(&health),
        nudge,
    };
    tasks.spawn(Watcher::new(&settings, &observed, parts)?.run(platform::listen()));
    tasks.spawn(heartbeats(journal.clone(), Arc::clone(&spool), Arc::clone(&health), started, settings.heartbeat));
    if host_has_unified_log(&settings) {
        for wanted in settings.unified_log.iter().cloned() {
            tasks.spawn(unified_log::watch(wanted, &platform::tools::LOG_STREAM, journal.clone()));
        }
    }
    let server = socket::Server {
        identity: Arc::clone(&identity),
        spool: Arc::clone(&spool),
        journal: journal.clone(),
        health: Arc::clone(&health),
        recent,
    };
    tasks.spawn(server.run(listener));
    let uplink = Uplink {
        settings: Arc::clone(&settings),
        serial,
        host,
        spool: Arc::clone(&spool),
        health: Arc::clone(&health),
        written,
        nudges,
    };
    let mut uplink = tokio::spawn(uplink.run());

    tokio::select! {
        () = shutdown => {}
        // None ends by itself: a panic is a failure of the whole agent.
        Some(ended) = tasks.join_next() => return Err(RunError::PartEnded(format!("{ended:?}"))),
        ended = &mut writer => return Err(RunError::PartEnded(format!("the journal: {ended:?}"))),
        ended = &mut uplink => return Err(RunError::PartEnded(format!("the uplink: {ended:?}"))),
    }
    tracing::info!("stopping");
    tasks.shutdown().await;
    let system = sources::ending_under_way(&spool, now());
    let stopped = lifecycle::stopped(started, now(), health.observed_times(), system);
    if let Err(error) = journal.write(stopped).await {
        tracing::error!(%error, "the last event was not written");
    }
    // What it has confirmed is on the disk.
    writer.abort();
    flush(&spool, &health, FLUSH).await;
    uplink.abort();
    uplink.await.ok();
    std::fs::remove_file(&settings.socket).ok();
    Ok(())
}

/// Whether what the settings want of the unified log can be had; said once where it cannot.
fn host_has_unified_log(settings: &Settings) -> bool {
    let is_mac = System::HERE == System::Mac;
    if !is_mac && !settings.unified_log.is_empty() {
        tracing::warn!("unified_log: only macOS has one");
    }
    is_mac
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

async fn heartbeats(journal: Journal, spool: Arc<Spool>, health: Arc<Health>, started: Time, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let entry = lifecycle::heartbeat(started, now(), spool.totals(), health.observed_times());
        if let Err(error) = journal.write(entry).await {
            tracing::warn!(%error, "heartbeat");
        }
    }
}

/// Until the stream has everything, as long as it is there to take it, and `patience` at most.
pub(crate) async fn flush(spool: &Spool, health: &Health, patience: Duration) {
    let deadline = tokio::time::Instant::now() + patience;
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while health.connected() && spool.totals().count > 0 && tokio::time::Instant::now() < deadline {
        tick.tick().await;
    }
}

fn observed(previous: &Previous) -> BTreeMap<String, i64> {
    match previous {
        Previous::Clean(run) | Previous::Crashed(run) => run.observed.clone(),
        Previous::First | Previous::Lost => BTreeMap::new(),
    }
}

fn status(settings: &Settings, serial: &str, started: Time, observed: &BTreeMap<String, i64>) -> Status {
    let here = sources::list().into_iter().filter(|about| about.on.contains(&System::HERE));
    let sources = here.filter_map(|about| {
        let timing = settings.sources.get(about.name).copied()?;
        let observed = observed.get(about.name).copied().and_then(Time::from_millis);
        Some((about.name.to_owned(), SourceStatus { observed, error: None, timing: Some(timing) }))
    });
    Status {
        sources: sources.collect(),
        version: lifecycle::VERSION.into(),
        pid: std::process::id(),
        serial: serial.into(),
        started: Some(started),
        uplink: UplinkStatus { servers: settings.servers.iter().map(server_name).collect(), ..UplinkStatus::default() },
        spool: SpoolStatus { quota: settings.quota, ..SpoolStatus::default() },
    }
}

fn now() -> Time {
    jiff::Timestamp::now().into()
}

//! `emote-agent run`: puts the parts together, and takes them apart when told to stop or when other settings come.
//!
//! A change of settings is no end of the run: [`base`] stays unless it must be another, [`work`] is put together anew.

mod base;
mod work;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use emote_proto::Time;
use rustix::fs::Mode;
use tokio::sync::Mutex;

use crate::health::Health;
use crate::journal::JournalError;
use crate::recent::Recent;
use crate::settings::{Follow, Loaded};
use crate::spool::{Previous, Spool, SpoolError};
use crate::{crash, lifecycle, platform};
use base::Base;
use work::Ended;

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

/// Runs the agent until `shutdown` is done; then says so in a last event, and gives it a moment to be sent. Settings that
/// change meanwhile are applied: what depends on them is put together anew.
pub async fn run(mut loaded: Loaded, mut follow: Follow, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    // Someone else in this process may have chosen already, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let mut shutdown = std::pin::pin!(shutdown);
    let signals = Arc::new(Mutex::new(platform::listen()));
    let (mut base, previous) = Base::open(&loaded.settings, now(), Arc::new(Recent::default()))?;
    base.begin(&loaded, &observed(&previous));
    let told = base.spool.snapshot(crash::SNAPSHOT)?;
    let mut crashes = crash::Found::look(&*base.host, &loaded.settings.state_dir, told.as_deref());
    let mut first = lifecycle::started(&previous, base.started);
    crashes.tell(&mut first, &base.serial);
    first.drafts.iter_mut().for_each(|(draft, ..)| _ = draft.time.get_or_insert(base.started));
    // A full disk is waited for: who ends is started again, and is no better off.
    while let Err(error) = base.tell(first.clone(), &loaded, None).await {
        if !matches!(error, JournalError::Disk(_)) {
            return Err(RunError::FirstEvent(error.to_string()));
        }
        tokio::select! {
            () = base.health.disk_failed(&error) => {}
            () = shutdown.as_mut() => return Ok(()),
        }
    }
    crashes.forget();
    loop {
        let mut working = base.work(&loaded.settings, &signals)?;
        let ended = base.watch(&mut working, &mut loaded, &mut follow, shutdown.as_mut()).await?;
        working.tasks.shutdown().await;
        match ended {
            Ended::Stop => return base.stop(working).await,
            Ended::Reload(new) => {
                tracing::info!(changed = new.values.changed(&loaded.values).join(","), "other settings");
                flush(&base.spool, &base.health, FLUSH).await;
                working.end_uplink().await;
                (base, loaded) = base.reload(&loaded, *new).await?;
            }
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

fn now() -> Time {
    jiff::Timestamp::now().into()
}

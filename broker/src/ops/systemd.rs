//! What systemd is told of a broker that it started (`Type=notify`, sd_notify(3)): that it runs, what it waits for, and,
//! where the unit has a watchdog, that it is well. Anywhere else there is no `NOTIFY_SOCKET`, and nothing is told.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::Place;

/// It runs. NATS may be long in coming: that is waited for, and no reason to be started anew.
pub(super) fn runs(place: Arc<Place>, shutdown: CancellationToken) {
    tell(&[NotifyState::Ready, NotifyState::Status("waiting for NATS")]);
    let watchdog = sd_notify::watchdog_enabled();
    tokio::spawn(async move {
        let Some(within) = watchdog else {
            shutdown.cancelled().await;
            return tell(&[NotifyState::Stopping]);
        };
        // Twice within the time, as sd_watchdog_enabled(3) advises.
        let mut ticks = tokio::time::interval(within / 2);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => break,
            }
            if place.unhealthy().is_empty() {
                tell(&[NotifyState::Watchdog]);
            }
        }
        tell(&[NotifyState::Stopping]);
    });
}

/// NATS is there, and work is done.
pub(super) fn serves() {
    tell(&[NotifyState::Status("serving")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

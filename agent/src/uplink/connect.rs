//! The connection to NATS: every option, and why it differs from the library's default.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Auth, AuthError, Client, ConnectError, ConnectOptions, Event};
use tokio::sync::watch;

use super::backoff;
use crate::health::Health;
use crate::serial::Serial;
use crate::settings::Settings;

/// Oldest server that knows atomic batches.
const BATCHES_SINCE: (i64, i64, i64) = (2, 12, 0);

/// Begins to connect, and goes on trying in the background. `link` follows whether the connection stands.
pub(super) async fn connect(
    settings: &Settings,
    serial: &Serial,
    health: Arc<Health>,
    link: watch::Sender<bool>,
) -> Result<Client, ConnectError> {
    // The library asks for a delay even before the first attempt.
    let begun = AtomicBool::new(false);
    let options = options(settings, serial)
        .retry_on_initial_connect()
        // A half-open connection is noticed after three pings.
        .ping_interval(Duration::from_secs(25))
        // Memory: nothing is published without the spool behind it.
        .client_capacity(64)
        .subscription_capacity(256)
        .read_buffer_capacity(8 * 1024)
        // A fleet must not come back all at once; the library's own waits have no jitter and end at four seconds.
        .reconnect_delay_callback(move |attempts| {
            if !begun.swap(true, Ordering::Relaxed) {
                return Duration::ZERO;
            }
            let failures = u32::try_from(attempts).unwrap_or(u32::MAX);
            Duration::from_millis(backoff::delay_ms(failures, backoff::random()))
        })
        .event_callback(move |event| {
            match &event {
                Event::Connected => {
                    tracing::info!("connected");
                    link.send_replace(true);
                }
                Event::Disconnected | Event::Closed => {
                    tracing::info!("not connected");
                    link.send_replace(false);
                }
                // Also how a denied publish shows: its answer never comes.
                other => {
                    tracing::warn!(%other, "connection");
                    health.set_error(Some(other.to_string()));
                }
            }
            std::future::ready(())
        });
    options.connect(settings.servers.clone()).await
}

/// Who connects, with what, and how well guarded.
pub(super) fn options(settings: &Settings, serial: &Serial) -> ConnectOptions {
    let options = base(settings)
        .name(format!("emote-agent {serial}"))
        // A credential limited to one machine may subscribe to nothing else.
        .custom_inbox_prefix(format!("_INBOX.{serial}"))
        .require_tls(settings.needs_tls())
        .connection_timeout(Duration::from_secs(10));
    match &settings.ca {
        Some(roots) => options.add_root_certificates(roots.clone()),
        None => options,
    }
}

/// Whether the server on the other end knows atomic batches.
pub(super) fn knows_batches(client: &Client) -> bool {
    let (major, minor, patch) = BATCHES_SINCE;
    client.is_server_compatible(major, minor, patch)
}

/// The token's file is read at every connection, so that a new one is found without a restart.
fn base(settings: &Settings) -> ConnectOptions {
    let Some(path) = settings.token_file.clone() else { return ConnectOptions::new() };
    ConnectOptions::with_auth_callback(move |_| {
        let path = path.clone();
        async move {
            let token = tokio::fs::read_to_string(&path).await;
            let mut auth = Auth::new();
            auth.token =
                Some(token.map_err(|error| AuthError::new(format!("{}: {error}", path.display())))?.trim().into());
            Ok(auth)
        }
    })
}

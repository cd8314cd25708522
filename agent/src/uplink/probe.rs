//! One connection, to see whether a server would take this agent; nothing is sent over it.

use std::sync::Arc;

use async_nats::ServerAddr;

use super::connect::{As, Connector};
use crate::health::Health;
use crate::platform::Host;
use crate::settings::Settings;
use emote_proto::Serial;

/// Connects once and leaves; returns what is at the other end, or why not.
pub(crate) async fn probe(
    settings: &Arc<Settings>,
    host: &Arc<dyn Host>,
    server: &ServerAddr,
    serial: &Serial,
    who: As<'_>,
) -> Result<String, String> {
    let connector = Connector {
        settings: Arc::clone(settings),
        serial: serial.clone(),
        host: Arc::clone(host),
        health: Arc::new(Health::default()),
    };
    let connection = connector.connect(server, who).await.map_err(|error| error.to_string())?;
    let info = connection.client.server_info();
    let tls = if info.tls_required || server.scheme() == "wss" { "TLS" } else { "no TLS" };
    Ok(format!("nats-server {}, {tls}", info.version))
}

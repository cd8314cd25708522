//! One connection, to see whether a server would take this agent; nothing is sent over it.

use async_nats::ServerAddr;

use super::connect;
use crate::serial::Serial;
use crate::settings::Settings;

/// Connects once and leaves; returns what is at the other end, or why not.
pub(crate) async fn probe(settings: &Settings, server: &ServerAddr, serial: &Serial) -> Result<String, String> {
    let client = connect::options(settings, serial).connect(vec![server.clone()]).await;
    let client = client.map_err(|error| match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })?;
    let info = client.server_info();
    let tls = if info.tls_required { "TLS" } else { "no TLS" };
    let said = format!("nats-server {}, {tls}", info.version);
    drop(client);
    Ok(said)
}

//! The way out through an HTTP proxy, for `wss://` servers.
//!
//! The library dials by itself and knows no proxy. So the tunnel is made here ([`tunnel`]: CONNECT, then TLS with the
//! server's own name and certificate, so that the proxy sees ciphertext only), and the library is led to it over the
//! loopback interface ([`relay`]).

mod relay;
mod system;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use async_nats::ServerAddr;
use tokio::time::timeout;

pub(super) use relay::Relay;

use super::secret::SecretError;
use super::tls::TlsError;
use crate::platform::{Host, tools};
use crate::settings::{HttpProxy, Proxy, Settings};

/// Why there is no way through the proxy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("the proxy {proxy} cannot be reached: {error}")]
    Unreachable { proxy: String, error: std::io::Error },
    #[error("the proxy {0} did not answer in time")]
    Silent(String),
    #[error("the proxy {0} asks for a name and a password (407): proxy = \"http://user:${{file:/path}}@{0}\"")]
    Login(String),
    #[error("the proxy {proxy} does not connect to {target}: {status}")]
    Refused { proxy: String, target: String, status: String },
    #[error("the proxy {0} did not answer as an HTTP proxy does")]
    Answer(String),
    #[error("the proxy's password: {0}")]
    Password(#[from] SecretError),
    #[error(transparent)]
    Certificates(#[from] TlsError),
    #[error("{0}")]
    Tls(String),
    #[error("the relay to the proxy: {0}")]
    Relay(std::io::Error),
}

/// The proxy for `server`, if there is to be one.
pub(super) async fn choose(settings: &Settings, host: &Arc<dyn Host>, server: &ServerAddr) -> Option<HttpProxy> {
    match &settings.proxy {
        Proxy::Http(proxy) => Some(proxy.clone()),
        Proxy::System if server.scheme() == "wss" => system(Arc::clone(host), server.host().to_owned()).await,
        Proxy::System | Proxy::None => None,
    }
}

/// A system that does not say which proxy it has is taken to have none: then the connection says what is wrong.
async fn system(host: Arc<dyn Host>, server: String) -> Option<HttpProxy> {
    let asked = tokio::task::spawn_blocking(move || {
        let text = host.run(&tools::SCUTIL_PROXY)?.successful(&tools::SCUTIL_PROXY)?;
        Ok::<_, crate::platform::HostError>(system::parse(&text))
    });
    match asked.await {
        Ok(Ok(Some(found))) => found.for_host(&server),
        Ok(Ok(None)) => {
            tracing::warn!("the system's proxy settings are not understood: connecting directly");
            None
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, "the system's proxy settings are not known: connecting directly");
            None
        }
        Err(_) => None,
    }
}

/// Opens a tunnel to `server` and gives the address under which the library finds it, once.
pub(super) async fn open(
    proxy: &HttpProxy,
    server: &ServerAddr,
    settings: &Settings,
    within: Duration,
) -> Result<(ServerAddr, Relay), ProxyError> {
    let tunnel = timeout(within, tunnel::open(proxy, server, settings)).await;
    let tunnel = tunnel.map_err(|_| ProxyError::Silent(proxy.to_string()))??;
    Relay::start(tunnel, server, within).await.map_err(ProxyError::Relay)
}

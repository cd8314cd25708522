//! The listener: where webhooks come in, and where health and metrics are asked for, with TLS or without.
//!
//! Plain text is for loopback, where another process on the same machine ends TLS; elsewhere it must be asked for, and
//! is warned of at each start. TLS is 1.2 or 1.3 (ring). Certificate and key are looked at every few seconds and
//! taken anew where they have changed; a pair that cannot be used is warned of, and the old one goes on.
//!
//! Whoever connects is bounded before anything is known of them: so many connections at once, half of them from one
//! address; a TLS handshake and each request's head within ten seconds; HTTP/1.1 only; so many headers, so large.

mod limit;
mod tls;

pub(crate) use limit::{Counted, Limited, MAX_CONNECTIONS, Place, Room, network};
pub(crate) use tls::{Files, LOOKED_AT_EVERY, Pair};

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use axum::Router;
use axum_server::{Handle, Server, tls_rustls::RustlsAcceptor};
use serde::Deserialize;

use crate::config::Problems;

/// A connection must have sent its request's head within this time, and its next request's after an answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of a request.
const MAX_HEADERS: usize = 64;
/// All of a request's head, in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// Requests under way at shutdown have this long to end.
const GRACE: Duration = Duration::from_secs(10);

/// Where to listen, as it stands in `emote.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenSpec {
    /// Such as `0.0.0.0:8443`.
    pub address: SocketAddr,
    /// PEM file with the certificate chain, the server's own first.
    pub certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    pub key: Option<PathBuf>,
    /// Plain text off loopback.
    #[serde(default)]
    pub insecure: bool,
}

impl ListenSpec {
    /// Notes what is wrong with the settings; files are not looked at.
    pub fn validate(&self, problems: &mut Problems) {
        if let Err(error) = self.wants_tls() {
            problems.add("", error);
        }
    }

    fn wants_tls(&self) -> Result<Option<(&Path, &Path)>, ListenError> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) if self.address.ip().is_loopback() || self.insecure => Ok(None),
            (None, None) => Err(ListenError::PlainText(self.address)),
            _ => Err(ListenError::HalfTls),
        }
    }
}

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Plain text where others can read it.
    #[error(
        "{0} is no loopback address, and without TLS everyone on the way reads along: set `certificate` and `key`, or spell out `insecure: true`"
    )]
    PlainText(SocketAddr),
    /// One without the other.
    #[error("`certificate` and `key` go together: set both or none")]
    HalfTls,
    /// The address cannot be had.
    #[error("cannot listen on {address}: {error}: give another address in `listen`, or stop what listens there")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// A file cannot be used.
    #[error("the certificate or key {0}")]
    File(String),
    /// The certificate and key do not make a server.
    #[error("the certificate and key cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The certificates that those of clients are checked with cannot be used.
    #[error("the certificates of `client_ca` cannot be used: {0}")]
    Clients(String),
    /// Serving ended badly.
    #[error("serving HTTP: {0}")]
    Serve(std::io::Error),
}

/// A bound listener.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<Pair>,
    limits: Limits,
}

/// What a listener bounds. Tests have less patience.
#[derive(Debug, Clone, Copy)]
struct Limits {
    head: Duration,
    connections: usize,
    tls_looked_at: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: HEAD_TIMEOUT, connections: MAX_CONNECTIONS, tls_looked_at: LOOKED_AT_EVERY }
    }
}

impl Listener {
    /// Binds; relative files are taken from `folder`. Whoever connects waits until [`Self::serve`].
    pub fn bind(spec: &ListenSpec, folder: &Path) -> Result<Self, ListenError> {
        let files = spec.wants_tls()?;
        let tls = files.map(|(certificate, key)| {
            let (certificate, key) = (folder.join(certificate), folder.join(key));
            Pair::load(Files { certificate, key, client_ca: None, protocols: &[b"http/1.1"] })
        });
        let tls = tls.transpose()?;
        if tls.is_none() && !spec.address.ip().is_loopback() {
            tracing::warn!(address = %spec.address, "HTTP is served in plain text, as `insecure: true` says");
        }
        let failed = |error| ListenError::Bind { address: spec.address, error };
        let socket = TcpListener::bind(spec.address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, tls, limits: Limits::default() })
    }

    /// Where it listens; the port that was given where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` ends, and then until the requests under way have ended, but for ten seconds at most.
    /// Requests know whom they come from by [`axum::extract::ConnectInfo`].
    pub async fn serve(
        self,
        router: Router,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ListenError> {
        let handle = Handle::new();
        let stopper = handle.clone();
        let stopping = tokio::spawn(async move {
            shutdown.await;
            stopper.graceful_shutdown(Some(GRACE));
        });
        let limits = self.limits;
        let server = server(self.socket, limits).map_err(ListenError::Serve)?.handle(handle);
        let (limited, service) =
            (Limited::new(limits.connections), router.into_make_service_with_connect_info::<SocketAddr>());
        let served = match self.tls {
            None => server.acceptor(limited).serve(service).await,
            Some(pair) => {
                let tls = RustlsAcceptor::new(pair.config()).handshake_timeout(limits.head).acceptor(limited);
                let following = tokio::spawn(pair.follow(limits.tls_looked_at));
                let served = server.acceptor(tls).serve(service).await;
                following.abort();
                served
            }
        };
        stopping.abort();
        served.map_err(ListenError::Serve)
    }
}

fn server(socket: TcpListener, limits: Limits) -> std::io::Result<Server<SocketAddr>> {
    let mut server = axum_server::from_tcp(socket)?.http1_only().first_request_timeout(limits.head);
    let mut http = server.http_builder().http1();
    http.header_read_timeout(limits.head).max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD);
    Ok(server)
}

#[cfg(test)]
mod tests;

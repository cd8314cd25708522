//! The listener: where webhooks come in, and where health and metrics are asked for, with TLS or without.
//!
//! Plain text is for loopback, where another process on the same machine ends TLS; elsewhere it must be asked for.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde::Deserialize;

use crate::config::Problems;

/// A connection must have sent its request's head within this time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
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
    #[error("{path} cannot be used: {problem}")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The certificate and key do not make a server.
    #[error("the certificate and key cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// Serving ended badly.
    #[error("serving HTTP: {0}")]
    Serve(std::io::Error),
}

/// A bound listener.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<RustlsConfig>,
}

impl Listener {
    /// Binds; relative files are taken from `folder`. Whoever connects waits until [`Self::serve`].
    pub fn bind(spec: &ListenSpec, folder: &Path) -> Result<Self, ListenError> {
        let tls = spec
            .wants_tls()?
            .map(|(certificate, key)| tls(&folder.join(certificate), &folder.join(key)))
            .transpose()?;
        if tls.is_none() && !spec.address.ip().is_loopback() {
            tracing::warn!(address = %spec.address, "HTTP is served in plain text, as `insecure: true` says");
        }
        let failed = |error| ListenError::Bind { address: spec.address, error };
        let socket = TcpListener::bind(spec.address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address, tls })
    }

    /// Where it listens; the port that was given where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` ends, and then until the requests under way have ended, but for ten seconds at most.
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
        let mut plain = axum_server::from_tcp(self.socket).map_err(ListenError::Serve)?.handle(handle);
        plain.http_builder().http1().header_read_timeout(HEAD_TIMEOUT);
        let service = router.into_make_service();
        let served = match self.tls {
            None => plain.serve(service).await,
            Some(tls) => plain.acceptor(axum_server::tls_rustls::RustlsAcceptor::new(tls)).serve(service).await,
        };
        stopping.abort();
        served.map_err(ListenError::Serve)
    }
}

fn tls(certificate: &Path, key: &Path) -> Result<RustlsConfig, ListenError> {
    let unusable = |path: &Path, problem: String| ListenError::Pem { path: path.to_owned(), problem };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(unusable(certificate, "no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;

    fn spec(yaml: &str) -> ListenSpec {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn plain_text_off_loopback_must_be_asked_for() {
        for (yaml, right) in [
            ("address: 127.0.0.1:0", true),
            ("address: '[::1]:0'", true),
            ("address: 0.0.0.0:0", false),
            ("{address: 0.0.0.0:0, insecure: true}", true),
            ("{address: 0.0.0.0:0, certificate: a}", false),
            ("{address: 127.0.0.1:0, key: a}", false),
            ("{address: 0.0.0.0:0, certificate: a, key: b}", true),
        ] {
            let mut problems = Problems::default();
            spec(yaml).validate(&mut problems);
            assert_eq!(problems.is_empty(), right, "{yaml}: {problems:?}");
        }
        let error = Listener::bind(&spec("address: 0.0.0.0:0"), Path::new("/")).err().unwrap();
        insta::assert_snapshot!(error, @"0.0.0.0:0 is no loopback address, and without TLS everyone on the way reads along: set `certificate` and `key`, or spell out `insecure: true`");
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty.pem"), "").unwrap();
        for file in ["missing.pem", "empty.pem"] {
            let yaml = format!("{{address: 127.0.0.1:0, certificate: {file}, key: key.pem}}");
            let error = Listener::bind(&spec(&yaml), folder.path()).err().unwrap().to_string();
            assert!(error.contains(file), "{error}");
        }
    }

    async fn served(yaml: &str, folder: &Path, scheme: &str) -> String {
        let listener = Listener::bind(&spec(yaml), folder).unwrap();
        let url = format!("{scheme}://localhost:{}/", listener.address().port());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let router = Router::new().route("/", get(async || "hello"));
        let serving = tokio::spawn(listener.serve(router, async { stopped.await.unwrap_or_default() }));
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build().unwrap();
        let text = client.get(url).send().await.unwrap().text().await.unwrap();
        drop(client);
        stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(20), serving).await.unwrap().unwrap().unwrap();
        text
    }

    #[tokio::test]
    async fn requests_are_answered_with_tls_and_without_until_shutdown() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("server.pem"), SERVER_PEM).unwrap();
        let tls = "{address: 127.0.0.1:0, certificate: server.pem, key: server.pem}";
        assert_eq!(served(tls, folder.path(), "https").await, "hello");
        assert_eq!(served("address: 127.0.0.1:0", folder.path(), "http").await, "hello");
    }

    /// Made for this test and used nowhere else.
    const SERVER_PEM: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2yRQrgucLcH15QL9
vGnUtGXr3Gn8oJJ7GF1JFLFfg1ahRANCAAQTFgylewskCqk5aOU9n/6pDWH7Xto5
nQn5wYWNnFMlwGdxcxgfqOBo2Cv1Gkj2j7bWF3gxBkgCt/Kaej0TTIw5
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUBrwpcO4DK2rMnTcvrcMEytg7128wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzA3Mjg0OFoYDzIxMjYxMDMw
MDcyODQ4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQTFgylewskCqk5aOU9n/6pDWH7Xto5nQn5wYWNnFMlwGdxcxgfqOBo
2Cv1Gkj2j7bWF3gxBkgCt/Kaej0TTIw5o2kwZzAdBgNVHQ4EFgQUiueVYnUWOGen
AW8nqft5Twr9WjgwHwYDVR0jBBgwFoAUiueVYnUWOGenAW8nqft5Twr9WjgwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SAAwRQIgcCaJLi8RBEtMJdu/u8bjDK9qwRV18YgC8yRHkVQSWqUCIQD7QzbByEAc
IvE6mpS6JQpCeDfUnI+tOVGMkVsThAqWLA==
-----END CERTIFICATE-----
";
}

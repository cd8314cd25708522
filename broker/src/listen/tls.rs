//! Certificate and key of a listener: read at the start, and again whenever their files have changed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};

use super::ListenError;
use crate::private::{self, Readers, Stamp};

/// How often the files are looked at.
pub(crate) const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// What a listener is made of, each a PEM file but the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    /// The certificate chain, the server's own first.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Who signs the certificates of clients; with it a client without one is refused.
    pub(crate) client_ca: Option<PathBuf>,
    /// What may be spoken (ALPN); anything where nothing is said.
    pub(crate) protocols: &'static [&'static [u8]],
}

/// A certificate with its key, in use.
pub(crate) struct Pair {
    files: Files,
    config: RustlsConfig,
    /// What the files were when they were last read.
    seen: [Stamp; 3],
}

impl Pair {
    /// Reads the files.
    pub(crate) fn load(files: Files) -> Result<Self, ListenError> {
        // Looked at before they are read: a change in between is seen the next time.
        let seen = files.stamps();
        let config = RustlsConfig::from_config(Arc::new(files.read()?));
        Ok(Self { files, config, seen })
    }

    /// What new connections are served with; changes with the files.
    pub(crate) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Looks at the files each `every`, for good.
    pub(crate) async fn follow(mut self, every: Duration) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Files may lie where reading them takes its time.
            let Ok(looked) = tokio::task::spawn_blocking(move || {
                self.look();
                self
            })
            .await
            else {
                return;
            };
            self = looked;
        }
    }

    /// Reads the files if they have changed.
    pub(super) fn look(&mut self) {
        let now = self.files.stamps();
        if now == self.seen {
            return;
        }
        self.seen = now;
        match self.files.read() {
            Ok(config) => {
                self.config.reload_from_config(Arc::new(config));
                tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is served");
            }
            // Half of a pair that is being written looks like this too: the other half is another change.
            Err(error) => {
                tracing::warn!(%error, "the certificate in use is kept; it is looked at again when a file changes");
            }
        }
    }
}

impl Files {
    fn stamps(&self) -> [Stamp; 3] {
        private::stamps([Some(&self.certificate), Some(&self.key), self.client_ca.as_deref()])
    }

    fn read(&self) -> Result<ServerConfig, ListenError> {
        let unusable = |error: private::FileError| ListenError::File(error.to_string());
        let chain = private::certificates(&self.certificate).map_err(unusable)?;
        let key = private::key(&self.key, Readers::Group).map_err(unusable)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                for certificate in private::certificates(ca).map_err(unusable)? {
                    roots.add(certificate)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| ListenError::Clients(error.to_string()))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = self.protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

//! Certificate and key of a listener: read at the start, and again whenever their files have changed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;

use super::ListenError;
use crate::private::{self, Readers};

/// How often the files are looked at.
pub(super) const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// A certificate with its key, in use.
pub(super) struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    config: RustlsConfig,
    /// What the files were when they were last read.
    seen: Stamp,
}

/// What changes with a file: device, inode, time of its last change in ns, size. None where there is no file.
type Stamp = [private::Stamp; 2];

impl Pair {
    /// Reads the files.
    pub(super) fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, ListenError> {
        // Looked at before they are read: a change in between is seen the next time.
        let seen = stamp(&certificate, &key);
        let config = RustlsConfig::from_config(Arc::new(read(&certificate, &key)?));
        Ok(Self { certificate, key, config, seen })
    }

    /// What new connections are served with; changes with the files.
    pub(super) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// Looks at the files each `every`, for good.
    pub(super) async fn follow(mut self, every: Duration) {
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
        let now = stamp(&self.certificate, &self.key);
        if now == self.seen {
            return;
        }
        self.seen = now;
        match read(&self.certificate, &self.key) {
            Ok(config) => {
                self.config.reload_from_config(Arc::new(config));
                tracing::info!(certificate = %self.certificate.display(), "a new certificate is served");
            }
            // Half of a pair that is being written looks like this too: the other half is another change.
            Err(error) => {
                tracing::warn!(%error, "the certificate in use is kept; it is looked at again when a file changes");
            }
        }
    }
}

fn stamp(certificate: &Path, key: &Path) -> Stamp {
    [certificate, key].map(private::stamp)
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, ListenError> {
    let unusable = |error: private::FileError| ListenError::File(error.to_string());
    let chain = private::certificates(certificate).map_err(unusable)?;
    let key = private::key(key, Readers::Group).map_err(unusable)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

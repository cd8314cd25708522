//! A target's connections, and the certificates that they are made with; those are read again when their files change.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{Certificate, Identity, Url};

use super::{spec::Setup, wire::chain};
use crate::{
    loopback::is_loopback,
    private::{self, Readers, Stamp},
};

/// How often the files are looked at, at most.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(5);

/// Files of certificates, in PEM; relative paths are taken from the configuration folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// The client's own, with `key`.
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// Whom to trust, in place of the system's roots.
    pub(crate) ca: Option<PathBuf>,
}

/// See the module.
pub(crate) struct Connections {
    tls: Tls,
    terms: Terms,
    state: Mutex<State>,
}

struct State {
    client: reqwest::Client,
    seen: [Stamp; 3],
    looked_at: Instant,
}

/// What does not change.
struct Terms {
    timeout: Duration,
    idle: usize,
    without_proxy: bool,
}

impl Connections {
    /// For requests to `url`. None is made yet.
    pub(crate) fn new(setup: &Setup<'_>, url: &Url, tls: &Tls) -> Result<Self, String> {
        install_crypto();
        let at = |path: &Option<PathBuf>| path.as_ref().map(|path| setup.folder.join(path));
        let tls = Tls { certificate: at(&tls.certificate), key: at(&tls.key), ca: at(&tls.ca) };
        // Without the network there is nobody to show a certificate to.
        let tls = if setup.script.is_some_and(|script| script.stands_in()) { Tls::default() } else { tls };
        let terms = Terms {
            timeout: setup.delivery.timeout,
            idle: setup.delivery.concurrency,
            without_proxy: url.host_str().is_some_and(is_loopback),
        };
        // Looked at before they are read: a change in between is seen the next time.
        let seen = tls.stamps();
        let state = State { client: terms.client(&tls)?, seen, looked_at: Instant::now() };
        Ok(Self { tls, terms, state: Mutex::new(state) })
    }

    /// Those with the certificates as they are now.
    pub(crate) fn current(&self) -> reqwest::Client {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tls != Tls::default() && state.looked_at.elapsed() >= LOOKED_AT_EVERY {
            state.looked_at = Instant::now();
            let now = self.tls.stamps();
            if now != state.seen {
                state.seen = now;
                match self.terms.client(&self.tls) {
                    Ok(client) => state.client = client,
                    // Half of a pair that is being written looks like this too: the other half is another change.
                    Err(error) => tracing::warn!(error, "a target's certificates in use are kept"),
                }
            }
        }
        state.client.clone()
    }
}

impl Tls {
    fn stamps(&self) -> [Stamp; 3] {
        [&self.certificate, &self.key, &self.ca].map(|path| path.as_deref().and_then(private::stamp))
    }
}

impl Terms {
    fn client(&self, tls: &Tls) -> Result<reqwest::Client, String> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("emote/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(self.timeout)
            .connect_timeout(self.timeout.min(Duration::from_secs(5)))
            .pool_max_idle_per_host(self.idle);
        if self.without_proxy {
            builder = builder.no_proxy();
        }
        if let Some(ca) = &tls.ca {
            builder = builder.tls_certs_only(roots(ca)?);
        }
        if let (Some(certificate), Some(key)) = (&tls.certificate, &tls.key) {
            builder = builder.identity(identity(certificate, key)?);
        }
        builder.build().map_err(|error| format!("no HTTP client can be made: {}", chain(error)))
    }
}

fn roots(path: &Path) -> Result<Vec<Certificate>, String> {
    let read = private::certificates(path).map_err(|error| error.to_string())?;
    read.iter()
        .map(|der| Certificate::from_der(der).map_err(|error| format!("{}: {}", path.display(), chain(error))))
        .collect()
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity, String> {
    private::certificates(certificate).map_err(|error| error.to_string())?;
    private::key(key, Readers::Group).map_err(|error| error.to_string())?;
    let key = private::read(key, Readers::Group).map_err(|error| error.to_string())?;
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", certificate.display());
    let chain_text = std::fs::read(certificate).map_err(unreadable)?;
    let mut whole = zeroize::Zeroizing::new(Vec::with_capacity(chain_text.len() + key.len() + 1));
    whole.extend_from_slice(&chain_text);
    whole.push(b'\n');
    whole.extend_from_slice(key.as_bytes());
    Identity::from_pem(&whole).map_err(|error| format!("certificate and key: {}", chain(error)))
}

/// TLS by ring; whoever comes first installs it for the process.
fn install_crypto() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

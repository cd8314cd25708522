//! A target's connections, and the certificates that they are made with; those are read again when their files change.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::{Certificate, Identity, Url};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

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

/// Something that is made from such files, and made again when they change.
pub(crate) struct Kept<T> {
    tls: Tls,
    make: Make<T>,
    state: Mutex<State<T>>,
}

type Make<T> = Box<dyn Fn(&Tls) -> Result<T, String> + Send + Sync>;

struct State<T> {
    made: T,
    seen: [Stamp; 3],
    looked_at: Instant,
}

/// A target's connections over HTTP.
pub(crate) struct Connections(Kept<reqwest::Client>);

/// What does not change of them.
struct Terms {
    timeout: Duration,
    idle: usize,
    without_proxy: bool,
}

impl<T: Clone> Kept<T> {
    /// What `make` makes of the files, whose paths are taken from the configuration folder.
    pub(crate) fn new(
        setup: &Setup<'_>,
        tls: &Tls,
        make: impl Fn(&Tls) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, String> {
        install_crypto();
        let at = |path: &Option<PathBuf>| path.as_ref().map(|path| setup.folder.join(path));
        let tls = Tls { certificate: at(&tls.certificate), key: at(&tls.key), ca: at(&tls.ca) };
        // Without the network there is nobody to show a certificate to.
        let tls = if setup.script.is_some_and(|script| script.stands_in()) { Tls::default() } else { tls };
        // Looked at before they are read: a change in between is seen the next time.
        let seen = tls.stamps();
        let state = State { made: make(&tls)?, seen, looked_at: Instant::now() };
        Ok(Self { tls, make: Box::new(make), state: Mutex::new(state) })
    }

    /// What is made of the files as they are now.
    pub(crate) fn current(&self) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.tls != Tls::default() && state.looked_at.elapsed() >= LOOKED_AT_EVERY {
            state.looked_at = Instant::now();
            let now = self.tls.stamps();
            if now != state.seen {
                state.seen = now;
                match (self.make)(&self.tls) {
                    Ok(made) => state.made = made,
                    // Half of a pair that is being written looks like this too: the other half is another change.
                    Err(error) => tracing::warn!(error, "a target's certificates in use are kept"),
                }
            }
        }
        state.made.clone()
    }
}

impl Connections {
    /// For requests to `url`. None is made yet.
    pub(crate) fn new(setup: &Setup<'_>, url: &Url, tls: &Tls) -> Result<Self, String> {
        let terms = Terms {
            timeout: setup.delivery.timeout,
            idle: setup.delivery.concurrency,
            without_proxy: url.host_str().is_some_and(is_loopback),
        };
        Kept::new(setup, tls, move |tls| terms.client(tls)).map(Self)
    }

    /// Those with the certificates as they are now.
    pub(crate) fn current(&self) -> reqwest::Client {
        self.0.current()
    }
}

impl Tls {
    /// How TLS is spoken where it is not over HTTP.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, String> {
        let failed = |error: &dyn std::fmt::Display| format!("no TLS client can be made: {error}");
        let builder = match &self.ca {
            None => ClientConfig::builder().with_platform_verifier().map_err(|error| failed(&error))?,
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                for root in private::certificates(ca).map_err(|error| error.to_string())? {
                    roots.add(root).map_err(|error| format!("{}: {error}", ca.display()))?;
                }
                ClientConfig::builder().with_root_certificates(roots)
            }
        };
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = private::certificates(certificate).map_err(|error| error.to_string())?;
        let key = private::key(key, Readers::Group).map_err(|error| error.to_string())?;
        builder.with_client_auth_cert(chain, key).map_err(|error| format!("certificate and key: {error}"))
    }

    fn stamps(&self) -> [Stamp; 3] {
        private::stamps([&self.certificate, &self.key, &self.ca].map(Option::as_deref))
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

//! The console for people, and the API for programs: HTTP on a listener of its own.
//!
//! ```text
//! request ─ our name? ─→ route ─ who? ─→ role ─ from a page of ours? ─→ handler ─→ answer, with headers against misuse
//! ```
//!
//! - **Who**: the token in the data folder, or an identity provider ([`oidc`]). A sign-in makes a session ([`session`]) that
//!   all brokers know; programs may send the token with each request.
//! - **What**: one table ([`routes`]) says what there is and the least role for it. Nothing is reached past it.
//! - **Told**: what is done here is an event that says who and why; so is each sign-in and its end, and those that failed.
//!
//! It reads no file for a request but the token, runs no script in the browser, and loads nothing from elsewhere.

mod actions;
mod answer;
mod api;
mod audit;
mod cookie;
mod enter;
mod limit;
mod local_token;
mod login;
mod oidc;
mod pages;
mod path;
mod place;
mod role;
mod routes;
mod serve;
mod session;
mod sessions;
mod spec;
mod visit;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use tokio::sync::Semaphore;

pub use role::Role;
pub use routes::{Listed, table};
pub use spec::{ConsoleSpec, Issuer, OidcSpec, Origin, RoleMap};

use crate::{
    bus::Bus,
    identity::Registry,
    ingest::Cidr,
    listen::{ListenError, ListenSpec, Listener},
    ops::Taken,
    rate::Rate,
};
use cookie::Jar;
use limit::Limiter;
use local_token::LocalToken;
use place::Names;
use sessions::Sessions;

/// Requests that may be under way at once.
const MAX_REQUESTS: usize = 128;

/// Tries to sign in that fail: of an address, and of all of them.
const FAILURES: (Rate, Rate) =
    (Rate { burst: 10, every: Duration::from_secs(30) }, Rate { burst: 100, every: Duration::from_secs(1) });
/// Sign-ins that are begun at the provider. Each is kept for ten minutes.
const BEGINNINGS: (Rate, Rate) =
    (Rate { burst: 20, every: Duration::from_secs(5) }, Rate { burst: 200, every: Duration::from_millis(500) });

/// A bound console.
pub struct Bound {
    listener: Listener,
    spec: ConsoleSpec,
    root: PathBuf,
    token: Option<LocalToken>,
}

/// What the broker has to say to its console.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// How many copies of the sessions are kept.
    pub replicas: usize,
    /// Whether this broker gives out credentials to agents.
    pub gives_credentials: bool,
}

/// What handlers share.
pub(super) struct Console {
    bus: Bus,
    /// Agents and their credentials, where this broker gives those out.
    registry: Option<Registry>,
    sessions: Sessions,
    names: Names,
    proxies: Vec<Cidr>,
    jar: Jar,
    token: Option<LocalToken>,
    oidc: Option<oidc::Provider>,
    failures: Mutex<Limiter>,
    beginnings: Mutex<Limiter>,
    told: Mutex<audit::Told>,
    requests: Semaphore,
}

impl Bound {
    /// Listens; whoever connects waits until [`Self::serve`]. Makes the token where there is none. Relative files are taken
    /// from `root`.
    pub fn bind(spec: &ConsoleSpec, root: &Path, data: &Path, taken: Taken) -> anyhow::Result<Self> {
        let listener = bind(&spec.listen, root, taken)?;
        let token = spec.local_token.then(|| LocalToken::in_folder(data));
        if let Some(token) = &token {
            token.ensure()?;
        }
        Ok(Self { listener, spec: spec.clone(), root: root.to_owned(), token })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Where people reach it: `http://127.0.0.1:8482`.
    pub fn url(&self) -> String {
        if let Some(url) = &self.spec.url {
            return url.as_str().to_owned();
        }
        let scheme = if self.spec.listen.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// The file with the token that opens it; none where it does not.
    pub fn token_file(&self) -> Option<PathBuf> {
        self.token.as_ref().map(|token| token.path().to_owned())
    }

    /// Serves until `shutdown` ends.
    pub async fn serve(
        self,
        bus: Bus,
        served: Served,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let names = Names::of(&self.spec);
        let url = self.url();
        let oidc = self.spec.oidc.as_ref().map(|spec| oidc::Provider::new(spec, &url, &self.root)).transpose();
        let limiter = |(each, all)| Mutex::new(Limiter::new(each, all));
        let console = Console {
            sessions: Sessions(bus.sessions(served.replicas).await?),
            registry: served.gives_credentials.then(|| Registry::new(bus.clone())),
            bus,
            jar: Jar { secure: names.secure() },
            names,
            proxies: self.spec.trusted_proxies,
            token: self.token,
            oidc: oidc.context("emote.yaml: console.oidc")?,
            failures: limiter(FAILURES),
            beginnings: limiter(BEGINNINGS),
            told: Mutex::new(audit::Told::begin()),
            requests: Semaphore::new(MAX_REQUESTS),
        };
        Ok(self.listener.serve(serve::router(Arc::new(console)), shutdown).await?)
    }
}

fn bind(spec: &ListenSpec, root: &Path, taken: Taken) -> Result<Listener, ListenError> {
    match Listener::bind(spec, root) {
        Err(ListenError::Bind { error, .. })
            if taken == Taken::AnyPort && error.kind() == std::io::ErrorKind::AddrInUse =>
        {
            let address = SocketAddr::new(spec.address.ip(), 0);
            Listener::bind(&ListenSpec { address, ..spec.clone() }, root)
        }
        bound => bound,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

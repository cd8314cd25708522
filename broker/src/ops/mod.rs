//! What a broker says of itself to those who watch over it: `GET /healthz`, `/readyz` and `/metrics`.
//!
//! - `/healthz`: whether starting the process anew would help. It does not where NATS is away: that is waited out.
//! - `/readyz`: whether it can do its work now. Where not, the answer says why.
//! - `/metrics`: Prometheus' text format. Labels are names from the configuration and words of this program, never
//!   anything out of an event.
//!
//! It listens from the start, also while NATS is waited for. What decides ([`health`]) and what writes ([`mod@metrics`]) is
//! pure; [`observe`] asks; [`systemd`] is told too. Nothing here changes anything.

mod health;
mod metrics;
mod observe;
mod page;
mod systemd;
mod watched;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use emote_proto::Time;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::listen::{ListenError, ListenSpec, Listener};

pub use watched::Watched;

const REMEDY: &str = "There is /healthz, /readyz and /metrics; webhooks go to the address of ingest.";

/// The listener for those who watch, and what they watch once it is there.
#[derive(Clone)]
pub struct Ops {
    place: Arc<Place>,
    address: Option<SocketAddr>,
}

struct Place {
    /// When this process began.
    started: Time,
    began: Instant,
    watched: OnceLock<Watched>,
    looks: observe::Looks,
}

/// What to do where the address is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is an error.
    Fail,
    /// Any free port will do.
    AnyPort,
}

impl Ops {
    /// Listens where `spec` says, if anywhere, until `shutdown`. Until [`Self::watch`] there is little to tell.
    pub fn start(
        spec: Option<&ListenSpec>,
        folder: &Path,
        taken: Taken,
        shutdown: &CancellationToken,
    ) -> Result<Self, ListenError> {
        let listener = spec.map(|spec| bind(spec, folder, taken)).transpose()?;
        let place = Place {
            started: jiff::Timestamp::now().into(),
            began: Instant::now(),
            watched: OnceLock::new(),
            looks: observe::Looks::default(),
        };
        let ops = Self { place: Arc::new(place), address: listener.as_ref().map(Listener::address) };
        if let Some(listener) = listener {
            let (router, stop) = (router(Arc::clone(&ops.place)), shutdown.clone());
            tokio::spawn(async move {
                if let Err(error) = listener.serve(router, stop.cancelled_owned()).await {
                    tracing::error!(%error, "health and metrics are not told any more");
                }
            });
        }
        Ok(ops)
    }

    /// Where it listens; `None` where it does not.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// When this process began.
    pub fn started(&self) -> Time {
        self.place.started
    }

    /// From now on this is watched.
    pub fn watch(&self, watched: Watched) {
        if self.place.watched.set(watched).is_err() {
            tracing::debug!("a broker is watched already");
        }
    }

    /// Tells systemd, where it started this process, that it runs, and until `shutdown` that it is well.
    pub fn tell_systemd(&self, shutdown: &CancellationToken) {
        systemd::runs(Arc::clone(&self.place), shutdown.clone());
    }

    /// Tells systemd that NATS is there.
    pub fn tell_systemd_that_it_serves(&self) {
        systemd::serves();
    }
}

fn bind(spec: &ListenSpec, folder: &Path, taken: Taken) -> Result<Listener, ListenError> {
    match Listener::bind(spec, folder) {
        Err(ListenError::Bind { error, .. })
            if taken == Taken::AnyPort && error.kind() == std::io::ErrorKind::AddrInUse =>
        {
            let address = SocketAddr::new(spec.address.ip(), 0);
            Listener::bind(&ListenSpec { address, ..spec.clone() }, folder)
        }
        bound => bound,
    }
}

fn router(place: Arc<Place>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async || (StatusCode::NOT_FOUND, Json(json!({"error": "nothing is here", "remedy": REMEDY}))))
        .with_state(place)
}

impl Place {
    /// What only starting the process anew would mend.
    fn unhealthy(&self) -> Vec<String> {
        // While NATS is waited for there is nothing yet that could be stuck.
        let Some(watched) = self.watched.get() else { return Vec::new() };
        let silent = watched.targets.silent(health::WORKER_SILENT);
        health::unhealthy(&watched.engine.status(), &silent, self.began, Instant::now())
    }
}

async fn healthz(State(place): State<Arc<Place>>) -> Response {
    verdict("healthy", place.unhealthy(), &json!({"version": env!("CARGO_PKG_VERSION")}))
}

async fn readyz(State(place): State<Arc<Place>>) -> Response {
    let Some(watched) = place.watched.get() else {
        return verdict(
            "ready",
            vec!["it is starting: it waits for NATS, or opens its records".to_owned()],
            &json!({}),
        );
    };
    let streams = place.looks.streams(&watched.bus).await;
    let (status, taking) = (watched.engine.status(), *watched.taking.borrow());
    let reasons = health::unready(&health::Readiness { streams, status: &status, taking }, Instant::now());
    verdict("ready", reasons, &json!({"role": status.role}))
}

async fn metrics(State(place): State<Arc<Place>>) -> Response {
    let text = match place.watched.get() {
        Some(watched) => metrics::page(&observe::look(place.started, watched, &place.looks).await),
        None => metrics::page(&observe::Observed::of_nothing(place.started)),
    };
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT), (header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// 200 where nothing speaks against it, else 503 and what does.
fn verdict(what: &str, reasons: Vec<String>, more: &Value) -> Response {
    let mut body = serde_json::Map::from_iter([(what.to_owned(), Value::from(reasons.is_empty()))]);
    body.extend(more.as_object().cloned().unwrap_or_default());
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if !reasons.is_empty() {
        body.insert("reasons".to_owned(), Value::from(reasons));
    }
    (status, [(header::CACHE_CONTROL, "no-store")], Json(Value::Object(body))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use tower::ServiceExt as _;

    async fn get(path: &str) -> (u16, String) {
        let shutdown = CancellationToken::new();
        let ops = Ops::start(None, Path::new("/"), Taken::Fail, &shutdown).unwrap();
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(ops.place).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn while_nats_is_waited_for_it_is_healthy_and_not_ready() {
        let healthy = format!(r#"{{"healthy":true,"version":"{}"}}"#, env!("CARGO_PKG_VERSION"));
        assert_eq!(get("/healthz").await, (200, healthy));
        let reasons = r#"{"ready":false,"reasons":["it is starting: it waits for NATS, or opens its records"]}"#;
        assert_eq!(get("/readyz").await, (503, reasons.to_owned()));
        let (status, metrics) = get("/metrics").await;
        assert!(status == 200 && metrics.contains("\nemote_nats_connected 0\n"), "{metrics}");
        let (status, text) = get("/").await;
        assert!(status == 404 && text.contains("/readyz"), "{text}");
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_an_error_or_another_port() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let spec = ListenSpec { address, certificate: None, key: None, insecure: false };
        let shutdown = CancellationToken::new();
        let start = |taken| Ops::start(Some(&spec), Path::new("/"), taken, &shutdown);
        let error = start(Taken::Fail).err().unwrap().to_string();
        assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
        let other = start(Taken::AnyPort).unwrap().address().unwrap();
        assert!(other.ip() == address.ip() && other.port() != address.port());
        shutdown.cancel();
    }
}

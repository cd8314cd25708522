//! A stand-in for a system that Emote calls: notes every request and answers as it was told.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::Value;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// GET, PUT, …
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// How it was answered.
    pub status: u16,
}

impl Seen {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The `Idempotency-Key`.
    pub fn key(&self) -> String {
        self.headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned()
    }
}

/// An answer: status, headers, body.
pub type Reply = (u16, Vec<(&'static str, String)>, String);

type Answer = Box<dyn FnMut(&Seen) -> Reply + Send>;

struct Shared {
    seen: Mutex<Vec<Seen>>,
    answer: Mutex<Answer>,
}

/// The stand-in; it listens as long as the test's runtime lives.
pub struct StandIn {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    shared: Arc<Shared>,
}

impl StandIn {
    /// One that answers every request so.
    pub async fn start(answer: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        let shared = Arc::new(Shared { seen: Mutex::default(), answer: Mutex::new(Box::new(answer)) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// One that answers 200 with this body.
    pub async fn fine(body: &'static str) -> Self {
        Self::start(move |_| (200, Vec::new(), body.to_owned())).await
    }

    /// From now on every request is answered so.
    pub fn answer(&self, answer: impl FnMut(&Seen) -> Reply + Send + 'static) {
        *self.shared.answer.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(answer);
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests that were answered with success.
    pub fn accepted(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| (200..300).contains(&seen.status)).collect()
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (method, path, body) = (method.to_string(), uri.path().to_owned(), body.to_vec());
    let mut seen = Seen { method, path, headers, body, status: 0 };
    let (status, headers, body) = (shared.answer.lock().unwrap_or_else(PoisonError::into_inner))(&seen);
    seen.status = status;
    shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

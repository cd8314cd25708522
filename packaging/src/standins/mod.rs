//! Stand-ins for vendors: small HTTP servers on this machine that answer as the vendor does and write down every
//! request, so that "exactly once" can be counted. They check credentials, and know nothing of Emote.
//!
//! ```no_run
//! # use emote_packaging::standins::{Failing, Slack, StandIn};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let slack = StandIn::start(Slack).await?;
//! slack.fail_next(2, Failing { status: 429, retry_after: Some(1) });
//! // … give `slack.url()` to a target, set something off …
//! slack.wait_until(std::time::Duration::from_secs(10), |requests| requests.len() == 3).await?;
//! # Ok(()) }
//! ```

mod nanomdm;
mod slack;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header},
};
use bytes::Bytes;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, task::AbortHandle};

pub use nanomdm::{Command, NanoMdm, commands};
pub use slack::{Message, Slack, messages};

/// More than this are not written down; the stand-in then answers 503.
const MAX_REQUESTS: usize = 10_000;

/// A request that came, and how it was answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `PUT`, …
    pub method: Method,
    /// With the query, if any.
    pub path: String,
    /// As they came.
    pub headers: HeaderMap,
    /// As it came.
    pub body: Bytes,
    /// The status it was answered with.
    pub status: u16,
}

impl Request {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What says that two requests are one and the same effect.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.header("idempotency-key")
    }

    /// Whether it was taken.
    pub fn accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What a stand-in says to a request: status and body.
pub type Reply = (u16, String);

/// How a vendor answers. `earlier` are the requests before this one, oldest first.
pub trait Vendor: Send + Sync + 'static {
    /// The answer to `request`, whose own status is not decided yet.
    fn answer(&self, request: &Request, earlier: &[Request]) -> Reply;
}

/// How a stand-in fails when told to.
#[derive(Debug, Clone, Copy)]
pub struct Failing {
    /// The status: 429, 500, …
    pub status: u16,
    /// Seconds in `Retry-After`.
    pub retry_after: Option<u32>,
}

/// Waiting was in vain.
#[derive(Debug)]
pub struct TimedOut {
    /// What had come by then.
    pub requests: Vec<Request>,
}

impl std::fmt::Display for TimedOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not all that was waited for came; {} requests did:", self.requests.len())?;
        self.requests.iter().try_for_each(|r| write!(f, " {} {} ({})", r.method, r.path, r.status))
    }
}

impl std::error::Error for TimedOut {}

#[derive(Default)]
struct Seen {
    requests: Vec<Request>,
    failing: Option<(usize, Failing)>,
}

struct Shared {
    vendor: Box<dyn Vendor>,
    seen: Mutex<Seen>,
    count: watch::Sender<usize>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running stand-in. It ends when this is dropped.
pub struct StandIn {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: AbortHandle,
}

impl StandIn {
    /// Starts one on any free port of loopback.
    pub async fn start(vendor: impl Vendor) -> std::io::Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), vendor).await
    }

    /// Starts one at `address`.
    pub async fn start_at(address: SocketAddr, vendor: impl Vendor) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { vendor: Box::new(vendor), seen: Mutex::default(), count: watch::Sender::new(0) });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Ok(Self { address, shared, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that came, oldest first; what was failed on purpose too.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.seen().requests.clone()
    }

    /// Fails the next `times` requests; from then on all is well again.
    pub fn fail_next(&self, times: usize, failing: Failing) {
        self.shared.seen().failing = Some((times, failing));
    }

    /// Waits until more than `count` requests came; gives all of them.
    pub async fn more_than(&self, count: usize) -> Vec<Request> {
        self.until(|requests| requests.len() > count).await
    }

    /// Waits until `condition` holds of what came.
    pub async fn wait_until(
        &self,
        within: Duration,
        condition: impl Fn(&[Request]) -> bool,
    ) -> Result<Vec<Request>, TimedOut> {
        let holds = self.until(condition);
        tokio::time::timeout(within, holds).await.map_err(|_| TimedOut { requests: self.requests() })
    }

    async fn until(&self, condition: impl Fn(&[Request]) -> bool) -> Vec<Request> {
        let mut count = self.shared.count.subscribe();
        loop {
            count.borrow_and_update();
            let requests = self.requests();
            // The sender lives as long as `self`: waiting for a change cannot fail.
            if condition(&requests) || count.changed().await.is_err() {
                return requests;
            }
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let mut request = Request { method, path, headers, body, status: 0 };
    let mut seen = shared.seen();
    let failing = match &mut seen.failing {
        Some((times, failing)) if *times > 0 => {
            *times -= 1;
            Some(*failing)
        }
        _ => None,
    };
    let (status, text) = match failing {
        Some(failing) => (failing.status, "failing on purpose".to_owned()),
        None if seen.requests.len() >= MAX_REQUESTS => (503, "this stand-in has seen enough".to_owned()),
        None => shared.vendor.answer(&request, &seen.requests),
    };
    request.status = status;
    if seen.requests.len() < MAX_REQUESTS {
        seen.requests.push(request);
    }
    let came = seen.requests.len();
    drop(seen);
    shared.count.send_replace(came);
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(seconds) = failing.and_then(|failing| failing.retry_after) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::http_client;

    #[tokio::test]
    async fn a_stand_in_writes_down_what_comes_and_fails_when_told_to() {
        let slack = StandIn::start(Slack).await.unwrap();
        slack.fail_next(1, Failing { status: 429, retry_after: Some(7) });
        let client = http_client().unwrap();
        let post = || {
            let url = format!("{}/services/T/B/x", slack.url());
            client.post(url).header("Idempotency-Key", "job-1").body(r#"{"text":"hi"}"#).send()
        };
        let refused = post().await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "7"));
        assert_eq!(post().await.unwrap().text().await.unwrap(), "ok");
        let requests = slack.wait_until(Duration::from_secs(5), |requests| requests.len() == 2).await.unwrap();
        assert_eq!(requests.iter().map(|request| request.status).collect::<Vec<_>>(), [429, 200]);
        let expected = [Message { text: "hi".to_owned(), idempotency_key: "job-1".to_owned() }];
        assert_eq!(messages(&requests), expected);
        let none = slack.wait_until(Duration::from_millis(1), |requests| requests.len() == 3).await;
        assert!(none.unwrap_err().to_string().contains("2 requests did"));
    }
}

//! A router with one source and a stream that keeps what it is given.

use axum::http::{Request as HttpRequest, StatusCode};
use emote_proto::{Name, Subject};
use tower::ServiceExt as _;

use super::*;
use crate::ingest::{NoAliases, SourceSpec};

/// Keeps the ids and trust of events, each once.
#[derive(Default)]
struct Stream(Mutex<BTreeMap<EventId, serde_json::Value>>);

#[async_trait::async_trait]
impl Publish for Stream {
    async fn publish(&self, events: Vec<(Subject, EventId, Bytes)>) -> Result<(), PublishError> {
        let mut stored = self.0.lock().unwrap();
        for (_, id, json) in events {
            stored.entry(id).or_insert(serde_json::from_slice(&json).unwrap());
        }
        Ok(())
    }
}

/// A source of one scheme, at one moment.
pub(super) struct Edge {
    pub(super) router: Router,
    stream: Arc<Stream>,
}

pub(super) type Headers<'a> = &'a [(&'a str, &'a str)];

impl Edge {
    pub(super) fn new(verify: &str, secret: &str, now: &str) -> Self {
        let map = "{scope: \"a\", action: \"b\", info: {is: .}}";
        Self::of(&format!("verify: {verify}\nmax_body: 2000\nmap: '{map}'"), secret, now)
    }

    /// The source of this file.
    pub(super) fn of(yaml: &str, secret: &str, now: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("secret", secret), ("other", "whsec_b3RoZXIgc2VjcmV0")] {
            crate::testing::secret(&folder.path().join(name), text);
        }
        let spec: SourceSpec = serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
        let plan = spec.validate(&Name::new("it").unwrap()).unwrap_or_else(|problems| panic!("{yaml}: {problems:?}"));
        let source = plan.resolve(folder.path()).unwrap_or_else(|problems| panic!("{yaml}: {problems:?}"));
        let (stream, now) = (Arc::new(Stream::default()), now.parse::<Time>().unwrap());
        let sources = Arc::new(Sources::new([source]));
        let directory = Arc::new(scim::Memory::default());
        let router = router_at(
            Arc::new(move || now),
            sources,
            Arc::<Stream>::clone(&stream),
            (Arc::new(NoAliases), vec!["10.0.0.0/8".parse().unwrap()], directory),
        );
        Self { router, stream }
    }

    pub(super) async fn post(&self, headers: Headers<'_>, body: impl Into<Body>) -> (StatusCode, String) {
        let mut request = HttpRequest::post("/in/it");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub(super) fn stored(&self) -> Vec<serde_json::Value> {
        self.stream.0.lock().unwrap().values().cloned().collect()
    }
}

//! Requests to a source that speaks SCIM, one after the other: `METHOD path?query`, a line, and the body; an empty line
//! between them. Nothing panics and nothing is the server's fault, and whatever was made, changed and removed can be listed.
#![no_main]

use std::{cell::RefCell, path::Path, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use emote::{
    bus,
    ingest::{Directory, NoAliases, Publish, PublishError, Ready, SourceSpec, Sources, router},
};
use emote_proto::{Name, limits};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

/// That of the broker's own tests, which names what is above it as they do.
#[path = "../../src/ingest/scim/testing.rs"]
mod testing;

/// Requests of one run.
const MOST: usize = 16;

/// Looks at what is published, and forgets it.
struct Looking;

#[async_trait::async_trait]
impl Publish for Looking {
    async fn publish(&self, events: Vec<Ready>) -> Result<(), PublishError> {
        for (_, _, json) in events {
            assert!(json.len() <= limits::MAX_EVENT);
            let event: Value = serde_json::from_slice(&json).expect("JSON");
            assert!(matches!(event["scope"].as_str(), Some("user" | "group" | "source")), "{event}");
        }
        Ok(())
    }
}

fn server() -> Router {
    let spec: SourceSpec = serde_json::from_value(json!({"preset": "scim", "verify": "none"})).expect("a source");
    let plan = spec.validate(&Name::new("it").expect("a name")).expect("a right source");
    let sources = Arc::new(Sources::new([plan.resolve(Path::new("/")).expect("nothing to resolve")]));
    router(sources, Arc::new(Looking), Arc::new(NoAliases), Vec::new(), Arc::<testing::Memory>::default())
}

async fn asked(server: &Router, method: &str, path: &str, body: &[u8]) -> Option<(StatusCode, Vec<u8>)> {
    let request = Request::builder().method(method).uri(format!("/in/it/scim/v2/{path}"));
    let request = request.header("content-type", "application/scim+json").body(Body::from(body.to_vec())).ok()?;
    let response = server.clone().oneshot(request).await.expect("an answer");
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("its body");
    Some((status, body.to_vec()))
}

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| {
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().expect("a runtime")
        });
        runtime.block_on(async {
            let server = server();
            let mut made = String::new();
            for request in text.split("\n\n").take(MOST) {
                let (line, body) = request.split_once('\n').unwrap_or((request, ""));
                let Some((method, path)) = line.split_once(' ') else { continue };
                // `ID` is that of what was made last.
                let (path, body) = (path.replace("ID", &made), body.replace("ID", &made));
                let Some((status, answer)) = asked(&server, method, &path, body.as_bytes()).await else { continue };
                assert!(!status.is_server_error(), "{method} {path} {body}: {status}");
                let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
                if let (StatusCode::CREATED, Some(id)) = (status, answer["id"].as_str()) {
                    made = id.to_owned();
                }
            }
            for all in ["Users", "Groups"] {
                let (status, answer) = asked(&server, "GET", all, b"").await.expect("a list");
                assert_eq!(status, StatusCode::OK);
                let answer: Value = serde_json::from_slice(&answer).expect("JSON");
                assert!(answer["totalResults"].as_u64().is_some_and(|count| count <= MOST as u64), "{answer}");
            }
        });
    });
});

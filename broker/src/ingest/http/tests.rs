//! The router without a socket, and a stream that keeps what it is given.

use std::sync::Mutex;

use axum::http::{Request as HttpRequest, StatusCode};
use emote_proto::{Name, Subject};
use hmac::{KeyInit as _, Mac as _};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::ingest::{NoAliases, SourceSpec};

/// Keeps events, each id once, or fails as it is told to.
#[derive(Default)]
struct Stream {
    stored: Mutex<BTreeMap<EventId, (String, Value)>>,
    failure: Mutex<Option<PublishError>>,
}

#[async_trait::async_trait]
impl Publish for Stream {
    async fn publish(&self, events: Vec<(Subject, EventId, Bytes)>) -> Result<(), PublishError> {
        if let Some(failure) = self.failure.lock().unwrap().clone() {
            return Err(failure);
        }
        for (subject, id, json) in events {
            self.stored
                .lock()
                .unwrap()
                .entry(id)
                .or_insert((subject.to_string(), serde_json::from_slice(&json).unwrap()));
        }
        Ok(())
    }
}

struct Edge {
    router: Router,
    stream: Arc<Stream>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

const SOURCES: [(&str, &str); 8] = [
    ("mdm", "preset: nanomdm\nsettings: {secret: '${file:secret}'}"),
    ("okta", "preset: okta\nsettings: {secret: '${file:secret}'}"),
    ("hr", "preset: json\nsettings: {token: '${file:secret}'}\nmax_body: 100"),
    (
        "open",
        "verify: none\nunmapped: refuse\ndecode: [json, xml]\nmap: '.events[]? // {scope: \"a\", action: .action}'",
    ),
    (
        "soap",
        "verify: none\nunmapped: refuse\nmap: '{scope: \"a\", action: .action}'\nreply: {status: 202, content_type: text/xml, body: <Ack>true</Ack>}",
    ),
    ("addigy", "verify: none\nmap: empty\nhandshake: {method: POST, header: X-Token, reply: {header: X-Token}}"),
    (
        "tested",
        "verify: {basic: {username: '${file:secret}', password: '${file:secret}'}}\nmap: empty\nhandshake: {reply: ok}",
    ),
    ("graph", "verify: none\ndecode: json\nmap: empty\nhandshake: {method: POST, query: validationToken, reply: text}"),
];

impl Edge {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        crate::testing::secret(&folder.path().join("secret"), "s3cret");
        let source = |(name, yaml): (&str, &str)| {
            let spec: SourceSpec = serde_saphyr::from_str(yaml).unwrap();
            spec.validate(&Name::new(name).unwrap()).unwrap().resolve(folder.path()).unwrap()
        };
        let sources = Arc::new(Sources::new(SOURCES.into_iter().map(source)));
        let stream = Arc::new(Stream::default());
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let router = router(
            sources,
            Arc::<Stream>::clone(&stream),
            Arc::new(NoAliases),
            proxies,
            Arc::<scim::Memory>::default(),
        );
        Self { router, stream }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = HttpRequest::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 100_000).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    async fn post(&self, source: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        self.send("POST", &format!("/in/{source}"), &headers, body.to_owned()).await
    }

    fn stored(&self) -> Vec<(String, Value)> {
        self.stream.stored.lock().unwrap().values().cloned().collect()
    }
}

fn shown(answer: &Answer) -> String {
    let extra = ["www-authenticate", "retry-after", "allow"]
        .into_iter()
        .filter_map(|name| Some(format!(" {name}: {}", answer.headers.get(name)?.to_str().unwrap())));
    format!("{}{}\n{}", answer.status.as_u16(), extra.collect::<String>(), answer.body)
}

#[tokio::test]
async fn a_signed_webhook_becomes_a_verified_event_once() {
    let edge = Edge::new();
    let body = r#"{"topic":"mdm.Connect","event_id":"1","created_at":"2026-01-01T00:00:00Z","acknowledge_event":{"udid":"U1","status":"Idle"}}"#;
    let mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"s3cret").unwrap().chain_update(body);
    let signature = data_encoding::BASE64.encode(&mac.finalize().into_bytes());
    let first = edge.post("mdm", &[("X-Hmac-Signature", &signature)], body).await;
    let again = edge.post("mdm", &[("X-Hmac-Signature", &signature)], body).await;
    assert_eq!((first.status, &first.body), (StatusCode::OK, &again.body));
    let [(subject, event)] = &edge.stored()[..] else { panic!("{:?}", edge.stored()) };
    assert_eq!(subject, "events.mdm.U1.device.checkin");
    assert_eq!((&event["trust"], &event["source"]), (&json!("verified"), &json!("mdm")));
    assert_eq!(first.body, json!({"events": [event["id"]]}).to_string());
}

#[tokio::test]
async fn several_events_of_one_body_are_published_together() {
    let edge = Edge::new();
    let body = r#"[{"scope":"a","action":"b"},{"scope":"a","action":"c"}]"#;
    let answer = edge.post("hr", &[("authorization", "Bearer s3cret")], body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(edge.stored().len(), 2);
    assert!(edge.stored().iter().all(|(_, event)| event["trust"] == "authenticated"));
    let none = edge.post("hr", &[("authorization", "Bearer s3cret")], "[]").await;
    assert_eq!((none.status, none.body.as_str()), (StatusCode::OK, r#"{"events":[]}"#));
}

#[tokio::test]
async fn a_sender_who_is_known_may_name_its_events() {
    let edge = Edge::new();
    let id = "a64c29d5-87af-5257-b215-b904e4a840d8";
    let named = json!({"scope": "a", "action": "b", "id": id}).to_string();
    let answer = edge.post("hr", &[("authorization", "Bearer s3cret")], &named).await;
    assert_eq!(answer.body, json!({"events": [id]}).to_string());
    let headers = [("authorization", "Bearer s3cret"), ("idempotency-key", "order-1")];
    let one = edge.post("hr", &headers, r#"{"scope":"a","action":"b"}"#).await;
    let other = edge.post("hr", &headers, r#"{"scope":"a","action":"b","log":true}"#).await;
    assert_eq!(one.body, other.body, "the key tells events apart, not the body");
}

#[tokio::test]
async fn refusals_say_what_is_wrong_and_what_would_help() {
    let edge = Edge::new();
    insta::assert_snapshot!(shown(&edge.post("nowhere", &[], "{}").await), @r#"
    404
    {"error":"no source of that name takes webhooks here","remedy":"`emote sources` shows the sources in force and how each hears. A file sources/NAME.yaml is taken at /in/NAME once it is applied (`emote apply`; with `emote dev`, once it is saved); one that fetches, listens by itself or reads a folder takes webhooks only where it says `verify`."}
    "#);
    insta::assert_snapshot!(shown(&edge.send("GET", "/admin", &[], "").await), @r#"
    404
    {"error":"no source of that name takes webhooks here","remedy":"`emote sources` shows the sources in force and how each hears. A file sources/NAME.yaml is taken at /in/NAME once it is applied (`emote apply`; with `emote dev`, once it is saved); one that fetches, listens by itself or reads a folder takes webhooks only where it says `verify`."}
    "#);
    insta::assert_snapshot!(shown(&edge.send("PUT", "/in/hr", &[], "").await), @r#"
    405 allow: POST
    {"error":"a webhook is sent by POST"}
    "#);
    insta::assert_snapshot!(shown(&edge.send("GET", "/in/hr", &[], "").await), @r#"
    405 allow: POST
    {"error":"a webhook is sent by POST"}
    "#);
    insta::assert_snapshot!(shown(&edge.send("PUT", "/in/okta", &[], "").await), @r#"
    405 allow: GET, POST
    {"error":"a webhook is sent by POST"}
    "#);
    insta::assert_snapshot!(shown(&edge.post("hr", &[], "{}").await), @r#"
    401 www-authenticate: Bearer
    {"error":"the bearer token that this source asks for is missing or wrong","remedy":"Compare what the sender is set to with `verify` of the source."}
    "#);
    insta::assert_snapshot!(shown(&edge.post("hr", &[("authorization", "Bearer wrong")], "{}").await), @r#"
    401 www-authenticate: Bearer
    {"error":"the bearer token that this source asks for is missing or wrong","remedy":"Compare what the sender is set to with `verify` of the source."}
    "#);
    insta::assert_snapshot!(shown(&edge.post("mdm", &[], "{}").await), @r#"
    401
    {"error":"the header x-hmac-signature is missing, or stands there twice","remedy":"Compare what the sender is set to with `verify` of the source."}
    "#);
    insta::assert_snapshot!(shown(&edge.post("mdm", &[("X-Hmac-Signature", "aGk=")], "{}").await), @r#"
    401
    {"error":"the signature in x-hmac-signature does not match the body","remedy":"Compare what the sender is set to with `verify` of the source."}
    "#);
    insta::assert_snapshot!(shown(&edge.post("hr", &[], &"x".repeat(101)).await), @r#"
    413
    {"error":"the body is larger than the 100 bytes that this source takes","remedy":"Raise `max_body` of the source, or send less at once."}
    "#);
    insta::assert_snapshot!(shown(&edge.send("POST", "/in/open", &[("content-type", "text/csv")], "a;b").await), @r#"
    415
    {"error":"Content-Type text/csv is not what this source takes","remedy":"Send application/json (or …+json), application/xml, text/xml (or …+xml), or change `decode` of the source."}
    "#);
    insta::assert_snapshot!(shown(&edge.post("open", &[], "{\"action\":\n]").await), @r#"
    400
    {"error":"the body cannot be read as json: expected value at line 2 column 1"}
    "#);
    insta::assert_snapshot!(shown(&edge.post("open", &[], "{\"action\": \"Not A Token\"}").await), @r#"
    422
    {"error":"event 0 of the map: the field \"action\": \"Not A Token\" is no snake_case word: use a-z, 0-9 and _, starting with a letter or digit, at most 64 characters","remedy":"Compare the payload with the source's `map`: what it gives for it is no event."}
    "#);
    insta::assert_snapshot!(shown(&edge.post("open", &[], "3").await), @r#"
    422
    {"error":"the map: cannot index 3 with \"events\"","remedy":"Compare the payload with the source's `map`: what it gives for it is no event."}
    "#);
    assert!(edge.stored().is_empty());
}

#[tokio::test]
async fn a_body_without_a_declared_length_is_bounded_too() {
    let edge = Edge::new();
    let frames = futures_util::stream::iter((0..5).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 30]))));
    let answer = edge.send("POST", "/in/hr", &[], Body::from_stream(frames)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let edge = Edge::new();
    let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let answer = edge.send("POST", "/in/open", &[], Body::from_stream(never)).await;
    insta::assert_snapshot!(shown(&answer), @r#"
    408
    {"error":"the body did not arrive within 10 seconds"}
    "#);
}

#[tokio::test]
async fn a_stream_that_is_away_is_told_apart_from_one_that_refuses() {
    let edge = Edge::new();
    for (failure, status) in [
        (PublishError::Unavailable("timed out".to_owned()), StatusCode::SERVICE_UNAVAILABLE),
        (PublishError::TooLarge("max payload".to_owned()), StatusCode::UNPROCESSABLE_ENTITY),
        (PublishError::Refused("permissions".to_owned()), StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        *edge.stream.failure.lock().unwrap() = Some(failure);
        let answer = edge.post("open", &[], r#"{"action":"b"}"#).await;
        assert_eq!(answer.status, status);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            insta::assert_snapshot!(shown(&answer), @r#"
            503 retry-after: 5
            {"error":"the event stream cannot be reached","remedy":"Send it again; nothing was stored that a repeat would double."}
            "#);
        }
    }
    *edge.stream.failure.lock().unwrap() = None;
    assert_eq!(edge.post("open", &[], r#"{"action":"b"}"#).await.status, StatusCode::OK);
}

#[tokio::test]
async fn challenges_are_given_back() {
    let edge = Edge::new();
    let okta = edge.send("GET", "/in/okta", &[("x-okta-verification-challenge", "a\"b")], "").await;
    assert_eq!((okta.status, okta.body.as_str()), (StatusCode::OK, r#"{"verification":"a\"b"}"#));
    assert_eq!(edge.send("GET", "/in/okta", &[], "").await.status, StatusCode::BAD_REQUEST);
    let graph = edge.send("POST", "/in/graph?validationToken=a%20b%3C", &[("content-type", "text/plain")], "").await;
    assert_eq!((graph.status, graph.body.as_str()), (StatusCode::OK, "a b<"));
    assert_eq!(graph.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(edge.post("graph", &[], "{}").await.status, StatusCode::OK, "an ordinary POST is no question");
    let long = "x".repeat(5000);
    assert_eq!(
        edge.send("GET", "/in/okta", &[("x-okta-verification-challenge", &long)], "").await.status,
        StatusCode::BAD_REQUEST
    );
    assert!(edge.stored().is_empty());
}

#[tokio::test]
async fn a_challenge_is_given_back_in_a_header_too() {
    let edge = Edge::new();
    let answer = edge.post("addigy", &[("x-token", "a b")], "{}").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "a b"));
    assert_eq!(answer.headers["x-token"], "a b");
    let without = edge.post("addigy", &[], "{}").await;
    assert_eq!((without.status, without.body.as_str()), (StatusCode::OK, r#"{"events":[]}"#));
    assert!(edge.stored().is_empty());
}

#[tokio::test]
async fn who_asks_whether_its_credential_is_right_is_told_by_get() {
    let edge = Edge::new();
    let credential = format!("Basic {}", data_encoding::BASE64.encode(b"s3cret:s3cret"));
    let right = edge.send("GET", "/in/tested", &[("authorization", &credential)], "").await;
    assert_eq!((right.status, right.body.as_str()), (StatusCode::OK, ""));
    for headers in [&[][..], &[("authorization", "Basic czNjcmV0OnM=")]] {
        assert_eq!(edge.send("GET", "/in/tested", headers, "").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(edge.send("PUT", "/in/tested", &[], "").await.headers["allow"], "GET, POST");
    assert_eq!(edge.post("tested", &[("authorization", &credential)], "{}").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_a_vendor_wants_to_read_is_said_once_the_stream_has_the_event_and_not_before() {
    let edge = Edge::new();
    *edge.stream.failure.lock().unwrap() = Some(PublishError::Unavailable("away".to_owned()));
    let away = edge.post("soap", &[], r#"{"action":"b"}"#).await;
    assert!(away.status == StatusCode::SERVICE_UNAVAILABLE && !away.body.contains("Ack"), "{}", away.body);
    *edge.stream.failure.lock().unwrap() = None;
    let refused = edge.post("soap", &[], r#"{"action":1}"#).await;
    assert!(refused.status.is_client_error() && !refused.body.contains("Ack"), "{}", refused.body);
    let taken = edge.post("soap", &[], r#"{"action":"b"}"#).await;
    assert_eq!((taken.status, taken.body.as_str()), (StatusCode::ACCEPTED, "<Ack>true</Ack>"));
    assert_eq!(taken.headers["content-type"], "text/xml");
    assert_eq!(edge.stored().len(), 1);
}

#[tokio::test]
async fn sources_are_replaced_while_serving() {
    let sources = Arc::new(Sources::default());
    let router = router(
        Arc::clone(&sources),
        Arc::new(Stream::default()),
        Arc::new(NoAliases),
        Vec::new(),
        Arc::<scim::Memory>::default(),
    );
    let status = async || {
        let request =
            HttpRequest::post("/in/new").header("content-type", "application/json").body(Body::from("{}")).unwrap();
        router.clone().oneshot(request).await.unwrap().status()
    };
    assert_eq!(status().await, StatusCode::NOT_FOUND);
    let spec: SourceSpec = serde_saphyr::from_str("verify: none\nmap: empty").unwrap();
    sources.replace([spec.validate(&Name::new("new").unwrap()).unwrap().resolve(std::path::Path::new("/")).unwrap()]);
    assert_eq!(status().await, StatusCode::OK);
    let counts = sources.counts();
    assert_eq!((counts.by_source()["new"].taken, counts.nowhere()), (1, 1));
}

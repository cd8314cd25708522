//! A stand-in transmitter, and the stream that is managed there.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, Method, StatusCode},
    response::IntoResponse,
    routing::{any, get},
};

use super::*;

type Seen = Arc<Mutex<Vec<String>>>;

/// Notes what it is asked under a path, with query, authorization and body.
async fn noted(
    State(seen): State<Seen>,
    method: Method,
    uri: http::Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: String,
) -> impl IntoResponse {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or("-");
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    seen.lock().unwrap().push(format!("{method} {}{query} {authorization} {body}", uri.path()));
    match (uri.path(), method) {
        ("/token", _) => Json(json!({"access_token": "at-1"})).into_response(),
        ("/stream", Method::DELETE) => StatusCode::NO_CONTENT.into_response(),
        ("/stream", _) => Json(
            json!({"stream_id": "s1", "aud": "emote", "delivery": {"method": PUSH, "authorization_header": "hush"}}),
        )
        .into_response(),
        ("/refused", _) => (StatusCode::FORBIDDEN, "no scope").into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

/// A transmitter whose issuer has a path, described under this well-known word.
async fn transmitter(word: &str, verification: &str) -> (String, Seen, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let issuer = format!("{base}/tenant");
    let metadata = json!({
        "issuer": issuer, "jwks_uri": format!("{base}/keys"), "configuration_endpoint": format!("{base}/stream"),
        "verification_endpoint": format!("{base}{verification}"), "add_subject_endpoint": format!("{base}/add"),
        "remove_subject_endpoint": format!("{base}/remove"),
    });
    let seen = Seen::default();
    let router = Router::new()
        .route(&format!("/.well-known/{word}/tenant"), get(async move || Json(metadata)))
        .route("/stream", any(noted))
        .route("/{else}", any(noted))
        .with_state(Arc::clone(&seen));
    (issuer, seen, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

#[tokio::test]
async fn a_stream_is_made_shown_tried_and_deleted() {
    for word in ["ssf-configuration", "risc-configuration"] {
        let (issuer, seen, serving) = transmitter(word, "/verify").await;
        let mut transmitter = Transmitter::discover(&issuer).await.unwrap();
        let token_url = issuer.replace("/tenant", "/token");
        let credential = Credential::Client { id: "emote".to_owned(), secret: Secret::new("s3"), token_url };
        transmitter.authenticate(&credential).await.unwrap();
        let hush = Secret::new("hush");
        let endpoint = "https://emote.example.com/in/ssf".to_owned();
        let push = Delivery::Push { endpoint, authorization: Some(hush) };
        let made = transmitter.create(&push, &["e1".to_owned()]).await.unwrap();
        assert_eq!((&made["stream_id"], made.to_string().contains("hush")), (&json!("s1"), false));
        assert!(!transmitter.show(Some("s1")).await.unwrap().to_string().contains("hush"));
        transmitter.subject("s1", "ada@example.com", true).await.unwrap();
        transmitter.subject("s1", "ada@example.com", false).await.unwrap();
        transmitter.verify("s1", "st").await.unwrap();
        transmitter.delete("s1").await.unwrap();
        let seen = seen.lock().unwrap().join("\n");
        for line in [
            "POST /token Basic ZW1vdGU6czM= grant_type=client_credentials&scope=ssf.manage%20ssf.read",
            "GET /stream?stream_id=s1 Bearer at-1 ",
            "POST /verify Bearer at-1 {\"state\":\"st\",\"stream_id\":\"s1\"}",
            "DELETE /stream?stream_id=s1 Bearer at-1 ",
        ] {
            assert!(seen.contains(line), "{line} is not in\n{seen}");
        }
        assert!(
            seen.contains("\"events_requested\":[\"e1\"]") && seen.contains("\"authorization_header\":\"hush\""),
            "{seen}"
        );
        serving.abort();
    }
}

#[tokio::test]
async fn what_a_transmitter_refuses_or_pretends_is_said() {
    let (issuer, _, serving) = transmitter("ssf-configuration", "/refused").await;
    let transmitter = Transmitter::discover(&issuer).await.unwrap();
    let refused = transmitter.verify("s1", "x").await.unwrap_err().to_string();
    assert!(refused.contains("403") && refused.contains("no scope"), "{refused}");
    assert!(Transmitter::discover("http://idp.example.com").await.is_err(), "no credential goes there in plain text");
    assert!(Transmitter::discover(&format!("{issuer}x")).await.is_err());
    serving.abort();
}

#[test]
fn an_issuers_path_stands_behind_the_well_known_one() {
    for (issuer, expected) in [
        ("https://idp.example.com", "https://idp.example.com/.well-known/ssf-configuration"),
        ("https://idp.example.com/issuer1", "https://idp.example.com/.well-known/ssf-configuration/issuer1"),
        ("https://idp.example.com/a/b/", "https://idp.example.com/.well-known/ssf-configuration/a/b"),
    ] {
        assert_eq!(well_known(issuer).unwrap()[0].as_str(), expected);
    }
}

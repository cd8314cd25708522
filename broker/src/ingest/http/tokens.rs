//! Signed tokens through the router, against keys that are served on this machine.

use axum::http::StatusCode;

use super::{testing::Edge, *};
use crate::jwks::{Algorithm, testing::Signer};

/// Serves a set of keys on this machine, and gives its address.
async fn published(set: String) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let router = Router::new().route("/keys", axum::routing::get(async move || set));
    (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

#[tokio::test]
async fn a_security_event_is_accepted_once_and_refused_with_the_words_of_the_standard() {
    let (signer, stranger) = (Signer::new("1", Algorithm::Rs256), Signer::new("1", Algorithm::Es256));
    let (url, serving) = published(signer.set()).await;
    let yaml =
        |more: &str| format!("{{jws: {{jwks: '{url}', issuer: 'https://idp.example.com', audience: emote{more}}}}}");
    let edge = Edge::new(&yaml(""), "tok", "2027-01-15T08:00:00Z");
    let claims = json!({"iss": "https://idp.example.com", "aud": ["emote"], "iat": 1_800_000_000, "jti": "7", "events": {"https://x": {}}});
    let set = |change: serde_json::Value| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        signer.token(Algorithm::Rs256, &claims)
    };
    let good = set(json!({}));
    let pushed = [("content-type", "application/secevent+jwt"), ("accept", "application/json")];
    let accepted = (StatusCode::ACCEPTED, String::new());
    assert_eq!(edge.post(&pushed, good.clone()).await, accepted);
    assert_eq!(edge.post(&pushed, format!("{good}\n")).await, accepted);
    assert_eq!(edge.post(&[], json!({"payload": good}).to_string()).await, accepted);
    // The same jti under another signature is the same event too.
    assert_eq!(edge.post(&pushed, set(json!({"txn": "9"}))).await, accepted);
    let [event] = &edge.stored()[..] else { panic!("{:?}", edge.stored()) };
    assert_eq!((&event["trust"], &event["info"]["is"]), (&json!("verified"), &claims));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (first, rest) = signature.split_at(1);
    for (body, err) in [
        (set(json!({"iss": "https://evil.example.com"})), "invalid_issuer"),
        (set(json!({"aud": "other"})), "invalid_audience"),
        (set(json!({"aud": null})), "invalid_audience"),
        (set(json!({"iat": 1_800_000_000 - 86_461})), "invalid_request"),
        (set(json!({"iat": null})), "invalid_request"),
        (set(json!({"exp": 1_700_000_000})), "invalid_request"),
        (set(json!({"jti": null})), "invalid_request"),
        (set(json!({"jti": ""})), "invalid_request"),
        (set(json!({"jti": 7})), "invalid_request"),
        (set(json!({"events": null})), "invalid_request"),
        (stranger.token(Algorithm::Es256, &claims), "invalid_key"),
        (signer.token_with(Algorithm::Rs256, &json!({"alg": "RS256", "kid": "2"}), &claims), "invalid_key"),
        (signer.token_with(Algorithm::Rs256, &json!({"alg": "none"}), &claims), "invalid_request"),
        (signer.token_with(Algorithm::Rs384, &json!({"alg": "RS256", "kid": "1"}), &claims), "authentication_failed"),
        (format!("{signed}.{}{rest}", if first == "A" { "B" } else { "A" }), "authentication_failed"),
        (format!("{signed}.AAAA"), "authentication_failed"),
        (format!("{signed}."), "authentication_failed"),
        (good[..good.len() / 2].to_owned(), "invalid_request"),
        (good.replacen('.', ".A", 1), "invalid_request"),
        (String::new(), "invalid_request"),
        (claims.to_string(), "invalid_request"),
        ("{}".to_owned(), "invalid_request"),
        ("x".repeat(3000), "invalid_request"),
    ] {
        let (status, answer) = edge.post(&pushed, body).await;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((status, &answer["err"]), (StatusCode::BAD_REQUEST, &json!(err)), "{answer}");
        assert!(answer["description"].is_string() && answer.as_object().unwrap().len() == 2, "{answer}");
    }
    assert_eq!(edge.stored().len(), 1);
    let strict =
        Edge::new(&yaml(", types: secevent+jwt, authorization: '${file:secret}'"), "tok", "2027-01-15T08:00:00Z");
    let typed =
        signer.token_with(Algorithm::Rs256, &json!({"alg": "RS256", "kid": "1", "typ": "secevent+jwt"}), &claims);
    for (token, authorization, err) in [
        (&typed, "tok", None),
        (&typed, "Bearer tok", Some("authentication_failed")),
        (&typed, "", Some("authentication_failed")),
        (&good, "tok", Some("invalid_request")),
    ] {
        let (status, answer) = strict.post(&[("authorization", authorization)], token.clone()).await;
        assert_eq!(status.as_u16(), if err.is_some() { 400 } else { 202 }, "{answer}");
        assert!(err.is_none_or(|err| answer.contains(err)), "{answer}");
    }
    serving.abort();
}

#[tokio::test]
async fn a_transmitter_whose_keys_cannot_be_had_is_asked_to_come_again() {
    let verify = "{jws: {jwks: 'http://127.0.0.1:1/keys', issuer: i, audience: a}}";
    let edge = Edge::new(verify, "x", "2027-01-15T08:00:00Z");
    let token = Signer::new("1", Algorithm::EdDsa).token(Algorithm::EdDsa, &json!({}));
    let (status, answer) = edge.post(&[], token).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
}

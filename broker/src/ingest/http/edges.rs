//! What holds for every source whatever its scheme: from where, how fast, and how old.

use axum::http::{Request as HttpRequest, StatusCode};
use tower::ServiceExt as _;

use super::{testing::Edge, *};

const NOW: &str = "2026-11-26T09:00:00Z";
const MAP: &str = "map: '{scope: \"a\", action: \"b\", time: .time}'";

fn edge(more: &str) -> Edge {
    Edge::of(&format!("verify: {{bearer: {{token: '${{file:secret}}'}}}}\n{MAP}\n{more}"), "tok", NOW)
}

/// Posts as though the connection came from `peer`.
async fn from(edge: &Edge, peer: Option<&str>, forwarded: &str, token: &str, body: &str) -> Response {
    let mut request = HttpRequest::post("/in/it")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"));
    if !forwarded.is_empty() {
        request = request.header("x-forwarded-for", forwarded);
    }
    let mut request = request.body(Body::from(body.to_owned())).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
    }
    edge.router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_source_takes_only_from_its_addresses() {
    let listed = edge("from: [192.0.2.0/24, '2001:db8::/32']");
    for (peer, forwarded, right) in [
        (Some("192.0.2.7"), "", true),
        (Some("2001:db8::7"), "", true),
        (Some("::ffff:192.0.2.7"), "", true),
        (Some("198.51.100.7"), "", false),
        (Some("198.51.100.7"), "192.0.2.7", false),
        (Some("10.0.0.1"), "192.0.2.7", true),
        (Some("10.0.0.1"), "192.0.2.7, 198.51.100.7", false),
        (Some("10.0.0.1"), "198.51.100.7, 192.0.2.7", true),
        (Some("10.0.0.1"), "192.0.2.7, garbage", false),
        (Some("10.0.0.1"), "", false),
        (None, "192.0.2.7", false),
    ] {
        let status = from(&listed, peer, forwarded, "tok", "{}").await.status();
        let expected = if right { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(status, expected, "{peer:?} {forwarded}");
        // Whoever is elsewhere does not learn whether a token is right.
        let guess = from(&listed, peer, forwarded, "guess", "{}").await.status();
        assert_eq!(guess, if right { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN });
    }
    assert_eq!(from(&edge(""), Some("198.51.100.7"), "", "tok", "{}").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn more_than_the_rate_is_asked_to_wait_and_what_is_not_verified_uses_none_of_it() {
    let limited = edge("rate: {per_minute: 1, burst: 2}");
    for _ in 0..5 {
        assert_eq!(from(&limited, None, "", "guess", "{}").await.status(), StatusCode::UNAUTHORIZED);
    }
    for _ in 0..2 {
        assert_eq!(from(&limited, None, "", "tok", "{}").await.status(), StatusCode::OK);
    }
    let refused = from(&limited, None, "", "tok", "{}").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test]
async fn an_event_that_says_it_is_old_is_refused() {
    for (more, time, status) in [
        ("max_age: 24h", r#"{"time":"2026-11-25T09:00:00Z"}"#, 200),
        ("max_age: 24h", r#"{"time":"2026-11-25T08:59:59Z"}"#, 422),
        ("max_age: 24h", "{}", 200),
        ("", r#"{"time":"2020-01-01T00:00:00Z"}"#, 200),
    ] {
        assert_eq!(from(&edge(more), None, "", "tok", time).await.status().as_u16(), status, "{more} {time}");
    }
}

#[test]
fn what_is_wrong_with_the_edges_is_said_at_its_place() {
    let name = emote_proto::Name::new("it").unwrap();
    for (more, path, said) in [
        ("rate: {}", "rate", "either per_second or per_minute"),
        ("rate: {per_second: 1, per_minute: 1}", "rate", "either per_second or per_minute"),
        ("rate: {per_second: 0}", "rate", "from 1 to 10000"),
        ("rate: {per_second: 1, burst: 0}", "rate", "from 1 to 10000"),
        ("from: []", "from", "takes nothing"),
        ("max_age: 0s", "max_age", "longer than nothing"),
    ] {
        let spec: super::super::SourceSpec = serde_saphyr::from_str(&format!("verify: none\n{MAP}\n{more}")).unwrap();
        let problems: Vec<_> = spec.validate(&name).unwrap_err().into_iter().collect();
        assert!(problems.iter().any(|p| p.path == path && p.message.contains(said)), "{more}: {problems:?}");
    }
    for (more, said) in [("from: [192.0.2.1/24]", "has bits behind"), ("from: [home]", "no range of addresses")] {
        let error = serde_saphyr::from_str::<super::super::SourceSpec>(&format!("verify: none\n{more}")).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

//! SCIM clients through the router.

use axum::http::{Request as HttpRequest, StatusCode};

use super::{testing::Edge, *};

const NOW: &str = "2026-11-26T09:00:00Z";

async fn ask(
    edge: &Edge,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    let mut request = HttpRequest::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = tower::ServiceExt::oneshot(edge.router.clone(), request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = axum::body::to_bytes(response.into_body(), 100_000).await.unwrap();
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn who_asks_is_looked_at_first_and_refusals_are_in_scims_shape() {
    let yaml = "preset: scim\nsettings: {token: ['${file:secret}', '${file:other}']}\nmax_body: 200\nrate: {per_second: 1, burst: 9}";
    let edge = Edge::of(yaml, "tok", NOW);
    let (users, long) = ("/in/it/scim/v2/Users", format!("{{\"userName\": \"{}\"}}", "x".repeat(300)));
    let json = ("content-type", "application/scim+json");
    let right = ("authorization", "Bearer tok");
    let ada = r#"{"userName": "ada@example.com", "password": "hunter2"}"#;
    for (method, path, headers, body, status) in [
        ("POST", users, &[json][..], long.as_str(), 401),
        ("POST", users, &[json, ("authorization", "Bearer no")], ada, 401),
        ("GET", "/in/it/nothing", &[], "", 401),
        ("POST", users, &[json, right], &long, 413),
        ("POST", users, &[("content-type", "text/xml"), right], ada, 415),
        ("POST", users, &[json, right], "{", 400),
        ("GET", "/in/it", &[right], "", 404),
        ("POST", users, &[json, right], ada, 201),
        ("POST", "/in/it/Users", &[json, right], r#"{"userName": "ada@example.com", "title": "x"}"#, 409),
        ("GET", users, &[right], "", 200),
        ("HEAD", users, &[right], "", 200),
        ("PATCH", users, &[right], "{}", 405),
        ("GET", users, &[right], "", 429),
    ] {
        let (found, headers, answer) = ask(&edge, method, path, headers, body).await;
        assert_eq!(found.as_u16(), status, "{method} {path}: {answer}");
        assert_eq!(headers["content-type"], "application/scim+json", "{method} {path}");
        assert!(
            !answer.contains("hunter2") && (status < 400 || answer.contains(&format!("\"status\":\"{status}\""))),
            "{answer}"
        );
        assert!(status != 401 || headers["www-authenticate"] == "Bearer");
        assert!(status != 429 || headers.contains_key("retry-after"));
        assert!(status != 201 || (headers.contains_key("etag") && headers.contains_key("location")));
    }
    let [event] = &edge.stored()[..] else { panic!("{:?}", edge.stored()) };
    assert_eq!(
        (&event["action"], &event["trust"], &event["source"]),
        (&json!("created"), &json!("authenticated"), &json!("it"))
    );
    assert_eq!((&event["user"]["id"], &event["time"]), (&json!("ada@example.com"), &json!("2026-11-26T09:00:00.000Z")));
    assert!(!event.to_string().contains("hunter2"));
}

#[tokio::test]
async fn a_map_of_ones_own_is_given_each_event() {
    let yaml = "preset: scim\nverify: none\nmap: 'select(.scope == \"user\") | .info.team = \"x\"'";
    let edge = Edge::of(yaml, "tok", NOW);
    let (status, ..) = ask(&edge, "POST", "/in/it/Users", &[], r#"{"userName": "Ada"}"#).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, ..) = ask(&edge, "POST", "/in/it/Groups", &[], r#"{"displayName": "Engines"}"#).await;
    assert_eq!(status, StatusCode::CREATED);
    let [event] = &edge.stored()[..] else { panic!("{:?}", edge.stored()) };
    assert_eq!((&event["info"]["team"], &event["trust"]), (&json!("x"), &json!("unverified")));
}

#[tokio::test]
async fn below_a_source_of_webhooks_there_is_nothing() {
    let edge = Edge::of("verify: none\nmap: '{scope: \"a\", action: \"b\"}'", "tok", NOW);
    let (status, ..) = ask(&edge, "GET", "/in/it/scim/v2/Users", &[], "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

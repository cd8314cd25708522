//! Presets through the router: what a vendor asks before it sends, how it signs and what it reads afterwards.

use axum::http::{HeaderMap, Request as HttpRequest, StatusCode};
use hmac::{KeyInit as _, Mac as _};
use tower::ServiceExt as _;

use super::{testing::Edge, *};

const SECRET: &str = "correct horse";

fn edge(preset: &str, settings: &[&str]) -> Edge {
    let settings: Vec<_> = settings.iter().map(|name| format!("{name}: '${{file:secret}}'")).collect();
    Edge::of(&format!("preset: {preset}\nsettings: {{{}}}", settings.join(", ")), SECRET, "2026-03-04T05:06:07Z")
}

async fn send(
    edge: &Edge,
    method: &str,
    query: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, HeaderMap, String) {
    let mut request = HttpRequest::builder().method(method).uri(format!("/in/it{query}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = edge.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 10_000).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn mac(message: &str) -> Vec<u8> {
    let mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(message);
    mac.finalize().into_bytes().to_vec()
}

#[tokio::test]
async fn salesforce_is_told_that_its_message_was_taken() {
    let edge = edge("salesforce", &["token"]);
    let body = r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><notifications><Notification><Id>04l1</Id><sObject xmlns:x="i" x:type="sf:Account"><sf:Id>001</sf:Id></sObject></Notification></notifications></s:Body></s:Envelope>"#;
    let xml = [("content-type", "text/xml; charset=utf-8")];
    let (status, headers, answer) = send(&edge, "POST", "?token=correct%20horse", &xml, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(headers["content-type"], "text/xml; charset=utf-8");
    let ack = crate::jq::xml::parse(answer.as_bytes()).unwrap();
    assert_eq!(ack["soapenv:Envelope"]["soapenv:Body"]["notificationsResponse"]["Ack"], "true");
    assert_eq!(edge.stored()[0]["info"]["salesforce_id"], "001");
    let (status, _, answer) = send(&edge, "POST", "?token=wrong", &xml, body).await;
    assert!(status == StatusCode::UNAUTHORIZED && !answer.contains("Ack"), "{answer}");
}

#[tokio::test]
async fn addigy_is_given_its_token_back() {
    let edge = edge("addigy", &["token"]);
    let asked = [("X-Addigy-Webhook-Validation-Token", "t0ken"), ("content-type", "application/json")];
    let (status, headers, answer) = send(&edge, "POST", "", &asked, "{}").await;
    assert_eq!((status, answer.as_str()), (StatusCode::OK, "t0ken"));
    assert_eq!(headers["x-addigy-webhook-validation-token"], "t0ken");
    let event = r#"{"action": "Device Enrolled", "serial_number": "FVFXQ2LKJ1WK"}"#;
    let json = ("content-type", "application/json");
    assert_eq!(send(&edge, "POST", "", &[json], event).await.0, StatusCode::UNAUTHORIZED);
    let sent = [json, ("authorization", "Bearer correct horse")];
    assert_eq!(send(&edge, "POST", "", &sent, event).await.0, StatusCode::OK);
    assert_eq!(edge.stored()[0]["device"]["uuid"], "FVFXQ2LKJ1WK");
}

#[tokio::test]
async fn workspace_one_may_test_its_connection() {
    let edge = edge("workspace-one", &["username", "password"]);
    let right = format!("Basic {}", data_encoding::BASE64.encode(format!("{SECRET}:{SECRET}").as_bytes()));
    assert_eq!(send(&edge, "GET", "", &[("authorization", &right)], "").await.0, StatusCode::OK);
    assert_eq!(send(&edge, "GET", "", &[("authorization", "Basic YTpi")], "").await.0, StatusCode::UNAUTHORIZED);
    assert!(edge.stored().is_empty());
}

#[tokio::test]
async fn slack_is_answered_only_where_it_signed_its_question() {
    let edge = edge("slack", &["secret"]);
    let body = r#"{"token": "t", "challenge": "3eZb", "type": "url_verification"}"#;
    let now = "1772600767";
    let signature = format!("v0={}", data_encoding::HEXLOWER.encode(&mac(&format!("v0:{now}:{body}"))));
    let signed = |signature| {
        [("content-type", "application/json"), ("x-slack-request-timestamp", now), ("x-slack-signature", signature)]
    };
    let (status, _, answer) = send(&edge, "POST", "", &signed(signature.as_str()), body).await;
    assert_eq!((status, answer.as_str()), (StatusCode::OK, "3eZb"));
    assert_eq!(send(&edge, "POST", "", &signed("v0=00"), body).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_signed_delivery_that_is_sent_again_is_one_event_whatever_name_it_is_given() {
    let edge = edge("github", &["secret"]);
    let added = r#"{"action": "added", "member": {"login": "ada"}, "repository": {"full_name": "a/b"}}"#;
    let removed = added.replace("added", "removed");
    for (delivery, body, count) in [("d1", added, 1), ("d1", added, 1), ("d2", added, 1), ("d2", &removed, 2)] {
        let signature = format!("sha256={}", data_encoding::HEXLOWER.encode(&mac(body)));
        let headers = [
            ("content-type", "application/json"),
            ("x-github-event", "member"),
            ("x-github-delivery", delivery),
            ("x-hub-signature-256", signature.as_str()),
        ];
        assert_eq!(send(&edge, "POST", "", &headers, body).await.0, StatusCode::OK);
        assert_eq!(edge.stored().len(), count);
    }
    let told: Vec<serde_json::Value> = edge.stored().iter().map(|event| event["action"].clone()).collect();
    assert!(told.contains(&json!("collaborator_added")) && told.contains(&json!("collaborator_removed")), "{told:?}");
}

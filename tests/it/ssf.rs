//! A transmitter of security events that signs with its own keys: its stream is made and tried from the command line.

use emote_tests::{Key, Seen, Signed, Stack, StandIn, emote, planted};
use serde_json::{Value, json};

#[tokio::test]
async fn a_stream_is_made_and_the_event_that_tries_it_is_awaited() {
    let key = Key::new("1");
    let transmitter = StandIn::fine("{}").await;
    let issuer = transmitter.url.clone();
    let source = format!("preset: ssf\nsettings: {{issuer: \"{issuer}\", jwks: \"{issuer}/keys\", audience: emote}}\n");
    let stack = Stack::new().secret("ssf-token").file("sources/idp.yaml", &source).start().await;
    let (at, here, keys) = (issuer.clone(), stack.url("idp"), key.public());
    let (push, pushes) = std::sync::mpsc::channel::<Value>();
    transmitter.answer(move |seen: &Seen| {
        let fine = |body: Value| (200, Vec::new(), body.to_string());
        match seen.path.as_str() {
            "/.well-known/ssf-configuration" => fine(json!({
                "issuer": at, "jwks_uri": format!("{at}/keys"), "configuration_endpoint": format!("{at}/stream"),
                "verification_endpoint": format!("{at}/verify"),
            })),
            "/keys" => fine(json!({"keys": keys})),
            "/stream" => fine(json!({"stream_id": "s1", "aud": "emote"})),
            "/verify" => {
                push.send(seen.json()["state"].clone()).unwrap();
                (204, Vec::new(), String::new())
            }
            other => panic!("{other}"),
        }
    });
    let token = format!("${{file:{}}}", stack.config.join("secrets/ssf-token").display());
    let asked = ["--issuer", &issuer, "--token", &token];
    let made = emote(&[&["source", "ssf", "create", "--endpoint", &here][..], &asked].concat()).await;
    assert!(made.status.success() && String::from_utf8_lossy(&made.stdout).contains("s1"), "{made:?}");
    let wanted = transmitter.seen().into_iter().find(|seen| seen.path == "/stream").unwrap().json()["delivery"].clone();
    assert_eq!(wanted, json!({"method": "urn:ietf:rfc:8935", "endpoint_url": here}));

    let pushed = async {
        let state = tokio::task::spawn_blocking(move || pushes.recv().unwrap()).await.unwrap();
        let events = json!({"https://schemas.openid.net/secevent/ssf/event-type/verification": {"state": state}});
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({"iss": issuer, "aud": "emote", "jti": "v1", "iat": now, "events": events});
        let body = key.sign(Signed::Rs256, &claims);
        stack.send(stack.http.post(&here).header("Content-Type", "application/secevent+jwt").body(body)).await
    };
    let verify = [&["source", "ssf", "verify", "idp", "s1"][..], &asked].concat();
    let (verified, pushed) = tokio::join!(stack.shown(&verify), pushed);
    assert_eq!(pushed.status, 202);
    assert!(verified.contains("The stream works"), "{verified}");
    let bearer = format!("Bearer {}", planted("ssf-token"));
    let asked = transmitter.seen().into_iter().find(|seen| seen.path == "/verify").unwrap();
    assert!(asked.headers.iter().any(|(name, value)| name.as_str() == "authorization" && *value == bearer));
}

//! A broker that is killed between any two steps: stopped at what it is about to say to NATS, then ended with SIGKILL.

use emote_proto::{
    enroll::{EnrollAnswer, IdentityNotice},
    jwt::Claims,
};
use emote_tests::{User, until};
use nkeys::KeyPair;
use serde_json::{Value, json};

use super::{
    mac::{Mac, ask, enrolled, try_ask},
    office::Office,
};

/// Has the broker die as it is about to say `text`, which `doing` makes it say; then starts another.
async fn dies_at(office: &mut Office, text: &'static str, doing: impl AsyncFnOnce(&Office)) {
    office.wire().hold_at(text);
    doing(office).await;
    until(&format!("it is about to say {text}"), async || office.wire().is_held()).await;
    office.secure.broker.kill();
    office.wire().mend();
    office.secure.broker.start().await;
}

#[tokio::test]
async fn a_mac_that_asks_again_is_given_the_same_wherever_the_broker_died() {
    let mut office = Office::on_a_wire().await;
    let token = office.token(&["--uses", "5"]).await;
    let client = office.plain(&User::from(&token)).await.unwrap();
    for (n, step) in [
        // Before the registry, before the event, before it is noted as told, before the answer.
        "$KV.emote-identity.device.",
        "HPUB events.broker.",
        "\"told\":true",
        "\"jwt\":\"",
    ]
    .into_iter()
    .enumerate()
    {
        let mac = Mac::new(&format!("C02N{n}"));
        let request = serde_json::to_vec(&mac.request(&token)).unwrap();
        dies_at(&mut office, step, async |_| {
            assert_eq!(try_ask(&client, &token, request.clone()).await, None, "{step}");
        })
        .await;
        let jwt = enrolled(ask(&client, &token, request.clone()).await);
        assert_eq!(enrolled(ask(&client, &token, request).await), jwt, "{step}");
        office.plain(&mac.user(jwt)).await.unwrap();
        assert_eq!(office.token_record(&token).await["used"], n + 1, "{step}");
        assert_eq!(office.events(mac.serial.as_str(), "enrolled").await.len(), 1, "{step}");
    }
    let last = Mac::new("C02LAST");
    enrolled(ask(&client, &token, serde_json::to_vec(&last.request(&token)).unwrap()).await);
    let over = Mac::new("C02OVER");
    let answer = ask(&client, &token, serde_json::to_vec(&over.request(&token)).unwrap()).await;
    assert!(matches!(answer, EnrollAnswer::Denied { .. }), "{answer:?}");
}

#[tokio::test]
async fn a_renewal_is_answered_once_wherever_the_broker_died() {
    let mut office = Office::on_a_wire().await;
    let token = office.token(&[]).await;
    let asks = office.plain(&User::from(&token)).await.unwrap();
    for (n, step) in ["$KV.emote-identity.device.", "HPUB events.broker.", "\"told\":true", "\"notice\":\"issued\""]
        .into_iter()
        .enumerate()
    {
        let mac = Mac::new(&format!("C02N{n}"));
        let jwt = enrolled(ask(&asks, &token, serde_json::to_vec(&mac.request(&token)).unwrap()).await);
        let client = office.plain(&mac.user(jwt)).await.unwrap();
        let (mut notices, next) = (mac.notices_over(&client).await, KeyPair::new_user());
        let request = serde_json::to_value(mac.renewal(&next)).unwrap();
        dies_at(&mut office, step, async |_| mac.say_over(&client, "credential_due", request).await).await;
        let IdentityNotice::Issued { jwt } = notices.next().await else { panic!("{step}") };
        assert_eq!(Claims::verified(&jwt).unwrap().sub, next.public_key(), "{step}");
        let changed = Mac { serial: mac.serial.clone(), pair: next };
        office.plain(&changed.user(jwt)).await.unwrap();
        assert_eq!(office.events(mac.serial.as_str(), "key_changed").await.len(), 1, "{step}");
        assert_eq!(office.device(mac.serial.as_str()).await["shut"].as_array().unwrap().len(), 1, "{step}");
    }
}

#[tokio::test]
async fn a_revocation_is_carried_through_wherever_the_broker_died() {
    let mut office = Office::on_a_wire().await;
    let token = office.token(&[]).await;
    let asks = office.plain(&User::from(&token)).await.unwrap();
    for (n, step) in ["$KV.emote-identity.device.", "HPUB events.broker.", "$SYS.REQ.CLAIMS.UPDATE", "\"pushed\":true"]
        .into_iter()
        .enumerate()
    {
        let mac = Mac::new(&format!("C02N{n}"));
        let jwt = enrolled(ask(&asks, &token, serde_json::to_vec(&mac.request(&token)).unwrap()).await);
        let user = mac.user(jwt);
        office.plain(&user).await.unwrap();
        let order = json!({"scope": "agent", "action": "revoke_ordered", "info": {"serials": [mac.serial]}});
        dies_at(&mut office, step, async |office: &Office| {
            let subject = "events.admin.admin.agent.revoke_ordered";
            office.streams.js.publish(subject, order.to_string().into()).await.unwrap().await.unwrap();
        })
        .await;
        until(&format!("NATS lets it in no more: {step}"), async || office.plain(&user).await.is_err()).await;
        let pushed = |device: &Value| device["shut"][0]["pushed"] == true;
        until(&format!("the registry knows: {step}"), async || pushed(&office.device(mac.serial.as_str()).await)).await;
        until(&format!("it is told: {step}"), async || !office.events(mac.serial.as_str(), "revoked").await.is_empty())
            .await;
        assert_eq!(office.events(mac.serial.as_str(), "revoked").await.len(), 1, "{step}");
    }
}

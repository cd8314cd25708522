//! Whoever is revoked is out within seconds, and stays out.

use std::time::{Duration, Instant};

use emote::identity::files;
use emote_proto::jwt::Claims;
use emote_tests::{Streams, User, until};
use serde_json::json;

use super::{
    mac::{Mac, denied},
    office::{Office, change},
    policies::shut_out,
};

#[tokio::test]
async fn who_is_revoked_is_dropped_and_stays_out_over_restarts_of_broker_and_server() {
    let mut office = Office::open("open").await;
    let token = office.token(&[]).await;
    let (mac, other) = (Mac::new("C02XL0GTJGH5"), Mac::new("C0FFEE000000"));
    let (user, others) = (mac.enrolled(&office.secure, &token).await, other.enrolled(&office.secure, &token).await);
    let (connected, untouched) = (office.secure.connect(&user).await, office.secure.connect(&others).await);
    let ordered = Instant::now();
    let said = office.told(&["agents", "revoke", "C02XL0GTJGH5", "-m", "stolen"]).await;
    assert!(said.contains("closed its connection"), "{said}");
    connected.told("disconnected").await;
    assert!(ordered.elapsed() < Duration::from_secs(10), "{:?}", ordered.elapsed());
    shut_out(&office.secure, &user).await;
    assert!(denied(mac.ask(&office.secure, &token).await).contains("revoked"));
    assert!(denied(mac.erased().ask(&office.secure, &token).await).contains("revoked"));
    assert_eq!(untouched.errors(), Vec::<String>::new());
    office.secure.kill();
    office.secure.start_again().await;
    assert!(office.secure.try_connect(&user).await.is_err(), "the server kept it");
    office.secure.connect(&others).await;
    office.secure.broker.kill();
    office.secure.broker.start().await;
    assert!(office.secure.try_connect(&user).await.is_err());
    // Approved, the same Mac with the same key comes in again, with another JWT.
    office.told(&["agents", "approve", "C02XL0GTJGH5", "--fingerprint", &mac.fingerprint(), "-m", "found"]).await;
    let again = mac.enrolled(&office.secure, &token).await;
    office.secure.connect(&again).await;
    assert!(office.secure.try_connect(&user).await.is_err(), "the old JWT stays out");
    office.streams = office.secure.streams().await;
    let event = office.event("C02XL0GTJGH5", "revoked").await;
    assert_eq!((&event["info"]["because"], &event["info"]["by"]), (&json!("stolen"), &json!("admin")));
}

#[tokio::test]
async fn a_mac_that_asks_without_end_is_shut_out_as_soon_as_any_other() {
    let office = Office::open("open").await;
    let token = office.token(&[]).await;
    let mac = Mac::new("C02XL0GTJGH5");
    let connected = office.secure.connect(&mac.enrolled(&office.secure, &token).await).await;
    let (client, before) = (&connected.client, office.last().await);
    for _ in 0..5_000 {
        let junk = json!({"scope": "agent", "action": "credential_due", "info": {}}).to_string();
        client.publish("events.agent.C02XL0GTJGH5.agent.credential_due", junk.into()).await.unwrap();
    }
    client.flush().await.unwrap();
    until("the stream has them all", async || office.last().await >= before + 5_000).await;
    let ordered = Instant::now();
    office.told(&["agents", "revoke", "C02XL0GTJGH5", "-m", "stolen"]).await;
    connected.told("disconnected").await;
    assert!(ordered.elapsed() < Duration::from_secs(10), "{:?}", ordered.elapsed());
    assert!(office.events("C02XL0GTJGH5", "renewal_refused").await.len() < 5_000, "there was a queue");
}

#[tokio::test]
async fn a_broker_that_dies_between_registry_and_nats_leaves_it_to_the_next() {
    let mut office = Office::open("open").await;
    let token = office.token(&[]).await;
    let mac = Mac::new("C02XL0GTJGH5");
    let user = mac.enrolled(&office.secure, &token).await;
    office.secure.broker.kill();
    // A broker without the operator's key writes the registry, and can do no more.
    let mut other = office.other_broker();
    let config = office.secure.config.with_file_name(format!("other-broker-{}", other.port));
    change(&config, "operator_key:", "# operator_key:");
    change(&config, "operator_jwt:", "# operator_jwt:");
    other.start().await;
    let said = office.emote(&["agents", "revoke", "C02XL0GTJGH5"]).await;
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("nsc revocations add-user") && said.contains(&mac.pair.public_key()), "{said}");
    office.secure.connect(&user).await;
    other.kill();
    office.secure.broker.start().await;
    shut_out(&office.secure, &user).await;
    until("the registry knows that NATS does", async || {
        office.device("C02XL0GTJGH5").await["shut"][0]["pushed"] == true
    })
    .await;
}

#[tokio::test]
async fn an_account_that_somebody_else_changes_keeps_what_they_put_there() {
    let mut office = Office::open("open").await;
    let token = office.token(&[]).await;
    let (mac, stranger) = (Mac::new("C02XL0GTJGH5"), office.secure.device("C03"));
    let user = mac.enrolled(&office.secure, &token).await;
    office.secure.revoke(&stranger.public_key()).await;
    office.told(&["agents", "revoke", "C02XL0GTJGH5"]).await;
    let stays_out = async |user: &User| office.secure.try_connect(user).await.is_err();
    assert!(stays_out(&user).await && stays_out(&stranger).await);
    // Taken back by hand, it is put there again, at the latest when the next broker looks: what holds is in the registry.
    let key = Claims::verified(&user.jwt).unwrap().sub;
    office
        .secure
        .update_account(&office.secure.devices(), |nats| {
            nats["revocations"].as_object_mut().unwrap().remove(&key);
        })
        .await;
    office.secure.broker.kill();
    office.secure.broker.start().await;
    shut_out(&office.secure, &user).await;
}

#[tokio::test]
async fn an_account_is_signed_anew_only_from_what_its_operator_is_known_to_have_signed() {
    let mut office = Office::open("open").await;
    let token = office.token(&[]).await;
    let mac = Mac::new("C02XL0GTJGH5");
    let user = mac.enrolled(&office.secure, &token).await;
    // By the operator's own key, which the broker does not have, and knows by the operator's JWT alone.
    office
        .secure
        .update_account_by("operator", &office.secure.devices(), |nats| nats["description"] = json!("by hand"))
        .await;
    office.secure.broker.stop().await;
    change(&office.secure.config, "operator_jwt:", "# operator_jwt:");
    office.secure.broker.begin();
    assert_eq!(office.secure.broker.wait().await, Some(1));
    let log = std::fs::read_to_string(office.secure.logs.join("broker.log")).unwrap();
    assert!(log.contains("give the operator's JWT as emote.yaml's identity.operator_jwt"), "{log}");
    change(&office.secure.config, "# operator_jwt:", "operator_jwt:");
    office.secure.broker.start().await;
    office.told(&["agents", "revoke", "C02XL0GTJGH5"]).await;
    shut_out(&office.secure, &user).await;
}

#[tokio::test]
async fn a_damaged_record_stands_in_the_way_of_nothing_else_that_is_ordered() {
    let office = Office::open("open").await;
    let token = office.token(&[]).await;
    let macs = ["C02XL0GTJGH5", "C02XL0GTJGH6", "C02XL0GTJGH7"].map(Mac::new);
    let mut users = Vec::new();
    for mac in &macs {
        users.push(mac.enrolled(&office.secure, &token).await);
    }
    let broker = Streams::of(office.secure.connect(&office.secure.user(files::BROKER)).await.client);
    for record in ["device.C02XL0GTJGH5", &format!("token.{}", token.id())] {
        broker.publish(&format!("$KV.emote-identity.{record}"), "{").await;
    }
    let order = json!({"scope": "agent", "action": "revoke_ordered",
        "info": {"serials": ["C02XL0GTJGH5", "C02XL0GTJGH6", "C02XL0GTJGH7"]}});
    office.streams.publish("events.admin.admin.agent.revoke_ordered", order.to_string()).await;
    for user in &users[1..] {
        shut_out(&office.secure, user).await;
    }
    let refused = office.event("C02XL0GTJGH5", "order_refused").await;
    assert!(
        refused["info"]["reason"].as_str().unwrap().contains("nats kv del emote-identity device.C02XL0GTJGH5"),
        "{refused}"
    );
    let order = json!({"scope": "agent", "action": "token_revoke_ordered", "info": {"token": token.id()}});
    office.streams.publish("events.admin.admin.agent.token_revoke_ordered", order.to_string()).await;
    let refused = office.event("-", "order_refused").await;
    assert!(refused["info"]["reason"].as_str().unwrap().contains("is damaged"), "{refused}");
    // What is ordered afterwards is done, and each was told once.
    office.told(&["agents", "approve", "C02XL0GTJGH6", "-m", "found"]).await;
    assert_eq!(office.events("C02XL0GTJGH5", "order_refused").await.len(), 1);
}

#[tokio::test]
async fn the_same_bad_request_for_a_credential_is_told_once() {
    let office = Office::open("open").await;
    let token = office.token(&[]).await;
    let mac = Mac::new("C02XL0GTJGH5");
    let connected = office.secure.connect(&mac.enrolled(&office.secure, &token).await).await;
    let subject = "events.agent.C02XL0GTJGH5.agent.credential_due";
    for n in 0..50 {
        let junk = json!({"scope": "agent", "action": "credential_due", "info": {"n": n}}).to_string();
        connected.client.request(subject, junk.into()).await.unwrap();
    }
    let forged = json!({"scope": "agent", "action": "credential_due", "info": {"public_key": mac.pair.public_key(),
        "next_key": mac.pair.public_key(), "time": "2026-01-01T00:00:00Z", "signature": "", "next_signature": ""}});
    connected.client.request(subject, forged.to_string().into()).await.unwrap();
    until("the last one is answered", async || office.events("C02XL0GTJGH5", "renewal_refused").await.len() == 2).await;
    let reasons: Vec<String> = office
        .events("C02XL0GTJGH5", "renewal_refused")
        .await
        .iter()
        .map(|event| event.json()["info"]["reason"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(reasons, ["it is not understood", "the signature is not by the key that the request names"]);
}

//! Agents that ask for their next JWT, and agents that are asked to change their key.

use emote_proto::{enroll::IdentityNotice, jwt::Claims};
use emote_tests::until;
use nkeys::KeyPair;
use serde_json::json;

use super::{
    mac::{Mac, now},
    office::Office,
    policies::shut_out,
};

#[tokio::test]
async fn a_credential_is_renewed_once_half_of_it_is_over_and_not_before() {
    let office = Office::with("open", "10s").await;
    let token = office.token(&[]).await;
    let mac = Mac::new("C02XL0GTJGH5");
    let first = mac.enrolled(&office.secure, &token).await;
    let connected = office.secure.connect(&first).await;
    let mut notices = mac.notices(&connected).await;
    let renewal =
        || serde_json::to_value(mac.renewal(&KeyPair::from_seed(&mac.pair.seed().unwrap()).unwrap())).unwrap();
    mac.say(&connected, "credential_due", renewal()).await;
    assert_eq!(notices.issued().await, first.jwt, "there is no need yet");
    let issued = Claims::verified(&first.jwt).unwrap().iat;
    until("half of it is over", async || now().as_millis() / 1000 >= issued + 6).await;
    let asked = renewal();
    mac.say(&connected, "credential_due", asked.clone()).await;
    let second = notices.issued().await;
    assert_ne!(second, first.jwt);
    mac.say(&connected, "credential_due", asked).await;
    assert_eq!(notices.issued().await, second, "a request that comes again is given the same");
    office.secure.connect(&mac.user(second)).await;
    let event = office.event("C02XL0GTJGH5", "renewed").await;
    assert!(event["cause"]["event"].is_string(), "{event}");
    assert_eq!(office.events("C02XL0GTJGH5", "renewed").await.len(), 1);
}

#[tokio::test]
async fn a_mac_that_is_told_to_changes_its_key() {
    let office = Office::open("open").await;
    let token = office.token(&[]).await;
    let mac = Mac::new("C02XL0GTJGH5");
    let old = mac.enrolled(&office.secure, &token).await.jwt;
    let connected = office.secure.connect(&mac.user(old.clone())).await;
    let mut notices = mac.notices(&connected).await;
    office.told(&["agents", "rotate", "C02XL0GTJGH5", "-m", "each year"]).await;
    assert_eq!(notices.next().await, IdentityNotice::Rotate);
    until("it is told again with a heartbeat", async || {
        mac.say(&connected, "heartbeat", json!({})).await;
        let heard = tokio::time::timeout(std::time::Duration::from_millis(200), notices.next()).await;
        heard.is_ok_and(|notice| notice == IdentityNotice::Rotate)
    })
    .await;
    let next = KeyPair::new_user();
    mac.say(&connected, "credential_due", serde_json::to_value(mac.renewal(&next)).unwrap()).await;
    let jwt = loop {
        match notices.next().await {
            IdentityNotice::Issued { jwt } => break jwt,
            IdentityNotice::Rotate => {}
            refused => panic!("{refused:?}"),
        }
    };
    assert_eq!(Claims::verified(&jwt).unwrap().sub, next.public_key());
    let changed = Mac { serial: mac.serial.clone(), pair: next };
    let connected = office.secure.connect(&changed.user(jwt)).await;
    changed.say(&connected, "started", json!({})).await;
    let old = mac.user(old);
    office.secure.connect(&old).await;
    let device = office.device("C02XL0GTJGH5").await;
    assert_eq!(device["rotate"], json!(null), "{device}");
    assert_eq!(device["shut"][0]["key"], mac.pair.public_key(), "the old one waits until the new one is used");
    let used = json!({"how": "rotated", "public_key": changed.pair.public_key()});
    changed.say(&connected, "credential_changed", used).await;
    shut_out(&office.secure, &old).await;
    let shown = office.told(&["agents", "show", "C02XL0GTJGH5"]).await;
    assert!(shown.contains("old key"), "{shown}");
    office.event("C02XL0GTJGH5", "key_changed").await;
}

#[tokio::test]
async fn what_only_one_of_the_keys_signed_is_refused_and_told() {
    let office = Office::open("open").await;
    let token = office.token(&[]).await;
    let (mac, other) = (Mac::new("C02XL0GTJGH5"), Mac::new("C03"));
    let connected = office.secure.connect(&mac.enrolled(&office.secure, &token).await).await;
    let mut notices = mac.notices(&connected).await;
    let foreign = KeyPair::new_user();
    let own = KeyPair::from_seed(&mac.pair.seed().unwrap()).unwrap();
    let mut stolen = mac.renewal(&own);
    stolen.next_key = foreign.public_key().parse().unwrap();
    let unknown = emote_proto::enroll::RenewRequest::sign(&mac.serial, &foreign, &foreign, now()).unwrap();
    let of_another = emote_proto::enroll::RenewRequest::sign(&other.serial, &own, &own, now()).unwrap();
    for request in [json!({}), json!(stolen), json!(unknown), json!(of_another)] {
        mac.say(&connected, "credential_due", request).await;
        assert!(matches!(notices.next().await, IdentityNotice::Refused { .. }));
    }
    // Two are refused for the same reason, which is told once.
    assert_eq!(office.events("C02XL0GTJGH5", "renewal_refused").await.len(), 3);
    assert_eq!(office.device("C02XL0GTJGH5").await["key"]["key"], mac.pair.public_key());
}

#[tokio::test]
async fn a_second_machine_is_told_of_once() {
    let office = Office::open("open").await;
    let token = office.token(&[]).await;
    let mac = Mac::new("C02XL0GTJGH5");
    let connected = office.secure.connect(&mac.enrolled(&office.secure, &token).await).await;
    for n in 0..5 {
        mac.say(&connected, "conflict", json!({"expected": n, "found": n + 7})).await;
    }
    // An order behind them is followed behind them.
    office.told(&["agents", "rotate", "C02XL0GTJGH5"]).await;
    office.event("C02XL0GTJGH5", "duplicate").await;
    assert_eq!(office.events("C02XL0GTJGH5", "duplicate").await.len(), 1);
    let shown = office.told(&["agents", "show", "C02XL0GTJGH5"]).await;
    assert!(shown.contains("two machines"), "{shown}");
}

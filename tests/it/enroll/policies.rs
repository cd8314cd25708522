//! Who is let in: open, the MDM's word, an administrator's word.

use emote_proto::jwt::Claims;
use emote_tests::{Secure, until};
use serde_json::json;

use super::{
    mac::{Mac, denied, enrolled, waits},
    office::Office,
};

#[tokio::test]
async fn whoever_has_a_token_is_let_in_where_the_policy_is_open() {
    let office = Office::open("open").await;
    let token = office.token(&["--name", "fleet", "--uses", "5"]).await;
    let mac = Mac::new("C02XL0GTJGH5");
    let jwt = enrolled(mac.ask(&office.secure, &token).await);
    let claims = Claims::verified(&jwt).unwrap();
    assert_eq!((claims.name.as_str(), claims.sub), ("C02XL0GTJGH5", mac.pair.public_key()));
    let connected = office.secure.connect(&mac.user(jwt.clone())).await;
    mac.say(&connected, "started", json!({})).await;
    assert_eq!(enrolled(mac.ask(&office.secure, &token).await), jwt, "asked again it is given the same");
    let record = office.token_record(&token).await;
    assert_eq!((&record["used"], &record["name"]), (&json!(1), &json!("fleet")));
    let event = office.event("C02XL0GTJGH5", "enrolled").await;
    assert_eq!(event["info"]["fingerprint"], mac.fingerprint());
    assert_eq!(event["info"]["token"], token.id().as_str());
    assert_eq!((&event["info"]["policy"], &event["info"]["agent"]), (&json!("open"), &json!("1.0")));
    assert_eq!(office.events("C02XL0GTJGH5", "enrolled").await.len(), 1);
    let listed = office.told(&["agents", "ls"]).await;
    assert!(listed.contains("C02XL0GTJGH5") && listed.contains(&mac.fingerprint()), "{listed}");
}

#[tokio::test]
async fn the_mdms_word_lets_a_mac_in_that_asked_before_it_came() {
    let office = Office::open("mdm").await;
    let token = office.token(&[]).await;
    let (mac, foreign) = (Mac::new("C02XL0GTJGH5"), Mac::new("C0FFEE000000"));
    for asks in [&mac, &foreign] {
        assert!(waits(asks.ask(&office.secure, &token).await).contains("MDM"));
    }
    let enrolls = async |mac: &Mac| {
        let (subject, event) =
            (format!("events.manual.{}.device.enroll", mac.serial), json!({"scope": "device", "action": "enroll"}));
        office.streams.js.publish(subject, event.to_string().into()).await.unwrap().await.unwrap();
    };
    enrolls(&foreign).await;
    until("the broker knows it", async || office.told(&["nodes"]).await.contains(foreign.serial.as_str())).await;
    assert!(waits(foreign.ask(&office.secure, &token).await).contains("MDM"), "nothing was proven of who says so");
    office.believes("manual: authenticated").await;
    enrolls(&mac).await;
    let user = mac.enrolled(&office.secure, &token).await;
    office.secure.connect(&user).await;
    waits(foreign.ask(&office.secure, &token).await);
    let event = office.event("C02XL0GTJGH5", "enrollment_requested").await;
    assert!(event["info"]["waits_for"].as_str().unwrap().contains("MDM"), "{event}");
    assert_eq!(office.token_record(&token).await["used"], 2, "who waits has taken a place");
}

#[tokio::test]
async fn an_administrators_word_is_on_the_key_that_was_looked_at() {
    let office = Office::open("approve").await;
    let token = office.token(&[]).await;
    let (mac, impostor) = (Mac::new("C02XL0GTJGH5"), Mac::new("C02XL0GTJGH5"));
    for asks in [&mac, &mac, &impostor] {
        assert!(waits(asks.ask(&office.secure, &token).await).contains("approve"));
    }
    assert_eq!(office.events("C02XL0GTJGH5", "enrollment_requested").await.len(), 2, "each key once");
    let pending = office.told(&["agents", "pending"]).await;
    assert!(pending.contains(&mac.fingerprint()) && pending.contains(&impostor.fingerprint()), "{pending}");
    assert!(pending.contains("no MDM knows it"), "{pending}");
    let several = office.refused(&["agents", "approve", "C02XL0GTJGH5"]).await;
    assert!(several.contains("--fingerprint"), "{several}");
    let approved = office
        .told(&["agents", "approve", "C02XL0GTJGH5", "--fingerprint", &mac.fingerprint(), "-m", "ordered by IT"])
        .await;
    assert!(approved.contains(&mac.fingerprint()) && approved.contains("approved"), "{approved}");
    waits(impostor.ask(&office.secure, &token).await);
    office.secure.connect(&mac.enrolled(&office.secure, &token).await).await;
    assert!(waits(impostor.ask(&office.secure, &token).await).contains("another key"));
    office.told(&["agents", "deny", "C02XL0GTJGH5"]).await;
    assert!(denied(impostor.ask(&office.secure, &token).await).contains("administrator"));
    enrolled(mac.ask(&office.secure, &token).await);
    let event = office.event("C02XL0GTJGH5", "approved").await;
    assert_eq!((&event["info"]["by"], &event["info"]["because"]), (&json!("admin"), &json!("ordered by IT")));
    assert_eq!(event["cause"]["event"], event["info"]["order"]);
}

#[tokio::test]
async fn who_was_denied_stays_out_until_approved() {
    let office = Office::open("approve").await;
    let token = office.token(&[]).await;
    let mac = Mac::new("C02XL0GTJGH5");
    waits(mac.ask(&office.secure, &token).await);
    office.told(&["agents", "deny", "C02XL0GTJGH5", "-m", "not ours"]).await;
    for asks in [&mac, &mac.erased()] {
        denied(asks.ask(&office.secure, &token).await);
    }
    let unknown = office.refused(&["agents", "deny", "C0FFEE000000"]).await;
    assert!(unknown.contains("ever asked"), "{unknown}");
    office.told(&["agents", "approve", "C02XL0GTJGH5", "--fingerprint", &mac.fingerprint()]).await;
    mac.enrolled(&office.secure, &token).await;
}

#[tokio::test]
async fn a_mac_that_lost_its_key_is_let_in_by_a_token_made_for_it_and_its_old_key_is_shut_out() {
    let office = Office::open("open").await;
    let fleet = office.token(&[]).await;
    let mac = Mac::new("C02XL0GTJGH5");
    let old = mac.enrolled(&office.secure, &fleet).await;
    let connected = office.secure.connect(&old).await;
    let erased = mac.erased();
    assert!(waits(erased.ask(&office.secure, &fleet).await).contains("another key"));
    let bound = office.token(&["--serial", "C02XL0GTJGH5"]).await;
    let foreign = Mac::new("C03");
    assert!(denied(foreign.ask(&office.secure, &bound).await).contains("another serial number"));
    let new = erased.enrolled(&office.secure, &bound).await;
    office.secure.connect(&new).await;
    connected.told("disconnected").await;
    shut_out(&office.secure, &old).await;
}

/// Waits until NATS does not let it in.
pub(crate) async fn shut_out(secure: &Secure, user: &emote_tests::User) {
    until("NATS lets it in no more", async || secure.try_connect(user).await.is_err()).await;
}

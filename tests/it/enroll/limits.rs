//! What a token is good for, and what it is not.

use std::time::Duration;

use emote_proto::{
    enroll::{EnrollAnswer, EnrollRequest, IdentityNotice},
    subjects,
};
use emote_tests::{User, until};
use futures_util::{StreamExt, future::join_all};
use nkeys::KeyPair;
use serde_json::json;

use super::{
    mac::{Mac, ask, denied, enrolled},
    office::Office,
};

#[tokio::test]
async fn twenty_that_ask_two_brokers_at_once_take_no_more_uses_than_there_are() {
    let office = Office::open("open").await;
    let mut other = office.other_broker();
    other.start().await;
    let token = office.token(&["--uses", "7"]).await;
    let macs: Vec<Mac> = (0..20).map(|n| Mac::new(&format!("C02N{n}"))).collect();
    let answers = join_all(macs.iter().map(|mac| mac.ask(&office.secure, &token))).await;
    let count = |is: fn(&EnrollAnswer) -> bool| answers.iter().filter(|answer| is(answer)).count();
    assert_eq!(count(|answer| matches!(answer, EnrollAnswer::Enrolled { .. })), 7, "{answers:?}");
    assert_eq!(count(|answer| matches!(answer, EnrollAnswer::Denied { .. })), 13, "{answers:?}");
    assert_eq!(office.token_record(&token).await["used"], 7);
    let again = join_all(macs.iter().map(|mac| mac.ask(&office.secure, &token))).await;
    assert_eq!(again, answers, "asked again, each is given the same");
    assert_eq!(office.events("*", "enrolled").await.len(), 7);
    other.stop().await;
}

#[tokio::test]
async fn a_token_that_is_over_or_revoked_lets_nobody_in() {
    let office = Office::open("open").await;
    let short = office.token(&["--expires", "3s"]).await;
    let user = User::from(&short);
    office.secure.connect(&user).await;
    until("NATS lets it in no more", async || office.secure.try_connect(&user).await.is_err()).await;

    let fleet = office.token(&[]).await;
    let mac = Mac::new("C02XL0GTJGH5");
    let device = mac.enrolled(&office.secure, &fleet).await;
    let connected = office.secure.connect(&User::from(&fleet)).await;
    let unknown = office.emote(&["agents", "token", "revoke", "abcdefgh"]).await;
    assert_eq!(unknown.status.code(), Some(5), "{unknown:?}");
    office.told(&["agents", "token", "revoke", fleet.id().as_str()]).await;
    connected.told("disconnected").await;
    until("NATS lets it in no more", async || office.secure.try_connect(&User::from(&fleet)).await.is_err()).await;
    office.secure.connect(&device).await;
}

#[tokio::test]
async fn a_token_that_no_broker_knows_lets_nobody_in() {
    let office = Office::open("open").await;
    let foreign = office.secure.token("fleet2026");
    assert!(denied(Mac::new("C02").ask(&office.secure, &foreign).await).contains("not known"));
    assert_eq!(office.told(&["agents", "ls", "-o", "json"]).await, "");
}

#[tokio::test]
async fn forged_replayed_and_garbled_requests_come_to_nothing() {
    let office = Office::open("open").await;
    let (token, other) = (office.token(&[]).await, office.token(&[]).await);
    let (mac, thief) = (Mac::new("C02XL0GTJGH5"), KeyPair::new_user());
    let connected = office.secure.connect(&User::from(&token)).await;
    let good = mac.request(&token);
    let changed = |change: fn(&mut EnrollRequest, &KeyPair)| {
        let mut request = good.clone();
        change(&mut request, &thief);
        serde_json::to_vec(&request).unwrap()
    };
    for forged in [
        changed(|request, _| request.serial = "C03".parse().unwrap()),
        changed(|request, thief| request.public_key = thief.public_key().parse().unwrap()),
        changed(|request, _| request.signature.truncate(10)),
        serde_json::to_vec(&mac.request(&other)).unwrap(),
        b"{".to_vec(),
        vec![b'x'; 20_000],
        json!({"serial": "*", "public_key": good.public_key, "time": good.time, "agent": "", "signature": ""})
            .to_string()
            .into_bytes(),
    ] {
        denied(ask(&connected.client, &token, forged).await);
    }
    let old = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(20);
    let replayed = EnrollRequest::sign(token.id(), mac.serial.clone(), &mac.pair, old.into(), "1.0").unwrap();
    let answer = ask(&connected.client, &token, serde_json::to_vec(&replayed).unwrap()).await;
    assert!(matches!(answer, EnrollAnswer::Unavailable { .. }), "{answer:?}");
    assert_eq!(office.told(&["agents", "ls", "-o", "json"]).await, "", "nobody is known");
    let jwt = enrolled(ask(&connected.client, &token, serde_json::to_vec(&good).unwrap()).await);
    let replayed = enrolled(ask(&connected.client, &token, serde_json::to_vec(&good).unwrap()).await);
    assert_eq!(replayed, jwt, "it is of a key that whoever replays it does not have");
    assert_eq!(office.token_record(&token).await["used"], 1);
}

// The server carries answers between the accounts, and does not ask whether who asks may read where the answer goes. So one
// may be sent to another's inbox: but nowhere where it is stored or obeyed.
#[tokio::test]
async fn an_answer_that_is_wanted_elsewhere_is_neither_stored_nor_obeyed_there() {
    let office = Office::open("open").await;
    let (token, other) = (office.token(&[]).await, office.token(&[]).await);
    let victim = Mac::new("C0FFEE000000");
    let victims = office.secure.connect(&victim.enrolled(&office.secure, &other).await).await;
    let mut notices = victims.client.subscribe("_INBOX.C0FFEE000000.>").await.unwrap();
    victims.settled().await;
    let before = office.last().await;
    let connected = office.secure.connect(&User::from(&token)).await;
    let mac = Mac::new("C02XL0GTJGH5");
    let request = serde_json::to_vec(&mac.request(&token)).unwrap();
    for reply in [
        "_INBOX.C0FFEE000000.identity".to_owned(),
        "events.agent.C0FFEE000000.device.enroll".to_owned(),
        "events.admin.admin.agent.revoke_ordered".to_owned(),
        "$KV.emote-identity.device.C02XL0GTJGH5".to_owned(),
        "checkpoint.0".to_owned(),
        "enroll.fleet2026".to_owned(),
        format!("_ENROLL.{}.x", other.id()),
    ] {
        let sent = connected.client.publish_with_reply(subjects::enroll(token.id()), reply, request.clone().into());
        sent.await.unwrap();
    }
    connected.settled().await;
    mac.enrolled(&office.secure, &token).await;
    let device = office.device("C02XL0GTJGH5").await;
    assert_eq!(device["serial"], "C02XL0GTJGH5", "the record is the broker's");
    let told = office.events("C02XL0GTJGH5", "enrolled").await.len() as u64;
    assert_eq!((office.last().await - before, told), (1, 1), "nothing else is stored");
    while let Ok(Some(heard)) = tokio::time::timeout(Duration::from_millis(300), notices.next()).await {
        assert!(serde_json::from_slice::<IdentityNotice>(&heard.payload).is_err(), "{heard:?}");
    }
}

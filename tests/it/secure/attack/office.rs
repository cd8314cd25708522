//! What those may do who look after Macs.

use emote::identity::files;
use emote_proto::service;
use emote_tests::{Secure, Streams, until};
use serde_json::json;

use super::{
    targets::{ATTACK, FOREIGN},
    watch::{may_not_publish, may_not_read},
};
use crate::secure::streams;

#[tokio::test]
async fn a_broker_may_do_all_of_it_an_administrator_orders_under_its_name_and_the_system_user_does_little() {
    let secure = Secure::start_as("ada@example.com").await;
    streams(&secure).await;
    let broker = secure.connect(&secure.user(files::BROKER)).await;
    Streams::of(broker.client.clone()).publish("events.okta.ada.user.created", "{}").await;
    assert_eq!(broker.errors(), Vec::<String>::new());
    let admin = secure.connect(&secure.user(files::ADMIN)).await;
    let own = "events.admin.ada@example%2Ecom.held.approve_ordered";
    for subject in [own, "events.manual.C01.device.enroll"] {
        Streams::of(admin.client.clone()).publish(subject, "{}").await;
    }
    let manual = |subject: &&str| !subject.starts_with("events.manual.") && !subject.starts_with("emote.api.");
    let foreign = FOREIGN.into_iter().filter(manual).filter(|subject| *subject != "$KV.emote-config.current");
    may_not_publish(&admin, foreign.map(str::to_owned)).await;
    may_not_publish(&admin, ["events.admin.bob.held.approve_ordered".to_owned()].into_iter()).await;
    let system = secure.connect(&secure.user(files::SYSTEM)).await;
    let foreign = ["events.okta.x.y.z", "$SYS.REQ.CLAIMS.DELETE", "$SYS.REQ.SERVER.x.RELOAD"];
    may_not_publish(&system, foreign.into_iter().map(str::to_owned)).await;
    may_not_read(&system, [">", "$SYS.>", "events.>"].into_iter().map(str::to_owned)).await;
}

#[tokio::test]
async fn a_broker_answers_questions_in_inboxes_only() {
    let mut secure = Secure::start_as("ada@example.com").await;
    secure.broker.start().await;
    let admin = secure.connect(&secure.user(files::ADMIN)).await;
    until("questions are taken", async || admin.client.request(service::VOUCHES, "{}".into()).await.is_ok()).await;
    for subject in [service::NODES, service::NODE, service::BROKERS, service::VOUCHES] {
        for reply in ["events.okta.ada.user.deactivated", "checkpoint.0", "deliver.a.b", "_INBOXES.x", "_INBOX"] {
            admin.client.publish_with_reply(subject, reply, "{}".into()).await.unwrap();
        }
        // It comes after the others, and is answered.
        let answer = admin.client.request(subject, "{}".into()).await.unwrap();
        assert!(answer.payload.starts_with(b"{"), "{subject} {answer:?}");
    }
    let streams = Streams::of(admin.client.clone());
    let forged = |stored: &emote_tests::Stored| !stored.subject.starts_with("events.broker.");
    assert_eq!(streams.events().await.into_iter().filter(forged).count(), 0);
    let of_admin = async |subject: &str| streams.read("DELIVERIES", subject).await.len();
    assert_eq!(of_admin("deliver.a.b").await, 0);
    let log = std::fs::read_to_string(secure.logs.join("broker.log")).unwrap();
    assert!(log.contains("a question is not answered outside of _INBOX.>"), "{log}");
    assert_eq!(secure.broker.stop().await, Some(0));
}

/// Why SECURITY.md says that an administrator who may use JetStream's API can forge: there is no way to forbid it but to
/// take that away. When this fails, say so there.
#[tokio::test]
async fn an_administrator_with_jetstreams_api_can_still_forge_an_event() {
    let secure = Secure::start().await;
    streams(&secure).await;
    let admin = secure.connect(&secure.user(files::ADMIN)).await;
    let streams = Streams::of(admin.client.clone());
    let sequence = streams.publish("events.manual.-.test.ran", ATTACK).await;
    let forged = "events.okta.ada.user.deactivated";
    let request = json!({"seq": sequence}).to_string();
    admin.client.publish_with_reply("$JS.API.DIRECT.GET.EVENTS", forged, request.into()).await.unwrap();
    until("the answer is stored as an event of Okta's", async || {
        streams.events().await.iter().any(|event| event.subject == forged && event.payload == ATTACK.as_bytes())
    })
    .await;
}

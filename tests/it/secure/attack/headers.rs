//! Headers, and ids of messages.

use async_nats::HeaderMap;
use emote::{
    bus::{Bus, BusSettings},
    identity::files,
};
use emote_proto::{EventId, header};
use emote_tests::{Secure, Streams};

use super::send;
use crate::secure::streams;

#[tokio::test]
async fn headers_give_a_device_no_power_over_others() {
    let secure = Secure::start().await;
    streams(&secure).await;
    let device = secure.connect(&secure.device("C01")).await;
    let streams = secure.streams().await;
    streams.publish("events.manual.-.test.ran", "{}").await;
    let own = "events.agent.C01.test.ran";
    let refused = [
        ("Nats-Rollup", "all"),
        ("Nats-Rollup", "sub"),
        ("Nats-TTL", "1s"),
        ("Nats-Schedule", "@at 2030-01-01T00:00:00Z"),
        ("Nats-Incr", "+1"),
        ("Nats-Expected-Stream", "DELIVERIES"),
    ];
    for (name, value) in refused {
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        if name == "Nats-Schedule" {
            headers.insert("Nats-Schedule-Target", "events.okta.ada.user.deactivated");
        }
        let answer = send(&device, own, headers).await;
        assert!(answer["error"]["err_code"].is_u64(), "{name}: {value}: {answer}");
    }
    assert_eq!(streams.events().await.len(), 1);
    // Expectations about other Macs' subjects tell at most a sequence number, and that only where they fail.
    let mut headers = HeaderMap::new();
    headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE, "7");
    headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, "events.manual.>");
    let answer = send(&device, own, headers).await;
    assert_eq!(answer["error"]["err_code"], 10071, "{answer}");
    // Traces go only where the device may publish itself; what asks for another is dropped as a whole.
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Trace-Dest", "events.okta.ada.user.deactivated");
    device.client.publish_with_headers(own, headers, "{}".into()).await.unwrap();
    device.told("Permissions Violation").await;
    assert_eq!(streams.events().await.len(), 1);
}

/// The window in which NATS takes a message for a repeated one is that of the whole stream: whoever publishes an event
/// looks what it was taken for.
#[tokio::test]
async fn a_device_that_knows_the_id_of_an_event_to_come_does_not_suppress_it() {
    let secure = Secure::start().await;
    streams(&secure).await;
    let device = secure.connect(&secure.device("C01")).await;
    let broker = secure.connect(&secure.user(files::BROKER)).await;
    let id: EventId = "018bcfe5-687b-7707-8707-070707070707".parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::MSG_ID, id.to_string().as_str());
    send(&device, "events.agent.C01.test.ran", headers.clone()).await;
    let subject = "events.okta.ada.user.created";
    let streams = Streams::of(broker.client.clone());
    let publishing = streams.js.publish_with_headers(subject, headers, "{}".into());
    assert!(publishing.await.unwrap().await.unwrap().duplicate, "NATS itself is taken in");

    let bus = Bus::connect(&broker_settings(&secure)).await.unwrap();
    bus.publish_events(vec![(subject.parse().unwrap(), id, b"{}"[..].into())]).await.unwrap();
    let events = streams.events().await;
    assert_eq!(events.iter().filter(|event| event.subject == subject).count(), 1, "{events:?}");
}

fn broker_settings(secure: &Secure) -> BusSettings {
    BusSettings {
        credentials: Some(secure.file(files::BROKER)),
        ca: Some(secure.file(files::CA)),
        ..BusSettings::local(secure.url(), "a broker")
    }
}

//! A Mac that was taken over, or whoever has an enrolment token, tries everything.

mod headers;
mod office;
mod replies;
mod targets;
mod watch;

use async_nats::{HeaderMap, Message};
use emote_proto::header;
use emote_tests::{Connected, Secure, Streams, User};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::streams;
use targets::{ATTACK, FOREIGN, READING};
use watch::{Watch, api, may_not_publish, may_not_read, others, round_trip, stored};

pub(super) use replies::answers_go_nowhere;

#[tokio::test]
async fn a_device_speaks_for_itself_and_reads_its_own_inbox_and_nothing_else() {
    let secure = Secure::start().await;
    streams(&secure).await;
    let device = secure.connect(&secure.device("C01")).await;
    let (mut watch, before) = (Watch::begin(&secure).await, secure.streams().await);
    tries_everything(&device, &before).await;
    let (emote, devices) = watch.seen().await;
    let attacks = |seen: Vec<Message>| seen.into_iter().filter(|message| message.payload == ATTACK).count();
    assert_eq!((attacks(emote), attacks(devices)), (0, 0), "what is refused arrives nowhere");
}

/// All that is not the Mac C01's is refused, nothing of it is stored; what is its own is.
pub(super) async fn tries_everything(device: &Connected, streams: &Streams) {
    let before = stored(streams).await;
    may_not_publish(device, others(&FOREIGN, "")).await;
    may_not_publish(device, api()).await;
    may_not_publish(device, ["enroll.C01".to_owned(), "events.agent.C01".to_owned()].into_iter()).await;
    may_not_read(device, others(&READING, "")).await;
    assert_eq!(stored(streams).await, before);
    speaks(device, "C01").await;
    assert_eq!(streams.events().await.len(), 3);
}

/// The streams, where there is no `emote init --secure` to name the broker's credentials.
pub(super) async fn make_streams(broker: &Streams) {
    for (name, subjects) in [
        ("EVENTS", vec!["events.>"]),
        ("DELIVERIES", vec!["deliver.>", "held.>", "checkpoint.>"]),
        ("DEAD", vec!["dead.>"]),
        ("KV_emote-identity", vec!["$KV.emote-identity.>"]),
    ] {
        let config = async_nats::jetstream::stream::Config {
            name: name.to_owned(),
            subjects: subjects.into_iter().map(str::to_owned).collect(),
            allow_atomic_publish: true,
            allow_direct: true,
            ..Default::default()
        };
        broker.js.create_stream(config).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_has_a_token_may_ask_and_nothing_else() {
    let secure = Secure::start().await;
    streams(&secure).await;
    let holder = secure.connect(&User::from(&secure.token("fleet2026"))).await;
    let mut watch = Watch::begin(&secure).await;
    may_not_publish(&holder, others(&FOREIGN, "")).await;
    may_not_publish(&holder, api()).await;
    may_not_publish(&holder, ["events.agent.C01.device.enroll", "enroll.fleet2026.x"].map(str::to_owned).into_iter())
        .await;
    may_not_read(&holder, others(&READING, "")).await;
    may_not_read(&holder, ["_INBOX.C01.>", "enroll.fleet2026"].map(str::to_owned).into_iter()).await;
    let (emote, devices) = watch.seen().await;
    assert!(emote.iter().chain(&devices).all(|message| message.payload != ATTACK));
    assert_eq!(watch.added().await, []);
    // What it may do works: the broker sees which token it is, and the answer comes.
    let mut asked = watch.streams.client.subscribe("enroll.*").await.unwrap();
    round_trip(&watch.streams.client).await;
    let answering = async {
        let request = asked.next().await.unwrap();
        watch.streams.client.publish(request.reply.clone().unwrap(), "answer".into()).await.unwrap();
        request
    };
    let (request, answer) = tokio::join!(answering, holder.client.request("enroll.fleet2026", "please".into()));
    assert_eq!((request.subject.as_str(), &request.payload[..]), ("enroll.fleet2026", &b"please"[..]));
    assert!(request.reply.unwrap().starts_with("_R_."), "a reply subject of the server's own");
    assert_eq!(&answer.unwrap().payload[..], b"answer");
}

/// One event, then a batch of two behind an expectation, as agents send them.
async fn speaks(device: &Connected, serial: &str) {
    let all = format!("events.agent.{serial}.>");
    let subject = format!("events.agent.{serial}.test.ran");
    let mut headers = HeaderMap::new();
    headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
    headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, all.as_str());
    let mut named = headers.clone();
    named.insert(header::MSG_ID, "018bcfe5-687b-7707-8707-070707070707");
    let ack = send(device, &subject, named).await;
    let first = ack["seq"].as_u64().unwrap_or_else(|| panic!("{ack}"));
    let stale = send(device, &subject, headers.clone()).await;
    assert_eq!(stale["error"]["err_code"], 10071, "the expectation is kept: {stale}");
    headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE, first.to_string());
    headers.insert(header::BATCH_ID, "b1");
    headers.insert(header::BATCH_SEQUENCE, "1");
    let request = async_nats::Request::new().headers(headers).payload("{}".into());
    let opened = device.client.send_request(subject.clone(), request).await.unwrap();
    assert!(opened.payload.is_empty(), "{opened:?}");
    let mut headers = HeaderMap::new();
    headers.insert(header::BATCH_ID, "b1");
    headers.insert(header::BATCH_SEQUENCE, "2");
    headers.insert(header::BATCH_COMMIT, "1");
    let ack = send(device, &subject, headers).await;
    assert_eq!((&ack["batch"], &ack["count"]), (&json!("b1"), &json!(2)), "{ack}");
}

/// JetStream's answer to a publishing.
async fn send(device: &Connected, subject: &str, headers: HeaderMap) -> Value {
    let request = async_nats::Request::new().headers(headers).payload("{}".into());
    let answer = device.client.send_request(subject.to_owned(), request).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

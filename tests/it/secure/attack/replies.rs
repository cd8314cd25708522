//! Where answers go that an attacker asks for.

use std::time::Duration;

use async_nats::HeaderMap;
use emote_proto::header;
use emote_tests::{Connected, Secure, Streams, User};
use futures_util::StreamExt;
use serde_json::Value;

use super::{
    send,
    targets::{ATTACK, REPLIES},
    watch::{Watch, round_trip, stored},
};
use crate::secure::streams;

#[tokio::test]
async fn an_answer_goes_nowhere_its_asker_could_not_publish() {
    let secure = Secure::start().await;
    streams(&secure).await;
    let (device, other) = (secure.connect(&secure.device("C01")).await, secure.connect(&secure.device("OTHER")).await);
    let mut watch = Watch::begin(&secure).await;
    answers_go_nowhere(&device, &other, &secure.streams().await, 0).await;
    let (emote, _) = watch.seen().await;
    for message in &emote {
        let subject = message.subject.as_str();
        let fine = ["events.agent.C01.test.ran", "events.agent.OTHER.test.ran"].contains(&subject)
            || ["_R_.", "$JS.EVENT.ADVISORY.", "$JS.API."].iter().any(|prefix| subject.starts_with(prefix));
        assert!(fine, "{subject}");
        let api = subject.starts_with("$JS.API.");
        assert!(!api || message.reply.as_ref().is_some_and(|reply| reply.starts_with("_INBOX.")), "{message:?}");
    }
}

/// JetStream's answers to the Mac C01 go to no subject that it may not publish to; EVENTS holds `before` already.
pub(in crate::secure) async fn answers_go_nowhere(
    device: &Connected,
    other: &Connected,
    streams: &Streams,
    before: u64,
) {
    let mut inbox = other.client.subscribe("_INBOX.OTHER.>").await.unwrap();
    // Answered, but not stored: the subscription stands.
    let mut headers = HeaderMap::new();
    headers.insert(header::EXPECTED_LAST_SEQUENCE, "777777");
    assert_eq!(send(other, "events.agent.OTHER.test.ran", headers).await["error"]["err_code"], 10071);
    inbox.next().await.unwrap();
    let held = stored(streams).await;
    let own = "events.agent.C01.test.ran";
    for reply in REPLIES {
        device.client.publish_with_reply(own, reply, ATTACK.into()).await.unwrap();
    }
    // An expectation that fails, and a batch, are answered elsewhere in the server.
    for reply in REPLIES {
        let mut headers = HeaderMap::new();
        headers.insert(header::EXPECTED_LAST_SEQUENCE, "777777");
        device.client.publish_with_reply_and_headers(own, reply, headers, "{}".into()).await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::BATCH_ID, "b2");
        headers.insert(header::BATCH_SEQUENCE, "1");
        headers.insert(header::BATCH_COMMIT, "1");
        device.client.publish_with_reply_and_headers(own, reply, headers, "{}".into()).await.unwrap();
    }
    for reply in ["$JS.ACK.EVENTS.core-0.1.1.1.1.0", "_R_.x.y"] {
        device.client.publish_with_reply(own, reply, ATTACK.into()).await.unwrap();
        device.told(&format!("Permissions Violation for Publish with Reply of \"{reply}\"")).await;
    }
    let ack = send(device, own, HeaderMap::new()).await;
    let added = u64::try_from(2 * REPLIES.len() + 1).unwrap();
    assert_eq!(ack["seq"], before + added, "its own events are there, and nothing else");
    let expected =
        held.into_iter().map(|(name, count)| (name.clone(), count + if name == "EVENTS" { added } else { 0 }));
    assert_eq!(stored(streams).await, expected.collect::<Vec<_>>());
    assert!(streams.events().await.iter().all(|event| event.subject == own));
    // What remains: another Mac's inbox can be sent JetStream's answer, which is none of the answers that are read there.
    let answer = inbox.next().await.unwrap();
    assert_eq!(answer.subject.as_str(), "_INBOX.OTHER.identity");
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    let known = ["stream", "seq", "error", "batch", "count"];
    assert!(answer.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{answer}");
    assert!(serde_json::from_value::<emote_proto::enroll::IdentityNotice>(answer).is_err());
}

#[tokio::test]
async fn an_answer_to_an_enrolment_is_no_event_either() {
    let secure = Secure::start().await;
    streams(&secure).await;
    let holder = secure.connect(&User::from(&secure.token("fleet2026"))).await;
    let mut watch = Watch::begin(&secure).await;
    let mut asked = watch.streams.client.subscribe("enroll.*").await.unwrap();
    round_trip(&watch.streams.client).await;
    for reply in REPLIES {
        holder.client.publish_with_reply("enroll.fleet2026", reply, "please".into()).await.unwrap();
        let request = asked.next().await.unwrap();
        assert_eq!(request.subject.as_str(), "enroll.fleet2026");
        watch.streams.client.publish(request.reply.unwrap(), ATTACK.into()).await.unwrap();
    }
    round_trip(&watch.streams.client).await;
    let (emote, _) = watch.seen().await;
    let subjects: Vec<&str> = emote.iter().map(|message| message.subject.as_str()).collect();
    let fine = |subject: &&str| *subject == "enroll.fleet2026" || subject.starts_with("_R_.");
    assert!(subjects.iter().all(fine), "{subjects:?}");
    assert_eq!(watch.added().await, []);
    let more = tokio::time::timeout(Duration::from_millis(300), asked.next()).await;
    assert!(more.is_err(), "nobody asked for another token: {more:?}");
}

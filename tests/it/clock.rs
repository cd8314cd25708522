//! An agent that asks for the time is told it, by one broker.

use std::time::Duration;

use async_nats::HeaderMap;
use emote_proto::{ClockAnswer, Time, header, subjects};
use emote_tests::Stack;
use futures_util::StreamExt;

const BEAT: &str = "events.agent.C02.agent.heartbeat";

#[tokio::test]
async fn a_heartbeat_that_asks_is_answered_once_in_the_inbox_of_its_own_node() {
    let stack = Stack::new().start().await;
    let mut other = stack.other_broker();
    other.start().await;
    let client = &stack.streams.client;
    let mut inboxes = client.subscribe("_INBOX.*.clock").await.unwrap();
    client.flush().await.unwrap();
    let ask = async |subject: &'static str, word: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CLOCK, word);
        client.publish_with_headers(subject, headers, "{}".into()).await.unwrap();
    };
    client.publish(BEAT, "{}".into()).await.unwrap();
    ask(BEAT, "no_word").await;
    ask("events.agent.C02.agent.started", "notabeat").await;
    for word in ["one", "two", "three"] {
        let before: Time = jiff::Timestamp::now().into();
        ask(BEAT, word).await;
        let answer = tokio::time::timeout(Duration::from_secs(10), inboxes.next()).await.unwrap().unwrap();
        assert_eq!(answer.subject.as_str(), subjects::clock("C02"));
        let answer: ClockAnswer = serde_json::from_slice(&answer.payload).unwrap();
        let after: Time = jiff::Timestamp::now().into();
        assert_eq!(answer.word, word, "and none of those before was answered, or twice");
        assert!((before..=after).contains(&answer.time), "{before} {} {after}", answer.time);
    }
    other.stop().await;
}

//! Reading EVENTS, whatever is in it and whatever happens to the connection and to the consumer.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use async_nats::jetstream::consumer::Info;
use emote::bus::{Bus, BusSettings, TailStart};
use emote_proto::Time;
use emote_tests::{Process, Stack, Wire, built, until};
use futures_util::TryStreamExt;
use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpStream};

const COUNTED: &str = "pattern: {scope: [test]}\ntargets: [log]\n";
const SUBJECT: &str = "events.manual.C02.test.counted";
/// What a line of what is called headers may be.
const NONE: &str = "no colon";

fn body(n: u64) -> String {
    format!(r#"{{"scope":"test","action":"counted","info":{{"n":{n}}}}}"#)
}

/// Publishes the events of these numbers, with what is called their headers as it stands. (nats-server stores that without a
/// look; the NATS library ends its connection where it is given what is none.)
async fn publish(stack: &Stack, events: &[(u64, &str)]) {
    let events: Vec<_> = events.iter().map(|(n, headers)| (*n, SUBJECT.as_bytes(), *headers)).collect();
    publish_under(stack, &events).await;
}

/// The same, under subjects as they stand.
async fn publish_under(stack: &Stack, events: &[(u64, &[u8], &str)]) {
    let mut wire = TcpStream::connect(("127.0.0.1", stack.nats.port)).await.unwrap();
    let mut said = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n".to_vec();
    for (n, subject, headers) in events {
        let (headers, body) = (format!("NATS/1.0\r\n{headers}\r\n\r\n"), body(*n));
        let (begin, all) = (headers.len(), headers.len() + body.len());
        said.extend(b"HPUB ");
        said.extend(*subject);
        said.extend(format!(" {begin} {all}\r\n{headers}{body}\r\n").into_bytes());
    }
    wire.write_all(&said).await.unwrap();
}

/// The numbers of the events in lines of JSON, in their order.
fn numbers(lines: &str) -> Vec<u64> {
    let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter_map(|event| event["info"]["n"].as_u64()).collect()
}

/// The consumer of whoever follows.
async fn its_consumer(stack: &Stack) -> Option<Info> {
    let events = stack.streams.js.get_stream("EVENTS").await.unwrap();
    let consumers: Vec<Info> = events.consumers().try_collect().await.unwrap();
    consumers.into_iter().find(|info| info.config.filter_subjects.iter().any(|filter| filter.contains(".test.")))
}

/// `emote events -f` of those events, over this address; it has begun to read.
async fn following(stack: &Stack, url: &str) -> Process {
    let mut command = Command::new(built().join("emote"));
    command.args(["events", "-f", "--scope", "test", "-o", "json", "--server", url]);
    let following = Process::start("follow", command, &stack.logs);
    until("it reads", async || its_consumer(stack).await.is_some()).await;
    following
}

#[tokio::test]
async fn an_entry_whose_headers_are_none_is_folded_without_them_and_reading_goes_on() {
    let mut stack =
        Stack::new().file("rules/counted.yaml", COUNTED).expect_error("no header version line found").start().await;
    publish(&stack, &[(1, NONE), (2, "also none"), (3, "Nats-Msg-Id: third")]).await;
    let log = stack.config.join("data/events.jsonl");
    until("all three are logged", async || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        (1..=3).all(|n| text.contains(&format!("\"n\":{n}")))
    })
    .await;
    assert!(stack.broker.is_running());
}

#[tokio::test]
async fn an_entry_whose_subject_is_none_is_told_of_and_reading_goes_on() {
    let stack =
        Stack::new().file("rules/counted.yaml", COUNTED).expect_error("HMSG").expect_error("utf-8").start().await;
    let following = following(&stack, &stack.nats.url()).await;
    let odd: [&[u8]; 2] = [b"events.manual.C02.test.\xff", "events.manual.C02.test.a\u{a0}b".as_bytes()];
    let (none, fine) = ((3, SUBJECT.as_bytes(), "A: b\r\n\r\n c"), (4, SUBJECT.as_bytes(), "A: b"));
    publish_under(&stack, &[(1, odd[0], "A: b"), (2, odd[1], "A: b"), none, fine]).await;
    until("what comes behind them is shown", async || numbers(&following.log()) == [3, 4]).await;
    let rejected = async || {
        let shown = stack.shown(&["events", "--action", "rejected", "-o", "json"]).await;
        let events = shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.map(|event| event["info"]["sequence"].as_u64().unwrap()).collect::<BTreeSet<_>>()
    };
    until("both are told of", async || rejected().await == BTreeSet::from([1, 2])).await;
    assert!(following.log().contains("#1 events.manual"), "{}", following.log());
}

#[tokio::test]
async fn whoever_follows_or_looks_is_shown_entries_whose_headers_are_none() {
    let stack = Stack::new().expect_error("no header version line found").start().await;
    let following = following(&stack, &stack.nats.url()).await;
    publish(&stack, &[(1, "Nats-Msg-Id: first"), (2, NONE)]).await;
    until("both came", async || numbers(&following.log()).len() == 2).await;
    publish(&stack, &[(3, NONE), (4, NONE), (5, "Nats-Msg-Id: fifth"), (6, NONE), (7, "A: b")]).await;
    until("all came", async || numbers(&following.log()).contains(&7)).await;
    assert_eq!(numbers(&following.log()), [1, 2, 3, 4, 5, 6, 7], "{}", following.log());
    let shown = stack.shown(&["events", "--scope", "test", "-o", "json"]).await;
    assert_eq!(numbers(&shown), [1, 2, 3, 4, 5, 6, 7], "{shown}");
    let last: Value = serde_json::from_str(shown.lines().last().unwrap()).unwrap();
    let traced = stack.shown(&["trace", last["id"].as_str().unwrap()]).await;
    assert!(traced.contains("test.counted"), "{traced}");
}

#[tokio::test]
async fn following_begun_anew_before_anything_came_shows_nothing_of_before() {
    let stack = Stack::new().start().await;
    for n in 1..=3 {
        stack.streams.publish(SUBJECT, body(n)).await;
    }
    let wire = Wire::to(stack.nats.port).await;
    let following = following(&stack, &wire.url).await;
    // The server says that it is gone, and nothing where the connection is.
    let its = its_consumer(&stack).await.unwrap();
    let events = stack.streams.js.get_stream("EVENTS").await.unwrap();
    events.delete_consumer(&its.name).await.unwrap();
    stack.streams.publish(SUBJECT, body(4)).await;
    until("it goes on", async || !numbers(&following.log()).is_empty()).await;
    wire.cut();
    stack.streams.publish(SUBJECT, body(5)).await;
    until("it goes on", async || numbers(&following.log()).contains(&5)).await;
    assert_eq!(numbers(&following.log()), [4, 5], "{}", following.log());
}

/// nats-server leaves out what one filter wants between a start time and the first that another filter wants.
#[tokio::test]
async fn a_node_of_two_keys_is_shown_whole_from_a_time_on() {
    let stack = Stack::new().without_broker().start().await;
    stack.streams.make_events().await;
    let publish =
        async |node: &str, n: u64| stack.streams.publish(&format!("events.manual.{node}.test.counted"), body(n)).await;
    let stored = async || {
        let stored = stack.streams.read("EVENTS", "events.>").await;
        let millis =
            stored.iter().map(|message| (message.json()["info"]["n"].as_u64().unwrap(), message.at / 1_000_000));
        millis.collect::<BTreeMap<_, _>>()
    };
    publish("C02", 1).await;
    until("a later millisecond", async || {
        publish("C03", 2).await;
        let at = stored().await;
        at[&2] > at[&1]
    })
    .await;
    for (node, n) in [("C02", 3), ("C03", 4), ("U-1", 5), ("C03", 6)] {
        publish(node, n).await;
    }
    let since = Time::from_millis(i64::try_from(stored().await[&2]).unwrap()).unwrap();
    let bus = Bus::connect(&BusSettings::local(stack.nats.url(), "test")).await.unwrap();
    let filters = ["C02", "U-1"].map(|node| format!("events.*.{node}.>")).to_vec();
    let mut tail = bus.tail(filters, TailStart::Time(since)).await.unwrap();
    let mut shown = Vec::new();
    while let Some(entry) = tail.read_there().await.unwrap() {
        shown.push(serde_json::from_slice::<Value>(&entry.payload).unwrap()["info"]["n"].as_u64().unwrap());
    }
    assert_eq!(shown, [3, 5]);
}

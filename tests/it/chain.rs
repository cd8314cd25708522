//! Chained publish: what is stored is always a beginning of what was sent. And what is read before it.

use std::time::Duration;

use emote::bus::{BatchError, Behind, Bus, BusSettings, Outgoing, Place, StreamSettings};
use emote_tests::Stack;

fn job(n: u64) -> (Outgoing, Place) {
    let message =
        Outgoing { subject: "deliver.log.rule".to_owned(), headers: Vec::new(), payload: n.to_string().into() };
    (message, Place { sequence: n, jobs: 0 })
}

/// The end of DELIVERIES.
/// All but when the stream was made.
fn uncreated(behind: Behind) -> Behind {
    Behind { created: String::new(), ..behind }
}

fn end(last: u64, copies: usize) -> Behind {
    Behind { last, copies, ..Behind::default() }
}

async fn bus(stack: &Stack) -> Bus {
    let bus = Bus::connect(&BusSettings::local(stack.nats.url(), "chain")).await.unwrap();
    bus.ensure_streams(&StreamSettings::default()).await.unwrap();
    bus
}

async fn stored(stack: &Stack) -> Vec<String> {
    let jobs = stack.streams.read("DELIVERIES", "deliver.>").await;
    jobs.iter().map(|job| String::from_utf8(job.payload.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn a_message_that_takes_anothers_place_ends_the_chain() {
    let stack = Stack::new().without_broker().start().await;
    let bus = bus(&stack).await;
    let mut chain = bus.chain(&end(0, 1)).await.unwrap();
    assert_eq!(chain.send(vec![job(1), job(2)]).await, Ok(2));
    assert_eq!(chain.answer().await, Ok(2));
    stack.streams.publish("deliver.log.rule", "garbage").await;
    // The third has lost its place, and the fourth finds the sequence that it expects.
    assert_eq!(chain.send(vec![job(3), job(4)]).await, Ok(4));
    let answer = chain.answer().await;
    assert!(matches!(answer, Err(BatchError::Refused { .. } | BatchError::WrongLastSequence { .. })), "{answer:?}");
    assert_eq!(stored(&stack).await, ["1", "2", "garbage"]);
    let behind = bus.behind(Some(1)).await.unwrap();
    assert_eq!((behind.copies, bus.copies().await.unwrap()), (1, 1));
    assert_eq!((behind.last, behind.place), (3, Some(Place { sequence: 2, jobs: 0 })));
    assert!(behind.left_over.is_empty(), "what carries no job is no job that was left over");
    assert_eq!(uncreated(bus.behind(None).await.unwrap()), end(3, 1), "without a checkpoint nothing is behind it");
}

#[tokio::test]
async fn whoever_begins_a_chain_ends_the_one_before() {
    let stack = Stack::new().without_broker().start().await;
    let bus = bus(&stack).await;
    let (mut one, mut other) = (bus.chain(&end(0, 1)).await.unwrap(), bus.chain(&end(2, 1)).await.unwrap());
    one.send(vec![job(1), job(2)]).await.unwrap();
    assert_eq!(one.answer().await, Ok(2));
    other.send(vec![job(3)]).await.unwrap();
    assert_eq!(other.answer().await, Ok(3));
    // The first finds its place taken, the last the sequence that it expects, but not the message.
    one.send(vec![job(30), job(4), job(5)]).await.unwrap();
    assert!(one.answer().await.is_err());
    other.send(vec![job(4)]).await.unwrap();
    other.send(vec![job(5), job(6)]).await.unwrap();
    assert_eq!((other.unanswered(), other.answer().await, other.answer().await), (2, Ok(4), Ok(6)));
    assert_eq!(stored(&stack).await, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(bus.behind(Some(3)).await.unwrap().place, Some(Place { sequence: 6, jobs: 0 }));
    assert_eq!(bus.behind(Some(6)).await.unwrap().place, None);
    assert_eq!(
        uncreated(bus.behind(None).await.unwrap()),
        end(6, 1),
        "without a checkpoint only the end is looked for"
    );
}

#[tokio::test]
async fn into_several_copies_goes_one_message_at_a_time() {
    let stack = Stack::new().without_broker().start().await;
    let bus = bus(&stack).await;
    let mut chain = bus.chain(&end(0, 3)).await.unwrap();
    assert!(!chain.runs_ahead());
    assert!(chain.send(vec![job(1), job(2)]).await.is_err());
    assert_eq!(chain.send(vec![job(1)]).await, Ok(1));
    assert!(chain.send(vec![job(2)]).await.is_err(), "the first is not answered yet");
    assert_eq!(chain.answer().await, Ok(1));
    let stored = stack.streams.read("DELIVERIES", "deliver.>").await;
    let ids = ["Nats-Msg-Id", "Nats-Expected-Last-Msg-Id"].map(|name| stored[0].header(name));
    assert_eq!(ids, ["", ""], "nats-server 2.15 ends a stream of several copies at an id that is not expected");
}

#[tokio::test]
async fn a_reader_asks_again_when_nothing_came_and_ends_with_its_consumer() {
    let stack = Stack::new().without_broker().start().await;
    let bus = bus(&stack).await;
    let mut reader = bus.read_events(0, 0).await.unwrap();
    // Longer than what is asked for is waited for.
    let nothing = tokio::time::timeout(Duration::from_secs(12), reader.next_run()).await;
    assert!(nothing.is_err(), "nothing was published");
    stack.streams.publish("events.test.-.a.b", "1").await;
    let mut next = async || tokio::time::timeout(Duration::from_secs(5), reader.next_run()).await.expect("an answer");
    let run = next().await.unwrap();
    assert_eq!(run.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1]);
    let events = stack.streams.js.get_stream("EVENTS").await.unwrap();
    assert!(events.delete_consumer("core-0").await.unwrap().success);
    let ended = next().await.unwrap_err().to_string();
    assert!(ended.contains("Consumer Deleted"), "{ended}");
}

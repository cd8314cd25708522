//! What is left of a batch that broke off is known to be there: behind the checkpoint, and of an agent's events.

use async_nats::HeaderMap;
use emote_agent::uplink::{Flight, Saved};
use emote_tests::{Stack, until};
use jiff::Timestamp;
use serde_json::json;

const COUNTED: &str = "pattern: {scope: [test]}\ntargets: [log]\n";
const SUBJECT: &str = "events.agent.C02.test.counted";

/// nats-server 2.15 stores the first messages of a batch that it refuses because the disk became full within it.
#[tokio::test]
async fn a_job_that_a_refused_batch_left_behind_is_not_given_out_again() {
    let mut stack = Stack::new().file("rules/counted.yaml", COUNTED).start().await;
    let event = |n: u64| {
        let id = format!("683b83c6-3a78-53e0-b3bf-6958b1ebe33{n}");
        json!({"id": id, "scope": "test", "action": "counted", "info": {"n": n}}).to_string()
    };
    stack.streams.publish(SUBJECT, event(1)).await;
    stack.settled().await;
    stack.broker.kill();
    stack.streams.publish(SUBJECT, event(2)).await;
    stack.streams.publish(SUBJECT, event(3)).await;
    let first = stack.streams.jobs().await.into_iter().find(|job| job.subject == "deliver.log.counted").unwrap();
    let job = |n: u64, text: &str| {
        text.replace("6958b1ebe331", &format!("6958b1ebe33{n}")).replace("\"n\":1", &format!("\"n\":{n}"))
    };
    // Earlier versions told a job by a header.
    let mut earlier = HeaderMap::new();
    earlier.insert("Emote-Job", job(2, &first.job()).as_str());
    for (n, headers) in [(2, earlier), (3, HeaderMap::new())] {
        let left_over = job(n, std::str::from_utf8(&first.payload).unwrap());
        let publish = stack.streams.js.publish_with_headers(first.subject.clone(), headers, left_over.into());
        publish.await.unwrap().await.unwrap();
    }
    stack.broker.start().await;
    stack.settled().await;
}

/// An agent that was killed before it had the answer to its last try, of which the stream has the first `kept` events: what
/// the server says of the last one's id is `answer`.
async fn an_agent_in_doubt(kept: Option<usize>, answer: &str) {
    let mut stack = Stack::new().agent("C02XL0GTJGH5").start().await;
    let agent = &stack.agents[0];
    until("the agent has sent what it had", || async { agent.waiting().await == Some(0) }).await;
    stack.nats.stop().await;
    let agent = &mut stack.agents[0];
    let mut ids = Vec::new();
    for n in 0..6 {
        let event = json!({"scope": "test", "action": "counted", "info": {"n": n}, "log": true});
        ids.push(agent.emit(event).await.expect("the agent takes events without a server"));
    }
    agent.kill();

    let spool = agent.spool();
    let range = spool.next_range(&[], 100, 1 << 20).unwrap().expect("there are events");
    let records = spool.read(&range).unwrap();
    let flight = Flight { first: *range.start(), last: *range.end(), tried_at: Timestamp::now().as_millisecond() };
    spool.settle(&[], &Saved { flight: Some(flight), ..spool.saved().unwrap() }).unwrap();
    drop(spool);
    assert!(records.len() >= ids.len(), "{records:?}");
    stack.nats.start_again().await;
    for (_, record) in records.iter().take(kept.unwrap_or(records.len())) {
        stack.streams.publish_as(&record.id.to_string(), &record.subject, record.json.clone()).await;
    }
    stack.agents[0].env("EMOTE_LOG", "emote_agent=debug");
    stack.agents[0].start().await;
    let agent = &stack.agents[0];
    until("the spool is empty", || async { agent.waiting().await == Some(0) }).await;
    let events = stack.has_each_once(&ids).await;
    let logged = stack.logged();
    let asked: Vec<_> = logged.lines().filter(|line| line.contains("asked question=Known")).collect();
    assert!(asked.last().is_some_and(|line| line.contains(answer)), "{asked:?}");
    assert!(!events.iter().any(|event| event.subject.ends_with("agent.conflict")), "nobody else wrote");
}

#[tokio::test]
async fn what_a_refused_batch_left_of_an_agents_events_is_not_taken_for_all_of_them() {
    an_agent_in_doubt(Some(2), "WrongLast").await;
}

#[tokio::test]
async fn what_an_agent_sent_before_it_was_killed_is_not_sent_again() {
    an_agent_in_doubt(None, "Duplicate").await;
}

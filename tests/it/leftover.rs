//! What a batch that broke off left behind the checkpoint is known to be there.

use emote_tests::Stack;
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
    let first = stack.streams.jobs().await.into_iter().find(|job| job.subject == "deliver.log.counted").unwrap();
    let job = |text: &str| text.replace("6958b1ebe331", "6958b1ebe332").replace("\"n\":1", "\"n\":2");
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Emote-Job", job(&first.header("Emote-Job")).as_str());
    let left_over = job(std::str::from_utf8(&first.payload).unwrap());
    stack.streams.js.publish_with_headers(first.subject, headers, left_over.into()).await.unwrap().await.unwrap();
    stack.broker.start().await;
    stack.settled().await;
}

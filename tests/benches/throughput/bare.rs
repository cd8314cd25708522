//! What the same client and server do without a core: the ceiling, and the way one would write it first.

use std::collections::VecDeque;

use async_nats::{
    HeaderMap,
    jetstream::{
        AckKind, Message,
        consumer::{AckPolicy, pull},
    },
};
use emote_proto::{header, stream};
use emote_rules::{Pattern, RuleSet, Scratch};
use futures_util::{StreamExt, TryStreamExt};

use crate::{RULES, core::MATCHING, log::Log, pattern, spent::Spent};

/// Messages of a batch, the checkpoint's place included.
const BATCH: usize = 1_000;

async fn messages(log: &Log, ack_policy: AckPolicy) -> pull::Stream {
    let events = log.js.get_stream(stream::EVENTS).await.unwrap();
    let config = pull::Config { ack_policy, max_ack_pending: 20_000, ..pull::Config::default() };
    let consumer = events.create_consumer(config).await.unwrap();
    consumer.stream().max_messages_per_batch(BATCH).messages().await.unwrap()
}

/// Reads everything, acknowledging every thousandth message.
pub(crate) async fn read(log: &Log) -> Spent {
    let length = log.length().await;
    let mut messages = messages(log, AckPolicy::All).await;
    let began = log.moment();
    for n in 1..=length {
        let message = messages.try_next().await.unwrap().unwrap();
        if n % BATCH as u64 == 0 || n == length {
            message.ack_with(AckKind::Ack).await.unwrap();
        }
    }
    log.moment() - began
}

/// Reads a thousand, writes as many of `size` bytes as one atomic batch, acknowledges, and again.
pub(crate) async fn read_and_batch(log: &Log, size: usize) -> Spent {
    log.forget_jobs().await;
    let length = usize::try_from(log.length().await).unwrap();
    let payload = bytes(size);
    let mut messages = messages(log, AckPolicy::All).await;
    let (began, mut done) = (log.moment(), 0);
    while done < length {
        let count = (BATCH - 1).min(length - done);
        let run: Vec<Message> = messages.by_ref().take(count).try_collect().await.unwrap();
        write_batch(log, done, &run, &payload).await;
        run.last().unwrap().ack_with(AckKind::Ack).await.unwrap();
        done += count;
    }
    log.moment() - began
}

async fn write_batch(log: &Log, number: usize, run: &[Message], payload: &axum::body::Bytes) {
    let batch = format!("bare-{number}");
    for (index, _) in run.iter().enumerate() {
        let mut headers = HeaderMap::new();
        headers.insert(header::BATCH_ID, batch.as_str());
        headers.insert(header::BATCH_SEQUENCE, (index + 1).to_string());
        if index + 1 < run.len() {
            log.client.publish_with_headers("deliver.log.rule-0000", headers, payload.clone()).await.unwrap();
            continue;
        }
        headers.insert(header::BATCH_COMMIT, "1");
        let request = async_nats::Request::new().headers(headers).payload(payload.clone());
        let reply = log.client.send_request("deliver.log.rule-0000", request).await.unwrap();
        assert!(!reply.payload.windows(7).any(|part| part == b"\"error\""), "{:?}", reply.payload);
    }
}

/// Reads, matches and publishes each by itself, a thousand acknowledgements on the way; acknowledges every thousandth message,
/// or each by itself. Loses or doubles at a crash.
pub(crate) async fn naive(log: &Log, size: usize, ack_policy: AckPolicy) -> Spent {
    log.forget_jobs().await;
    let patterns = (0..RULES).map(|n| (n, Pattern::parse(&pattern(MATCHING, n)).unwrap()));
    let (rules, mut scratch) = (RuleSet::build(patterns), Scratch::default());
    let (length, payload) = (log.length().await, bytes(size));
    let mut messages = messages(log, ack_policy).await;
    let (began, mut acks) = (log.moment(), VecDeque::new());
    for n in 1..=length {
        let message = messages.try_next().await.unwrap().unwrap();
        let matched: Vec<u64> = rules.find(&message.payload, &mut scratch).unwrap().copied().collect();
        for rule in matched {
            let subject = format!("deliver.log.rule-{rule:04}");
            acks.push_back(log.js.publish(subject, payload.clone()).await.unwrap().into_future());
        }
        if acks.len() >= BATCH {
            acks.pop_front().unwrap().await.unwrap();
        }
        if ack_policy == AckPolicy::Explicit || n % BATCH as u64 == 0 || n == length {
            message.ack_with(AckKind::Ack).await.unwrap();
        }
    }
    for ack in acks {
        ack.await.unwrap();
    }
    log.moment() - began
}

fn bytes(size: usize) -> axum::body::Bytes {
    vec![b'x'; size.saturating_sub(150).max(1)].into()
}

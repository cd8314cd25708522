//! Answers heartbeats with the time, as a broker does, but for a clock that can be wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use emote_proto::{ClockAnswer, Time, clock_answer_subject, header, subjects};
use futures_util::StreamExt;

/// Ended with the test's runtime.
pub(crate) struct Broker {
    ahead: Arc<AtomicU64>,
    told: Arc<AtomicU64>,
}

impl Broker {
    pub(crate) async fn start(port: u16, by: Duration) -> Self {
        let client = async_nats::connect(format!("nats://127.0.0.1:{port}")).await.unwrap();
        let mut heartbeats = client.queue_subscribe(subjects::HEARTBEATS, "emote".into()).await.unwrap();
        client.flush().await.unwrap();
        let broker = Self { ahead: Arc::default(), told: Arc::default() };
        broker.set(by);
        let (ahead, told) = (Arc::clone(&broker.ahead), Arc::clone(&broker.told));
        tokio::spawn(async move {
            while let Some(heartbeat) = heartbeats.next().await {
                let now = jiff::Timestamp::now() + Duration::from_millis(ahead.load(Ordering::Relaxed));
                let Some(word) = heartbeat.headers.and_then(|headers| headers.get(header::CLOCK).cloned()) else {
                    continue;
                };
                let subject = clock_answer_subject(&heartbeat.subject, word.as_str()).unwrap();
                let answer = ClockAnswer { word: word.as_str().into(), time: Time::from(now) };
                client.publish(subject, serde_json::to_vec(&answer).unwrap().into()).await.unwrap();
                told.fetch_add(1, Ordering::Relaxed);
            }
        });
        broker
    }

    pub(crate) fn set(&self, ahead: Duration) {
        self.ahead.store(u64::try_from(ahead.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// How many answers were given.
    pub(crate) fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }
}

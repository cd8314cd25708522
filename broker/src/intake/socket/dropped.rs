//! What a socket could not take, and whom that is told: the counts at once, the log and the stream now and then.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use emote_proto::Time;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Reach;
use crate::ingest::{Refusal, Source, own};

/// How often it is told, while there is something to tell.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// The last of it must be told within this time when the socket closes.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// What was not taken at a socket.
pub(super) struct Dropped {
    source: Arc<Source>,
    socket: String,
    reach: Reach,
    /// What is not told yet, by reason.
    untold: Mutex<BTreeMap<&'static str, u64>>,
}

impl Dropped {
    pub(super) fn new(source: Arc<Source>, socket: String, reach: Reach) -> Self {
        Self { source, socket, reach, untold: Mutex::default() }
    }

    /// A message was refused, or its sender was.
    pub(super) fn refused(&self, refusal: &Refusal) {
        tracing::debug!(source = %self.source.name(), socket = self.socket, %refusal, "a message is dropped");
        self.count(refusal.word(), 1);
    }

    /// So many are lost for this reason.
    pub(super) fn count(&self, word: &'static str, count: u64) {
        if count == 0 {
            return;
        }
        self.reach.sources.counts().several_refused(self.source.name().as_str(), word, count);
        *self.untold.lock().unwrap_or_else(PoisonError::into_inner).entry(word).or_default() += count;
    }

    /// Tells what there is to tell each few seconds, and once more at the end.
    pub(super) async fn tell(&self, stop: CancellationToken) {
        let mut every = tokio::time::interval(TOLD_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        every.tick().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = every.tick() => self.tell_now().await,
            }
        }
        if tokio::time::timeout(LAST_WITHIN, self.tell_now()).await.is_err() {
            tracing::debug!(source = %self.source.name(), "what was dropped last is not told");
        }
    }

    async fn tell_now(&self) {
        let untold = std::mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner));
        if untold.is_empty() {
            return;
        }
        let (source, count) = (self.source.name(), untold.values().sum::<u64>());
        tracing::warn!(%source, socket = self.socket, count, reasons = ?untold, "messages were dropped");
        let info = json!({"count": count, "reasons": untold, "socket": self.socket, "broker": self.reach.broker});
        let event = own::event_of_now(source, "dropped", info, Time::from(jiff::Timestamp::now()));
        let told = match event {
            Ok((subject, id, json)) => self.reach.publisher.publish(vec![(subject, id, json)]).await,
            Err(error) => return tracing::warn!(%source, %error, "what was dropped cannot be told"),
        };
        if let Err(error) = told {
            tracing::debug!(%source, %error, "what was dropped is told later");
            let mut now = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
            untold.into_iter().for_each(|(word, count)| *now.entry(word).or_default() += count);
        }
    }
}

//! The last entries of EVENTS that a page shows: read from as far back as it takes, whatever the log holds before that.

use async_nats::jetstream::{
    consumer::{DeliverPolicy, pull},
    stream::Stream,
};
use emote_proto::stream;
use futures_util::StreamExt;

use super::{Bus, EventMessage, ReadError, events::owned};

/// The place to begin at is looked for until no more than this many times too much is read.
const SLACK: u64 = 4;
/// How long the next entry may be waited for where one is known to be there.
const NEXT_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

impl Bus {
    /// The last `count` entries under `filters` (none for all), the oldest first. Looks for where they begin by halves: each
    /// look asks the server how many are behind a place, and reads nothing.
    pub async fn latest_events(&self, filters: Vec<String>, count: usize) -> Result<Vec<EventMessage>, ReadError> {
        let mut events = self.js.get_stream(stream::EVENTS).await.map_err(|error| read(&error))?;
        let state = events.info().await.map_err(|error| read(&error))?.state.clone();
        let wanted = u64::try_from(count).unwrap_or(u64::MAX);
        let (mut from, mut to) = (state.first_sequence.max(1), state.last_sequence.saturating_add(1));
        let mut there = pending(&events, &filters, from).await?;
        while there > wanted.saturating_mul(SLACK) && to - from > 1 {
            let middle = from + (to - from) / 2;
            match pending(&events, &filters, middle).await? {
                enough if enough >= wanted => (from, there) = (middle, enough),
                _ => to = middle,
            }
        }
        let mut found = read_from(&events, filters, from, there).await?;
        found.drain(..found.len().saturating_sub(count));
        Ok(found)
    }
}

fn read(error: &dyn std::fmt::Display) -> ReadError {
    ReadError(error.to_string())
}

fn config(filters: &[String], from: u64) -> pull::OrderedConfig {
    let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: from };
    pull::OrderedConfig { filter_subjects: filters.to_vec(), deliver_policy, ..pull::OrderedConfig::default() }
}

/// How many entries there are at `from` and behind it.
async fn pending(events: &Stream, filters: &[String], from: u64) -> Result<u64, ReadError> {
    let consumer = events.create_consumer(config(filters, from)).await.map_err(|error| read(&error))?;
    let (name, pending) = (consumer.cached_info().name.clone(), consumer.cached_info().num_pending);
    if let Err(error) = events.delete_consumer(&name).await {
        tracing::debug!(%error, "a consumer that only counted is left to its end");
    }
    Ok(pending)
}

async fn read_from(
    events: &Stream,
    filters: Vec<String>,
    from: u64,
    mut left: u64,
) -> Result<Vec<EventMessage>, ReadError> {
    let mut found = Vec::new();
    if left == 0 {
        return Ok(found);
    }
    let consumer = events.create_consumer(config(&filters, from)).await.map_err(|error| read(&error))?;
    let mut messages = consumer.messages().await.map_err(|error| read(&error))?;
    while left > 0 {
        let next = tokio::time::timeout(NEXT_WITHIN, messages.next()).await;
        let Some(message) = next.map_err(|_| read(&"the rest did not come"))? else { break };
        let (entry, _) = owned(&mut message.map_err(|error| read(&error))?.message).map_err(|error| read(&error))?;
        // What came meanwhile is not counted: reading ends.
        left = (left - 1).min(entry.pending);
        found.push(entry);
    }
    Ok(found)
}

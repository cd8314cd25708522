//! The last entries of EVENTS that a page shows: read from as far back as it takes, whatever the log holds before that.

use async_nats::jetstream::{consumer::DeliverPolicy, stream::Stream};
use emote_proto::stream;

use super::{Bus, EventMessage, ReadError, ordered::Wanted};

/// The place to begin at is looked for until no more than this many times too much is read.
const SLACK: u64 = 4;

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
        let mut found = self.read_all(of_events(&filters, from), |message| Some(message.into())).await?;
        found.drain(..found.len().saturating_sub(count));
        Ok(found)
    }
}

fn read(error: &dyn std::fmt::Display) -> ReadError {
    ReadError(error.to_string())
}

fn of_events(filters: &[String], from: u64) -> Wanted {
    Wanted::of(stream::EVENTS, filters.to_vec(), DeliverPolicy::ByStartSequence { start_sequence: from })
}

/// How many entries there are at `from` and behind it.
async fn pending(events: &Stream, filters: &[String], from: u64) -> Result<u64, ReadError> {
    let consumer = events.create_consumer(of_events(filters, from).config()).await.map_err(|error| read(&error))?;
    let (name, pending) = (consumer.cached_info().name.clone(), consumer.cached_info().num_pending);
    if let Err(error) = events.delete_consumer(&name).await {
        tracing::debug!(%error, "a consumer that only counted is left to its end");
    }
    Ok(pending)
}

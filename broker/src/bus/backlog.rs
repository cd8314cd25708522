//! How full the streams are and what waits in them, for `emote targets`, health checks and metrics. Asked of the streams
//! themselves, so it is true whether or not a broker runs.

use std::collections::BTreeMap;

use async_nats::jetstream::{
    context::{ConsumerInfoErrorKind, GetStreamErrorKind},
    stream::{RawMessageErrorKind, Stream},
};
use emote_proto::{Name, Time, consumer, stream, subjects};
use futures_util::{StreamExt, TryStreamExt, stream as futures};

use super::{Bus, BusError, events::time, kept::no_answer};

const STREAM_NOT_FOUND: u64 = 10059;
/// Targets whose oldest job is looked for at once.
const AT_ONCE: usize = 16;

/// What waits for a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Jobs that have not ended, those under way included.
    pub jobs: u64,
    /// When the oldest of them was stored.
    pub oldest: Option<Time>,
}

/// How full a stream is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamState {
    /// Messages in it.
    pub messages: u64,
    /// Their size.
    pub bytes: u64,
    /// Sequence of its last message, there or not; 0 for none.
    pub last: u64,
}

/// How far a target's workers are.
struct Reached {
    target: Name,
    jobs: u64,
    /// Everything up to this sequence of DELIVERIES has ended.
    ended: u64,
}

impl Bus {
    /// How full each of Emote's streams is. One that is missing is an error that says so.
    pub async fn stream_states(&self) -> Result<BTreeMap<&'static str, StreamState>, BusError> {
        let mut states = BTreeMap::new();
        for name in [stream::EVENTS, stream::DELIVERIES, stream::DEAD] {
            let found = self.js.get_stream(name).await.map_err(|error| match error.kind() {
                GetStreamErrorKind::JetStream(refusal) if refusal.error_code().0 == STREAM_NOT_FOUND => {
                    BusError::Unfit(format!("there is no stream {name}: a broker makes it when it starts"))
                }
                _ => no_answer("looking at the streams")(&error),
            })?;
            let state = &found.cached_info().state;
            let (messages, bytes, last) = (state.messages, state.bytes, state.last_sequence);
            states.insert(name, StreamState { messages, bytes, last });
        }
        Ok(states)
    }

    /// When the first entry of EVENTS behind `position` was stored; `None` where there is none.
    pub async fn first_event_behind(&self, position: u64) -> Result<Option<Time>, BusError> {
        let failed = no_answer("looking behind the checkpoint");
        let events = self.js.get_stream_no_info(stream::EVENTS).await.map_err(|error| failed(&error))?;
        first_behind(&events, subjects::EVENTS, position).await.map_err(|error| failed(&error))
    }

    /// What waits for each target that has been worked on or has jobs, configured or not.
    pub async fn backlogs(&self) -> Result<BTreeMap<Name, Backlog>, BusError> {
        let failed = no_answer("looking for jobs that wait");
        let deliveries = self.js.get_stream_no_info(stream::DELIVERIES).await.map_err(|error| failed(&error))?;
        let looked = futures::iter(self.reached(&deliveries).await?).map(|Reached { target, jobs, ended }| {
            let deliveries = &deliveries;
            async move {
                let subject = subjects::deliver_all(&target);
                let oldest = if jobs == 0 { Ok(None) } else { first_behind(deliveries, &subject, ended).await };
                oldest.map(|oldest| (target, Backlog { jobs, oldest }))
            }
        });
        looked.buffer_unordered(AT_ONCE).try_collect().await.map_err(|error| failed(&error))
    }

    /// What of EVENTS is not archived yet; `None` where nothing ever was.
    pub async fn archive_backlog(&self) -> Result<Option<Backlog>, BusError> {
        let failed = no_answer("looking for what is not archived yet");
        let events = self.js.get_stream_no_info(stream::EVENTS).await.map_err(|error| failed(&error))?;
        let info = match events.consumer_info(consumer::ARCHIVE).await {
            Ok(info) => info,
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let jobs = info.num_pending.saturating_add(info.num_ack_pending as u64);
        let reached = info.ack_floor.stream_sequence;
        let oldest = if jobs == 0 { Ok(None) } else { first_behind(&events, subjects::EVENTS, reached).await };
        Ok(Some(Backlog { jobs, oldest: oldest.map_err(|error| failed(&error))? }))
    }

    /// The targets that have been worked on or have jobs, and how many jobs of each have not ended.
    pub async fn targets_with_jobs(&self) -> Result<Vec<(Name, u64)>, BusError> {
        let failed = no_answer("looking for jobs that wait");
        let deliveries = self.js.get_stream_no_info(stream::DELIVERIES).await.map_err(|error| failed(&error))?;
        let reached = self.reached(&deliveries).await?;
        Ok(reached.into_iter().map(|Reached { target, jobs, .. }| (target, jobs)).collect())
    }

    async fn reached(&self, deliveries: &Stream<()>) -> Result<Vec<Reached>, BusError> {
        let failed = no_answer("looking for jobs that wait");
        let mut reached = BTreeMap::new();
        // Of a target that no worker was ever there for, all that is stored waits.
        for (subject, jobs) in counts(deliveries, subjects::DELIVER).await.map_err(|error| failed(&error))? {
            if let Some(target) = subject.split('.').nth(1).and_then(|target| Name::new(target).ok()) {
                let of = reached.entry(target.clone()).or_insert(Reached { target, jobs: 0, ended: 0 });
                of.jobs = of.jobs.saturating_add(jobs);
            }
        }
        let mut consumers = deliveries.consumers();
        while let Some(info) = consumers.try_next().await.map_err(|error| failed(&error))? {
            if let Some(target) = consumer::target_of(&info.name) {
                let jobs = info.num_pending.saturating_add(info.num_ack_pending as u64);
                let ended = info.ack_floor.stream_sequence;
                reached.insert(target.clone(), Reached { target, jobs, ended });
            }
        }
        Ok(reached.into_values().collect())
    }

    /// How many dead letters there are of each target, by its name as it stands in the subject.
    pub async fn dead_by_target(&self) -> Result<BTreeMap<String, u64>, BusError> {
        let failed = no_answer("counting dead letters");
        let dead = self.js.get_stream_no_info(stream::DEAD).await.map_err(|error| failed(&error))?;
        let mut targets = BTreeMap::new();
        for (subject, letters) in counts(&dead, subjects::DEAD).await.map_err(|error| failed(&error))? {
            let target = subject.split('.').nth(1).unwrap_or_default().to_owned();
            *targets.entry(target).or_default() += letters;
        }
        Ok(targets)
    }
}

/// When the first message under `subject` behind `position` was stored.
async fn first_behind(
    stream: &Stream<()>,
    subject: &str,
    position: u64,
) -> Result<Option<Time>, async_nats::jetstream::stream::RawMessageError> {
    match stream.get_first_raw_message_by_subject(subject, position.saturating_add(1)).await {
        Ok(message) => Ok(Some(time(message.time.unix_timestamp_nanos()))),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many messages there are under each subject that `filter` takes.
async fn counts(
    stream: &Stream<()>,
    filter: &str,
) -> Result<BTreeMap<String, u64>, async_nats::jetstream::stream::InfoError> {
    let subjects = stream.info_with_subjects(filter).await?;
    subjects.map_ok(|(subject, count)| (subject, count as u64)).try_collect().await
}

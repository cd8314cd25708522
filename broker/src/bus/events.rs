//! Reading EVENTS in order.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use async_nats::{
    HeaderMap, Message,
    datetime::DateTime,
    jetstream::consumer::{AckPolicy, DeliverPolicy, pull},
};
use bytes::Bytes;
use emote_proto::{Time, consumer, stream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Bus,
    ordered::{Ordered, Stored, Wanted},
    pull::{Delivered, Pull, PullError, connects},
    raw::first_since,
    there::There,
    trouble::{NOT_BEGUN, is_not_there},
    unreadable::{AT_ONCE, unreadable},
};
use crate::core::{Entry, Parsed, Rejection};

/// Runs are cut at this many entries.
pub const RUN_ENTRIES: usize = 500;
const _: () = assert!(AT_ONCE <= RUN_ENTRIES, "what no client can be given is a run of its own");
/// Or when their bodies come to this many bytes.
const RUN_BYTES: usize = 4 * 1024 * 1024;
/// Entries asked for at once.
const ASKED_AT_ONCE: usize = 1_000;
/// Runs that are read while one is folded.
const RUNS_AHEAD: usize = 4;
/// Longer than entries may wait for the others of their segment (`archive.age`).
const ARCHIVED_WITHIN: Duration = Duration::from_secs(25 * 3600);
/// More entries than one cut of the archive has, and what is read ahead of it.
const ARCHIVED_AT_ONCE: i64 = 120_000;
/// How often it is looked whether the connection is still the same while nothing comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// An entry of EVENTS, owned.
#[derive(Debug, Clone)]
pub struct EventMessage {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the stream stored it.
    pub received: Time,
    /// Its subject.
    pub subject: async_nats::Subject,
    headers: Option<HeaderMap>,
    /// Its body.
    pub payload: Bytes,
    /// Entries behind it at the time of reading.
    pub pending: u64,
    /// What it says, where that was read ahead.
    parsed: Option<Result<Parsed, Rejection>>,
}

impl EventMessage {
    /// Its `Nats-Msg-Id`.
    pub fn message_id(&self) -> Option<&str> {
        let id = self.headers.as_ref()?.get(async_nats::header::NATS_MESSAGE_ID)?;
        Some(id.as_str())
    }

    /// What it says; read now where that was not done ahead. Only once: what was read is given away.
    pub fn parsed(&mut self) -> Result<Parsed, Rejection> {
        self.parsed.take().unwrap_or_else(|| Parsed::read(&self.subject, &self.payload))
    }

    /// Reads what it says. A mistake of ours is left to where it is asked for, to be told of.
    fn parse_ahead(&mut self) {
        self.parsed = catch_unwind(AssertUnwindSafe(|| Parsed::read(&self.subject, &self.payload))).ok();
    }

    /// The entry as the core takes it.
    pub fn entry(&self) -> Entry<'_> {
        Entry { message_id: self.message_id(), ..self.entry_without_id() }
    }

    /// [`EventMessage::entry`], without looking for its `Nats-Msg-Id`.
    pub fn entry_without_id(&self) -> Entry<'_> {
        Entry {
            sequence: self.sequence,
            received: self.received,
            subject: &self.subject,
            message_id: None,
            payload: &self.payload,
        }
    }
}

impl From<Stored> for EventMessage {
    fn from(message: Stored) -> Self {
        let Stored { sequence, stored: received, subject, headers, payload, pending } = message;
        Self { sequence, received, subject, headers, payload, pending, parsed: None }
    }
}

/// Reading stopped: begin again from the last position.
#[derive(Debug, thiserror::Error)]
#[error("reading EVENTS: {0}")]
pub struct ReadError(pub(super) String);

impl Bus {
    /// Reads EVENTS from behind `position`, for the core of `partition`. The durable consumer is made anew: where to
    /// read from is the checkpoint's business, the consumer shows the lag.
    pub async fn read_events(&self, partition: u32, position: u64) -> Result<Reader, ReadError> {
        let config = pull::Config {
            durable_name: Some(consumer::core(partition)),
            description: Some("Emote: the core; its position is the checkpoint's".to_owned()),
            ack_policy: AckPolicy::None,
            ..pull::Config::default()
        };
        self.read_anew(config, position).await
    }

    /// Reads EVENTS from behind `position`, for the archive. The durable consumer is made anew: where to read from is the
    /// archive's business, the consumer shows the lag.
    pub async fn read_for_archive(&self, position: u64) -> Result<Reader, ReadError> {
        let config = pull::Config {
            durable_name: Some(consumer::ARCHIVE.to_owned()),
            description: Some("Emote: the archive; its position is what is stored there".to_owned()),
            ack_policy: AckPolicy::All,
            ack_wait: ARCHIVED_WITHIN,
            max_ack_pending: ARCHIVED_AT_ONCE,
            ..pull::Config::default()
        };
        self.read_anew(config, position).await
    }

    async fn read_anew(&self, config: pull::Config, position: u64) -> Result<Reader, ReadError> {
        let read = |error: &dyn std::fmt::Display| ReadError(error.to_string());
        let events = self.js.get_stream_no_info(stream::EVENTS).await.map_err(|error| read(&error))?;
        let name = config.durable_name.as_deref().unwrap_or_default();
        if let Err(error) = events.delete_consumer(name).await {
            tracing::debug!(%error, "no consumer to replace");
        }
        self.reader(config, position).await
    }

    /// Reads EVENTS from behind `position`, for a broker that only looks on. Its consumer goes when it does.
    pub async fn look_on(&self, position: u64) -> Result<Reader, ReadError> {
        let config = pull::Config {
            description: Some("Emote: a broker that keeps its records up to date".to_owned()),
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(60),
            ..pull::Config::default()
        };
        self.reader(config, position).await
    }

    async fn reader(&self, config: pull::Config, position: u64) -> Result<Reader, ReadError> {
        let read = |error: &dyn std::fmt::Display| ReadError(error.to_string());
        let (client, connects) = (self.client.clone(), connects(&self.client));
        let first = unreadable(&client, stream::EVENTS, &[], position).await?;
        let position = first.last().map_or(position, |last| last.sequence);
        let acks = config.ack_policy != AckPolicy::None;
        let deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: position + 1 };
        let events = self.js.get_stream_no_info(stream::EVENTS).await.map_err(|error| read(&error))?;
        let config = pull::Config { deliver_policy, ..config };
        let consumer = events.create_consumer(config).await.map_err(|error| read(&error))?;
        let name = &consumer.cached_info().name;
        let messages = Pull::new(&client, stream::EVENTS, name, ASKED_AT_ONCE).await.map_err(|error| read(&error))?;
        let reading = Reading { messages, client: client.clone(), connects, delivered: 0, position };
        let (sender, runs) = mpsc::channel(RUNS_AHEAD);
        if !first.is_empty() {
            // There is room in it.
            let entries = first.into_iter().map(EventMessage::from).collect();
            sender.try_send(Ok(Run { entries, last: None })).ok();
        }
        let task = AbortOnDropHandle::new(tokio::spawn(reading.read_ahead(sender)));
        Ok(Reader { runs, client: acks.then_some(client), last: None, _task: task })
    }

    /// Reads EVENTS for a person: `filters` (none for all), from `start`, and on as events come.
    pub async fn tail(&self, filters: Vec<String>, start: TailStart) -> Result<Tail, ReadError> {
        let read = |error: &dyn std::fmt::Display| ReadError(error.to_string());
        let mut events = self
            .js
            .get_stream(stream::EVENTS)
            .await
            .map_err(|error| if is_not_there(&error) { ReadError(NOT_BEGUN.to_owned()) } else { read(&error) })?;
        let info = events.info().await.map_err(|error| read(&error))?;
        let last_sequence = info.state.last_sequence;
        let deliver_policy = match start {
            TailStart::First => DeliverPolicy::All,
            // By its number: it is told by the stream's leader, and the consumer may be at a server that is behind.
            TailStart::New => DeliverPolicy::ByStartSequence { start_sequence: last_sequence + 1 },
            TailStart::Sequence(start_sequence) => {
                DeliverPolicy::ByStartSequence { start_sequence: start_sequence.max(1) }
            }
            // nats-server 2.15 leaves out what one filter wants between then and the first that another wants.
            TailStart::Time(time) if filters.len() > 1 => {
                let first = first_since(&self.client, stream::EVENTS, time).await?;
                DeliverPolicy::ByStartSequence { start_sequence: first.map_or(last_sequence + 1, |first| first.seq) }
            }
            TailStart::Time(time) => DeliverPolicy::ByStartTime { start_time: date(time) },
        };
        let messages = self.ordered(Wanted::of(stream::EVENTS, filters, deliver_policy)).await?;
        let (there, pending) = (There::until(last_sequence, &messages), messages.pending());
        Ok(Tail { messages, there, pending, last_sequence })
    }

    /// The sequences of the first and the last entry of EVENTS.
    pub async fn events_state(&self) -> Result<(u64, u64), ReadError> {
        let mut events = self.js.get_stream(stream::EVENTS).await.map_err(|error| ReadError(error.to_string()))?;
        let info = events.info().await.map_err(|error| ReadError(error.to_string()))?;
        Ok((info.state.first_sequence, info.state.last_sequence))
    }
}

/// Where a tail begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailStart {
    /// With the oldest entry kept.
    First,
    /// With what comes from now on.
    New,
    /// With this stream sequence.
    Sequence(u64),
    /// With what was received at this time or later.
    Time(Time),
}

/// Reads runs of entries in stream order, none left out and none twice.
///
/// The server counts what it gives to a consumer, and gives on when a connection broke, whether or not what it gave had
/// arrived; a server that was killed may give again what it gave before. So every entry must be the next by that count
/// and come after the last; and where nothing comes, the connection must be the one that reading began with: what was on its
/// way when one broke is not given again. Else reading ends, and begins again behind what was folded.
pub struct Reader {
    runs: mpsc::Receiver<Result<Run, ReadError>>,
    /// To acknowledge with, where the server waits for that.
    client: Option<async_nats::Client>,
    /// Where to acknowledge everything up to the last entry.
    last: Option<async_nats::Subject>,
    /// Reads ahead as long as the reader is there.
    _task: AbortOnDropHandle<()>,
}

/// Entries that were there together.
struct Run {
    entries: Vec<EventMessage>,
    /// Where to acknowledge everything up to the last.
    last: Option<async_nats::Subject>,
}

/// The half of a reader that reads ahead, and parses what it reads while what came before is folded.
struct Reading {
    messages: Pull,
    client: async_nats::Client,
    /// How many connections there had been when reading began.
    connects: u64,
    /// The consumer's count of the last entry.
    delivered: u64,
    /// The stream sequence of the last entry.
    position: u64,
}

impl Reading {
    async fn read_ahead(mut self, runs: mpsc::Sender<Result<Run, ReadError>>) {
        loop {
            let (run, broken) = self.next_run().await;
            if let Some(run) = run
                && runs.send(Ok(run)).await.is_err()
            {
                return;
            }
            // What was read before the trouble is good.
            if let Some(reason) = broken {
                // Nobody waits for it where this fails.
                runs.send(Err(ReadError(reason))).await.ok();
                return;
            }
        }
    }

    /// Waits for an entry, then takes what is there with it, and why nothing more can be read.
    async fn next_run(&mut self) -> (Option<Run>, Option<String>) {
        let (mut entries, mut last, mut bytes, mut broken) = (Vec::new(), None, 0, None);
        while entries.len() < RUN_ENTRIES && bytes < RUN_BYTES {
            let next = if entries.is_empty() {
                Some(self.wait().await)
            } else {
                self.messages.next_now().map(|next| next.map_err(|error| error.to_string()))
            };
            let mut message = match next {
                Some(Ok(message)) => message,
                Some(Err(reason)) => {
                    broken = Some(reason);
                    break;
                }
                None => break,
            };
            match self.follow(&mut message) {
                Ok(mut entry) => {
                    entry.parse_ahead();
                    bytes += entry.payload.len();
                    entries.push(entry);
                    last = message.reply;
                }
                Err(reason) => {
                    broken = Some(reason);
                    break;
                }
            }
        }
        ((!entries.is_empty()).then_some(Run { entries, last }), broken)
    }

    /// Waits for a message on the connection that reading began with.
    async fn wait(&mut self) -> Result<Message, String> {
        loop {
            match tokio::time::timeout(LOOK_EVERY, self.messages.next()).await {
                Ok(next) => return next.map_err(|error: PullError| error.to_string()),
                Err(_) if connects(&self.client) != self.connects => {
                    return Err("the connection was lost, and maybe something on its way".to_owned());
                }
                Err(_) if self.messages.has_lost(self.delivered) => {
                    return Err("something was lost on its way".to_owned());
                }
                Err(_) => {}
            }
        }
    }

    fn follow(&mut self, message: &mut Message) -> Result<EventMessage, String> {
        let (entry, delivered) = owned(message)?;
        let position = entry.sequence;
        if delivered != self.delivered + 1 || position <= self.position {
            return Err(format!(
                "entry {position}, the consumer's {delivered}. message, came after entry {}, its {}.: something was lost \
                 on the way or came again",
                self.position, self.delivered
            ));
        }
        (self.delivered, self.position) = (delivered, position);
        Ok(entry)
    }
}

impl Reader {
    /// Waits for entries: those that are there, in order. Cancel safe.
    pub async fn next_run(&mut self) -> Result<Vec<EventMessage>, ReadError> {
        let ended = || Err(ReadError("the reader ended".to_owned()));
        let run = self.runs.recv().await.unwrap_or_else(ended)?;
        self.last = run.last;
        Ok(run.entries)
    }

    /// Tells the archive's consumer that everything read so far is stored; only the lag it shows depends on it.
    pub async fn acknowledge(&mut self) {
        if let Some(client) = &self.client
            && let Some(subject) = self.last.take()
            && let Err(error) = client.publish(subject, "+ACK".into()).await
        {
            tracing::debug!(%error, "acknowledging to the archive's consumer");
        }
    }
}

/// A person's reader.
pub struct Tail {
    messages: Ordered,
    there: There,
    /// Entries that match and are there already.
    pub pending: u64,
    /// The stream's last sequence when reading began.
    last_sequence: u64,
}

impl Tail {
    /// Waits for the next entry, over every connection. Cancel safe.
    pub async fn read(&mut self) -> Result<EventMessage, ReadError> {
        Ok(self.messages.next().await?.into())
    }

    /// The next of the entries that were there when reading began, and maybe some that came since; nothing behind the last.
    pub async fn read_there(&mut self) -> Result<Option<EventMessage>, ReadError> {
        Ok(self.there.next(&mut self.messages).await?.map(EventMessage::from))
    }

    /// How far EVENTS has been read: nothing that matches is left out up to here once [`Tail::read_there`] has given nothing.
    pub fn read_to(&self) -> u64 {
        self.messages.position().max(self.last_sequence)
    }
}

/// The entry, and its count among what the consumer was given.
pub(super) fn owned(message: &mut Message) -> Result<(EventMessage, u64), String> {
    let Delivered { sequence, count, stored, pending, .. } = Delivered::of(message)?;
    let entry = EventMessage {
        sequence,
        received: time(stored),
        subject: message.subject.clone(),
        headers: message.headers.take(),
        payload: std::mem::take(&mut message.payload),
        pending,
        parsed: None,
    };
    Ok((entry, count))
}

pub(super) fn time(nanos: i128) -> Time {
    jiff::Timestamp::from_nanosecond(nanos).unwrap_or_default().into()
}

pub(super) fn date(time: Time) -> DateTime {
    let nanos = i128::from(time.as_millis()) * 1_000_000;
    DateTime::from_unix_timestamp_nanos(nanos).unwrap_or(DateTime::UNIX_EPOCH)
}

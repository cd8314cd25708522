//! Reading a stream in its order, over every connection: none left out, none twice. An ordered consumer (ADR-17) whose
//! server-side half is made anew behind the last message wherever something was, or may have been, lost on the way.
//!
//! (The library's, async-nats 0.51, begins at the first message of the stream again where it is made anew before anything has
//! come, and gives what newer messages have replaced where the last of each subject were asked for; after its consumer was
//! deleted it was not seen to go on at all.)

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use async_nats::{
    Client, HeaderMap, Message, Subject,
    jetstream::{
        Context,
        consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    },
};
use bytes::Bytes;
use emote_proto::Time;
use tokio::{
    task::coop::consume_budget,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Bus, ReadError,
    events::time,
    pull::{Delivered, Pull, PullError, connects},
    raw::first_behind,
    there::There,
    trouble::is_not_there,
    unreadable::unreadable,
};

/// Messages asked for at once.
const ASKED_AT_ONCE: usize = 500;
/// How often it is looked whether the connection is still the same, and whether there is more, while nothing comes.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The server forgets a consumer that nobody has asked for so long.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// How long to wait before the consumer is made anew once more where nothing has come of the last.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// How long the next message may be waited for where somebody waits for all of them.
const NEXT_WITHIN: Duration = Duration::from_secs(10);

/// What is read.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The stream's name.
    pub(super) stream: String,
    /// Messages under these subjects; none for all.
    pub(super) filters: Vec<String>,
    /// Where to begin, or only the last of each subject.
    pub(super) from: DeliverPolicy,
    /// Without their bodies: their sizes are in a header.
    pub(super) headers_only: bool,
}

impl Wanted {
    pub(super) fn of(stream: impl Into<String>, filters: Vec<String>, from: DeliverPolicy) -> Self {
        Self { stream: stream.into(), filters, from, headers_only: false }
    }

    /// Whether only the last message of each subject is.
    pub(super) fn is_last(&self) -> bool {
        matches!(self.from, DeliverPolicy::LastPerSubject)
    }

    pub(super) fn config(&self) -> pull::Config {
        pull::Config {
            deliver_policy: self.from,
            ack_policy: AckPolicy::None,
            filter_subjects: self.filters.clone(),
            headers_only: self.headers_only,
            inactive_threshold: KEPT_FOR,
            max_deliver: 1,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        }
    }
}

/// A message of a stream.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// Its sequence.
    pub(super) sequence: u64,
    /// When it was stored.
    pub(super) stored: Time,
    /// Its subject.
    pub(super) subject: Subject,
    /// Its headers; none where they cannot be read.
    pub(super) headers: Option<HeaderMap>,
    /// Its body.
    pub(super) payload: Bytes,
    /// Messages wanted behind it at the time of reading.
    pub(super) pending: u64,
}

/// The reader.
pub(super) struct Ordered {
    client: Client,
    js: Context,
    pub(super) wanted: Wanted,
    open: Open,
    /// The sequence of the last message given, or where reading began.
    position: u64,
    /// How often the server-side half was made anew.
    pub(super) renewed: u64,
    /// Something may have been lost: it is to be made anew.
    is_lost: bool,
    /// It is being made anew.
    renewing: Option<AbortOnDropHandle<Result<Open, Failed>>>,
    pause: Duration,
}

/// A consumer at the server, and what has come of it.
struct Open {
    consumer: PullConsumer,
    messages: Pull,
    /// Its count of the last message.
    count: u64,
    /// How many connections there had been.
    connects: u64,
    /// Messages before its first that no client can be given.
    before: VecDeque<Stored>,
    /// Messages wanted when it was made.
    pending: u64,
}

fn read(error: &dyn std::fmt::Display) -> ReadError {
    ReadError(error.to_string())
}

/// Why something could not be asked.
pub(super) enum Failed {
    /// It cannot be later, either.
    ForGood(ReadError),
    ForNow(ReadError),
}

impl Failed {
    pub(super) fn for_now(error: &dyn std::fmt::Display) -> Self {
        Self::ForNow(read(error))
    }
}

impl From<Failed> for ReadError {
    fn from(failed: Failed) -> Self {
        let (Failed::ForGood(error) | Failed::ForNow(error)) = failed;
        error
    }
}

impl Bus {
    /// Begins to read what is `wanted`.
    pub(super) async fn ordered(&self, wanted: Wanted) -> Result<Ordered, ReadError> {
        let open = Open::new(&self.client, &self.js, &wanted, VecDeque::new()).await?;
        let position = open.consumer.cached_info().delivered.stream_sequence;
        let (client, js, pause) = (self.client.clone(), self.js.clone(), Duration::ZERO);
        Ok(Ordered { client, js, wanted, open, position, renewed: 0, is_lost: false, renewing: None, pause })
    }

    /// Reads everything that there is now: what `take` makes of each message. Of the last of each subject it is the last that
    /// counts, also where it came while this was read.
    pub(super) async fn read_all<T>(
        &self,
        wanted: Wanted,
        mut take: impl FnMut(Stored) -> Option<T>,
    ) -> Result<Vec<T>, ReadError> {
        let is_last = wanted.is_last();
        let stream = self.js.get_stream(&wanted.stream).await.map_err(|error| read(&error))?;
        let until = stream.cached_info().state.last_sequence;
        let mut messages = self.ordered(wanted).await?;
        let mut there = There::within(NEXT_WITHIN, until, &messages);
        let (mut found, mut of_subject) = (Vec::new(), HashMap::<Box<str>, usize>::new());
        while let Some(message) = there.next(&mut messages).await? {
            if is_last && let Some(before) = of_subject.insert(message.subject.as_str().into(), found.len()) {
                found[before] = None;
            }
            found.push(take(message));
        }
        messages.end().await;
        Ok(found.into_iter().flatten().collect())
    }
}

impl Open {
    async fn new(client: &Client, js: &Context, wanted: &Wanted, before: VecDeque<Stored>) -> Result<Self, Failed> {
        let connects = connects(client);
        let stream = js.get_stream_no_info(&wanted.stream).await.map_err(|error| Failed::for_now(&error))?;
        let consumer = stream.create_consumer(wanted.config()).await.map_err(|error| {
            let failed = if is_not_there(&error) { Failed::ForGood } else { Failed::ForNow };
            failed(read(&error))
        })?;
        let info = consumer.cached_info();
        let messages = Pull::new(client, &wanted.stream, &info.name, ASKED_AT_ONCE);
        let messages = messages.await.map_err(|error| Failed::for_now(&error))?;
        let pending = info.num_pending;
        Ok(Self { messages, count: 0, connects, before, pending, consumer })
    }

    /// Behind `position`.
    async fn behind(client: &Client, js: &Context, wanted: &Wanted, position: u64) -> Result<Self, Failed> {
        let before = unreadable(client, &wanted.stream, &wanted.filters, position).await?;
        let position = before.last().map_or(position, |last| last.sequence);
        let from = DeliverPolicy::ByStartSequence { start_sequence: position + 1 };
        let mut open = Self::new(client, js, &Wanted { from, ..wanted.clone() }, before.into()).await?;
        for message in open.before.iter_mut().rev() {
            message.pending = open.pending;
            open.pending += 1;
        }
        Ok(open)
    }
}

impl Ordered {
    /// Messages that were there when reading began, or where it last began anew.
    pub(super) fn pending(&self) -> u64 {
        self.open.pending
    }

    /// The sequence of the last message given, or that before the first.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Waits for the next message, over every connection. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Stored, ReadError> {
        loop {
            if let Some(message) = self.next_soon().await? {
                return Ok(message);
            }
        }
    }

    /// The next message, if it comes soon. Cancel safe.
    pub(super) async fn next_soon(&mut self) -> Result<Option<Stored>, ReadError> {
        // Nothing else here waits while messages are there.
        consume_budget().await;
        if self.is_lost && !self.renew().await? {
            return Ok(None);
        }
        if let Some(message) = self.open.before.pop_front() {
            (self.position, self.pause) = (message.sequence, Duration::ZERO);
            return Ok(Some(message));
        }
        let is_other = connects(&self.client) != self.open.connects;
        let next = match if is_other { self.open.messages.there() } else { self.open.messages.next_now() } {
            Some(next) => next,
            None if is_other => {
                // What was on its way is not given again.
                self.is_lost = true;
                return Ok(None);
            }
            None => match timeout(LOOK_EVERY, self.open.messages.next()).await {
                Ok(next) => next,
                Err(_) => {
                    self.is_lost = self.open.messages.has_lost(self.open.count);
                    return Ok(None);
                }
            },
        };
        match next {
            Ok(message) => self.follow(message),
            // Nothing can be asked of a client that is closed.
            Err(error @ (PullError::Closed | PullError::Ask(_))) => Err(read(&error)),
            Err(error) => {
                tracing::debug!(stream = self.wanted.stream, %error, "reading begins anew");
                self.is_lost = true;
                Ok(None)
            }
        }
    }

    /// The message, if it is the next.
    fn follow(&mut self, mut message: Message) -> Result<Option<Stored>, ReadError> {
        let Delivered { sequence, count, stored, pending, .. } = Delivered::of(&message).map_err(ReadError)?;
        if count != self.open.count + 1 || sequence <= self.position {
            self.is_lost = true;
            return Ok(None);
        }
        (self.open.count, self.position, self.pause) = (count, sequence, Duration::ZERO);
        let payload = std::mem::take(&mut message.payload);
        let headers = message.headers.take();
        Ok(Some(Stored { sequence, stored: time(stored), subject: message.subject, headers, payload, pending }))
    }

    /// Makes the server-side half anew, behind the last message. Whether that is done. Cancel safe: it goes on meanwhile.
    async fn renew(&mut self) -> Result<bool, ReadError> {
        let renewing = self.renewing.get_or_insert_with(|| {
            let (client, js, wanted) = (self.client.clone(), self.js.clone(), self.wanted.clone());
            let (position, pause) = (self.position, self.pause);
            self.pause = (2 * self.pause).clamp(PAUSE, LONGEST_PAUSE);
            AbortOnDropHandle::new(tokio::spawn(async move {
                sleep(pause).await;
                Open::behind(&client, &js, &wanted, position).await
            }))
        });
        let Ok(renewed) = timeout(LOOK_EVERY, renewing).await else { return Ok(false) };
        self.renewing = None;
        match renewed.unwrap_or_else(|error| Err(Failed::ForNow(read(&error)))) {
            Ok(open) => {
                self.open = open;
                self.renewed += 1;
                self.is_lost = false;
                Ok(true)
            }
            Err(Failed::ForGood(error)) => Err(error),
            Err(Failed::ForNow(error)) => {
                tracing::debug!(stream = self.wanted.stream, %error, "reading cannot begin anew yet");
                Ok(false)
            }
        }
    }

    /// Begins anew where nothing came although there is more: where a message is gone of those that the server was about to give
    /// as the last of their subjects, it waits for the next that is stored, or for a sign of life, for each of them.
    pub(super) fn begin_anew(&mut self) {
        self.is_lost |= self.wanted.is_last() && self.renewed == 0;
    }

    /// Whether the server has given everything it has, and that has come.
    pub(super) async fn is_at_end(&self) -> bool {
        if self.is_lost || connects(&self.client) != self.open.connects {
            return false;
        }
        match self.open.consumer.get_info().await {
            Ok(info) => info.num_pending == 0 && info.delivered.consumer_sequence == self.open.count,
            Err(_) => false,
        }
    }

    /// The sequence of the next message, as the stream's leader has it.
    pub(super) async fn next_sequence(&self) -> Result<Option<u64>, Failed> {
        let next = first_behind(&self.client, &self.wanted.stream, &self.wanted.filters, self.position).await?;
        Ok(next.map(|message| message.seq))
    }

    /// Nothing more is read: the server need not keep the consumer until it forgets it by itself.
    async fn end(self) {
        let (stream, consumer) = (&self.wanted.stream, &self.open.consumer.cached_info().name);
        let asked = format!("$JS.API.CONSUMER.DELETE.{stream}.{consumer}");
        if let Err(error) = self.client.publish(asked, Bytes::new()).await {
            tracing::debug!(%error, "a consumer is left to its end");
        }
    }
}

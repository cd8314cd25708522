//! From messages as they came to events that the stream has acknowledged. What it does not acknowledge is published again
//! until it does, under the same ids; whoever brings messages waits for it.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use emote_proto::{EventId, Subject, Trust};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{Socket, dropped::Dropped, message::said_by};
use crate::{
    ingest::{Aliases, Heard, Moment, Publish, PublishError, Refusal, Source, Sources},
    outage::Outage,
    random,
};

/// Messages that are mapped and published together.
pub(super) const BATCH: usize = 256;
/// They must be mapped within this time.
const MAP_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two tries to publish, from and to.
const AGAIN_FIRST: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// When the socket closes, all that was read has this long to be acknowledged.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is said that the stream takes nothing.
const WAITING_SAID_EVERY: Duration = Duration::from_secs(10);

/// What sockets need of the broker.
#[derive(Clone)]
pub struct Reach {
    /// Where events go.
    pub publisher: Arc<dyn Publish>,
    /// Nodes by their other names.
    pub aliases: Arc<dyn Aliases>,
    /// Who counts.
    pub sources: Arc<Sources>,
    /// This broker, for who asks which of them dropped something.
    pub broker: String,
    /// Maps that may run at once.
    pub maps: Arc<Semaphore>,
}

/// A message as it came.
pub(super) struct Raw {
    pub(super) bytes: Bytes,
    pub(super) peer: IpAddr,
}

/// An event to be published.
type Ready = (Subject, EventId, Bytes);

/// What takes the messages of one socket.
pub(super) struct Intake {
    pub(super) source: Arc<Source>,
    pub(super) socket: Socket,
    pub(super) reach: Reach,
    pub(super) dropped: Arc<Dropped>,
    outage: Mutex<Outage>,
    /// When what is not acknowledged is given up; known once the socket closes.
    until: OnceLock<tokio::time::Instant>,
}

/// What messages became.
struct Mapped {
    events: Vec<Ready>,
    /// For each message that was taken, how many events there are up to its last.
    ends: Vec<usize>,
}

/// How far events were stored, in their order.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// So many are stored, or refused for good.
    done: usize,
    /// So many of these are refused.
    refused: usize,
}

impl Mapped {
    /// Messages of which not all is stored.
    fn missing(&self, progress: Progress) -> usize {
        self.ends.iter().filter(|end| **end > progress.done).count()
    }
}

impl Intake {
    pub(super) fn new(source: Arc<Source>, socket: Socket, reach: Reach) -> Self {
        let dropped = Arc::new(Dropped::new(Arc::clone(&source), socket.name(), reach.clone()));
        let outage = Mutex::new(Outage::said_every(WAITING_SAID_EVERY));
        Self { source, socket, reach, dropped, outage, until: OnceLock::new() }
    }

    /// Takes these messages. Comes back when the stream has what they became; or when it was told to stop, and the stream
    /// did not take them within a few seconds more.
    pub(super) async fn take(self: &Arc<Self>, raws: Vec<Raw>, stop: &CancellationToken) {
        if raws.is_empty() {
            return;
        }
        let unavailable = |count: usize| self.dropped.count(Refusal::Unavailable.word(), count as u64);
        let permit = tokio::select! {
            biased;
            () = self.given_up(stop) => return unavailable(raws.len()),
            permit = Arc::clone(&self.reach.maps).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { return unavailable(raws.len()) };
        let Some(mapped) = self.mapped(raws, permit).await else { return };
        let mut progress = Progress::default();
        tokio::select! {
            () = self.store(&mapped.events, &mut progress) => {}
            () = self.given_up(stop) => {}
        }
        let missing = mapped.missing(progress);
        unavailable(missing);
        let taken = mapped.ends.len().saturating_sub(missing + progress.refused);
        let told = progress.done - progress.refused;
        self.reach.sources.counts().several_taken(self.source.name().as_str(), taken, told);
    }

    /// Comes back when the socket closes and what was read of it had its time. There is one for all of it.
    async fn given_up(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        tokio::time::sleep_until(*self.until.get_or_init(|| tokio::time::Instant::now() + GRACE)).await;
    }

    /// What these messages become; runs the map on a thread that may block.
    async fn mapped(self: &Arc<Self>, raws: Vec<Raw>, permit: OwnedSemaphorePermit) -> Option<Mapped> {
        let (this, count) = (Arc::clone(self), raws.len() as u64);
        let mapping = tokio::task::spawn_blocking(move || {
            // What tells these from all others.
            let batch = random::name::<16>();
            let (mut events, mut ends) = (Vec::with_capacity(raws.len()), Vec::with_capacity(raws.len()));
            for (at, raw) in raws.into_iter().enumerate() {
                match this.events(raw, format!("{batch} {at}")) {
                    Ok(of_one) => {
                        events.extend(of_one);
                        ends.push(events.len());
                    }
                    Err(refusal) => this.dropped.refused(&refusal),
                }
            }
            drop(permit);
            Mapped { events, ends }
        });
        match tokio::time::timeout(MAP_TIMEOUT, mapping).await {
            Ok(Ok(mapped)) => Some(mapped),
            Ok(Err(_)) => {
                self.dropped.count("internal", count);
                tracing::error!(source = %self.source.name(), "the map ended in a panic");
                None
            }
            Err(_) => {
                self.dropped.count("internal", count);
                tracing::error!(source = %self.source.name(), "the map did not end within {MAP_TIMEOUT:?}");
                None
            }
        }
    }

    fn events(&self, raw: Raw, mark: String) -> Result<Vec<Ready>, Refusal> {
        let mut message = self.socket.codec.decode(&raw.bytes, self.source.max_body())?;
        said_by(&mut message, raw.peer);
        let trust = if self.socket.knows_clients() { Trust::Authenticated } else { Trust::Unverified };
        let moment = Moment { now: jiff::Timestamp::now().into(), random: [0; 16] };
        let heard = Heard { bytes: raw.bytes, trust, mark };
        self.source.addressed(&self.source.heard(heard, &message, &*self.reach.aliases, &moment)?)
    }

    /// Publishes these until the stream has them, or refuses them for good.
    async fn store(&self, events: &[Ready], progress: &mut Progress) {
        for chunk in events.chunks(BATCH) {
            if self.insisted(chunk).await.is_ok() {
                progress.done += chunk.len();
                continue;
            }
            // One of them is refused: each by itself, so that the others are not. What was stored is not doubled.
            for event in chunk {
                if let Err(error) = self.insisted(std::slice::from_ref(event)).await {
                    tracing::warn!(source = %self.source.name(), %error, "an event was not published");
                    self.dropped.count("not_published", 1);
                    progress.refused += 1;
                }
                progress.done += 1;
            }
        }
    }

    async fn insisted(&self, events: &[Ready]) -> Result<(), PublishError> {
        let mut pause = AGAIN_FIRST;
        while !events.is_empty() {
            match self.reach.publisher.publish(events.to_vec()).await {
                Ok(()) => break,
                Err(error @ PublishError::Unavailable(_)) => self.waits(&error),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN_MAX);
        }
        if let Some(tries) = self.outage.lock().unwrap_or_else(PoisonError::into_inner).worked() {
            tracing::info!(source = %self.source.name(), tries, "messages are taken again");
        }
        Ok(())
    }

    fn waits(&self, error: &PublishError) {
        self.reach.sources.counts().not_published(self.source.name().as_str());
        let said = self.outage.lock().unwrap_or_else(PoisonError::into_inner).failed(Instant::now());
        if let Some(tries) = said {
            let (source, socket) = (self.source.name(), self.socket.name());
            tracing::warn!(%source, socket, tries, %error, "messages wait for the stream, and their senders with them");
        }
    }
}

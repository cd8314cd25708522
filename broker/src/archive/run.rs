//! The archiver at work: while its broker leads, it reads EVENTS behind what is archived, cuts, stores, and then tells the
//! consumer. What is in memory is one cut at most; what comes meanwhile waits in the stream.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{ArchiveSpec, Begun, Cut, Depot, Kept, Manifest, Telling, Writer};
use crate::bus::{Bus, EventMessage, Reader, TailStart};

/// Entries of a cut, however small they are.
const MAX_ENTRIES: usize = 100_000;
/// Sources of a cut: each is a segment.
const MAX_SOURCES: usize = 256;
/// Entries of a day that is over wait so long for others of it.
const DAY_IS_OVER: Duration = Duration::from_secs(5);
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Archives EVENTS.
pub struct Archiver {
    bus: Bus,
    depot: Depot,
    spec: ArchiveSpec,
    /// Whether this broker is the one that folds.
    leads: watch::Receiver<bool>,
    telling: Telling,
}

/// Entries that are gathered for the next cut: of one day, in order.
#[derive(Default)]
struct Gathered {
    entries: Vec<Kept>,
    bytes: usize,
    sources: std::collections::BTreeSet<String>,
    began: Option<Instant>,
}

impl Archiver {
    /// An archiver, not running yet.
    pub fn new(bus: Bus, depot: Depot, spec: ArchiveSpec, leads: watch::Receiver<bool>) -> Self {
        Self { bus, depot, spec, leads, telling: Telling::default() }
    }

    /// What it is doing, for whoever asks.
    pub fn telling(&self) -> Telling {
        self.telling.clone()
    }

    /// Archives until told to stop. Trouble with NATS or the store is said and waited out: what waits is in the stream.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut pause = PAUSE_FIRST;
        loop {
            let mut leads = self.leads.clone();
            tokio::select! {
                () = shutdown.cancelled() => return,
                // The engine is gone where this fails: then everything ends.
                led = leads.wait_for(|leads| *leads) => if led.is_err() { return },
            }
            let began = Instant::now();
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                led = leads.wait_for(|leads| !*leads) => if led.is_err() { return } else { Ok(()) },
                ended = self.archive() => ended,
            };
            self.telling.update(|status| status.active = false);
            let Err(error) = ended else { continue };
            let reason = format!("{error:#}");
            tracing::warn!(%reason, "archiving stopped; what comes waits in the stream, and it is tried again");
            self.telling.update(|status| {
                status.stops += 1;
                status.trouble = Some(reason);
            });
            pause = if began.elapsed() > PAUSE_MAX * 2 { PAUSE_FIRST } else { (pause * 2).min(PAUSE_MAX) };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// From what is archived on, until trouble.
    async fn archive(&mut self) -> anyhow::Result<()> {
        let stream = self.bus.events_identity().await?;
        let writer = Writer::new(self.depot.clone(), &stream);
        let mut position = writer.position().await?;
        while let Some(cut) = writer.unfinished(position).await? {
            tracing::info!(first = cut.first, last = cut.last, "going on with a cut that was begun before");
            position = self.finish(&writer, &cut, None).await?;
        }
        let mut reader = self.bus.read_for_archive(position).await?;
        self.telling.update(|status| (status.active, status.position, status.trouble) = (true, position, None));
        let mut gathered = Gathered::default();
        loop {
            tokio::select! {
                biased;
                () = until(gathered.due(self.spec.age)) => {}
                run = reader.next_run() => {
                    let run = run?;
                    position = self.gather(&writer, &mut gathered, position, &run).await?;
                    if !gathered.is_full(self.spec.size) {
                        self.acknowledge_if_all(&gathered, &mut reader).await;
                        continue;
                    }
                }
            }
            position = self.store(&writer, &mut gathered, position).await?;
            self.acknowledge_if_all(&gathered, &mut reader).await;
        }
    }

    /// Takes in what was read; a new day begins a new cut.
    async fn gather(
        &self,
        writer: &Writer,
        gathered: &mut Gathered,
        mut position: u64,
        run: &[EventMessage],
    ) -> anyhow::Result<u64> {
        for message in run {
            if message.sequence <= position {
                continue;
            }
            let entry = Kept::from(message);
            if !gathered.takes(&entry) {
                position = self.store(writer, gathered, position).await?;
                if entry.sequence <= position {
                    continue;
                }
            }
            gathered.add(entry);
        }
        Ok(position)
    }

    /// Stores what is gathered; where somebody cut otherwise, what they cut is stored, and what is left stays gathered.
    async fn store(&self, writer: &Writer, gathered: &mut Gathered, mut position: u64) -> anyhow::Result<u64> {
        while let Some(begun) = writer.begin(position, &gathered.entries).await? {
            position = match begun {
                Begun::Ours(cut) => self.finish(writer, &cut, Some(&gathered.entries)).await?,
                Begun::Theirs(cut) => self.finish(writer, &cut, None).await?,
            };
            gathered.drop_until(position);
        }
        Ok(position)
    }

    /// Only when nothing that was read is still to be stored.
    async fn acknowledge_if_all(&self, gathered: &Gathered, reader: &mut Reader) {
        if gathered.entries.is_empty() {
            reader.acknowledge().await;
        }
    }

    async fn finish(&self, writer: &Writer, cut: &Cut, entries: Option<&[Kept]>) -> anyhow::Result<u64> {
        let manifest = match entries {
            Some(entries) => writer.finish(cut, entries).await?,
            None => writer.finish(cut, &self.entries_of(cut).await?).await?,
        };
        self.tell(&manifest);
        Ok(manifest.last)
    }

    /// What the stream still has of a cut.
    async fn entries_of(&self, cut: &Cut) -> anyhow::Result<Vec<Kept>> {
        let mut entries = Vec::new();
        let mut tail = self.bus.tail(Vec::new(), TailStart::Sequence(cut.first)).await?;
        while let Some(message) = tail.read_there().await? {
            if message.sequence > cut.last {
                break;
            }
            entries.push(Kept::from(&message));
        }
        Ok(entries)
    }

    fn tell(&self, manifest: &Manifest) {
        let stored: u64 = manifest.segments.iter().map(|segment| segment.stored_bytes).sum();
        if manifest.absent_count > 0 {
            let (first, last, absent) = (manifest.first, manifest.last, manifest.absent_count);
            tracing::info!(first, last, absent, "the stream had not all of these entries any more");
        }
        tracing::debug!(first = manifest.first, last = manifest.last, events = manifest.events, stored, "archived");
        self.telling.update(|status| {
            status.position = manifest.last;
            status.events += manifest.events;
            status.segments += manifest.segments.len() as u64;
            status.stored_bytes += stored;
            status.last = Some(jiff::Timestamp::now().into());
        });
    }
}

impl Gathered {
    /// Whether the entry belongs into the same cut.
    fn takes(&self, entry: &Kept) -> bool {
        let same_day = self.entries.last().is_none_or(|last| last.day() == entry.day());
        same_day && (self.sources.len() < MAX_SOURCES || self.sources.contains(entry.source()))
    }

    fn add(&mut self, entry: Kept) {
        self.began.get_or_insert_with(Instant::now);
        self.bytes += entry.size();
        if !self.sources.contains(entry.source()) {
            self.sources.insert(entry.source().to_owned());
        }
        self.entries.push(entry);
    }

    fn is_full(&self, size: usize) -> bool {
        self.bytes >= size || self.entries.len() >= MAX_ENTRIES
    }

    /// When it is stored at the latest: at its age, or when the day ends.
    fn due(&self, age: Duration) -> Option<Instant> {
        let began = self.began?;
        let now = jiff::Timestamp::now().as_millisecond();
        let left = 86_400_000 - now.rem_euclid(86_400_000);
        let received = self.entries.last().map_or(0, |last| last.received.as_millis());
        let is_of_before = received.div_euclid(86_400_000) < now.div_euclid(86_400_000);
        let day_ends = Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or(0));
        Some(if is_of_before { began + age.min(DAY_IS_OVER) } else { (began + age).min(day_ends) })
    }

    fn drop_until(&mut self, position: u64) {
        let left = self.entries.split_off(self.entries.partition_point(|entry| entry.sequence <= position));
        *self = Self::default();
        left.into_iter().for_each(|entry| self.add(entry));
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

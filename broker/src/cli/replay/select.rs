//! The events that are to be played again: from the archive as far as that goes, then from the stream.

use std::sync::Mutex;

use emote_rules::{RuleSet, Scratch};

use super::Args;
use crate::{
    archive::{Archive, Kept, Wanted},
    bus::{Bus, TailStart},
    cli::{archive, pattern_arg},
    console::order::replay::Original,
    core::{Believed, may_be_replayed, open_entry},
};
use emote_proto::Time;

/// Which events.
pub(super) struct Selection<'a> {
    bus: &'a Bus,
    archive: Option<Archive>,
    /// Everything up to this sequence of the stream is archived.
    archived: u64,
    wanted: Wanted,
    pattern: Option<RuleSet<()>>,
    scratch: Mutex<Scratch>,
}

impl<'a> Selection<'a> {
    pub(super) async fn new(bus: &'a Bus, args: &Args, to: Time) -> anyhow::Result<Self> {
        let pattern = args.pattern.as_deref().map(pattern_arg::parse).transpose()?;
        let pattern = pattern.map(|pattern| RuleSet::build([((), pattern)]));
        let folder = args.ask.server.folder();
        let archive = folder.map(|folder| archive::open(&folder)).transpose()?.flatten().map(|(archive, _)| archive);
        let stream = bus.events_identity().await?;
        let archived = match &archive {
            Some(archive) => archive.position(&stream).await?,
            None => 0,
        };
        let source = args.source.as_ref().map(ToString::to_string);
        let wanted = Wanted { source, from: Some(args.from), to: Some(to), up_to: Some((stream, archived)) };
        Ok(Self { bus, archive, archived, wanted, pattern, scratch: Mutex::default() })
    }

    pub(super) fn bus(&self) -> &Bus {
        self.bus
    }

    /// Hands the events that are chosen on, in order, until no more are wanted.
    pub(super) async fn each(&self, mut take: impl AsyncFnMut(Original) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        self.each_entry(&self.wanted, async |entry| match self.chosen(entry) {
            Some(original) => take(original).await,
            None => Ok(true),
        })
        .await
    }

    /// Hands every entry of the time on, chosen or not.
    pub(super) async fn each_of_all(&self, take: impl AsyncFnMut(Kept) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        self.each_entry(&Wanted { source: None, ..self.wanted.clone() }, take).await
    }

    async fn each_entry(
        &self,
        wanted: &Wanted,
        mut take: impl AsyncFnMut(Kept) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        if let Some(archive) = &self.archive
            && !archive.each_async(wanted, &mut take).await?
        {
            return Ok(());
        }
        let start = match self.archived {
            0 => wanted.from.map_or(TailStart::First, TailStart::Time),
            archived => TailStart::Sequence(archived + 1),
        };
        let mut tail = self.bus.tail(Vec::new(), start).await?;
        while let Some(message) = tail.read_there().await? {
            let entry = Kept::from(&message);
            let of_source = wanted.source.as_deref().is_none_or(|source| source == entry.source());
            if of_source && wanted.has(entry.received) && !take(entry).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The event of an entry, if it is chosen. What is no event is not played again.
    pub(super) fn chosen(&self, entry: Kept) -> Option<Original> {
        let of_source = self.wanted.source.as_deref().is_none_or(|source| source == entry.source());
        if !of_source || !may_be_replayed(entry.source()) {
            return None;
        }
        let event = open_entry(&entry.entry(), &Believed::the_word_of(entry.source())).ok()?;
        if let Some(pattern) = &self.pattern {
            let mut scratch = self.scratch.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let found = pattern.find(&event.to_json(), &mut scratch).map(|found| found.len() > 0);
            if !found.unwrap_or(false) {
                return None;
            }
        }
        Some(Original { id: event.id, entry })
    }
}

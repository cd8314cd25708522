//! Reading: manifests in order, and the entries that they name, in the order of the stream.

use std::collections::BTreeMap;

use anyhow::Context;
use emote_proto::Time;
use futures_util::{StreamExt, stream};

use super::{
    Depot, Kept, Manifest, Segment, Writer,
    kept::day_of,
    segment::{Lines, sha256},
    write::{MANIFESTS, MAX_SEGMENT, first_of, manifest},
};

/// Manifests that are fetched at once.
const AT_ONCE: usize = 16;

/// An archive, for reading.
pub struct Archive {
    pub(super) depot: Depot,
}

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Only this source.
    pub source: Option<String>,
    /// Only what was received then or later.
    pub from: Option<Time>,
    /// Only what was received before.
    pub to: Option<Time>,
    /// Of the stream of this identity, only what is archived up to this sequence.
    pub up_to: Option<(String, u64)>,
}

impl Wanted {
    fn has_day(&self, day: &str) -> bool {
        self.from.is_none_or(|from| *day >= *day_of(from)) && self.to.is_none_or(|to| *day <= *day_of(to))
    }

    /// Whether what was received then is wanted.
    pub fn has(&self, received: Time) -> bool {
        self.from.is_none_or(|from| received >= from) && self.to.is_none_or(|to| received < to)
    }

    /// Whether the segment may hold some of it.
    pub fn may_be_in(&self, segment: &Segment) -> bool {
        let (first, last) = segment.received;
        self.source.as_ref().is_none_or(|source| *source == segment.source)
            && self.from.is_none_or(|from| last >= from)
            && self.to.is_none_or(|to| first < to)
    }
}

/// Where a manifest lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) stream: String,
    pub(super) first: u64,
    pub(super) path: String,
}

impl Archive {
    /// Of what lies there.
    pub fn new(depot: Depot) -> Self {
        Self { depot }
    }

    /// The manifests of the days that are wanted, in order of their streams and sequences.
    pub(super) async fn listed(&self, wanted: &Wanted) -> anyhow::Result<Vec<Listed>> {
        let mut all = Vec::new();
        for stream in self.depot.folders(MANIFESTS).await? {
            let root = format!("{MANIFESTS}/{stream}");
            let days = self.depot.folders(&root).await?;
            for day in days.into_iter().filter(|day| wanted.has_day(day)) {
                let folder = format!("{root}/{day}");
                for name in self.depot.names(&folder).await? {
                    let first =
                        first_of(&name).with_context(|| format!("{folder}/{name} in the archive is no manifest"))?;
                    all.push(Listed { stream: stream.clone(), first, path: format!("{folder}/{name}") });
                }
            }
        }
        all.sort_by(|one, other| {
            (one.stream.len(), &one.stream, one.first).cmp(&(other.stream.len(), &other.stream, other.first))
        });
        Ok(all)
    }

    /// Hands the manifests that may name something that is wanted on to `take`, until it wants no more.
    pub async fn each_manifest(
        &self,
        wanted: &Wanted,
        mut take: impl AsyncFnMut(Manifest) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        let listed = self.listed(wanted).await?;
        let mut manifests = stream::iter(&listed).map(|listed| manifest(&self.depot, &listed.path)).buffered(AT_ONCE);
        while let Some(manifest) = manifests.next().await {
            let manifest = manifest?;
            let is_later = wanted
                .up_to
                .as_ref()
                .is_some_and(|(stream, last)| manifest.stream == *stream && manifest.first > *last);
            if !is_later && manifest.segments.iter().any(|segment| wanted.may_be_in(segment)) && !take(manifest).await?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Everything up to this sequence of the stream of this identity is archived.
    pub async fn position(&self, stream: &str) -> anyhow::Result<u64> {
        Ok(Writer::new(self.depot.clone(), stream).position().await?)
    }

    /// Hands the entries that are wanted on to `take`, in order, until it wants no more; whether it wanted all.
    pub async fn each(
        &self,
        wanted: &Wanted,
        mut take: impl FnMut(Kept) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        self.each_async(wanted, async |entry| take(entry)).await
    }

    /// [`Archive::each`], for what has to wait for something.
    pub async fn each_async(
        &self,
        wanted: &Wanted,
        mut take: impl AsyncFnMut(Kept) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        self.each_manifest(wanted, async |manifest| {
            let segments = manifest.segments.iter().filter(|segment| wanted.may_be_in(segment));
            let mut merged = Merged::default();
            for segment in segments {
                merged.add(segment, self.stored(segment).await?)?;
            }
            while let Some(entry) = merged.next()? {
                if wanted.has(entry.received) && !take(entry).await? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    /// A segment's bytes, which are what its manifest says.
    async fn stored(&self, segment: &Segment) -> anyhow::Result<bytes::Bytes> {
        let path = &segment.path;
        let stored = self.depot.get(path, MAX_SEGMENT).await?;
        let stored = stored.with_context(|| format!("{path} is missing in the archive"))?;
        anyhow::ensure!(sha256(&stored) == segment.sha256, "{path} in the archive is not what its manifest says");
        Ok(stored)
    }
}

/// Segments of one cut, their entries in order: one entry of each in memory.
#[derive(Default)]
struct Merged {
    lines: Vec<(String, Lines)>,
    heads: BTreeMap<u64, (usize, Kept)>,
}

impl Merged {
    fn add(&mut self, segment: &Segment, stored: bytes::Bytes) -> anyhow::Result<()> {
        self.lines.push((segment.path.clone(), Lines::of(stored)));
        self.refill(self.lines.len() - 1)
    }

    fn refill(&mut self, index: usize) -> anyhow::Result<()> {
        let Some((path, lines)) = self.lines.get_mut(index) else { return Ok(()) };
        if let Some(line) = lines.next() {
            let (_, entry) = line.with_context(|| format!("{path} in the archive"))?;
            let sequence = entry.sequence;
            let before = self.heads.insert(sequence, (index, entry));
            anyhow::ensure!(before.is_none(), "entry {sequence} is in two segments of the archive, one of them {path}");
        }
        Ok(())
    }

    fn next(&mut self) -> anyhow::Result<Option<Kept>> {
        let Some((_, (index, entry))) = self.heads.pop_first() else { return Ok(None) };
        self.refill(index)?;
        Ok(Some(entry))
    }
}

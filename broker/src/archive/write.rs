//! Writing: cut, segments, manifest, in this order, so that whoever goes on after any of them comes to the same.

use bytes::Bytes;

use super::{
    Cut, Depot, DepotError, Kept, Manifest, Part,
    cut::{Segment, to_json},
    depot::Created,
    segment,
};

/// Largest cut or manifest that is read.
pub(super) const MAX_INDEX: u64 = 16 << 20;
/// Largest segment that is read.
pub(super) const MAX_SEGMENT: u64 = 1 << 30;
/// Where manifests lie.
pub(super) const MANIFESTS: &str = "_manifests";
const CUTS: &str = "_cuts";

/// Why nothing was archived.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The store did not do it.
    #[error(transparent)]
    Depot(#[from] DepotError),
    /// What lies there is none of ours.
    #[error("{path} in the archive: {problem}")]
    Damaged {
        /// Which object.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A segment could not be made.
    #[error("making the segment {path}: {problem}")]
    Segment {
        /// Which object.
        path: String,
        /// Why.
        problem: String,
    },
}

/// A cut that is in the archive, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It is of the entries that were given.
    Ours(Cut),
    /// Somebody cut here before.
    Theirs(Cut),
}

/// Writes the archive of one EVENTS stream.
#[derive(Clone)]
pub struct Writer {
    depot: Depot,
    stream: String,
}

impl Writer {
    /// Of the stream of this identity, into `depot`.
    pub fn new(depot: Depot, stream: &str) -> Self {
        Self { depot, stream: stream.to_owned() }
    }

    /// Everything up to this sequence is archived.
    pub async fn position(&self) -> Result<u64, WriteError> {
        let root = format!("{MANIFESTS}/{}", self.stream);
        let days = self.depot.folders(&root).await?;
        let mut last: Option<(u64, String)> = None;
        // The clock of a server that came to lead may be behind that of the one before, at midnight too.
        for day in days.iter().rev().take(2) {
            let folder = format!("{root}/{day}");
            let newest = self.depot.names(&folder).await?.into_iter().filter_map(|name| Some((first_of(&name)?, name)));
            let newest = newest.max().map(|(first, name)| (first, format!("{folder}/{name}")));
            last = last.max(newest);
        }
        match last {
            Some((_, path)) => Ok(manifest(&self.depot, &path).await?.last),
            None => Ok(0),
        }
    }

    /// The cut that somebody began behind `position` and that has no manifest yet.
    pub async fn unfinished(&self, position: u64) -> Result<Option<Cut>, WriteError> {
        let path = self.cut_path(position + 1);
        let Some(json) = self.depot.get(&path, MAX_INDEX).await? else { return Ok(None) };
        let cut = Cut::parse(&json).map_err(|problem| WriteError::Damaged { path, problem })?;
        Ok(Some(cut))
    }

    /// Puts the cut of `entries`, which are of one day and follow `position`. Where there is one already, that one counts.
    pub async fn begin(&self, position: u64, entries: &[Kept]) -> Result<Option<Begun>, WriteError> {
        let Some(cut) = Cut::of(&self.stream, position, entries) else { return Ok(None) };
        if self.depot.create(&self.cut_path(cut.first), to_json(&cut).into()).await? == Created::New {
            return Ok(Some(Begun::Ours(cut)));
        }
        let there = self.unfinished(position).await?;
        let path = self.cut_path(cut.first);
        let there = there.ok_or_else(|| WriteError::Damaged { path, problem: "it came and went".to_owned() })?;
        Ok(Some(if there == cut { Begun::Ours(cut) } else { Begun::Theirs(there) }))
    }

    /// Stores the segments of `cut`, then its manifest. `entries` are those that the stream has of it.
    pub async fn finish(&self, cut: &Cut, entries: &[Kept]) -> Result<Manifest, WriteError> {
        let (mut segments, mut stored) = (Vec::new(), Vec::new());
        for part in &cut.parts {
            if let Some((segment, sequences)) = self.store(cut, part, entries).await? {
                segments.push(segment);
                stored.extend(sequences);
            }
        }
        let manifest = cut.manifest(segments, stored);
        let path = format!("{MANIFESTS}/{}/{}/{:020}.json", self.stream, cut.day, cut.first);
        if self.depot.create(&path, to_json(&manifest).into()).await? == Created::New {
            return Ok(manifest);
        }
        // Whoever was quicker wrote of the same objects, unless the stream had less of them by then.
        let there = self::manifest(&self.depot, &path).await?;
        if there.events >= manifest.events {
            return Ok(there);
        }
        self.depot.put(&path, to_json(&manifest).into()).await?;
        Ok(manifest)
    }

    /// Stores a segment. One that is there and whole stays: it was made of the same cut, when the stream had no less of it.
    async fn store(&self, cut: &Cut, part: &Part, entries: &[Kept]) -> Result<Option<(Segment, Vec<u64>)>, WriteError> {
        let path = cut.path(part);
        let range = part.first..=part.last;
        let of_part = |entry: &&Kept| range.contains(&entry.sequence) && entry.source() == part.source;
        let own: Vec<Kept> = entries.iter().filter(of_part).cloned().collect();
        let made = if own.is_empty() { None } else { Some(make(path.clone(), part.source.clone(), own).await?) };
        if let Some((segment, sequences, bytes)) = made.clone()
            && self.depot.create(&path, bytes).await? == Created::New
        {
            return Ok(Some((segment, sequences)));
        }
        let there = match self.depot.get(&path, MAX_SEGMENT).await? {
            Some(there) => read(path.clone(), part.source.clone(), there).await?,
            None => None,
        };
        let fits = |sequences: &[u64]| sequences.iter().all(|sequence| range.contains(sequence));
        let there = there.filter(|(_, sequences)| fits(sequences));
        match (there, made) {
            (Some(there), Some((_, own, _))) if there.1.len() >= own.len() => Ok(Some(there)),
            (there, None) => Ok(there),
            (_, Some((segment, sequences, bytes))) => {
                tracing::warn!(%path, "what lay there was not whole: it is written anew");
                self.depot.put(&path, bytes).await?;
                Ok(Some((segment, sequences)))
            }
        }
    }

    fn cut_path(&self, first: u64) -> String {
        format!("{CUTS}/{}/{first:020}.json", self.stream)
    }
}

/// The first sequence, as the name of a manifest says it.
pub(super) fn first_of(name: &str) -> Option<u64> {
    name.strip_suffix(".json")?.parse().ok()
}

/// Reads a manifest that was listed.
pub(super) async fn manifest(depot: &Depot, path: &str) -> Result<Manifest, WriteError> {
    let damaged = |problem: String| WriteError::Damaged { path: path.to_owned(), problem };
    let json = depot.get(path, MAX_INDEX).await?.ok_or_else(|| damaged("it came and went".to_owned()))?;
    Manifest::parse(&json).map_err(damaged)
}

type Made = (Segment, Vec<u64>, Bytes);

async fn make(path: String, source: String, entries: Vec<Kept>) -> Result<Made, WriteError> {
    let failed = {
        let path = path.clone();
        move |problem: String| WriteError::Segment { path, problem }
    };
    let made = tokio::task::spawn_blocking(move || {
        let (segment, bytes) = segment::write(&path, &source, &entries.iter().collect::<Vec<_>>())?;
        Ok((segment, entries.iter().map(|entry| entry.sequence).collect(), bytes))
    });
    made.await.unwrap_or_else(|error| Err(error.to_string())).map_err(failed)
}

/// What lies there, if it can be read.
async fn read(path: String, source: String, stored: Bytes) -> Result<Option<(Segment, Vec<u64>)>, WriteError> {
    let failed = {
        let path = path.clone();
        move |problem: String| WriteError::Segment { path, problem }
    };
    let same = source.clone();
    let described =
        tokio::task::spawn_blocking(move || segment::describe(&path, &source, &stored, |entry| entry.source() == same));
    described.await.map(Result::ok).map_err(|error| failed(error.to_string()))
}

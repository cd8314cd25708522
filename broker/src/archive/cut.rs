//! How a run of entries is cut into segments, and what came of it.

use std::collections::BTreeMap;

use emote_proto::Time;
use serde::{Deserialize, Serialize};

use super::Kept;

/// Version of cuts and manifests.
const VERSION: u32 = 1;
/// Ranges of absent sequences that a manifest names; the rest is only counted.
const MAX_RANGES: usize = 1_000;

/// A run of entries of one day, from behind the last one to `last`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    version: u32,
    /// Which EVENTS: when it was made, in nanoseconds since 1970.
    pub stream: String,
    /// The first sequence that it is about, there or not.
    pub first: u64,
    /// The last sequence that it is about.
    pub last: u64,
    /// The day that its entries were received on, in UTC.
    pub day: String,
    /// Its segments, by source.
    pub parts: Vec<Part>,
}

/// What is to be in a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The source, or `_other`.
    pub source: String,
    /// Its first entry.
    pub first: u64,
    /// Its last entry.
    pub last: u64,
    /// How many there are.
    pub events: u64,
}

/// What was stored of a cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    /// As in the cut.
    pub stream: String,
    /// As in the cut.
    pub first: u64,
    /// As in the cut.
    pub last: u64,
    /// As in the cut.
    pub day: String,
    /// Entries in its segments.
    pub events: u64,
    /// Its segments.
    pub segments: Vec<Segment>,
    /// Sequences that the stream did not have any more, or never had under `events.>`: ranges, both ends in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<(u64, u64)>,
    /// How many sequences that are.
    #[serde(default)]
    pub absent_count: u64,
}

/// A segment that is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Its object, from the archive's root.
    pub path: String,
    /// The source, or `_other`.
    pub source: String,
    /// Sequence of its first entry.
    pub first: u64,
    /// Sequence of its last entry.
    pub last: u64,
    /// Its entries.
    pub events: u64,
    /// Its size, not compressed.
    pub bytes: u64,
    /// Its size as it is stored.
    pub stored_bytes: u64,
    /// SHA-256 of the object as it is stored, in hex.
    pub sha256: String,
    /// When its first and its last entry were received: the earliest and the latest time.
    pub received: (Time, Time),
}

impl Cut {
    /// Cuts `entries`, which are of one day and in order, behind `position`; `None` where there are none.
    pub fn of(stream: &str, position: u64, entries: &[Kept]) -> Option<Self> {
        let last = entries.last()?;
        let mut parts: BTreeMap<&str, Part> = BTreeMap::new();
        for entry in entries {
            let source = entry.source();
            let part = parts.entry(source).or_insert_with(|| Part {
                source: source.to_owned(),
                first: entry.sequence,
                last: entry.sequence,
                events: 0,
            });
            (part.last, part.events) = (entry.sequence, part.events + 1);
        }
        Some(Self {
            version: VERSION,
            stream: stream.to_owned(),
            first: position + 1,
            last: last.sequence,
            day: last.day(),
            parts: parts.into_values().collect(),
        })
    }

    /// Where the segment lies.
    pub fn path(&self, part: &Part) -> String {
        let (day, stream) = (self.day.replace('-', "/"), &self.stream);
        format!("{}/{day}/{:012}-{:012}-{stream}.jsonl.zst", part.source, part.first, part.last)
    }

    /// What was stored of it: `segments`, which hold these sequences, in order.
    pub(super) fn manifest(&self, segments: Vec<Segment>, mut stored: Vec<u64>) -> Manifest {
        stored.sort_unstable();
        let (absent, absent_count) = absent(self.first, self.last, &stored);
        Manifest {
            version: VERSION,
            stream: self.stream.clone(),
            first: self.first,
            last: self.last,
            day: self.day.clone(),
            events: stored.len() as u64,
            segments,
            absent,
            absent_count,
        }
    }

    /// Reads what [`to_json`] wrote.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let cut: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        check(cut.version, cut.first, cut.last, &cut.day)?;
        let within = |part: &Part| cut.first <= part.first && part.first <= part.last && part.last <= cut.last;
        if cut.parts.iter().all(within) { Ok(cut) } else { Err("a segment lies outside of it".to_owned()) }
    }
}

impl Manifest {
    /// Reads what was written.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        check(manifest.version, manifest.first, manifest.last, &manifest.day)?;
        Ok(manifest)
    }
}

/// A value of ours as JSON: strings, numbers and lists, nothing that could fail.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn check(version: u32, first: u64, last: u64, day: &str) -> Result<(), String> {
    if version != VERSION {
        return Err(format!("it is of version {version}; this emote knows version {VERSION}"));
    }
    let is_day = day.len() == 10 && day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if first == 0 || last < first || !is_day { Err("its sequences or its day cannot be".to_owned()) } else { Ok(()) }
}

/// What of `first..=last` is not in `stored`, which is in order: ranges, and how many sequences they hold.
fn absent(first: u64, last: u64, stored: &[u64]) -> (Vec<(u64, u64)>, u64) {
    let (mut ranges, mut count, mut next) = (Vec::new(), 0, first);
    for end in stored.iter().copied().chain([last + 1]) {
        if end > next {
            count += end - next;
            if ranges.len() < MAX_RANGES {
                ranges.push((next, end - 1));
            }
        }
        next = end + 1;
    }
    (ranges, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_named_in_ranges() {
        assert_eq!(absent(1, 5, &[1, 2, 3, 4, 5]), (vec![], 0));
        assert_eq!(absent(1, 9, &[3, 4, 7]), (vec![(1, 2), (5, 6), (8, 9)], 6));
        assert_eq!(absent(4, 4, &[]), (vec![(4, 4)], 1));
    }

    #[test]
    fn a_cut_that_cannot_be_is_refused() {
        let cut = r#"{"version":1,"stream":"s","first":1,"last":9,"day":"2026-11-26","parts":[{"source":"a","first":2,"last":9,"events":3}]}"#;
        assert_eq!(Cut::parse(cut.as_bytes()).unwrap().last, 9);
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"first\":1", "\"first\":3"),
            ("2026-11-26", "../../../x"),
            ("\"last\":9,\"day\"", "\"last\":0,\"day\""),
        ] {
            assert!(Cut::parse(cut.replace(from, to).as_bytes()).is_err(), "{to}");
        }
    }
}

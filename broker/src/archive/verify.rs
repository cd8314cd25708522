//! Looks through a whole archive: every manifest, every segment, every sequence.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;

use super::{
    Archive, Manifest, Segment,
    read::{Listed, Wanted},
    segment::describe,
    write::{MANIFESTS, MAX_SEGMENT, WriteError, manifest},
};

/// Findings that are kept; more are only counted.
const MAX_FINDINGS: usize = 10_000;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// The object, or the stream.
    pub path: String,
    /// What there is to say.
    pub problem: String,
    /// Whether something is wrong, or only to be known.
    pub wrong: bool,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Manifests.
    pub manifests: u64,
    /// Segments.
    pub segments: u64,
    /// Entries in them.
    pub events: u64,
    /// Their bytes as they are stored.
    pub stored_bytes: u64,
    /// Sequences that the stream did not have any more when they were archived.
    pub absent: u64,
    /// What is wrong or to be known.
    pub findings: Vec<Finding>,
    /// Findings that are not named.
    pub more: u64,
}

impl Verified {
    /// Whether nothing is wrong.
    pub fn is_fine(&self) -> bool {
        self.more == 0 && !self.findings.iter().any(|finding| finding.wrong)
    }

    fn find(&mut self, path: &str, problem: impl Into<String>, wrong: bool) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { path: path.to_owned(), problem: problem.into(), wrong });
        } else {
            self.more += u64::from(wrong);
        }
    }
}

impl Archive {
    /// Looks through what was received on the days that are wanted; through all, also for what nobody names.
    pub async fn verify(&self, wanted: &Wanted, mut told: impl FnMut(&Verified)) -> anyhow::Result<Verified> {
        let mut verified = Verified::default();
        let mut named = BTreeSet::new();
        let mut reached: BTreeMap<String, u64> = BTreeMap::new();
        let all = wanted.from.is_none() && wanted.to.is_none();
        for Listed { stream, first, path } in self.listed(wanted).await? {
            let manifest = match manifest(&self.depot, &path).await {
                Ok(manifest) => manifest,
                Err(WriteError::Depot(error)) => return Err(error.into()),
                Err(error) => {
                    verified.find(&path, error.to_string(), true);
                    continue;
                }
            };
            if manifest.first != first || manifest.stream != stream {
                verified.find(&path, "it is not what its name says", true);
            }
            let before = reached.insert(stream, manifest.last);
            let expected = before.map(|before| before + 1).or(all.then_some(1));
            if let Some(expected) = expected.filter(|expected| *expected != manifest.first) {
                let what = if expected < manifest.first { "are in no manifest" } else { "are in two manifests" };
                let (from, to) = (expected.min(manifest.first), expected.max(manifest.first) - 1);
                verified.find(&path, format!("entries {from} to {to} {what}"), true);
            }
            named.extend(manifest.segments.iter().map(|segment| segment.path.clone()));
            self.verify_one(&path, &manifest, &mut verified).await?;
            told(&verified);
        }
        if all {
            self.look_for_others(&named, &reached, &mut verified).await?;
        }
        Ok(verified)
    }

    async fn verify_one(&self, path: &str, manifest: &Manifest, verified: &mut Verified) -> anyhow::Result<()> {
        verified.manifests += 1;
        verified.absent += manifest.absent_count;
        for (from, to) in &manifest.absent {
            verified.find(path, format!("entries {from} to {to} were not in the stream any more"), false);
        }
        let mut seen: BTreeSet<u64> = BTreeSet::new();
        for segment in &manifest.segments {
            verified.segments += 1;
            verified.stored_bytes += segment.stored_bytes;
            let problem = match self.depot.get(&segment.path, MAX_SEGMENT).await? {
                None => Some("it is missing".to_owned()),
                Some(stored) => match look_at(segment, manifest.day.clone(), stored).await? {
                    Ok(sequences) => {
                        verified.events += sequences.len() as u64;
                        let before = seen.len();
                        let outside = sequences.iter().any(|one| *one < manifest.first || *one > manifest.last);
                        seen.extend(&sequences);
                        let twice = seen.len() < before + sequences.len();
                        let problem = if outside { Some("it holds entries of other manifests") } else { None };
                        problem.or(twice.then_some("an entry of it is in another segment too")).map(str::to_owned)
                    }
                    Err(problem) => Some(problem),
                },
            };
            if let Some(problem) = problem {
                verified.find(&segment.path, problem, true);
            }
        }
        let counted = manifest.segments.iter().map(|segment| segment.events).sum::<u64>();
        let range = manifest.last - manifest.first + 1;
        if counted != manifest.events || counted + manifest.absent_count != range {
            let problem =
                format!("{counted} entries and {} absent ones are not the {range} it is about", manifest.absent_count);
            verified.find(path, problem, true);
        }
        Ok(())
    }

    /// Segments that no manifest names: of a cut that is not finished, or of nobody.
    async fn look_for_others(
        &self,
        named: &BTreeSet<String>,
        reached: &BTreeMap<String, u64>,
        verified: &mut Verified,
    ) -> anyhow::Result<()> {
        for folder in
            self.depot.folders("").await?.into_iter().filter(|folder| folder != MANIFESTS && folder != "_cuts")
        {
            for path in self.depot.paths(&folder).await? {
                if named.contains(&path) {
                    continue;
                }
                let is_ahead = first_and_stream(&path)
                    .is_some_and(|(first, stream)| reached.get(&stream).is_none_or(|reached| first > *reached));
                let problem = if is_ahead { "it is of a cut that is not finished yet" } else { "no manifest names it" };
                verified.find(&path, problem, !is_ahead);
            }
        }
        Ok(())
    }
}

/// Reads a segment through; its sequences, or what is wrong with it.
async fn look_at(segment: &Segment, day: String, stored: bytes::Bytes) -> anyhow::Result<Result<Vec<u64>, String>> {
    let expected = segment.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let belongs = |entry: super::Kept| entry.source() == expected.source && entry.day() == day;
        match describe(&expected.path, &expected.source, &stored, belongs) {
            Ok((found, sequences)) if found == expected => Ok(sequences),
            Ok((found, _)) if found.sha256 != expected.sha256 => Err("its SHA-256 is not the manifest's".to_owned()),
            Ok(_) => Err("it does not hold what its manifest says".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    });
    looked.await.context("reading a segment")
}

/// What a segment's name says.
fn first_and_stream(path: &str) -> Option<(u64, String)> {
    let name = path.rsplit('/').next()?.strip_suffix(".jsonl.zst")?;
    let mut parts = name.split('-');
    let (first, _, stream) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
    Some((first, stream.to_owned()))
}

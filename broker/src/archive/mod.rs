//! The archive: every entry of EVENTS, once, in object storage, for longer than the stream keeps it. This is what rests there:
//!
//! | object | what it is |
//! |---|---|
//! | `<source>/<yyyy>/<mm>/<dd>/<first>-<last>-<stream>.jsonl.zst` | a segment: entries of one source received on one day (UTC), a line of JSON each, in order of their sequences; zstd (RFC 8878) with its checksum |
//! | `_manifests/<stream>/<yyyy>-<mm>-<dd>/<first>.json` | what became of the entries from `first` to its `last`: segments with counts, SHA-256 and times, and which sequences the stream did not have ([`Manifest`]) |
//! | `_cuts/<stream>/<first>.json` | how the entries from `first` on are cut ([`Cut`]) |
//!
//! `<first>` and `<last>` are sequences, `<stream>` is when EVENTS was made. What has no name that a source can have lies under
//! `_other`.
//!
//! Exactly once, whoever writes, and wherever it ends: first the cut is put where there is none yet, then its segments, then
//! its manifest; only then the consumer is told. How far the archive is, its last manifest says. Whoever goes on behind that
//! finds the cut that somebody began, or puts one; a store that takes an object only where there is none takes one cut at each
//! place. So a second broker comes to the same objects under the same names. What has no manifest is not in the archive yet.

mod cut;
mod depot;
mod kept;
mod read;
mod run;
mod segment;
mod spec;
mod status;
mod verify;
mod write;

pub use cut::{Cut, Manifest, Part, Segment};
pub use depot::{Depot, DepotError};
pub use kept::Kept;
pub use read::{Archive, Wanted};
pub use run::Archiver;
pub use spec::{ArchiveSpec, Place, SpecError, Wire};
pub use status::{Status, Telling};
pub use verify::{Finding, Verified};
pub use write::{Begun, WriteError, Writer};

#[cfg(test)]
mod tests;

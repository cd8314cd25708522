//! The idle uplink's offer: whoever writes the next events puts them in flight in the same transaction, which saves one
//! fsync an event and a third of what a heartbeat costs.
//!
//! It holds only while nothing else waits, so that no event is overtaken, and only for what one flight may hold.

use std::ops::RangeInclusive;

use super::key::key;
use super::record::Record;
use crate::uplink::{Flight, Saved};

/// What the uplink and whoever writes agree on.
#[derive(Debug, Default)]
pub(super) enum Offer {
    /// The uplink chooses by itself.
    #[default]
    None,
    /// The next events may be put in flight.
    Open(Terms),
    /// They were: this is on the disk.
    Begun(Saved),
}

/// How the next events may be put in flight.
#[derive(Debug)]
pub(super) struct Terms {
    /// Without a flight.
    pub(super) saved: Saved,
    pub(super) most: usize,
    pub(super) max_bytes: usize,
}

impl Terms {
    /// What is saved with `records`, the first of which has the number `first`, in flight since `now`; `None` when one
    /// flight cannot hold them.
    pub(super) fn begin(&self, records: &[Record], first: u64, now: i64) -> Option<Saved> {
        let class = records.first()?.class;
        let bytes: usize = records.iter().map(|record| record.json.len()).sum();
        let alike = records.iter().all(|record| record.class == class);
        if !alike || records.len() > self.most || (bytes > self.max_bytes && records.len() > 1) {
            return None;
        }
        let range: RangeInclusive<u64> = key(first, class)..=key(first + records.len() as u64 - 1, class);
        let flight = Flight { first: *range.start(), last: *range.end(), tried_at: now };
        Some(Saved { flight: Some(flight), ..self.saved.clone() })
    }
}

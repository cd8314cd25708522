//! What is said of events that were lost on this machine: the `info` of an `agent.gap`.

use emote_proto::Time;
use serde::{Deserialize, Serialize};

use super::key::sequence;
use super::quota::Item;
use super::record::{Class, Damage};

/// Why they were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The spool was full.
    Quota,
    /// The record's checksum or shape was wrong.
    DamagedRecord,
    /// The spool's file was unreadable and was set aside; how many events it held is not known.
    CorruptFile,
    /// The stream refuses it for good, for its size.
    Refused,
}

/// A loss. Absent fields are not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// How many events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How many of them were heartbeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeats: Option<u64>,
    /// Spool sequence of the first; not everything up to the last need be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_sequence: Option<u64>,
    /// Spool sequence of the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sequence: Option<u64>,
    /// When the first happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_time: Option<Time>,
    /// When the last happened, or the loss was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_time: Option<Time>,
}

/// What one `agent.gap` tells was dropped for the quota; kept, so that it goes on telling while it waits itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dropped {
    /// Of that event's record.
    pub(super) key: u64,
    count: u64,
    heartbeats: u64,
    /// First and last number.
    sequences: (u64, u64),
    /// First and last, milliseconds since 1970.
    times: Option<(i64, i64)>,
}

impl Dropped {
    /// `None` when nothing was dropped. The key is not known yet.
    pub(super) fn of(victims: &[Item]) -> Option<Self> {
        let (first, last) = (victims.first()?, victims.last()?);
        let times = || victims.iter().filter_map(|item| item.time);
        Some(Self {
            key: 0,
            count: victims.len() as u64,
            heartbeats: victims.iter().filter(|item| item.class == Class::Heartbeat).count() as u64,
            sequences: (sequence(first.key), sequence(last.key)),
            times: times().min().zip(times().max()),
        })
    }

    /// Both, told under the key of `earlier`.
    pub(super) fn and(self, earlier: &Self) -> Self {
        let around = |a: (i64, i64), b: (i64, i64)| (a.0.min(b.0), a.1.max(b.1));
        Self {
            key: earlier.key,
            count: self.count + earlier.count,
            heartbeats: self.heartbeats + earlier.heartbeats,
            sequences: (self.sequences.0.min(earlier.sequences.0), self.sequences.1.max(earlier.sequences.1)),
            times: self.times.zip(earlier.times).map(|(a, b)| around(a, b)).or(self.times).or(earlier.times),
        }
    }

    pub(super) fn gap(&self) -> Gap {
        Gap {
            count: Some(self.count),
            heartbeats: Some(self.heartbeats),
            first_sequence: Some(self.sequences.0),
            last_sequence: Some(self.sequences.1),
            first_time: self.times.and_then(|times| Time::from_millis(times.0)),
            last_time: self.times.and_then(|times| Time::from_millis(times.1)),
            ..Gap::new(GapReason::Quota)
        }
    }
}

impl Gap {
    /// Nothing known but the reason.
    fn new(reason: GapReason) -> Self {
        Self {
            reason,
            count: None,
            heartbeats: None,
            first_sequence: None,
            last_sequence: None,
            first_time: None,
            last_time: None,
        }
    }

    pub(super) fn corrupt_file(now: Time) -> Self {
        Self { last_time: Some(now), ..Self::new(GapReason::CorruptFile) }
    }

    /// An event that the stream will never take.
    pub fn refused(key: u64, time: Time) -> Self {
        let sequence = sequence(key);
        Self {
            count: Some(1),
            first_sequence: Some(sequence),
            last_sequence: Some(sequence),
            first_time: Some(time),
            last_time: Some(time),
            ..Self::new(GapReason::Refused)
        }
    }

    pub(super) fn damaged(found: &[(u64, Damage)]) -> Self {
        Self {
            count: Some(found.len() as u64),
            first_sequence: found.first().map(|(key, _)| sequence(*key)),
            last_sequence: found.last().map(|(key, _)| sequence(*key)),
            ..Self::new(GapReason::DamagedRecord)
        }
    }
}

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

    /// `None` when nothing was dropped.
    pub(super) fn quota(victims: &[Item]) -> Option<Self> {
        let (first, last) = (victims.first()?, victims.last()?);
        let times = || victims.iter().filter_map(|item| item.time).filter_map(Time::from_millis);
        Some(Self {
            count: Some(victims.len() as u64),
            heartbeats: Some(victims.iter().filter(|item| item.class == Class::Heartbeat).count() as u64),
            first_sequence: Some(sequence(first.key)),
            last_sequence: Some(sequence(last.key)),
            first_time: times().min(),
            last_time: times().max(),
            ..Self::new(GapReason::Quota)
        })
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

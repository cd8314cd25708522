//! Where polling stands, as the log keeps it. Pure.

use std::time::Duration;

use bytes::Bytes;
use emote_proto::{EventError, EventId, Name, Subject, Time};
use serde_json::{Value, json};

use super::{Kind, Last};
use crate::ingest::own;

/// Where polling of a source stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stand {
    /// The vendor's own mark; null where there is none.
    pub(super) cursor: Value,
    /// Up to when everything was fetched; none before the first whole round.
    pub(super) since: Option<Time>,
    /// The next page of a round that was cut off; null where none was.
    pub(super) next: Value,
    /// The sequence of the message that says so; 0 for none.
    pub(super) at: u64,
    /// When that was stored.
    pub(super) written: Option<Time>,
    /// Since when fetching fails, where that was told.
    pub(super) failing: Option<Time>,
    /// The sequence of the message that last told so; 0 for none.
    pub(super) failed_at: u64,
}

/// What a round has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) pages: u32,
    pub(super) items: u64,
    pub(super) events: u64,
}

impl Stand {
    /// As the last messages of the two subjects tell it.
    pub(super) fn of(polled: Option<Last>, failed: Option<Last>) -> Self {
        let mut stand = Self::default();
        if let Some(last) = polled {
            let of = |key: &str| last.info.get(key).cloned().unwrap_or_default();
            stand = Self {
                cursor: of("cursor"),
                since: of("since").as_str().and_then(|text| text.parse().ok()),
                next: of("next"),
                at: last.sequence,
                written: Some(last.received),
                ..stand
            };
        }
        if let Some(last) = failed {
            stand.failing = (last.sequence > stand.at).then_some(last.received);
            stand.failed_at = last.sequence;
        }
        stand
    }

    /// Since when is asked at `now`.
    pub(super) fn from(&self, now: Time, start: Duration, overlap: Duration) -> Time {
        match self.since {
            Some(since) => before(since, overlap),
            None => before(now, start),
        }
    }

    /// The event that keeps it.
    pub(super) fn event(
        &self,
        kind: Kind,
        source: &Name,
        done: Done,
        now: Time,
    ) -> Result<(Subject, EventId, Bytes), EventError> {
        let mut info = json!({"cursor": self.cursor, "since": self.since, "next": self.next});
        if let Value::Object(info) = &mut info {
            info.retain(|_, value| !value.is_null());
            info.insert("pages".to_owned(), done.pages.into());
            info.insert("items".to_owned(), done.items.into());
            info.insert("events".to_owned(), done.events.into());
            if let Some(since) = self.failing {
                info.insert("failed_since".to_owned(), since.to_string().into());
            }
        }
        own::event_of_now(source, kind.action(), info, now)
    }
}

/// The event that tells that fetching fails.
pub(super) fn failed(
    kind: Kind,
    source: &Name,
    reason: &str,
    now: Time,
) -> Result<(Subject, EventId, Bytes), EventError> {
    own::event_of_now(source, kind.failed(), json!({"reason": reason}), now)
}

/// So long before.
pub(super) fn before(time: Time, by: Duration) -> Time {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Time::from_millis(time.as_millis().saturating_sub(by)).unwrap_or(time)
}

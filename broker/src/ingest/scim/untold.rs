//! Events of changes that are not published yet. They are written with the change, in the same atomic batch, and taken out
//! when the stream has them: what a broker that ends in between leaves is told by whoever finds it.
//!
//! | key | value |
//! |---|---|
//! | `UNTOLD.<source>.<kind>.<id>.<part>` | events, one a line: subject, id and JSON with a blank between |
//!
//! No source is called so: names have no capitals. A resource with untold events is not changed before they are told, so
//! that they come in order and there are never those of two changes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use emote_proto::Name;
use tokio_util::sync::CancellationToken;

use super::{Directory, kind::Kind};
use crate::{
    bus::{BusError, Entry, Write},
    ingest::{Publish, PublishError, Ready},
};

/// The first token of keys.
const UNTOLD: &str = "UNTOLD";
/// Events of a part.
const AT_ONCE: usize = 500;
/// Bytes of a part; one event alone may be as large.
const MAX_PART: usize = 512 * 1024;
/// How often it is looked for what others have left.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where those of a resource are.
pub(super) fn prefix(source: &Name, kind: Kind, id: &str) -> String {
    format!("{UNTOLD}.{source}.{}.{id}", kind.word())
}

fn key(prefix: &str, part: usize) -> String {
    // In order as text, too.
    format!("{prefix}.{part:05}")
}

/// What keeps these events there, where nothing is.
pub(super) fn writes(prefix: &str, events: &[Ready]) -> Vec<Write> {
    parts(events)
        .into_iter()
        .enumerate()
        .map(|(part, events)| {
            let lines = events.iter().map(|(subject, id, json)| [format!("{subject} {id} ").as_bytes(), json].concat());
            Write { key: key(prefix, part), expected: 0, value: lines.collect::<Vec<_>>().join(&b'\n') }
        })
        .collect()
}

/// Cut so that each is as much as is written, and published, at once.
pub(in crate::ingest) fn parts(events: &[Ready]) -> Vec<&[Ready]> {
    let (mut parts, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (at, (_, _, json)) in events.iter().enumerate() {
        if at > begin && (at - begin == AT_ONCE || bytes + json.len() > MAX_PART) {
            parts.push(&events[begin..at]);
            (begin, bytes) = (at, 0);
        }
        bytes += json.len();
    }
    if begin < events.len() {
        parts.push(&events[begin..]);
    }
    parts
}

/// The events of a part; none where it is damaged.
fn read(value: &Bytes) -> Option<Vec<Ready>> {
    let lines = value.split(|byte| *byte == b'\n').map(|line| {
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let mut text = || std::str::from_utf8(words.next()?).ok();
        let (subject, id) = (text()?.parse().ok()?, text()?.parse().ok()?);
        Some((subject, id, value.slice_ref(words.next()?)))
    });
    lines.collect()
}

/// What was not told of one resource.
pub(super) struct Left {
    prefix: String,
    parts: Vec<Entry>,
}

impl Left {
    /// What was not told of the resource with this prefix; none where everything was.
    pub(super) async fn of(directory: &dyn Directory, prefix: String) -> Result<Option<Self>, BusError> {
        let mut left = Self { prefix, parts: Vec::new() };
        while let Some(entry) = directory.get(&key(&left.prefix, left.parts.len())).await? {
            if !left.takes(entry) {
                break;
            }
        }
        Ok(Some(left).filter(|left| !left.parts.is_empty()))
    }

    /// What was not told of any.
    async fn all(directory: &dyn Directory) -> Result<Vec<Self>, BusError> {
        let mut all: Vec<Self> = Vec::new();
        for (rest, entry) in directory.all(UNTOLD).await? {
            let Some((resource, _)) = rest.rsplit_once('.') else { continue };
            let prefix = format!("{UNTOLD}.{resource}");
            match all.last_mut().filter(|left| left.prefix == prefix) {
                Some(left) => drop(left.takes(entry)),
                None => all.push(Self { prefix, parts: vec![entry] }),
            }
        }
        Ok(all)
    }

    /// Takes the next part, if it is of the same change: all of one are written in a row.
    fn takes(&mut self, entry: Entry) -> bool {
        let is_next = self.parts.last().is_none_or(|last| last.revision + 1 == entry.revision);
        if is_next {
            self.parts.push(entry);
        }
        is_next
    }

    /// Its events, in the order of the change.
    pub(super) fn events(&self) -> Vec<Ready> {
        let read_or_told = |entry: &Entry| {
            let events = read(&entry.value);
            if events.is_none() {
                tracing::error!(
                    key = self.prefix,
                    "what was not told of a user or group is damaged, and never will be"
                );
            }
            events.unwrap_or_default()
        };
        self.parts.iter().flat_map(read_or_told).collect()
    }

    /// They are told.
    pub(super) async fn told(&self, directory: &dyn Directory) -> Result<(), BusError> {
        let last = self.parts.last().map_or(0, |entry| entry.revision);
        directory.forget(&self.prefix, last).await
    }
}

/// Tells what brokers have left that ended, while this one runs.
pub struct Untold {
    /// Where it is.
    pub directory: Arc<dyn Directory>,
    /// Where it goes.
    pub publisher: Arc<dyn Publish>,
}

impl Untold {
    /// Looks for it again and again.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.look().await {
                tracing::debug!(error, "what was not told of users and groups waits");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Tells what there is now. What another broker is just telling is told by both, under the same ids: it is told once.
    /// What cannot be told holds up nothing else; the first error is given at the end.
    pub(super) async fn look(&self) -> Result<(), String> {
        let mut all_told = Ok(());
        for left in Left::all(&*self.directory).await.map_err(|error| error.to_string())? {
            let told = self.tell(&left).await;
            all_told = all_told.and(told);
        }
        all_told
    }

    async fn tell(&self, left: &Left) -> Result<(), String> {
        let events = left.events();
        for part in parts(&events) {
            self.publisher.publish(part.to_vec()).await.map_err(|error: PublishError| error.to_string())?;
        }
        left.told(&*self.directory).await.map_err(|error| error.to_string())?;
        tracing::info!(events = events.len(), "changes of users and groups that a broker left untold are told");
        Ok(())
    }
}

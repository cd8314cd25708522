//! What an item becomes: its events, without those that somebody has told already.

use bytes::Bytes;
use emote_proto::{Draft, EventId, Subject, Time};
use serde_json::{Value, json};

use super::{Kind, Log, Poll};
use crate::ingest::{Moment, Source};

/// An event that an item stands for.
pub(super) struct Found {
    pub(super) subject: Subject,
    pub(super) id: EventId,
    pub(super) json: Bytes,
    /// When it happened, where the vendor says so.
    pub(super) time: Option<Time>,
}

/// The events that an item stands for; none where it cannot be taken.
pub(super) fn drafts(source: &Source, poll: &Poll, log: &dyn Log, item: &Value, until: Time) -> Option<Vec<Found>> {
    let moment = Moment::drawn().ok()?;
    let aliases: &dyn Log = log;
    let drafts = source.polled(item, poll.trust(), &OfLog(aliases), &moment).ok()?;
    let mut events = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let draft = match poll.plan.kind {
            Kind::Poll => draft,
            Kind::Reconcile if draft.time.is_some_and(|time| time > until) => continue,
            Kind::Reconcile if was_told(poll, log, &draft, source) => continue,
            Kind::Reconcile => reconciled(draft),
        };
        let subject = draft.subject(source.name().clone()).ok()?;
        events.push(Found { subject, id: draft.id?, json: draft.to_json().into(), time: draft.time });
    }
    Some(events)
}

/// The other names of nodes, as the log has them.
pub(crate) struct OfLog<'a>(pub(crate) &'a dyn Log);

impl crate::ingest::Aliases for OfLog<'_> {
    fn serial_of(&self, udid: &str, trust: emote_proto::Trust) -> Option<String> {
        self.0.serial_of(udid, trust)
    }
}

/// Whether `unless` says that it was told.
fn was_told(poll: &Poll, log: &dyn Log, draft: &Draft, source: &Source) -> bool {
    let Some(program) = &poll.plan.unless else { return false };
    let node = draft.node().ok().flatten().map_or(Value::Null, |node| log.node(node.as_str()));
    let claims = node.get("sources").and_then(|sources| sources.get(source.name().as_str())).cloned();
    let sees = json!({"event": draft, "node": node, "claims": claims, "source": source.name()});
    program.first(&sees, &[]).is_ok_and(|told| told == Value::Bool(true))
}

/// Marked as what a webhook should have told.
fn reconciled(mut draft: Draft) -> Draft {
    let mut info = match draft.info.take().map(emote_proto::Info::into_value) {
        Some(Value::Object(map)) => map,
        None | Some(Value::Null) => serde_json::Map::new(),
        Some(other) => [("value".to_owned(), other)].into_iter().collect(),
    };
    info.insert("reconciled".to_owned(), true.into());
    draft.info = Some(Value::Object(info).into());
    draft
}

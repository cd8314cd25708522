//! What the core has to say itself: events that the emit target publishes.

use emote_proto::{Device, Event, EventId, Link, Name, Replay, Time, Token, Trust, User, source};
use serde_json::{Value, json};

use super::{Entry, Rejection};
use crate::core::{CORE_RULE, Deployment, EMIT_TARGET, Job, JobId, Poison, job::least_trust};

/// Longest body of an entry that goes into its dead letter, in bytes of JSON: escaping may make it six times as long.
const MAX_BODY: usize = 512 * 1024;

pub(super) fn loop_stopped(
    rule: &Name,
    (event, replay): (&Event, Option<&Replay>),
    about: Option<&str>,
    reason: &str,
) -> Job {
    let cause = event.cause.as_ref();
    let chain: Vec<Link> = cause.map(|cause| cause.chain.clone()).unwrap_or_default();
    let root = cause.map_or(event.id, |cause| cause.root).to_string();
    let id = EventId::derived(&["loop", &root, rule.as_str(), about.unwrap_or("-")]);
    let info = json!({"rule": rule, "event": event.id, "chain": chain, "reason": reason});
    own_event(id, event, "rule", "loop_stopped", marked(info, replay))
}

/// Somebody is waiting for what such a rule does: that it did nothing is worth an event.
pub(super) fn no_devices(rule: &Name, event: &Event, replay: Option<&Replay>, user: &str) -> Job {
    let id = EventId::derived(&["no-devices", &event.id.to_string(), rule.as_str()]);
    let reason = format!("no device is known to belong to {user}");
    let info = json!({"rule": rule, "event": event.id, "reason": reason});
    own_event(id, event, "rule", "no_devices", marked(info, replay))
}

/// A job that the target's guard does not let happen.
pub(super) fn refused(job: &Job, reason: &str) -> Job {
    guard(job, "refused", reason)
}

/// A job that waits for somebody's word.
pub(super) fn held(job: &Job, reason: &str) -> Job {
    guard(job, "held", reason)
}

fn guard(job: &Job, action: &'static str, reason: &str) -> Job {
    let id = EventId::derived(&["guard", action, job.id.as_str()]);
    let (rule, target) = (&job.rule, &job.target);
    let info = json!({"job": job.id, "rule": rule, "target": target, "event": job.event.id, "reason": reason});
    let mut own = own_event(id, &job.event, "guard", action, marked(info, job.replay.as_ref()));
    if let Some(device) = about(job) {
        own.event.device = Some(device);
    }
    own
}

/// A job for one of a user's devices is about that device.
fn about(job: &Job) -> Option<Device> {
    let node = job.node.as_ref()?;
    let text = |key: &str| node.get(key).and_then(Value::as_str).map(str::to_owned);
    let uuid = text("serial");
    let udid = if uuid.is_some() { None } else { text("udid") };
    (uuid.is_some() || udid.is_some()).then(|| Device { uuid, udid, ..Device::default() })
}

/// Nothing has come from a source for too long, as the timer `event` found out.
pub(in crate::core) fn silent(event: &Event, name: &str, since: Time, now: Time, limit: i64) -> Job {
    let id = EventId::derived(&["silent", name, &since.to_string()]);
    let info = json!({
        "source": name, "last_heard": since, "silent_for_s": now.millis_since(since) / 1000, "silent_after_s": limit / 1000,
    });
    of_source(own_event(id, event, "source", "silent", info), now)
}

/// A source speaks again with `event`.
pub(in crate::core) fn recovered(event: &Event, since: Time, now: Time) -> Job {
    let name = event.source.as_str();
    let id = EventId::derived(&["recovered", name, &since.to_string()]);
    let info = json!({
        "source": name, "event": event.id, "last_heard": since, "silent_for_s": now.millis_since(since) / 1000,
    });
    of_source(own_event(id, event, "source", "recovered", info), now)
}

/// What became of an install of the agent with `event`: told about its Mac, in the chain of what ordered it.
pub(in crate::core) fn deployed(event: &Event, action: &'static str, deployment: &Deployment, info: Value) -> Job {
    let id = EventId::derived(&["deploy", action, &event.id.to_string()]);
    let mut own = own_event(id, event, "deploy", action, info);
    let uuid = deployment.serial.clone();
    let udid = if uuid.is_some() { None } else { Some(deployment.udid.clone()) };
    own.event.device = Some(Device { uuid, udid, ..Device::default() });
    (own.event.user, own.event.cause) = (None, Some(deployment.cause.clone()));
    own
}

/// About a source, not about what its event is about.
fn of_source(mut job: Job, now: Time) -> Job {
    (job.event.time, job.event.device, job.event.user, job.event.cause) = (now, None, None, None);
    job
}

pub(super) fn unmatched(event: &Event, replay: Option<&Replay>, reason: &str) -> Job {
    let id = EventId::derived(&["unmatched", &event.id.to_string()]);
    own_event(id, event, "event", "rejected", marked(json!({"event": event.id, "reason": clip(reason)}), replay))
}

/// An entry that is no event, or that cannot be folded: told by an event, kept as a dead letter.
pub(super) fn rejected(entry: &Entry<'_>, rejection: &Rejection) -> Job {
    let id = EventId::derived(&["rejected", &entry.sequence.to_string(), &entry.received.to_string()]);
    let subject: String = entry.subject.chars().take(300).collect();
    let reason = clip(&rejection.to_string());
    let event = Event {
        id,
        time: entry.received,
        source: word(source::BROKER),
        scope: token("event"),
        action: token("rejected"),
        device: None,
        user: None,
        info: Some(json!({"sequence": entry.sequence, "subject": subject, "reason": reason}).into()),
        communicate: None,
        log: None,
        trust: Trust::Verified,
        cause: None,
        other: serde_json::Map::new(),
    };
    let body = String::from_utf8_lossy(&entry.payload[..entry.payload.len().min(MAX_BODY)]);
    let body = fitting(&body, MAX_BODY).to_owned();
    Job { poison: Some(Poison { sequence: entry.sequence, subject, body, reason }), ..emit(event) }
}

/// The end of a held job that somebody denied.
pub(super) fn denied(job: &Job, order: &Event) -> Job {
    let by = order.user.as_ref().and_then(|user| user.id.as_deref());
    let why = order.info_at(&["reason"]).cloned().unwrap_or_default();
    let info =
        json!({"target": job.target, "rule": job.rule, "job": job.id, "order": order.id, "by": by, "reason": why});
    let mut own = own_event(job.result_id(), &job.event, "delivery", "denied", info);
    if let Some(device) = about(job) {
        own.event.device = Some(device);
    }
    own.event.time = order.time;
    own.event.cause = Some(job.cause());
    own
}

/// An order that was not carried out, and why.
pub(super) fn order_refused(event: &Event, reason: &str) -> Job {
    let id = EventId::derived(&["order-refused", &event.id.to_string()]);
    let ordered = format!("{}.{}", event.scope, event.action);
    let info = json!({"event": event.id, "order": ordered, "reason": clip(reason)});
    let scope = if event.scope.as_str() == "config" { "config" } else { "order" };
    own_event(id, event, scope, "refused", info)
}

/// As much of `text` from its beginning as takes no more than `bytes` in JSON.
fn fitting(text: &str, bytes: usize) -> &str {
    let mut left = bytes;
    let end = text.char_indices().find(|(_, char)| {
        let takes = match char {
            '"' | '\\' => 2,
            '\0'..='\x1f' => 6,
            _ => char.len_utf8(),
        };
        let fits = takes <= left;
        left = left.saturating_sub(takes);
        !fits
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// A reason may repeat what was found, which may be as long as an event.
fn clip(reason: &str) -> String {
    reason.chars().take(2_000).collect()
}

/// What is told of a replay bears its mark, so that what is set off by that is bound by it too.
fn marked(mut info: Value, replay: Option<&Replay>) -> Value {
    if let (Value::Object(info), Some(replay)) = (&mut info, replay) {
        info.insert("replay".to_owned(), json!(replay));
    }
    info
}

/// An event of the core's own about the same node as `about`, to be published by the emit target.
fn own_event(id: EventId, about: &Event, scope: &'static str, action: &'static str, info: Value) -> Job {
    let device = about.device.as_ref();
    let device =
        device.map(|device| Device { uuid: device.uuid.clone(), udid: device.udid.clone(), ..Device::default() });
    emit(Event {
        id,
        time: about.time,
        source: word(source::BROKER),
        scope: token(scope),
        action: token(action),
        device,
        user: about.user_id().map(|id| User { id: Some(id.to_owned()), ..User::default() }),
        info: Some(info.into()),
        communicate: None,
        log: None,
        // Rules may act on it: what is told of an event is worth no more than the event.
        trust: least_trust(about),
        cause: about.cause.clone(),
        other: serde_json::Map::new(),
    })
}

fn emit(event: Event) -> Job {
    let (rule, target) = (word(CORE_RULE), word(EMIT_TARGET));
    Job::new(JobId::new(event.id, &rule, &target, None), rule, target, event)
}

#[expect(clippy::expect_used, reason = "only called with the literal words of this file")]
fn word(text: &'static str) -> Name {
    Name::new(text).expect("a literal name")
}

#[expect(clippy::expect_used, reason = "only called with the literal words of this file")]
fn token(text: &'static str) -> Token {
    Token::new(text).expect("a literal token")
}

#[cfg(test)]
mod tests {
    use super::*;
    use emote_proto::limits;

    #[test]
    fn whatever_is_in_an_entry_its_job_fits_into_a_message() {
        for text in ["x", "\0", "\x1f", "\n", "\"", "\\", "\x7f", "ä", "\u{2028}", "\u{10ffff}"] {
            for payload in [text.repeat(1 << 20).into_bytes(), b"\xff".repeat(1 << 20), text.into(), Vec::new()] {
                let received = Time::from_millis(0).unwrap();
                let entry = Entry { sequence: 1, received, subject: text, message_id: None, payload: &payload };
                let job = rejected(&entry, &Rejection::Panic(text.repeat(3_000)));
                let body = job.poison.as_ref().map(|poison| poison.body.len()).unwrap();
                assert!(serde_json::to_vec(&job).unwrap().len() <= limits::MAX_JOB, "{text:?}");
                assert_eq!(body == 0, payload.is_empty());
            }
        }
        assert_eq!((fitting("ab\"c", 3), fitting("ab\"c", 4), fitting("ab\"c", 5)), ("ab", "ab\"", "ab\"c"));
    }
}

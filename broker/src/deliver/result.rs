//! The event that tells how a job ended.

use emote_proto::{Device, Event, Time, Token, Trust, User, limits};
use serde_json::{Map, Value, json};

use crate::{core::Job, targets::Report};

/// Largest report in bytes of JSON; the rest of the event needs room too.
const MAX_INFO: usize = limits::MAX_EVENT - 32 * 1024;
/// Longest reason in an event, in characters; the dead letter has more of it.
const MAX_REASON: usize = 2_000;

/// A job that is done, in its target's own words.
pub(super) fn done(job: &Job, report: &Report, attempts: u64, now: Time) -> Event {
    let mut info = match &report.info {
        Value::Object(info) => info.clone(),
        Value::Null => Map::new(),
        other => Map::from_iter([("value".to_owned(), other.clone())]),
    };
    if serde_json::to_vec(&info).map_or(0, |json| json.len()) > MAX_INFO {
        info = Map::from_iter([("left_out".to_owned(), json!("what the target reports is too large for an event"))]);
    }
    info.insert("target".to_owned(), json!(job.target));
    if attempts > 1 {
        info.insert("attempts".to_owned(), json!(attempts));
    }
    event(job, report.scope.clone(), report.action.clone(), Value::Object(info), now)
}

/// A job that was given up.
pub(super) fn dead(job: &Job, reason: &str, attempts: u64, now: Time) -> Event {
    let reason: String = reason.chars().take(MAX_REASON).collect();
    let info = json!({"target": job.target, "reason": reason, "attempts": attempts});
    event(job, token("delivery"), token("dead"), info, now)
}

/// A job whose input transform gave nothing.
pub(super) fn skipped(job: &Job) -> Event {
    let info =
        json!({"target": job.target, "rule": job.rule, "job": job.id, "reason": "the rule's input gave nothing"});
    event(job, token("delivery"), token("skipped"), info, jiff::Timestamp::now().into())
}

fn event(job: &Job, scope: Token, action: Token, info: Value, now: Time) -> Event {
    let text = |key: &str| job.node.as_ref().and_then(|node| node.get(key)).and_then(Value::as_str).map(str::to_owned);
    let uuid = text("serial").or_else(|| job.event.serial().map(str::to_owned));
    let udid = if uuid.is_some() { None } else { text("udid").or_else(|| job.event.udid().map(str::to_owned)) };
    let device = (uuid.is_some() || udid.is_some()).then(|| Device { uuid, udid, ..Device::default() });
    let user = job.event.user_id().map(|id| User { id: Some(id.to_owned()), ..User::default() });
    Event {
        id: job.result_id(),
        time: now,
        source: broker(),
        scope,
        action,
        device,
        user,
        info: Some(info.into()),
        communicate: None,
        log: None,
        trust: Trust::Verified,
        cause: Some(job.cause()),
        other: Map::new(),
    }
}

#[expect(clippy::expect_used, reason = "a literal name")]
fn broker() -> emote_proto::Name {
    emote_proto::Name::new("broker").expect("a literal name")
}

#[expect(clippy::expect_used, reason = "only called with the literal words of this file")]
fn token(text: &'static str) -> Token {
    Token::new(text).expect("a literal token")
}

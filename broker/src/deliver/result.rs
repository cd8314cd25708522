//! The event that tells how a job ended.

use emote_proto::{Cause, Device, Draft, Event, EventId, Time, Token, Trust, User, limits};
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

/// What else happened as a target did the job, as it tells it. A job that is done again tells it under the same ids.
pub(super) fn told(job: &Job, report: &Report, now: Time) -> Vec<Event> {
    let told = report.events.iter().enumerate();
    told.map(|(place, draft)| told_at(job, place, draft.clone(), now)).collect()
}

/// About whom the draft says, else about whom the job is. Whoever tells it is no end of the job.
fn told_at(job: &Job, place: usize, draft: Draft, now: Time) -> Event {
    let Draft { time, scope, action, device, user, info, communicate, log, other, .. } = draft;
    let event = event(job, scope, action, Value::Null, now);
    let (device, user) = match (device, user) {
        (None, None) => (event.device, event.user),
        named => named,
    };
    Event {
        id: EventId::derived(&["told", &event.id.to_string(), &place.to_string()]),
        time: time.unwrap_or(now),
        device,
        user,
        info,
        communicate,
        log,
        cause: event.cause.map(|cause| Cause { job: None, ..cause }),
        other,
        ..event
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use emote_proto::Name;

    use crate::core::JobId;

    #[test]
    fn what_a_target_tells_is_of_the_jobs_chain_and_the_same_when_it_is_told_again() {
        let event = json!({"id": "a64c29d5-87af-5257-b215-b904e4a840d8", "time": "2026-11-23T06:41:00Z",
            "source": "jamf", "scope": "device", "action": "enroll", "trust": "authenticated",
            "device": {"uuid": "C02XL0GTJGH5"}, "user": {"id": "ada@example.com"}});
        let event: Event = serde_json::from_value(event).unwrap();
        let (rule, target) = (Name::new("r").unwrap(), Name::new("t").unwrap());
        let job = Job::new(JobId::new(event.id, &rule, &target, None), rule, target, event);
        let draft = |text: &str| Draft::parse(text.as_bytes()).unwrap();
        let events = vec![
            draft(r#"{"scope":"asset","action":"updated","info":{"set":{"a":1}},"source":"okta","trust":"verified"}"#),
            draft(
                r#"{"scope":"user","action":"created","user":{"id":"bob@example.com"},"time":"2020-01-01T00:00:00Z"}"#,
            ),
        ];
        let report = Report { scope: token("exec"), action: token("ran"), info: Value::Null, events };
        let now: Time = "2026-11-23T07:00:00Z".parse().unwrap();
        let told = told(&job, &report, now);
        let again = super::told(&job, &report, "2026-11-24T07:00:00Z".parse().unwrap());
        assert_eq!([told[0].id, told[1].id], [again[0].id, again[1].id]);
        assert!(told[0].id != told[1].id && told[0].id != job.result_id());
        let subjects: Vec<String> = told.iter().map(|event| event.subject().unwrap().to_string()).collect();
        assert_eq!(
            subjects,
            ["events.broker.C02XL0GTJGH5.asset.updated", "events.broker.bob@example%2Ecom.user.created"]
        );
        let cause = told[1].cause.as_ref().unwrap();
        assert_eq!((cause.depth, cause.trust, &cause.job), (1, Some(Trust::Authenticated), &None));
        assert_eq!((told[0].time, told[1].time.to_string().as_str()), (now, "2020-01-01T00:00:00.000Z"));
        assert_eq!(told[1].device, None);
    }
}

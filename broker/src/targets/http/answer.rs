//! What an answer means for a job: what its status says, unless the target's file has a program that knows better.

use emote_proto::Token;
use serde_json::{Map, Value, json};

use super::super::{Outcome, Report, wire::Answer};
use crate::{config::fields::kind, jq::Program};

/// The longest reason that a program gives, in characters.
const MAX_REASON: usize = 500;
/// The most that a program may add to the result event, in bytes of JSON.
const MAX_REPORT: usize = 16 * 1024;

/// How answers are read, and what is reported.
#[derive(Debug)]
pub(super) struct Meaning {
    /// Of one job's request: gives null or true (as the status says), `{retry}`, `{never}` or `{report}`.
    pub(super) answer: Option<Program>,
    /// Of a request for several: gives a list of the same.
    pub(super) answers: Option<Program>,
    /// What else is reported, an object.
    pub(super) info: Option<Program>,
    /// The result event's scope.
    pub(super) scope: Token,
    /// The result event's action.
    pub(super) action: Token,
}

impl Meaning {
    /// How a job ended that had this answer; `info` is what is reported in any case.
    pub(super) fn of_one(&self, answer: &Answer, context: &Map<String, Value>, info: Value) -> Outcome {
        let seen = seen(answer, context);
        let info = match self.info.as_ref().map(|program| program.only("report.info", &seen)) {
            Some(Ok(Value::Object(more))) => with(info, &more),
            // What was done is done, whatever cannot be said of it.
            Some(Err(_) | Ok(_)) | None => info,
        };
        match &self.answer {
            None => self.as_the_status_says(answer, info),
            Some(program) => match program.only("answer", &seen) {
                Ok(value) => self.meant("answer", &value, answer, info),
                Err(reason) => self.unreadable(answer, reason, info),
            },
        }
    }

    /// How `count` jobs ended that had one answer together.
    pub(super) fn of_several(
        &self,
        count: usize,
        answer: &Answer,
        context: &Map<String, Value>,
        info: &Value,
    ) -> Vec<Outcome> {
        let all = |outcome: Outcome| vec![outcome; count];
        let Some(program) = &self.answers else { return all(self.of_one(answer, context, info.clone())) };
        match program.only("answers", &seen(answer, context)) {
            Ok(Value::Null | Value::Bool(true)) => all(self.as_the_status_says(answer, info.clone())),
            Ok(Value::Array(values)) if values.len() == count => {
                values.iter().map(|value| self.meant("answers", value, answer, info.clone())).collect()
            }
            Ok(Value::Array(values)) => {
                let reason = format!("answers: the program gave {} outcomes of {count} jobs", values.len());
                all(self.unreadable(answer, reason, info.clone()))
            }
            Ok(value @ Value::Object(_)) => all(self.meant("answers", &value, answer, info.clone())),
            Ok(other) => {
                let reason = format!("answers: the program gave {}, not a list of outcomes", kind(&other));
                all(self.unreadable(answer, reason, info.clone()))
            }
            Err(reason) => all(self.unreadable(answer, reason, info.clone())),
        }
    }

    fn as_the_status_says(&self, answer: &Answer, info: Value) -> Outcome {
        match answer.clone().success() {
            Err(outcome) => outcome,
            Ok(_) => self.done(info),
        }
    }

    /// Where the program fails: an answer that is none of success is still that.
    fn unreadable(&self, answer: &Answer, reason: String, info: Value) -> Outcome {
        match self.as_the_status_says(answer, info) {
            // What a vendor says when it has done something may be a PIN: it is not repeated.
            Outcome::Done(_) => Outcome::never(format!("{reason}; the status is {}", answer.status)),
            failed => failed,
        }
    }

    fn meant(&self, what: &str, value: &Value, answer: &Answer, info: Value) -> Outcome {
        let said = |key: &str| value.get(key).filter(|value| !value.is_null());
        let reason = |value: &Value| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            crate::config::text::clip(&text, MAX_REASON)
        };
        match value {
            Value::Null | Value::Bool(true) => self.as_the_status_says(answer, info),
            Value::Bool(false) => Outcome::never(answer.describe()),
            Value::Object(_) => match (said("retry"), said("never"), said("report")) {
                (Some(why), None, None) => answer.retry(reason(why)),
                (None, Some(why), None) => Outcome::never(reason(why)),
                (None, None, Some(Value::Object(more))) => self.done(with(info, more)),
                _ => self.unreadable(
                    answer,
                    format!("{what}: the program gave an object without one of retry, never and report"),
                    info,
                ),
            },
            other => self.unreadable(
                answer,
                format!("{what}: the program gave {}, not null, true or an object", kind(other)),
                info,
            ),
        }
    }

    fn done(&self, info: Value) -> Outcome {
        let (scope, action) = (self.scope.clone(), self.action.clone());
        Outcome::Done(Report { scope, action, info, events: Vec::new() })
    }
}

/// What a program that reads an answer sees: `{status, headers, body}` and what all programs see. The body is JSON where
/// it is, else text.
pub(super) fn seen(answer: &Answer, context: &Map<String, Value>) -> Value {
    let mut seen = context.clone();
    let body = serde_json::from_str(&answer.body).unwrap_or_else(|_| Value::from(answer.body.clone()));
    seen.insert("status".to_owned(), answer.status.into());
    seen.insert("headers".to_owned(), Value::Object(answer.headers.clone()));
    seen.insert("body".to_owned(), body);
    Value::Object(seen)
}

fn with(info: Value, more: &Map<String, Value>) -> Value {
    let Value::Object(mut info) = info else { return info };
    if Value::Object(more.clone()).to_string().len() > MAX_REPORT {
        info.insert("report".to_owned(), json!("left out: it is too large"));
        return Value::Object(info);
    }
    for (key, value) in more {
        if !value.is_null() {
            info.insert(key.clone(), value.clone());
        }
    }
    Value::Object(info)
}

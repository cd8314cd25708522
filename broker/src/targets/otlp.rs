//! `otlp`: sends log records or metrics to whatever takes OTLP 1.x over HTTP: an OpenTelemetry Collector, Grafana Cloud,
//! Honeycomb and others.
//!
//! ```yaml
//! kind: otlp
//! url: https://otlp.example.com         # /v1/logs or /v1/metrics is appended
//! severity: 'if .event.action == "wiped" then "warn" else "info" end'
//! attributes: '{"device.model": .node.model}'
//! resource: {deployment.environment.name: production}
//! ```
//! A log record's body is the rule's input, or what `body` makes of the job. With `signal: metrics` a job is a point of
//! `metric`. With `batch:`, one request has several, those of one Mac under one resource. What a server rejects of a
//! request is told in the result and not sent again: it does not say which, and OTLP forbids it.

mod proto;
mod reading;
mod record;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use prost::Message as _;
use reqwest::{
    Method, Url,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use serde_json::{Map, Value, json};

pub(super) use self::{proto::readable, reading::read};
use self::{
    proto::{Partial, Response, Status},
    record::{Item, Plan, Request},
};
use super::{
    Outcome, Role, Target,
    http::endpoint::{Endpoint, gzip},
    wire::{Answer, PROTOBUF, quote},
};
use crate::core::Job;

/// The largest request, in bytes before it is compressed: what Collectors take unless told otherwise is more.
const MAX_REQUEST: usize = 4 * 1024 * 1024;

/// How requests are written.
#[derive(Debug, Clone, Copy)]
struct Wire {
    is_json: bool,
    gzip: bool,
}

struct Otlp {
    at: Endpoint,
    /// With the signal's path.
    url: Url,
    wire: Wire,
    plan: Arc<Plan>,
}

#[async_trait::async_trait]
impl Target for Otlp {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        Outcome::of_one(self.deliver_batch(&[(job, input)]).await)
    }

    fn batches(&self) -> bool {
        true
    }

    async fn deliver_batch(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
        let mut parts: Vec<(usize, Vec<usize>, Vec<Item>)> = Vec::new();
        for (at, (job, input)) in jobs.iter().enumerate() {
            // Each item has its resource with it: together they are smaller than this.
            let item = self.plan.item(job, input).map(|item| (self.size(&item), item));
            match item {
                Ok((size, _)) if size > MAX_REQUEST => {
                    outcomes[at] = Some(Outcome::never(format!("{size} bytes; a request may have {MAX_REQUEST}")));
                }
                Ok((size, item)) => match parts.last_mut().filter(|part| part.0.saturating_add(size) <= MAX_REQUEST) {
                    Some(part) => {
                        part.0 = part.0.saturating_add(size);
                        part.1.push(at);
                        part.2.push(item);
                    }
                    None => parts.push((size, vec![at], vec![item])),
                },
                Err(reason) => outcomes[at] = Some(Outcome::never(reason)),
            }
        }
        for (_, at, items) in parts {
            let sent = self.send(items).await;
            for at in at {
                let outcome = match (&sent, jobs.get(at)) {
                    (Ok(partial), Some((job, _))) => self.done(job, partial.as_ref()),
                    (Err(outcome), _) => outcome.clone(),
                    (Ok(_), None) => continue,
                };
                outcomes[at] = Some(self.at.client.clean_outcome(outcome, &[]));
            }
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Outcome::retry("nothing became of it"))).collect()
    }
}

/// What of a request was not taken, or is to be said of it.
struct Said {
    of: usize,
    partial: Partial,
}

impl Otlp {
    /// About how many bytes it takes.
    fn size(&self, item: &Item) -> usize {
        let resource = Value::Object(item.resource.clone()).to_string().len();
        let own = match &item.of {
            record::Of::Log(record) => record.encoded_len(),
            record::Of::Point(point) => point.encoded_len(),
        };
        // JSON says each field's name.
        resource.saturating_add(own).saturating_mul(if self.wire.is_json { 3 } else { 1 })
    }

    async fn send(&self, items: Vec<Item>) -> Result<Option<Said>, Outcome> {
        let of = items.len();
        let request = self.plan.request(items);
        let (content_type, body) = self.written(&request).map_err(Outcome::never)?;
        let to = self.at.client.request(Method::POST, self.url.clone()).headers(self.at.headers.clone());
        let to = to.header(CONTENT_TYPE, content_type);
        let to = if self.wire.gzip { to.header(CONTENT_ENCODING, "gzip") } else { to };
        let (answer, _) = self.at.send(Role::Job, to.body(body), &[]).await?;
        let partial = accepted(&answer)?;
        Ok(partial.map(|partial| Said { of, partial }))
    }

    fn written(&self, request: &Request) -> Result<(&'static str, Vec<u8>), String> {
        let (content_type, bytes) =
            if self.wire.is_json { ("application/json", request.json()?) } else { (PROTOBUF, request.protobuf()) };
        Ok((content_type, if self.wire.gzip { gzip(&bytes)? } else { bytes }))
    }

    fn done(&self, job: &Job, said: Option<&Said>) -> Outcome {
        let mut info = Map::from_iter([("target".to_owned(), json!(job.target))]);
        if let Some(Said { of, partial }) = said {
            let what = quote(&partial.error_message);
            if partial.rejected > 0 && *of == 1 {
                return Outcome::never(format!("the server has rejected it: {what}"));
            }
            if partial.rejected > 0 {
                info.insert("rejected".to_owned(), partial.rejected.into());
                info.insert("of".to_owned(), (*of).into());
            }
            info.insert("said".to_owned(), what.into());
        }
        Outcome::done("telemetry", self.plan.signal.action(), Value::Object(info))
    }
}

/// What an answer of success has to say of what it was given. Of the others only 429, 502, 503 and 504 are to be tried
/// again (OTLP/HTTP, "Retryable Response Codes").
fn accepted(answer: &Answer) -> Result<Option<Partial>, Outcome> {
    match answer.status {
        200..=299 => Ok(partial(answer).filter(|partial| partial.rejected > 0 || !partial.error_message.is_empty())),
        429 | 502..=504 => Err(answer.retry(described(answer))),
        _ => Err(Outcome::never(described(answer))),
    }
}

fn partial(answer: &Answer) -> Option<Partial> {
    if let Some(bytes) = &answer.protobuf {
        return Response::decode(bytes.as_slice()).ok()?.partial_success;
    }
    let reply: Value = serde_json::from_str(&answer.body).ok()?;
    let said = reply.get("partialSuccess")?;
    let rejected = ["rejectedLogRecords", "rejectedDataPoints"].iter().find_map(|key| said.get(key));
    // A text, as 64-bit numbers are in JSON; some servers write a number.
    let rejected = rejected.and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()));
    let error_message = said.get("errorMessage").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Partial { rejected: rejected.unwrap_or_default(), error_message })
}

/// Status and what is said of it, in the notation in which it was asked.
fn described(answer: &Answer) -> String {
    let message = match &answer.protobuf {
        Some(bytes) => Status::decode(bytes.as_slice()).map(|status| status.message).unwrap_or_default(),
        None => return answer.describe(),
    };
    Answer { status: answer.status, body: message, ..Answer::default() }.describe()
}

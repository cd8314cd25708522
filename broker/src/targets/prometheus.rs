//! `prometheus`: writes samples to Prometheus, Mimir, Thanos, VictoriaMetrics and whatever else takes remote write 1.0.
//!
//! ```yaml
//! kind: prometheus
//! url: https://prometheus.example.com/api/v1/write
//! metric: emote_event
//! labels: '{scope: .event.scope, action: .event.action, node: .serial}'
//! value: '1'                            # that is so without it
//! ```
//! `series`, a program, gives what is more than one: a list of `{metric, labels, value, time}`; without either the rule's
//! input is that. The time is the event's. With `batch:`, what several jobs say of one series is written together and in
//! the order of its times, as a receiver wants it; where a request is refused for what is in it, each of its series is
//! tried by itself, so that one bad sample costs nobody else theirs.

mod proto;
mod series;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt as _, stream};
use reqwest::{
    Method,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use serde_json::{Value, json};

pub(super) use self::proto::readable;
use self::{
    proto::{Label, Sample, TimeSeries, WriteRequest},
    series::{Labels, Plan, Sampled, check_metric},
};
use super::{
    Outcome, Role, Target,
    http::endpoint::{Endpoint, EndpointRef},
    spec::{Setup, Unresolved},
    wire::PROTOBUF,
};
use crate::{
    config::{Problems, fields::Fields},
    core::Job,
};

/// The most series of one request.
const MAX_SERIES: usize = 2000;
/// How many of the series of a refused request are tried at once.
const AT_ONCE: usize = 8;

#[derive(Debug)]
struct Spec {
    at: EndpointRef,
    plan: Arc<Plan>,
}

struct Prometheus {
    at: Endpoint,
    plan: Arc<Plan>,
}

/// What several jobs say of one series.
#[derive(Default)]
struct Together {
    /// By time.
    samples: BTreeMap<i64, f64>,
    /// Where the jobs stand among all.
    jobs: Vec<usize>,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let at = EndpointRef::read(fields, "url: https://prometheus.example.com/api/v1/write");
    let metric = fields.text("metric");
    if let Some(Err(error)) = metric.as_deref().map(check_metric) {
        fields.problem("metric", error);
    }
    let (labels, value, several) = (fields.jq("labels"), fields.jq("value"), fields.jq("series"));
    if metric.is_some() && several.is_some() {
        fields.problem("series", "says which metrics there are: leave out `metric`, `labels` and `value`");
    }
    let plan = match (metric, several) {
        (Some(metric), _) => Plan::One { metric, labels, value },
        (None, _) if labels.is_some() || value.is_some() => {
            fields.problem("metric", "is missing: labels and value are of one metric, for example metric: emote_event");
            return None;
        }
        (None, Some(several)) => Plan::Several(several),
        (None, None) => Plan::Input,
    };
    Some(Box::new(Spec { at: at?, plan: Arc::new(plan) }))
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let at = self.at.resolve(setup, Vec::new(), problems)?;
        Some(Box::new(Prometheus { at, plan: Arc::clone(&self.plan) }))
    }
}

#[async_trait::async_trait]
impl Target for Prometheus {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        Outcome::of_one(self.deliver_batch(&[(job, input)]).await)
    }

    fn batches(&self) -> bool {
        true
    }

    async fn deliver_batch(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
        let mut all: BTreeMap<Labels, Together> = BTreeMap::new();
        let mut counts = vec![0_usize; jobs.len()];
        for (at, (job, input)) in jobs.iter().enumerate() {
            match self.plan.samples(job, input).and_then(|samples| put(&mut all, at, samples)) {
                Ok(count) => counts[at] = count,
                Err(reason) => outcomes[at] = Some(Outcome::never(reason)),
            }
        }
        let all: Vec<(Labels, Together)> = all.into_iter().collect();
        for part in all.chunks(MAX_SERIES) {
            for (at, failed) in self.write(part).await {
                outcomes[at] = Some(worse(outcomes[at].take(), failed));
            }
        }
        let done = |at: usize| {
            let target = jobs.get(at).map(|(job, _)| &job.target);
            Outcome::done("telemetry", "remote_write", json!({"target": target, "samples": counts[at]}))
        };
        let outcomes = outcomes.into_iter().enumerate();
        outcomes.map(|(at, outcome)| self.at.client.clean_outcome(outcome.unwrap_or_else(|| done(at)), &[])).collect()
    }
}

impl Prometheus {
    /// Writes them; for each job that failed by it, how.
    async fn write(&self, part: &[(Labels, Together)]) -> Vec<(usize, Outcome)> {
        let sent = match self.send(part).await {
            Err((true, _)) if part.len() > 1 => {
                let mut each = Vec::with_capacity(part.len());
                for series in part {
                    each.push(self.send(std::slice::from_ref(series)));
                }
                stream::iter(each).buffered(AT_ONCE).collect::<Vec<_>>().await
            }
            sent => vec![sent; part.len()],
        };
        let failed = part.iter().zip(sent).filter_map(|((_, together), sent)| Some((together, sent.err()?.1)));
        failed.flat_map(|(together, outcome)| together.jobs.iter().map(move |at| (*at, outcome.clone()))).collect()
    }

    /// One request; where it fails, whether for what is in it.
    async fn send(&self, part: &[(Labels, Together)]) -> Result<(), (bool, Outcome)> {
        let request = WriteRequest { timeseries: part.iter().map(series).collect() };
        let body = request.packed().map_err(|reason| (false, Outcome::never(reason)))?;
        let request = self.at.client.request(Method::POST, self.at.url.clone()).headers(self.at.headers.clone());
        let request = request
            .header(CONTENT_TYPE, PROTOBUF)
            .header(CONTENT_ENCODING, "snappy")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0")
            .body(body);
        let (answer, _) = self.at.send(Role::Job, request, &[]).await.map_err(|outcome| (false, outcome))?;
        let for_content = matches!(answer.status, 400 | 409 | 413 | 422);
        match answer.success() {
            Ok(_) => Ok(()),
            Err(outcome) => Err((for_content, outcome)),
        }
    }
}

/// Puts a job's samples to those of others. Two values of one series at one time cannot both be true: none of the job's
/// is taken then. The same twice is one.
fn put(all: &mut BTreeMap<Labels, Together>, at: usize, samples: Vec<Sampled>) -> Result<usize, String> {
    let mut own: BTreeMap<Labels, BTreeMap<i64, f64>> = BTreeMap::new();
    let same = |one: f64, other: f64| one.to_bits() == other.to_bits();
    let count = samples.len();
    for Sampled { labels, value, at } in samples {
        let before = all.get(&labels).and_then(|together| together.samples.get(&at));
        let before = before.copied().or_else(|| own.get(&labels).and_then(|samples| samples.get(&at)).copied());
        if before.is_some_and(|before| !same(before, value)) {
            let name = labels.get(series::NAME).map(String::as_str).unwrap_or_default();
            return Err(format!(
                "a series of {name} has two values at one time: give each a label that tells them apart"
            ));
        }
        own.entry(labels).or_default().insert(at, value);
    }
    for (labels, samples) in own {
        let together = all.entry(labels).or_default();
        together.samples.extend(samples);
        together.jobs.push(at);
    }
    Ok(count)
}

fn series((labels, together): &(Labels, Together)) -> TimeSeries {
    TimeSeries {
        labels: labels.iter().map(|(name, value)| Label { name: name.clone(), value: value.clone() }).collect(),
        samples: together.samples.iter().map(|(at, value)| Sample { value: *value, timestamp: *at }).collect(),
    }
}

/// A job with several series has ended as the worst of them has; what may yet become good is tried again as a whole.
fn worse(one: Option<Outcome>, other: Outcome) -> Outcome {
    match (one, other) {
        (Some(retry @ Outcome::Retry { .. }), _) => retry,
        (Some(_), retry @ Outcome::Retry { .. }) => retry,
        (Some(one), _) => one,
        (None, other) => other,
    }
}

//! `aws`: hands a job to a service of AWS, signed with Signature Version 4.
//!
//! ```yaml
//! kind: aws
//! service: lambda
//! function: emote-enrolled
//! region: eu-central-1
//! ```
//!
//! What is sent is the rule's input, or what `body`, a jq program, makes of the job; each service has fields of its own
//! ([`service::SERVICES`]). With `batch:`, services that take several get as many jobs in a request as they take; what
//! they refuse of them is tried again by itself. Where a service can be told that a job was there before, it is.

mod answer;
mod call;
mod connection;
mod identity;
mod place;
mod reading;
mod service;
mod services;
mod several;
mod surroundings;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use serde_json::{Map, Value, json};

pub(super) use self::reading::read;
use self::{
    answer::Refusal,
    call::Call,
    connection::Connection,
    place::Place,
    service::{Does, Entry, One, Service, Several, Written},
    several::Weight,
};
use super::{Outcome, Target, wire::Answer};
use crate::{core::Job, jq::Program};

struct Aws {
    service: &'static Service,
    about: String,
    does: Does,
    connection: Connection,
    place: Place,
    body: Option<Arc<Program>>,
}

#[async_trait::async_trait]
impl Target for Aws {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        match &self.does {
            Does::One(of) => self.one(of.as_ref(), job, input).await,
            Does::Several(of) => Outcome::of_one(self.several(of.as_ref(), &[(job, input)]).await),
        }
    }

    fn batches(&self) -> bool {
        true
    }

    async fn deliver_batch(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        if let Does::Several(of) = &self.does {
            return self.several(of.as_ref(), jobs).await;
        }
        let mut outcomes = Vec::with_capacity(jobs.len());
        for (job, input) in jobs {
            outcomes.push(self.deliver(job, input).await);
        }
        outcomes
    }
}

impl Aws {
    async fn one(&self, of: &dyn One, job: &Job, input: &Value) -> Outcome {
        let context = super::programs::of_job(job, input);
        let call = match self.value(&context).and_then(|value| of.call(job, &context, value)) {
            Ok(call) => call,
            Err(reason) => return Outcome::never(reason),
        };
        match self.send(call).await {
            Ok(answer) => match of.accepted(&answer) {
                Ok(more) => self.done(job, more),
                Err(reason) => answer.retry(reason),
            },
            Err(refusal) if of.is_done(&refusal) => self.done(job, json!({"repeated": true})),
            Err(refusal) => *refusal.outcome,
        }
    }

    async fn several(&self, of: &dyn Several, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
        let (mut entries, mut weights, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (job, input)) in jobs.iter().enumerate() {
            match self.entry(of, job, input) {
                Ok(Entry { value, size }) => {
                    entries.push(value);
                    weights.push(Weight { size, time: job.event.time.as_millis() });
                    places.push(place);
                }
                Err(reason) => {
                    if let Some(outcome) = outcomes.get_mut(place) {
                        *outcome = Some(Outcome::never(reason));
                    }
                }
            }
        }
        let mut failed = None;
        for request in several::requests(&weights, of.limits()) {
            let values: Vec<Value> = request.iter().filter_map(|&index| entries.get(index).cloned()).collect();
            let written = match &failed {
                Some(_) => None,
                None => self.write(of, values).await.map_err(|outcome| failed = Some(outcome)).ok(),
            };
            for (nth, &index) in request.iter().enumerate() {
                let Some(&place) = places.get(index) else { continue };
                let (Some(outcome), Some((job, _))) = (outcomes.get_mut(place), jobs.get(place)) else { continue };
                *outcome = match (&written, &failed) {
                    (Some(written), _) => written.get(nth).map(|written| self.outcome(job, written)),
                    (None, failed) => failed.clone(),
                };
            }
            // What one request alone was refused for is not what the next is refused for.
            failed = failed.filter(|outcome| matches!(outcome, Outcome::Retry { .. }));
        }
        let unknown = || Outcome::retry("the answer does not say what became of it");
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unknown)).collect()
    }

    fn entry(&self, of: &dyn Several, job: &Job, input: &Value) -> Result<Entry, String> {
        let context = super::programs::of_job(job, input);
        let entry = of.entry(job, &context, self.value(&context)?)?;
        let most = of.limits().each;
        if entry.size > most {
            return Err(format!("{} bytes; {} takes {most} at most", entry.size, self.service.name));
        }
        Ok(entry)
    }

    /// Sends one request; what became of each entry, or of all of them.
    async fn write(&self, of: &dyn Several, entries: Vec<Value>) -> Result<Vec<Written>, Outcome> {
        let count = entries.len();
        let mut answer = self.send(of.call(entries.clone())).await;
        if let Some(remedy) = answer.as_ref().err().and_then(|refusal| of.remedy(refusal)) {
            match self.send(remedy).await {
                Ok(_) => answer = self.send(of.call(entries)).await,
                // Somebody else was quicker.
                Err(refusal) if refusal.is("ResourceAlreadyExistsException") => {
                    answer = self.send(of.call(entries)).await;
                }
                Err(refusal) => return Err(*refusal.outcome),
            }
        }
        match answer {
            Ok(answer) => match serde_json::from_str::<Value>(&answer.body) {
                Ok(reply) => Ok(of.results(&reply, count)),
                Err(_) if answer.body.trim().is_empty() => Ok(of.results(&Value::Null, count)),
                Err(_) => Err(answer.retry(format!("no answer of {}: {}", self.service.name, answer.describe()))),
            },
            Err(refusal) => of.refused(&refusal, count).ok_or(*refusal.outcome),
        }
    }

    async fn send(&self, call: Call) -> Result<Answer, Refusal> {
        let base = self.place.get(&self.connection).await?;
        match self.connection.send(&base, call).await {
            Err(refusal) if self.place.left(&refusal).await => {
                Err(Refusal::of(Outcome::retry("the address is no longer good; it is asked for again")))
            }
            other => other,
        }
    }

    /// What the body program gives, where there is one.
    fn value(&self, context: &Value) -> Result<Option<Value>, String> {
        self.body.as_ref().map(|program| program.only("body", context)).transpose()
    }

    fn outcome(&self, job: &Job, written: &Written) -> Outcome {
        match written {
            Written::Done(more) => self.done(job, more.clone()),
            Written::Later(reason) => Outcome::retry(reason),
            Written::Never(reason) => Outcome::never(reason),
        }
    }

    fn done(&self, job: &Job, more: Value) -> Outcome {
        let mut info = Map::from_iter([
            ("target".to_owned(), json!(job.target)),
            ("service".to_owned(), self.service.name.into()),
            ("resource".to_owned(), self.about.clone().into()),
        ]);
        if let Value::Object(more) = more {
            info.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
        }
        Outcome::done("aws", self.service.reports, Value::Object(info))
    }
}

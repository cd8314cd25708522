//! `http`: sends a request. The job's id goes along as `Idempotency-Key`.
//!
//! ```yaml
//! kind: http
//! url: https://tickets.example.com/api/tickets
//! auth: {bearer: "${env:TICKETS_TOKEN}"}
//! headers: {X-Team: client-platform}
//! body: '{title: "\(.node.name): \(.event.action)", serial: .node.serial}'
//! ```
//!
//! With `batch:`, one request is for several jobs: its body is a JSON array of their bodies, or a line each where the
//! content type is `application/x-ndjson`; its `Idempotency-Key` is made from the ids of its jobs.

mod body;
mod reading;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use reqwest::{
    Method, RequestBuilder, Url,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};

use self::body::Body;
use super::{
    Outcome, Target,
    wire::{self, Auth, Client},
};
use crate::core::Job;

pub(super) use self::reading::read;

struct Http {
    client: Client,
    url: Url,
    method: Method,
    headers: HeaderMap,
    auth: Option<Auth>,
    body: Arc<Body>,
}

impl Http {
    fn request(&self, key: String) -> RequestBuilder {
        let request = self.client.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        let request = request.header("Idempotency-Key", key);
        match &self.auth {
            Some(auth) => auth.apply(request),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder, target: &emote_proto::Name) -> Outcome {
        match self.client.send(request, None).await.and_then(wire::Answer::success) {
            Err(outcome) => outcome,
            Ok(answer) => {
                let info = json!({"target": target, "method": self.method.as_str(), "status": answer.status});
                Outcome::done("http", "request", info)
            }
        }
    }
}

#[async_trait::async_trait]
impl Target for Http {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        let mut request = self.request(wire::idempotency_key(&job.id));
        if self.method != Method::GET || self.body.program.is_some() {
            request = match self.body.of_one(job, input) {
                Ok(body) => request.header(CONTENT_TYPE, self.body.content_type.clone()).body(body),
                Err(reason) => return Outcome::never(reason),
            };
        }
        self.send(request, &job.target).await
    }

    fn batches(&self) -> bool {
        true
    }

    /// One request. A job whose body cannot be made is left out; the answer is the outcome of all others.
    async fn deliver_batch(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let (mut outcomes, mut ids, mut values) = (Vec::with_capacity(jobs.len()), Vec::new(), Vec::new());
        for (job, input) in jobs {
            match self.body.value(job, input) {
                Ok(value) => {
                    ids.push(job.id.as_str());
                    values.push(value);
                    outcomes.push(None);
                }
                Err(reason) => outcomes.push(Some(Outcome::never(reason))),
            }
        }
        let Some((first, _)) = jobs.first().filter(|_| !values.is_empty()) else {
            return outcomes.into_iter().flatten().collect();
        };
        let request = self.request(wire::batch_key(&ids)).header(CONTENT_TYPE, self.body.content_type.clone());
        let answer = self.send(request.body(self.body.joined(values)), &first.target).await;
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| answer.clone())).collect()
    }
}

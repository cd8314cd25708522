//! `http`: sends a request. The job's id goes along as `Idempotency-Key`.
//!
//! ```yaml
//! kind: http
//! url: https://tickets.example.com/api
//! auth: {bearer: "${env:TICKETS_TOKEN}"}
//! headers: {X-Team: client-platform}
//! lookup:
//!   - {name: asset, path: '["assets", .serial]', take: .body.id, missing: '"no asset \(.serial)"'}
//! path: '["assets", .lookup.asset, "tickets"]'
//! body: '{title: "\(.node.name): \(.event.action)", serial: .serial, team: .settings.team}'
//! settings: {team: clients}
//! answer: 'if .body.ok == false then {never: .body.error} else null end'
//! report: {scope: ticket, action: opened}
//! ```
//!
//! What the programs see stands in `programs`, what an answer means in `answer`, who may be asked for a token in `auth`.
//! With `batch:`, one request is for several jobs: its body is a JSON array of their bodies, or a line each where the
//! content type is `application/x-ndjson`, or what `batch_body` or `join` make of them; its `Idempotency-Key` is made from
//! the ids of its jobs.

mod answer;
pub(crate) mod auth;
mod batch;
pub(crate) mod body;
mod duo;
pub(crate) mod endpoint;
mod lookup;
pub(crate) mod place;
mod plan;
pub(crate) mod reading;
mod signed;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};

use self::{endpoint::Endpoint, plan::PinIn, plan::Plan};
use super::{
    Outcome, Role, Target,
    wire::{self, Answer},
};
use crate::{config::Secret, core::Job};

pub(super) use self::reading::read;

struct Http {
    at: Endpoint,
    /// What is put into bodies and no program sees.
    body_secrets: Vec<(String, Secret)>,
    pin_key: Option<Secret>,
    plan: Arc<Plan>,
}

/// The PIN of a job's command, and the UUID from which it is had again.
struct Pin {
    pin: Secret,
    command_uuid: String,
}

impl Http {
    fn request(&self, url: Url, key: String) -> RequestBuilder {
        let request = self.at.client.request(self.plan.method.clone(), url).headers(self.at.headers.clone());
        request.header("Idempotency-Key", key)
    }

    async fn send_one(&self, job: &Job, input: &Value, pin: Option<&Pin>) -> Result<Outcome, Outcome> {
        let mut context = self.context(job, input)?;
        for lookup in &self.plan.lookups {
            lookup.find(self, &mut context).await?;
        }
        let plain = Value::Object(context.clone());
        let with_pin = pin.map(|pin| {
            let mut context = context.clone();
            context.insert("pin".to_owned(), pin.pin.expose().into());
            Value::Object(context)
        });
        let sees = |program: PinIn| match &with_pin {
            Some(with_pin) if self.plan.pin_in == Some(program) => with_pin,
            _ => &plain,
        };
        let url = self.plan.place.of(&self.at.url, sees(PinIn::Path), sees(PinIn::Query)).map_err(Outcome::never)?;
        let mut request = self.request(url, wire::idempotency_key(&job.id));
        if let Some(body) = &self.plan.body {
            let value = body.value(sees(PinIn::Body)).map_err(Outcome::never)?;
            let bytes = match body.batch {
                Some(_) => body.of_several(vec![value], &self.body_secrets),
                None => body.of_one(value, &self.body_secrets),
            };
            let bytes = bytes.map_err(Outcome::never)?;
            if bytes.len() > self.plan.limits.bytes {
                return Err(self.too_large(bytes.len()));
            }
            let bytes = if self.at.client.stand_in().is_some() { Ok(bytes) } else { body.packed(bytes) };
            request = body.with(request, bytes.map_err(Outcome::never)?);
        }
        let also = pin.map(|pin| pin.pin.clone());
        let (answer, _) = self.at.send(Role::Job, request, also.as_slice()).await?;
        let info = self.info(&job.target, &answer, pin);
        Ok(self.plan.meaning.of_one(&answer, &context, info))
    }

    fn info(&self, target: &emote_proto::Name, answer: &Answer, pin: Option<&Pin>) -> Value {
        let mut info = json!({"target": target, "method": self.plan.method.as_str(), "status": answer.status});
        if let (Value::Object(info), Some(pin)) = (&mut info, pin) {
            info.insert("command_uuid".to_owned(), pin.command_uuid.clone().into());
        }
        info
    }
}

#[async_trait::async_trait]
impl Target for Http {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        let pin = self.pin_key.as_ref().filter(|_| self.plan.pin_in.is_some()).map(|key| {
            let command_uuid = job.id.command_uuid();
            Pin { pin: self.at.client.pin(key, &command_uuid), command_uuid }
        });
        let (Ok(outcome) | Err(outcome)) = self.send_one(job, input, pin.as_ref()).await;
        let also = pin.map(|pin| pin.pin);
        self.at.client.clean_outcome(outcome, also.as_slice())
    }

    fn batches(&self) -> bool {
        true
    }

    async fn deliver_batch(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        self.send_several(jobs).await
    }
}

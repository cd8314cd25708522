//! Several jobs in one request, or in as many as its limits ask for.

use futures_util::future::join_all;
use reqwest::Url;
use serde_json::{Map, Value};

use super::{
    super::{Outcome, programs::context},
    Http,
};
use crate::{core::Job, targets::wire};

/// The jobs of one request.
struct Part {
    url: Url,
    /// Where they stand among all.
    at: Vec<usize>,
    values: Vec<Value>,
    bytes: usize,
}

impl Http {
    /// An outcome for each job, in their order. A job whose request cannot be made is left out of it.
    pub(super) async fn send_several(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; jobs.len()];
        let mut parts: Vec<Part> = Vec::new();
        for (at, (job, input)) in jobs.iter().enumerate() {
            match self.one_of_several(job, input) {
                Ok((url, value)) => self.put(&mut parts, at, url, value),
                Err(outcome) => outcomes[at] = Some(outcome),
            }
        }
        let sent = join_all(parts.into_iter().map(|part| async {
            let outcomes = self.send_part(jobs, part.url, &part.at, part.values).await;
            (part.at, outcomes)
        }));
        for (at, of_part) in sent.await {
            for (at, outcome) in at.into_iter().zip(of_part) {
                outcomes[at] = Some(self.at.client.clean_outcome(outcome, &[]));
            }
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Outcome::retry("no answer"))).collect()
    }

    fn one_of_several(&self, job: &Job, input: &Value) -> Result<(Url, Value), Outcome> {
        let context = self.context(job, input)?;
        let context = Value::Object(context);
        let url = self.plan.place.of(&self.at.url, &context, &context).map_err(Outcome::never)?;
        let value = match &self.plan.body {
            Some(body) => body.value(&context).map_err(Outcome::never)?,
            None => Value::Null,
        };
        let bytes = self.size(&value);
        if bytes > self.plan.limits.bytes {
            return Err(self.too_large(bytes));
        }
        Ok((url, value))
    }

    fn size(&self, value: &Value) -> usize {
        self.plan.body.as_ref().map_or(0, |body| body.size(value))
    }

    /// Puts a job to others with the same address, if they have room for it.
    fn put(&self, parts: &mut Vec<Part>, at: usize, url: Url, value: Value) {
        let (bytes, limits) = (self.size(&value), self.plan.limits);
        let has_room = |part: &&mut Part| {
            part.url == url && part.at.len() < limits.items && part.bytes.saturating_add(bytes) <= limits.bytes
        };
        match parts.iter_mut().rev().find(has_room) {
            Some(part) => {
                part.at.push(at);
                part.values.push(value);
                part.bytes = part.bytes.saturating_add(bytes);
            }
            None => parts.push(Part { url, at: vec![at], values: vec![value], bytes }),
        }
    }

    async fn send_part(&self, jobs: &[(&Job, &Value)], url: Url, at: &[usize], values: Vec<Value>) -> Vec<Outcome> {
        let all = |outcome: Outcome| vec![outcome; at.len()];
        let of_part: Vec<&(&Job, &Value)> = at.iter().filter_map(|at| jobs.get(*at)).collect();
        let ids: Vec<&str> = of_part.iter().map(|(job, _)| job.id.as_str()).collect();
        let Some((first, _)) = of_part.first() else { return Vec::new() };
        let mut request = self.request(url, wire::batch_key(&ids));
        if let Some(body) = &self.plan.body {
            let bytes = body.of_several(values, &self.body_secrets).and_then(|bytes| body.packed(bytes));
            match bytes {
                Ok(bytes) => request = body.with(request, bytes),
                Err(reason) => return all(Outcome::never(reason)),
            }
        }
        match self.at.send(super::super::Role::Job, request, &[]).await {
            Err(outcome) => all(outcome),
            Ok((answer, _)) => {
                // No job's own: an answer is to all of them.
                let mut sees = Map::new();
                sees.insert("settings".to_owned(), self.plan.settings.clone());
                let info = self.info(&first.target, &answer, None);
                self.plan.meaning.of_several(at.len(), &answer, &sees, &info)
            }
        }
    }

    /// What a job's programs see, where it is one that the target can do something about.
    pub(super) fn context(&self, job: &Job, input: &Value) -> Result<Map<String, Value>, Outcome> {
        let context = context(job, input, &self.plan.settings);
        if self.plan.device && context.get("serial").is_none_or(Value::is_null) {
            return Err(Outcome::never("the event is about no device: nothing has the serial number to act on"));
        }
        Ok(context)
    }

    pub(super) fn too_large(&self, bytes: usize) -> Outcome {
        Outcome::never(format!("the body has {bytes} bytes; one request may have {}", self.plan.limits.bytes))
    }
}

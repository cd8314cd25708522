//! What a job must know before its request can be made, such as the number that an MDM has for a serial number: asked for
//! step by step, each seeing what those before it found. A step is a read and changes nothing.

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Map, Value};

use super::{
    super::{Outcome, Role},
    Http,
    answer::seen,
    place::Place,
};
use crate::jq::Program;

/// A step.
#[derive(Debug)]
pub(super) struct Lookup {
    /// What it finds is `.lookup.<name>`.
    pub(super) name: String,
    pub(super) method: Method,
    pub(super) place: Place,
    pub(super) body: Option<Program>,
    /// Takes what is wanted of the answer; null where it is not there.
    pub(super) take: Program,
    /// Says what was not found.
    pub(super) missing: Option<Program>,
    /// What it might find, to show what follows from it.
    pub(super) example: Option<Value>,
}

impl Lookup {
    /// Looks it up, and puts it into `context`.
    pub(super) async fn find(&self, http: &Http, context: &mut Map<String, Value>) -> Result<(), Outcome> {
        let within = |reason: String| format!("the lookup {}: {reason}", self.name);
        let never = |reason: String| Outcome::never(within(reason));
        let sees = Value::Object(context.clone());
        let url = self.place.of(&http.at.url, &sees, &sees).map_err(never)?;
        let mut request = http.at.client.request(self.method.clone(), url).headers(http.at.headers.clone());
        if let Some(body) = &self.body {
            let body = body.only("body", &sees).map_err(never)?.to_string();
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let (answer, secrets) = http.at.send(Role::Lookup, request, &[]).await?;
        let made_up = http.at.client.stand_in().is_some_and(|script| script.makes_up(Role::Lookup));
        let found = if made_up {
            self.example.clone().unwrap_or_else(|| format!("<{}>", self.name).into())
        } else if answer.status == 404 {
            return Err(Outcome::never(format!("{} ({})", self.not_found(&sees), answer.describe())));
        } else if answer.is_cut {
            return Err(never("the answer is larger than anything that is looked up in".to_owned()));
        } else {
            let answer = answer.success().map_err(|outcome| named(outcome, within))?;
            self.take.only("take", &seen(&answer, context)).map_err(never)?
        };
        if found.is_null() {
            return Err(Outcome::never(self.not_found(&sees)));
        }
        let found = http.at.client.clean_value(found, &secrets);
        if let Some(Value::Object(lookup)) = context.get_mut("lookup") {
            lookup.insert(self.name.clone(), found);
        }
        Ok(())
    }

    fn not_found(&self, sees: &Value) -> String {
        let said = self.missing.as_ref().and_then(|program| program.only("missing", sees).ok());
        match said {
            Some(Value::String(text)) => text,
            _ => format!("the lookup {} found nothing", self.name),
        }
    }
}

fn named(outcome: Outcome, within: impl Fn(String) -> String) -> Outcome {
    match outcome {
        Outcome::Retry { after, reason } => Outcome::Retry { after, reason: within(reason) },
        Outcome::Never { reason } => Outcome::never(within(reason)),
        done @ Outcome::Done(_) => done,
    }
}

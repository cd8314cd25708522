//! One request and its page: what is asked, what is taken of the answer, what is asked next.
//!
//! Programs see `{cursor, since, until, now, since_ms, until_ms, settings, next, number}`; those that read an answer see `page` (its body),
//! `headers`, `items` and `last` too. `next` names the next page: null for none, an address of the same server, or
//! anything else, which the programs then see as `next`.

use std::{sync::Arc, time::Duration};

use emote_proto::{Time, Trust};
use reqwest::{
    Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Map, Value, json};

use super::Plan;
use crate::{
    config::{Secret, text::clip},
    jq::Program,
    loopback::is_loopback,
    targets::{
        Outcome, Role,
        http::{auth::Auth, body::with_secrets},
        wire::Client,
    },
};

/// The most items of a page.
pub(super) const MAX_ITEMS: usize = 10_000;
/// The most bytes of what names the next page, and of a cursor.
const MAX_NEXT: usize = 8 * 1024;
/// The most characters of a reason.
pub(super) const MAX_REASON: usize = 500;

/// Ready to fetch.
pub(crate) struct Poll {
    pub(super) client: Client,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body_secrets: Vec<(String, Secret)>,
    pub(super) auth: Auth,
    pub(super) plan: Arc<Plan>,
}

/// From where a page is fetched.
#[derive(Debug, Clone)]
pub(super) struct At {
    /// The vendor's own mark of how far all was fetched; null where there is none yet.
    pub(super) cursor: Value,
    /// What happened since then is wanted,
    pub(super) since: Time,
    /// up to then.
    pub(super) until: Time,
    /// The beginning of the round.
    pub(super) now: Time,
    /// What the page before named; null at the first.
    pub(super) next: Value,
    /// Which page of the round it is, from 0.
    pub(super) number: u32,
}

/// A page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Value>,
    pub(super) next: Value,
    pub(super) cursor: Value,
}

/// Why there is no page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failed {
    /// No secret in it.
    pub(super) reason: String,
    /// How long the other side asks to be left alone.
    pub(super) after: Option<Duration>,
    /// Whether the same request may do at another time; else it is begun anew.
    pub(super) passes: bool,
}

impl Failed {
    pub(super) fn new(reason: impl std::fmt::Display) -> Self {
        Self { reason: clip(&reason.to_string(), MAX_REASON), after: None, passes: false }
    }

    pub(super) fn passing(reason: impl std::fmt::Display) -> Self {
        Self { passes: true, ..Self::new(reason) }
    }
}

impl From<Outcome> for Failed {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Retry { after, reason } => Self { after, ..Self::passing(reason) },
            Outcome::Never { reason } => Self::new(reason),
            Outcome::Done(_) => Self::new("the answer was not one"),
        }
    }
}

impl Poll {
    /// What its events are believed as: who answers is known by its certificate, or is this machine.
    pub(super) fn trust(&self) -> Trust {
        match self.url.scheme() == "https" || self.url.host_str().is_some_and(is_loopback) {
            true => Trust::Verified,
            false => Trust::Unverified,
        }
    }

    /// Fetches one page.
    pub(super) async fn page(&self, at: &At) -> Result<Page, Failed> {
        let context = self.context(at);
        let request = self.request(&Value::Object(context.clone()), at)?;
        let (body, headers) = self.answer(request).await?;
        self.read(context, body, headers)
    }

    /// Sends a request; gives the JSON of the answer, null where it is empty, and its headers.
    pub(super) async fn answer(&self, request: reqwest::RequestBuilder) -> Result<(Value, Map<String, Value>), Failed> {
        let (answer, _) = self.auth.send(&self.client, Role::Page, request, &[]).await?;
        let answer = answer.success()?;
        if answer.is_cut {
            return Err(Failed::new("the answer is too large: ask for fewer items a page"));
        }
        let body = match answer.body.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text)
                .map_err(|error| Failed::passing(format!("the answer is not JSON: {error}")))?,
        };
        Ok((body, answer.headers))
    }

    fn context(&self, at: &At) -> Map<String, Value> {
        let context = json!({
            "cursor": at.cursor, "since": at.since, "until": at.until, "now": at.now,
            "since_ms": at.since.as_millis(), "until_ms": at.until.as_millis(),
            "settings": self.plan.settings, "next": at.next, "number": at.number,
        });
        match context {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    fn request(&self, context: &Value, at: &At) -> Result<reqwest::RequestBuilder, Failed> {
        let url = match at.next.as_str().filter(|text| text.starts_with("http:") || text.starts_with("https:")) {
            Some(address) => self.named(address)?,
            None => self.plan.place.of(&self.url, context, context).map_err(Failed::new)?,
        };
        let request = self.bare_request(url);
        Ok(match &self.plan.body {
            None if self.body_secrets.is_empty() => request,
            program => {
                let body = program.as_ref().map(|program| program.first(context, &[])).transpose();
                let body = body.map_err(|error| Failed::new(format!("body: {error}")))?.unwrap_or_default();
                let body = with_secrets(body, &self.body_secrets).map_err(Failed::new)?;
                request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.to_string())
            }
        })
    }

    /// A request with what is the same in each.
    pub(super) fn bare_request(&self, url: Url) -> reqwest::RequestBuilder {
        let request = self.client.request(self.plan.method.clone(), url).headers(self.headers.clone());
        match self.headers.contains_key("accept") {
            true => request,
            false => request.header("accept", HeaderValue::from_static("application/json")),
        }
    }

    /// The address that a page names as the next one's: what is sent with it is for this server alone.
    fn named(&self, address: &str) -> Result<Url, Failed> {
        let url: Url = address.parse().map_err(|_| Failed::new("next: what the page names is no address"))?;
        let is_same = url.origin() == self.url.origin() && url.username().is_empty() && url.password().is_none();
        if is_same { Ok(url) } else { Err(Failed::new("next: what the page names is an address of another server")) }
    }

    fn read(&self, mut context: Map<String, Value>, body: Value, headers: Map<String, Value>) -> Result<Page, Failed> {
        context.insert("page".to_owned(), body);
        context.insert("headers".to_owned(), Value::Object(headers));
        let items = self.taken(&self.plan.items, "items", &context)?;
        let items = match (items, &self.plan.items) {
            (Some(items), _) => items,
            (None, _) => context.get("page").cloned().unwrap_or_default(),
        };
        let items = match items {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            item @ Value::Object(_) => vec![item],
            _ => return Err(Failed::new("items: the program gave neither a list nor an object")),
        };
        if items.len() > MAX_ITEMS {
            return Err(Failed::new(format!("items: more than {MAX_ITEMS} on a page: ask for fewer")));
        }
        context.insert("items".to_owned(), Value::Array(items));
        let next = match self.taken(&self.plan.next, "next", &context)?.unwrap_or_default() {
            Value::Bool(false) => Value::Null,
            next => next,
        };
        context.insert("last".to_owned(), next.is_null().into());
        let cursor = self.taken(&self.plan.cursor, "cursor", &context)?.unwrap_or_default();
        for (what, value) in [("next", &next), ("cursor", &cursor)] {
            if value.to_string().len() > MAX_NEXT {
                return Err(Failed::new(format!("{what}: more than {MAX_NEXT} bytes")));
            }
        }
        let cursor = if cursor.is_null() { context.remove("cursor").unwrap_or_default() } else { cursor };
        let items = match context.remove("items") {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        Ok(Page { items, next, cursor })
    }

    fn taken(
        &self,
        program: &Option<Program>,
        what: &str,
        context: &Map<String, Value>,
    ) -> Result<Option<Value>, Failed> {
        let Some(program) = program else { return Ok(None) };
        let value = program.first(&Value::Object(context.clone()), &[]);
        value.map(Some).map_err(|error| Failed::new(format!("{what}: {}", self.client.clean(&error.to_string(), &[]))))
    }
}

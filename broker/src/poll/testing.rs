//! For tests: a log in memory, a server that answers as told and says what does not come as expected, and sources from
//! YAML that are polled round by round.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use emote_proto::{EventId, Name, Subject, Time, Trust};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Kind, Last, Log, Next, Polls,
    poller::{Ended, Poller},
    record::Stand,
};
use crate::{
    ingest::{Aliases, Publish, PublishError, Source, SourceSpec},
    testing::serve,
};

/// EVENTS in memory.
#[derive(Default)]
pub(crate) struct InMemory {
    stored: Mutex<Vec<(Subject, EventId, Value)>>,
    known: Mutex<BTreeSet<EventId>>,
    nodes: BTreeMap<String, Value>,
    /// How many events are stored before the log is away; for ever where none.
    room: Mutex<Option<usize>>,
}

impl InMemory {
    pub(crate) fn knowing(nodes: BTreeMap<String, Value>) -> Self {
        Self { nodes, ..Self::default() }
    }

    /// All events but those that keep where polling stands, as they are, without id, source and trust.
    pub(crate) fn told(&self) -> Vec<Value> {
        let stored = self.stored.lock().unwrap();
        let told = stored.iter().filter(|(subject, ..)| {
            let own = ["polled", "reconciled", "poll_failed", "reconcile_failed"];
            subject.scope.as_str() != "source" || !own.contains(&subject.action.as_str())
        });
        told.map(|(_, _, event)| {
            let mut event = event.clone();
            for key in ["id", "source", "trust"] {
                event.as_object_mut().unwrap().remove(key);
            }
            event
        })
        .collect()
    }

    /// All of them, whole.
    pub(crate) fn stored(&self) -> Vec<Value> {
        self.stored.lock().unwrap().iter().map(|(_, _, event)| event.clone()).collect()
    }

    /// The `info` of the events of this action, in order.
    pub(crate) fn own(&self, action: &str) -> Vec<Value> {
        let stored = self.stored.lock().unwrap();
        let own = stored.iter().filter(|(subject, ..)| subject.action.as_str() == action);
        own.map(|(_, _, event)| event["info"].clone()).collect()
    }

    /// Is away after so many more events.
    pub(crate) fn away_after(&self, events: Option<usize>) {
        *self.room.lock().unwrap() = events;
    }

    /// Somebody else publishes an event of this id.
    pub(crate) fn take(&self, id: EventId) {
        self.known.lock().unwrap().insert(id);
    }

    /// Ids are remembered no longer, as after some days.
    pub(crate) fn forget_ids(&self) {
        self.known.lock().unwrap().clear();
    }

    fn store(&self, (subject, id, json): (Subject, EventId, Bytes)) -> Result<u64, PublishError> {
        let mut room = self.room.lock().unwrap();
        match room.as_mut() {
            Some(0) => return Err(PublishError::Unavailable("away".to_owned())),
            Some(left) => *left -= 1,
            None => {}
        }
        let mut stored = self.stored.lock().unwrap();
        if self.known.lock().unwrap().insert(id) {
            stored.push((subject, id, serde_json::from_slice(&json).unwrap()));
        }
        Ok(stored.len() as u64)
    }
}

#[async_trait::async_trait]
impl Publish for InMemory {
    async fn publish(&self, events: Vec<(Subject, EventId, Bytes)>) -> Result<(), PublishError> {
        events.into_iter().try_for_each(|event| self.store(event).map(drop))
    }
}

impl Aliases for InMemory {
    fn serial_of(&self, _: &str, _: Trust) -> Option<String> {
        None
    }
}

#[async_trait::async_trait]
impl Log for InMemory {
    async fn last(&self, subject: &Subject) -> Result<Option<Last>, PublishError> {
        let stored = self.stored.lock().unwrap();
        let found = stored.iter().rposition(|(other, ..)| other == subject);
        Ok(found.map(|at| {
            let event = &stored[at].2;
            let received = event["time"].as_str().unwrap().parse().unwrap();
            Last { sequence: at as u64 + 1, received, info: event["info"].clone() }
        }))
    }

    async fn publish_next(&self, subject: &Subject, id: EventId, json: Bytes, last: u64) -> Result<Next, PublishError> {
        let now = self.last(subject).await?.map_or(0, |last| last.sequence);
        if now != last { Ok(Next::Overtaken) } else { self.store((subject.clone(), id, json)).map(Next::Stored) }
    }

    async fn caught_up(&self) -> bool {
        true
    }

    fn has(&self, id: EventId) -> bool {
        self.known.lock().unwrap().contains(&id)
    }

    async fn last_id(&self, subject: &Subject) -> Result<Option<EventId>, PublishError> {
        let stored = self.stored.lock().unwrap();
        Ok(stored.iter().rfind(|(other, ..)| other == subject).map(|(_, id, _)| *id))
    }

    fn node(&self, key: &str) -> Value {
        self.nodes.get(key).cloned().unwrap_or_default()
    }
}

/// What is asked, as far as it is said, and what is answered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Exchange {
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    /// All of the query.
    pub(crate) query: Option<BTreeMap<String, String>>,
    /// Headers that must be there, and what they must hold.
    pub(crate) headers: BTreeMap<String, String>,
    /// All of the body.
    pub(crate) body: Option<Value>,
    /// A form's fields that must be there.
    pub(crate) form: BTreeMap<String, String>,
    pub(crate) status: Option<u16>,
    pub(crate) answer_headers: BTreeMap<String, String>,
    pub(crate) answer: Value,
}

/// A server on this machine that is asked these things, in this order.
pub(crate) struct StandIn {
    pub(crate) url: String,
    inner: Arc<Inner>,
}

struct Inner {
    url: Mutex<String>,
    left: Mutex<std::collections::VecDeque<Exchange>>,
    wrong: Mutex<Vec<String>>,
}

impl StandIn {
    pub(crate) async fn new(exchanges: Vec<Exchange>) -> Self {
        let (left, wrong) = (Mutex::new(exchanges.into()), Mutex::default());
        let inner = Arc::new(Inner { url: Mutex::default(), left, wrong });
        let url = serve(axum::Router::new().fallback(answer).with_state(Arc::clone(&inner))).await;
        inner.url.lock().unwrap().clone_from(&url);
        Self { url, inner }
    }

    /// How many exchanges are left.
    pub(crate) fn left(&self) -> usize {
        self.inner.left.lock().unwrap().len()
    }

    /// More exchanges, behind those that are left.
    pub(crate) fn also(&self, exchanges: Vec<Exchange>) {
        self.inner.left.lock().unwrap().extend(exchanges);
    }

    /// What did not come as expected.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.inner.wrong.lock().unwrap().clone()
    }
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = format!("{method} {uri} {}", String::from_utf8_lossy(&body));
    let Some(exchange) = inner.left.lock().unwrap().pop_front() else {
        inner.wrong.lock().unwrap().push(format!("asked although nothing is left: {asked}"));
        return StatusCode::GONE.into_response();
    };
    let mut wrong = Vec::new();
    let mut check = |what: &str, expected: String, found: String| {
        if expected != found {
            wrong.push(format!("{asked}: {what} is {found}, expected {expected}"));
        }
    };
    let url = inner.url.lock().unwrap().clone();
    if let Some(expected) = exchange.method {
        check("method", expected, method.to_string());
    }
    if let Some(expected) = exchange.path {
        check("path", expected, uri.path().to_owned());
    }
    if let Some(expected) = exchange.query {
        let pairs = crate::form::pairs(uri.query().unwrap_or_default().as_bytes()).unwrap();
        let found: BTreeMap<String, String> = pairs.into_iter().collect();
        check("query", format!("{expected:?}"), format!("{found:?}"));
    }
    for (name, expected) in exchange.headers {
        let found = headers.get(&name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        check(&name, expected, found.to_owned());
    }
    if let Some(expected) = exchange.body {
        let found = serde_json::from_slice(&body).unwrap_or(Value::Null);
        check("body", expected.to_string(), found.to_string());
    }
    let form: BTreeMap<String, String> = crate::form::pairs(&body).unwrap_or_default().into_iter().collect();
    for (name, expected) in exchange.form {
        check(&name, expected, form.get(&name).cloned().unwrap_or_default());
    }
    inner.wrong.lock().unwrap().extend(wrong);
    let body = match exchange.answer {
        Value::Null => String::new(),
        Value::String(text) => text,
        json => json.to_string(),
    };
    let status = StatusCode::from_u16(exchange.status.unwrap_or(200)).unwrap();
    let mut response = (status, body.replace("%URL%", &url)).into_response();
    for (name, value) in exchange.answer_headers {
        // Several values of one header are a line each.
        for value in value.replace("%URL%", &url).lines() {
            response.headers_mut().append(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        }
    }
    response
}

/// A source that is polled by hand.
pub(crate) struct ByHand {
    poller: Poller,
    stand: Option<Stand>,
    log: Arc<InMemory>,
    polls: Polls,
}

impl ByHand {
    /// Of a source's file; secrets are files of the folder, `secret-NAME` in each.
    pub(crate) fn new(name: &str, file: &Value, kind: Kind, log: &Arc<InMemory>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Arc::new(source(name, file, folder.path()));
        let poll = source.polls().iter().find(|poll| poll.plan.kind == kind).unwrap();
        let polls = Polls::default();
        let log_of: Arc<dyn Log> = Arc::<InMemory>::clone(log);
        let poller = Poller { poll: Arc::clone(poll), source: Arc::clone(&source), log: log_of, polls: polls.clone() };
        Self { poller, stand: None, log: Arc::clone(log), polls }
    }

    /// One round at this time: `whole`, `cut`, or why not.
    pub(crate) async fn round(&mut self, now: &str) -> String {
        let now: Time = now.parse().unwrap();
        match self.poller.round(&mut self.stand, now).await {
            Ok(true) => "whole".to_owned(),
            Ok(false) => "cut".to_owned(),
            Err(ended) => {
                let shown = match &ended {
                    Ended::There(failed) => format!("there: {} {:?}", failed.reason, failed.after),
                    Ended::Here(reason) => format!("here: {reason}"),
                };
                self.poller.went_wrong(&mut self.stand, ended, 1).await;
                shown
            }
        }
    }

    /// Forgets what it remembers, as a crash does.
    pub(crate) fn restart(&mut self) {
        self.stand = None;
    }

    pub(crate) fn log(&self) -> &InMemory {
        &self.log
    }

    pub(crate) fn report(&self) -> super::PollReport {
        self.polls.reports().into_values().next().unwrap_or_default()
    }
}

/// The file of a service account.
fn account() -> String {
    let key = crate::jwks::testing::RSA.trim();
    let key = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    json!({"client_email": "emote@example.iam", "private_key": key, "private_key_id": "k1"}).to_string()
}

/// The source of this file; the secrets that it names as `${file:NAME}` are `secret-NAME`, or what `keys` say.
pub(crate) fn source(name: &str, file: &Value, folder: &std::path::Path) -> Source {
    let text = file.to_string();
    for part in text.split("${file:").skip(1) {
        let secret = part.split('}').next().unwrap();
        let path = folder.join(secret);
        let content = match secret {
            "account" => account(),
            "p256" => rcgen::KeyPair::generate().unwrap().serialize_pem(),
            _ => format!("secret-{secret}"),
        };
        crate::testing::secret(&path, &content);
    }
    let spec: SourceSpec = serde_json::from_value(file.clone()).unwrap();
    let plan = spec.validate(&Name::new(name).unwrap()).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
    plan.resolve(folder).unwrap_or_else(|problems| panic!("{name}: {problems:?}"))
}

/// `GET path` with these pairs, answered so.
pub(crate) fn get(path: &str, query: &[(&str, &str)], answer: Value) -> Exchange {
    let pairs = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Exchange {
        method: Some("GET".to_owned()),
        path: Some(path.to_owned()),
        query: Some(pairs.collect()),
        answer,
        ..Exchange::default()
    }
}

/// An answer of no success.
pub(crate) fn trouble(status: u16, headers: &[(&str, &str)]) -> Exchange {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let answer = json!({"error": "no"});
    Exchange { status: Some(status), answer_headers: headers.collect(), answer, ..Exchange::default() }
}
